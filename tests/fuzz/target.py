"""The fuzzing targets, and the promises about every message."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.errors import Problem, RunnerError

BETWEEN: Final = b"\x1c"
"""The separator of the parts (files, replies) of one fuzzed input."""

LONGEST_MESSAGE: Final = 6000
"""Characters. A path of up to 4,096 characters is shown in full; other parts are shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One parser to fuzz.

    `check(data, folder)` gives it `data`, in a folder that only earlier calls have written to,
    and returns a word for what became of it: "accepted", or the name of an error class. It lets
    every exception through that is not of runner's tree, and raises AssertionError for a broken
    promise. `seeds` are inputs that reach deep, `words` what their language is made of.
    """

    name: str
    check: Callable[[bytes, Path], str]
    seeds: tuple[bytes, ...] = field(repr=False)
    words: tuple[bytes, ...] = field(repr=False)


def joined(*parts: bytes) -> bytes:
    """Return one input that consists of several parts."""
    return BETWEEN.join(parts)


def assert_readable(text: str, *, lines: bool = False) -> None:
    """Assert that a message can be shown: not empty, not endless, nothing that steers a terminal.

    `lines` allows more than one line.
    """
    assert text, "an empty message"
    for line in text.split("\n") if lines else [text]:
        assert line.isprintable(), f"not printable: {line!r}"
        assert len(line) <= LONGEST_MESSAGE, f"{len(line)} characters: {line[:200]!r}"


def assert_told(error: RunnerError) -> str:
    """Assert that an error can be shown, and return its class's name."""
    assert_readable(str(error), lines=True)
    return type(error).__name__


def assert_placed(problem: Problem, data: bytes) -> None:
    """Assert that a problem names a place inside the file that holds `data`."""
    assert_readable(problem.message)
    assert problem.line >= 0
    assert problem.column >= 0
    lines = data.split(b"\n")
    assert problem.line <= len(lines), f"line {problem.line} of {len(lines)}: {problem}"
    if problem.line:
        room = len(lines[problem.line - 1].decode(errors="replace")) + 1
        assert problem.column <= room, f"column {problem.column} of {room}: {problem}"
    else:
        assert not problem.column
