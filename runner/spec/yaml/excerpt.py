"""The lines that a problem is about, for people to see; without what may be a secret.

A place such as `specs/a.yaml:3:20` is enough for an editor. Somebody at a terminal wants to see
the line itself, and has it sent to a colleague or a log a minute later: so a key that was written
where none belongs is not shown again.
"""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.spec.discovery import SUFFIXES
from runner.spec.leaked_secrets import SECRET_NAMES, SECRET_PATTERN
from runner.spec.project import PROJECT_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from runner.errors import Problem


_LONGEST_LINE: Final = 1024 * 1024
"""Bytes of a line that are read; a place further in is shown without its line."""

_FIELD_LINE: Final = re.compile(
    r"(?P<key>[ \t]*(?:- )?(?P<name>[^\s:#'\"]+):)(?P<value>[ \t]+\S.*)?[ \t]*"
)
_PUBLIC_FIELDS: Final = re.compile(
    r"specs|outputs|ledger|default_provider|max_[a-z_]+|[a-z]+_expires_after|adoption_grace"
)
"""The keys of `runner.yaml` whose values are nobody's secret."""

_NESTED: Final = re.compile(r"[{\[#&*!|>]")
"""With one of these a value may be more than one word: a mapping, a comment, an alias."""

_HIDDEN: Final = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """Up to three lines of a file; `first` is the number of the first of them, from 1.

    `line` and `column` are the place that it is about, counted from 1 in what is shown.
    """

    first: int
    lines: tuple[str, ...]
    line: int
    column: int


def excerpts(problems: Iterable[Problem], root: Path) -> Mapping[Problem, Excerpt]:
    """Return the lines around each problem that has a line and a column, where they can be had.

    Paths are from `root`, the project's folder. A file is read once, as far as its last problem.
    Of YAML the lines above and below are there too; of data, where a line is a world of its own,
    they are not. Never raises for what a file may hold.
    """
    placed: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        if problem.line and problem.column:
            placed[problem.path].append(problem)
    found: dict[Problem, Excerpt] = {}
    for path, its in placed.items():
        around = int(path.endswith(SUFFIXES))
        wanted = {
            number
            for problem in its
            for number in range(problem.line - around, problem.line + around + 1)
        }
        lines = dict(_lines(root / path, wanted))
        for problem in its:
            line = lines.get(problem.line)
            if line is not None and problem.column <= len(line) + 1:
                found[problem] = _excerpt(problem, lines, around)
    return found


def _excerpt(problem: Problem, lines: Mapping[int, str], around: int) -> Excerpt:
    numbers = [
        number
        for number in range(problem.line - around, problem.line + around + 1)
        if number in lines
    ]
    shown = []
    column = problem.column
    for number in numbers:
        spans = list(_secrets(lines[number], problem.path))
        shown.append(_mask(lines[number], spans))
        if number == problem.line:
            column = _shift_column(column, lines[number], spans)
    return Excerpt(first=numbers[0], lines=tuple(shown), line=problem.line, column=column)


def _lines(path: Path, wanted: set[int]) -> Iterator[tuple[int, str]]:
    """Yield the lines of a regular file that are wanted, by number; as far as they can be read."""
    try:
        # Not blocking: a pipe of this name would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError):
        return
    try:
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return
            for number in range(1, max(wanted) + 1):
                line = _line(file)
                if not line:
                    return
                if number in wanted:
                    yield number, line.decode(errors="replace").rstrip("\r\n")
    except OSError:
        return


def _line(file: BinaryIO) -> bytes:
    """Read one line; of one that is too long the beginning, and the rest is passed over."""
    line = piece = file.readline(_LONGEST_LINE)
    while piece and not piece.endswith(b"\n"):
        piece = file.readline(_LONGEST_LINE)
    return line


def _secrets(line: str, path: str) -> Iterator[tuple[int, int]]:
    """Yield where a line may hold a secret, as (begin, end), in order and apart.

    In `runner.yaml` that is all but what is known to be none; elsewhere what has the name or the
    looks of a key.
    """
    key = _FIELD_LINE.fullmatch(line)
    if path == PROJECT_FILE and line.strip():
        if key is None or SECRET_PATTERN.search(key["name"]):
            yield len(line) - len(line.lstrip()), len(line)
            return
        value = key["value"]
        if value and not (_PUBLIC_FIELDS.fullmatch(key["name"]) and not _NESTED.search(value)):
            yield _value(key)
            return
    elif path.endswith(SUFFIXES) and key and key["value"] and SECRET_NAMES.search(key["name"]):
        yield _value(key)
        return
    for match in SECRET_PATTERN.finditer(line):
        yield match.span()


def _value(key: re.Match[str]) -> tuple[int, int]:
    begin, end = key.span("value")
    return begin + len(key["value"]) - len(key["value"].lstrip()), end


def _shift_column(column: int, line: str, spans: Sequence[tuple[int, int]]) -> int:
    """Return a column as it is in what is shown; one that is hidden is where that begins."""
    at = min((begin for begin, end in spans if begin < column <= end), default=column - 1)
    return len(_mask(line[:at], [span for span in spans if span[1] <= at])) + 1


def _mask(text: str, spans: Iterable[tuple[int, int]]) -> str:
    shown, done = "", 0
    for begin, end in spans:
        shown += text[done:begin] + _HIDDEN
        done = end
    return shown + text[done:]
