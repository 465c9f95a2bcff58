"""What a command writes: its result to stdout, messages and problems to stderr.

A terminal gets lines that fit its width, in colour. A pipe or a file gets complete lines, without
colour unless the environment forces it. With `--log-format json`, stderr gets one JSON object per
event instead of text. That format also holds for errors in the command line itself, so it is read
before the command line is parsed.
"""

from __future__ import annotations

import contextvars
import os
import re
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


LOG_FORMAT_OPTION: Final = "--log-format"
LOG_FORMATS: Final = ("text", "json")

_CI_VARIABLES: Final = frozenset({"GITHUB_ACTIONS", "TF_BUILD"})
_COMMAND: Final = re.compile(r"^\s*::|##\[|##vso\[", re.MULTILINE)
_JOINER: Final = "\N{WORD JOINER}"

_MAX_FRAMES: Final = 20
"""Problems that are printed with a code frame; after these, only their messages are."""

_as_json: Final = contextvars.ContextVar("as_json", default=False)


class OutputClosed(Exception):
    """The reader of stdout has closed the pipe, as `head` does; this is not an error."""


def choose_format(arguments: Sequence[str]) -> None:
    """Set the format of stderr from `--log-format` in a command line; the last one counts."""
    chosen = "text"
    for number, argument in enumerate(arguments):
        if argument == "--":
            break
        name, sign, value = argument.partition("=")
        if name == LOG_FORMAT_OPTION:
            chosen = value if sign else next(iter(arguments[number + 1 :]), "")
    _as_json.set(chosen == "json")


def wants_json() -> bool:
    """Whether stderr gets JSON lines."""
    return _as_json.get()


def write_output(text: str) -> None:
    """Write text to stdout.

    Raises OutputClosed if the reader has closed the pipe, LocalFileError for any other error.
    """
    if sys.stdout is None:
        return
    encoding = sys.stdout.encoding or "utf-8"
    text = _without_commands(text)
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError as error:
        discard(sys.stdout)
        raise OutputClosed from error
    except OSError as error:
        discard(sys.stdout)
        raise LocalFileError(f"the output cannot be written: {error.strerror or error}") from error


def _without_commands(text: str) -> str:
    """Make what a CI service would take for a command plain: words of providers are in the text.

    A line that begins with `::` and the text `##[` anywhere are commands there. In JSON, `##[` is
    only within strings and has the same value as an escape.
    Sources: GitHub's "Workflow commands", Azure Pipelines' "Logging commands".
    """
    if not _CI_VARIABLES & os.environ.keys() or not _COMMAND.search(text):
        return text
    if text.startswith(("{", "[")):
        return text.replace("##[", r"##\u005b").replace("##vso[", r"##vso\u005b")
    return _COMMAND.sub(lambda found: f"{found[0][:-1]}{_JOINER}{found[0][-1]}", text)


def write_json(value: object) -> None:
    """Write a value to stdout as JSON."""
    from runner.report.json_output import to_json

    write_output(to_json(value, ascii_only=_ascii_only()))


def write_json_lines(values: Iterable[object]) -> None:
    """Write values to stdout as JSON Lines, one value per line."""
    from runner.report.json_output import to_json_line

    ascii_only = _ascii_only()
    write_output("".join(to_json_line(value, ascii_only=ascii_only) for value in values))


def _ascii_only() -> bool:
    """Whether the encoding of stdout cannot represent all of Unicode."""
    encoding = (sys.stdout.encoding or "utf-8") if sys.stdout is not None else "utf-8"
    return not encoding.lower().startswith("utf")


def note(message: str, *, event: str = "note", level: str = "info") -> None:
    """Write a message to stderr; in JSON, `event` and `level` are its fields of that name.

    A warning or an error begins with this word.
    """
    text = message if level == "info" else f"{level}: {message}"
    write_note(text, partial(_entry, message, event, level))


def _entry(message: str, event: str, level: str) -> Entry:
    from runner.report.log import Entry, Level

    return Entry(message=message, event=event, level=Level(level))


def write_note(text: str, entry: Callable[[], Entry]) -> None:
    """Write one line to stderr: the text, or with `--log-format json` the entry."""
    if sys.stderr is not None:
        _write(_line(text, entry))


def _write(text: str) -> None:
    """Write to stderr; if its reader has gone, the command continues without it."""
    try:
        sys.stderr.write(_without_commands(text))
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)


def _line(text: str, entry: Callable[[], Entry]) -> str:
    from runner.text import printable

    if not wants_json():
        return printable(text) + "\n"
    encoding = sys.stderr.encoding or "utf-8"
    return entry().line(at=time.time(), ascii_only=not encoding.lower().startswith("utf"))


def discard(stream: TextIO) -> None:
    """Redirect a stream to the null device, so that later writes do not fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def width() -> int | None:
    """Return the number of columns of stdout; None if it is not a terminal."""
    import shutil

    return shutil.get_terminal_size().columns if is_terminal(sys.stdout) else None


def colours(stream: TextIO | None = None) -> Colours:
    """Return the colours for a stream, stdout by default; they are off where colour is unwanted."""
    from runner.report.colour import Colours

    return Colours(on=wants_colour(sys.stdout if stream is None else stream))


def wants_colour(stream: TextIO | None) -> bool:
    """Whether to write colour to a stream.

    A terminal gets colour, unless TERM is `dumb`. `NO_COLOR` turns colour off for every stream;
    otherwise `FORCE_COLOR` turns it on for every stream, pipes and files too. An empty variable
    and `FORCE_COLOR=0` count as not set.
    Sources: https://no-color.org, https://force-color.org
    """
    if stream is None or os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "") not in ("", "0"):
        return True
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal; None is a stream that was closed before the start."""
    return stream is not None and stream.isatty()


def print_problems(problems: Iterable[Problem]) -> None:
    """Print one line for each problem on stderr, in the form that editors and CI parse.

    In a terminal, the first problems are followed by a code frame.
    """
    ordered = sorted(problems)
    shown = ordered and is_terminal(sys.stderr) and not wants_json()
    frames = _frames(ordered[:_MAX_FRAMES]) if shown else {}
    for problem in ordered:
        write_note(str(problem), partial(_problem_entry, problem))
        for line in frames.get(problem, ()):
            _write(line + "\n")


def _frames(problems: Sequence[Problem]) -> dict[Problem, list[str]]:
    """Return a code frame for each problem whose lines can be read from the project's files."""
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


def _problem_entry(problem: Problem) -> Entry:
    from runner.report.log import Entry

    return Entry.of_problem(problem)


def print_error(error: RunnerError) -> None:
    """Print an error on stderr; for InvalidInput, one line for each problem."""
    if isinstance(error, InvalidInput):
        print_problems(error.problems)
    else:
        write_note(f"error: {error}", partial(_error_entry, error))


def _error_entry(error: RunnerError) -> Entry:
    from runner.report.log import Entry

    return Entry.of_error(error)
