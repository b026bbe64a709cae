"""The program in the README runs and learns what it says."""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_training_loop(capsys):
    (program,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    assert len(program.strip().splitlines()) <= 24
    exec(compile(program, str(README), "exec"), {})
    loss, accuracy = re.findall(r"[\d.]+\d", capsys.readouterr().out)
    assert float(loss) < 0.5 and float(accuracy) > 0.85
