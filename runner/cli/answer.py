"""What a command answers, on stdout, and what it says besides, on stderr.

A terminal gets lines that fit it, in colour; a pipe or a file gets everything and nothing else.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from runner.errors import InvalidInput, LocalFileError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from runner.errors import Problem, RunnerError
    from runner.report.paint import Paint


class NobodyListens(Exception):
    """Whoever read the answer has had enough of it: there is nobody left to tell."""


def answer(text: str) -> None:
    """Write the answer.

    Raises NobodyListens if the reader has gone, LocalFileError if it cannot be written.
    """
    if sys.stdout is None:
        return
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError as error:
        abandon(sys.stdout)
        raise NobodyListens from error
    except OSError as error:
        abandon(sys.stdout)
        raise LocalFileError(f"the answer cannot be written: {error.strerror or error}") from error


def answer_json(value: object) -> None:
    """Write the answer as JSON."""
    from runner.report.shapes import as_json

    encoding = (sys.stdout.encoding or "utf-8") if sys.stdout is not None else "utf-8"
    answer(as_json(value, ascii_only=not encoding.lower().startswith("utf")))


def note(sentence: str) -> None:
    """Say something beside the answer; a reader that has gone is no reason to stop working."""
    from runner.report.plain import plain

    if sys.stderr is None:
        return
    try:
        sys.stderr.write(plain(sentence) + "\n")
        sys.stderr.flush()
    except OSError:
        abandon(sys.stderr)


def abandon(stream: TextIO) -> None:
    """Let whatever else is written to a stream vanish, so that it does not fail once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def width() -> int | None:
    """Return how many columns stdout has; None where it is no terminal."""
    import shutil

    return shutil.get_terminal_size().columns if is_terminal(sys.stdout) else None


def paint() -> Paint:
    """Return the colours for stdout: none unless it is a terminal that wants them.

    Source of NO_COLOR: https://no-color.org
    """
    from runner.report.paint import Paint

    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Paint(on=wanted and is_terminal(sys.stdout))


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody looks at a stream; one that was closed when we began is None."""
    return stream is not None and stream.isatty()


def print_problems(problems: Iterable[Problem]) -> None:
    """Print one line for each problem on stderr, as editors and CI read them."""
    for problem in sorted(problems):
        note(str(problem))


def print_error(error: RunnerError) -> None:
    """Print what went wrong on stderr; problems with documents are lines of their own."""
    if isinstance(error, InvalidInput):
        print_problems(error.problems)
    else:
        note(f"error: {error}")
