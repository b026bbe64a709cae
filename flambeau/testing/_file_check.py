"""FileCheck: expectations about a text, one after another."""

import re


class FileCheck:
    """Checks of what a text holds, gathered with check methods and made by run(text).

    >>> import flambeau as torch
    >>> torch.testing.FileCheck().check("one").check_next("two").check_not("four").run("one\\ntwo")
    """

    def __init__(self):
        self._checks = []

    def _add(self, kind, text, count=1, exactly=False):
        self._checks.append((kind, text, count, exactly))
        return self

    def check(self, test_string):
        """The text holds it, after what was found before."""
        return self._add("CHECK", test_string)

    def check_next(self, test_string):
        """It stands in the next line."""
        return self._add("CHECK-NEXT", test_string)

    def check_same(self, test_string):
        """It stands further on in the same line."""
        return self._add("CHECK-SAME", test_string)

    def check_not(self, test_string):
        """It does not come before what is found next, or the end."""
        return self._add("CHECK-NOT", test_string)

    def check_dag(self, test_string):
        """Neighbouring check_dag()s may come in any order."""
        return self._add("CHECK-DAG", test_string)

    def check_count(self, test_string, count, exactly=False):
        """It comes so many times; with `exactly`, not once more."""
        return self._add("CHECK-COUNT", test_string, count, exactly)

    def check_regex(self, test_string):
        """A regular expression matches, after what was found before."""
        return self._add("CHECK-REGEX", test_string)

    def check_source_highlighted(self, test_string):
        """The text holds it, with tildes under it in the next line."""
        return self._add("CHECK-SOURCE-HIGHLIGHTED", test_string)

    def run(self, test_string):
        """Makes the checks of a text; a RuntimeError tells the first that fails."""
        if not self._checks and "CHECK" not in test_string:
            raise RuntimeError("FileCheck: there is nothing to check")
        text, at = str(test_string), 0
        position = 0
        while position < len(self._checks):
            kind, wanted, count, exactly = self._checks[position]
            if kind == "CHECK-NOT":
                position = self._run_nots(text, at, position)
                continue
            if kind == "CHECK-DAG":
                ends = []
                while position < len(self._checks) and self._checks[position][0] == "CHECK-DAG":
                    ends.append(_find(text, self._checks[position][1], at, "CHECK-DAG")[1])
                    position += 1
                at = max(ends)
                continue
            for _ in range(count):
                start, end = _find(text, wanted, at, kind)
                _check_lines(text, at, start, wanted, kind)
                at = end
            if exactly and wanted in text[at:]:
                _fail_found(text, at, text.index(wanted, at), wanted, "CHECK-NOT")
            if kind == "CHECK-SOURCE-HIGHLIGHTED":
                _check_highlight(text, at - len(wanted), wanted)
            position += 1

    def _run_nots(self, text, at, position):
        first = position
        while position < len(self._checks) and self._checks[position][0] == "CHECK-NOT":
            position += 1
        end = len(text)
        if position < len(self._checks):
            kind, wanted, *_ = self._checks[position]
            end = _find(text, wanted, at, kind)[0]
        for _, wanted, *_ in self._checks[first:position]:
            found = text.find(wanted, at, end)
            if found >= 0:
                _fail_found(text, at, found, wanted, "CHECK-NOT")
        return position


def _find(text, wanted, at, kind):
    """(start, end) of the first place at or after `at`."""
    if kind == "CHECK-REGEX":
        match = re.compile(wanted).search(text, at)
        if match:
            return match.span()
        what = f'regex "{wanted}"'
    else:
        start = text.find(wanted, at)
        if start >= 0:
            return start, start + len(wanted)
        what = f'"{wanted}"'
    raise RuntimeError(
        f"Expected to find {what} but did not find it\nSearched string:\n{text[at:]}\n"
        f"From {kind}: {wanted}\n"
    )


def _fail_found(text, at, found, wanted, kind):
    line = text.count("\n", 0, found)
    start = text.rfind("\n", 0, found) + 1
    lines = text.split("\n")
    marked = [*lines[: line + 1], " " * (found - start) + "~" * len(wanted) + " <--- HERE"]
    raise RuntimeError(
        f'Expected to not find "{wanted}" but found it\n' + "\n".join(marked + lines[line + 1 :])
        + f"\nFrom {kind}: {wanted}\n"
    )  # fmt: skip


def _check_lines(text, at, start, wanted, kind):
    between = text[at:start].count("\n")
    if kind == "CHECK-NEXT" and between == 0:
        raise RuntimeError(f'Expected to find "\\n" but did not find it\nFrom {kind}: {wanted}\n')
    if (kind == "CHECK-NEXT" and between > 1) or (kind == "CHECK-SAME" and between):
        raise RuntimeError(
            f'Expected to not find "\\n" but found it\n{text}\nFrom {kind}: {wanted}\n'
        )


def _check_highlight(text, start, wanted):
    begin = text.rfind("\n", 0, start) + 1
    end = text.find("\n", start)
    below = text[end + 1 :].split("\n", 1)[0] if end >= 0 else ""
    column = start - begin
    if below[column : column + len(wanted)] != "~" * len(wanted):
        raise RuntimeError(
            f'Expected to find "{"~" * len(wanted)}" under "{wanted}"\n{text}\n'
            f"From CHECK-SOURCE-HIGHLIGHTED: {wanted}\n"
        )
