"""In which form stderr is written: sentences for people, or one JSON object an event for machines.

The form holds for the whole command line, its refusal included: so it is looked for before the
command line is parsed.

What a command answers, on stdout, and what it says besides, on stderr.

A terminal gets lines that fit it, in colour; a pipe or a file gets everything and nothing else,
unless the environment asks for colour there too.
"""

from __future__ import annotations

import contextvars
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from runner.errors import InvalidInput, LocalFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TextIO

    from runner.errors import Problem, RunnerError
    from runner.report.colour import Colours
    from runner.report.log import Entry


OPTION: Final = "--log-format"
FORMATS: Final = ("text", "json")

_as_json: Final = contextvars.ContextVar("as_json", default=False)


def choose_format(arguments: Sequence[str]) -> None:
    """Take the form that a command line asks for; of several the last one counts."""
    asked = "text"
    for number, argument in enumerate(arguments):
        if argument == "--":
            break
        name, sign, value = argument.partition("=")
        if name == OPTION:
            asked = value if sign else next(iter(arguments[number + 1 :]), "")
    _as_json.set(asked == "json")


def wants_json() -> bool:
    """Whether stderr is for machines."""
    return _as_json.get()


_MOST_FRAMES: Final = 20
"""Problems that are shown with their lines: whoever has more begins with the first."""


class OutputClosed(Exception):
    """Whoever read the answer has had enough of it: there is nobody left to tell."""


def write_output(text: str) -> None:
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
        discard(sys.stdout)
        raise OutputClosed from error
    except OSError as error:
        discard(sys.stdout)
        raise LocalFileError(f"the answer cannot be written: {error.strerror or error}") from error


def write_json(value: object) -> None:
    """Write the answer as JSON."""
    from runner.report.json_output import to_json

    write_output(to_json(value, ascii_only=_ascii_only()))


def write_json_lines(values: Iterable[object]) -> None:
    """Write the answer as JSON Lines: a value a line."""
    from runner.report.json_output import to_json_line

    ascii_only = _ascii_only()
    write_output("".join(to_json_line(value, ascii_only=ascii_only) for value in values))


def _ascii_only() -> bool:
    """Whether stdout cannot take every character there is."""
    encoding = (sys.stdout.encoding or "utf-8") if sys.stdout is not None else "utf-8"
    return not encoding.lower().startswith("utf")


def note(sentence: str, *, event: str = "note", level: str = "info") -> None:
    """Say something beside the answer; machines hear it as an `event` of a `level`."""
    write_note(sentence, partial(_entry, sentence, event, level))


def _entry(sentence: str, event: str, level: str) -> Entry:
    from runner.report.log import Entry, Level

    return Entry(message=sentence, event=event, level=Level(level))


def write_note(sentence: str, entry: Callable[[], Entry]) -> None:
    """Write one line on stderr: a sentence for people, or with --log-format json an entry."""
    if sys.stderr is not None:
        _write(_line(sentence, entry))


def _write(text: str) -> None:
    """Write to stderr; a reader that has gone is no reason to stop working."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)


def _line(sentence: str, entry: Callable[[], Entry]) -> str:
    from runner.report.safe_text import plain

    if not wants_json():
        return plain(sentence) + "\n"
    encoding = sys.stderr.encoding or "utf-8"
    return entry().line(at=time.time(), ascii_only=not encoding.lower().startswith("utf"))


def discard(stream: TextIO) -> None:
    """Let whatever else is written to a stream vanish, so that it does not fail once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def width() -> int | None:
    """Return how many columns stdout has; None where it is no terminal."""
    import shutil

    return shutil.get_terminal_size().columns if is_terminal(sys.stdout) else None


def colours(stream: TextIO | None = None) -> Colours:
    """Return the colours for a stream (stdout): none unless whoever reads it wants them."""
    from runner.report.colour import Colours

    return Colours(on=wants_colour(sys.stdout if stream is None else stream))


def wants_colour(stream: TextIO | None) -> bool:
    """Whether what is written to a stream is to be coloured: stdout, stderr, each for itself.

    A terminal is, unless it calls itself dumb. `NO_COLOR` forbids colour everywhere and
    `FORCE_COLOR` asks for it everywhere, pipes and files too; of both the former wins. Empty they
    count as not set, and so does `FORCE_COLOR=0`.
    Sources: https://no-color.org, https://force-color.org
    """
    if stream is None or os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "") not in ("", "0"):
        return True
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody looks at a stream; one that was closed when we began is None."""
    return stream is not None and stream.isatty()


def print_problems(problems: Iterable[Problem]) -> None:
    """Print one line for each problem on stderr, as editors and CI read them.

    Somebody at a terminal is shown the place itself below it, for the first of them.
    """
    ordered = sorted(problems)
    shown = ordered and is_terminal(sys.stderr) and not wants_json()
    frames = _frames(ordered[:_MOST_FRAMES]) if shown else {}
    for problem in ordered:
        write_note(str(problem), partial(_problem, problem))
        for line in frames.get(problem, ()):
            _write(line + "\n")


def _frames(problems: Sequence[Problem]) -> dict[Problem, list[str]]:
    """Return what is shown below problems: the lines they are about, from the project's files."""
    from runner.report.frame import render_frame
    from runner.spec.project import find_root
    from runner.spec.yaml.excerpt import excerpts

    context = click.get_current_context(silent=True)
    start = context.find_root().params.get("directory") if context is not None else None
    root, _ = find_root(start or Path())
    columns = os.get_terminal_size(sys.stderr.fileno()).columns
    return {
        problem: render_frame(excerpt, width=columns or None, colours=colours(sys.stderr))
        for problem, excerpt in excerpts(problems, root).items()
    }


def _problem(problem: Problem) -> Entry:
    from runner.report.log import Entry

    return Entry.of_problem(problem)


def print_error(error: RunnerError) -> None:
    """Print what went wrong on stderr; problems with documents are lines of their own."""
    if isinstance(error, InvalidInput):
        print_problems(error.problems)
    else:
        write_note(f"error: {error}", partial(_error, error))


def _error(error: RunnerError) -> Entry:
    from runner.report.log import Entry

    return Entry.of_error(error)
