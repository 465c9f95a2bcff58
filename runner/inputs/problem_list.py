"""The problems of one input, as many as a person can use.

A file in the wrong format has a problem on every line. All are counted, the first thousand are
kept, and the last one says how many are not shown.
"""

from __future__ import annotations

from typing import Final

from runner.errors import InvalidInput, Problem

MOST_SHOWN: Final = 1000


class ProblemList:
    """Problems of the file shown as `shown`, added in the order of its lines."""

    __slots__ = ("_count", "_kept", "_shown")

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._kept: list[Problem] = []
        self._count = 0

    def add(self, message: str, *, line: int = 0, column: int = 0) -> None:
        """Note one problem; beyond the thousandth of a kind it is only counted."""
        self._count += 1
        # One more than is shown: its line is where the note about the rest belongs.
        if len(self._kept) <= MOST_SHOWN:
            self._kept.append(Problem(path=self._shown, line=line, column=column, message=message))

    def count(self, more: int) -> None:
        """Count problems that are known but not described."""
        self._count += more

    def join(self, later: ProblemList) -> None:
        """Take in what another walk along the same file found."""
        self._kept += later._kept
        self._count += later._count

    def __bool__(self) -> bool:
        return self._count > 0

    def error(self) -> InvalidInput:
        """Return all of it as the exception to raise: at most 1000 problems and a note."""
        problems = sorted(self._kept)
        shown = problems[:MOST_SHOWN]
        if self._count > len(shown):
            line = problems[min(len(shown), len(problems) - 1)].line
            # Problems are sorted by place: the note comes last only on a line of its own.
            shown = [each for each in shown if each.line < line] or shown
            more = self._count - len(shown)
            note = f"{more:,} more problem{'s are' if more > 1 else ' is'} not shown"
            shown.append(Problem(path=self._shown, line=line, message=note))
        return InvalidInput(shown)
