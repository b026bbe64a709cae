"""python -m flambeau program.py ...: runs a program written for PyTorch, unedited, on flambeau."""

import runpy
import sys

USAGE = """usage: python -m flambeau [-m module | program.py] [arguments]

Runs the program with `import torch` and `import torchvision` answered by flambeau."""


def main():
    from ._alias import as_torch

    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if arguments else 2
    as_torch()
    if arguments[0] == "-m" and len(arguments) > 1:
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments[0].startswith("-"):
        print(USAGE, file=sys.stderr)
        return 2
    else:
        import os

        sys.argv = arguments
        if not sys.flags.safe_path:
            sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
