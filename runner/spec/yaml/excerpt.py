"""Read the lines around a problem, with possible secrets masked.

An editor needs only a position such as `specs/a.yaml:3:20`. At a terminal the user sees the line
itself and may copy it into a chat or a log: so an API key written by mistake is not shown.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.files import open_regular
from runner.spec.discovery import SUFFIXES, is_inside
from runner.spec.leaked_secrets import SECRET_NAMES, SECRET_PATTERN
from runner.spec.project import PROJECT_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from runner.errors import Problem


_LONGEST_LINE: Final = 1024 * 1024
"""Bytes of a line that are read; a problem beyond them has no excerpt."""

_FIELD_LINE: Final = re.compile(
    r"(?P<key>[ \t]*(?:- )?(?P<name>[^\s:#'\"]+):)(?P<value>[ \t]+\S.*)?[ \t]*"
)
_PUBLIC_FIELDS: Final = re.compile(
    r"specs|outputs|ledger|default_provider|max_[a-z_]+|[a-z]+_expires_after|adoption_grace"
)
"""The fields of `runner.yaml` whose values are no secrets."""

_NESTED: Final = re.compile(r"[{\[#&*!|>]")
"""With one of these characters a value may be a mapping, an alias or have a comment."""

_HIDDEN: Final = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """Up to three lines of a file; `first` is the number of the first line, from 1.

    `line` and `column` are the position of the problem, counted from 1; the column is that in the
    masked line.
    """

    first: int
    lines: tuple[str, ...]
    line: int
    column: int


def excerpts(problems: Iterable[Problem], root: Path) -> Mapping[Problem, Excerpt]:
    """Return the excerpt of each problem that has a line and a column and can be read.

    Paths are relative to `root`, the project's folder. A file is read once, as far as its last
    problem. An excerpt of YAML has the lines above and below too, one of data only the line itself.
    A file outside of the project has none: what leads there may have come with a clone. Never
    raises for the content of a file.
    """
    placed: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        if problem.line and problem.column:
            placed[problem.path].append(problem)
    found: dict[Problem, Excerpt] = {}
    for path, its in placed.items():
        if not is_inside(root / path, root):
            continue
        around = int(path.endswith(SUFFIXES))
        numbers = {
            number
            for problem in its
            for number in range(problem.line - around, problem.line + around + 1)
        }
        lines = dict(_lines(root / path, numbers))
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
    """Yield the wanted lines of a regular file with their numbers, as far as they can be read."""
    try:
        with open_regular(path) as file:
            for number in range(1, max(wanted) + 1):
                line = _line(file)
                if not line:
                    return
                if number in wanted:
                    yield number, line.decode(errors="replace").rstrip("\r\n")
    except (OSError, ValueError):
        return


def _line(file: BinaryIO) -> bytes:
    """Read one line; skip the rest of one that is too long."""
    line = piece = file.readline(_LONGEST_LINE)
    while piece and not piece.endswith(b"\n"):
        piece = file.readline(_LONGEST_LINE)
    return line


def _secrets(line: str, path: str) -> Iterator[tuple[int, int]]:
    """Yield the spans (begin, end) of a line that may be secrets, ascending, without overlap.

    In `runner.yaml` that is every value but those of public fields; elsewhere it is a value that
    is named like a secret, or a text that has the form of one.
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
    """Return a column of the masked line; a masked column becomes the begin of its mask."""
    at = min((begin for begin, end in spans if begin < column <= end), default=column - 1)
    return len(_mask(line[:at], [span for span in spans if span[1] <= at])) + 1


def _mask(text: str, spans: Iterable[tuple[int, int]]) -> str:
    shown, done = "", 0
    for begin, end in spans:
        shown += text[done:begin] + _HIDDEN
        done = end
    return shown + text[done:]
