"""When output is coloured: what the terminal is, and what the environment sets."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from runner.cli.output import wants_colour

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.shell import Folder


class _Stream(io.StringIO):
    """A stream that is a terminal, or is none."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("setting", "in_a_terminal", "in_a_pipe"),
    [
        ({}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": "0"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "yes", "TERM": "dumb"}, True, True),
        ({"FORCE_COLOR": "0"}, True, False),
        ({"FORCE_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "0", "TERM": "dumb"}, False, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": ""}, True, True),
    ],
    ids=str,
)
def test_the_environment_decides(
    monkeypatch: pytest.MonkeyPatch,
    setting: dict[str, str],
    in_a_terminal: bool,  # noqa: FBT001 -- a row of the table
    in_a_pipe: bool,  # noqa: FBT001
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in setting.items():
        monkeypatch.setenv(name, value)

    assert wants_colour(_Stream(terminal=True)) is in_a_terminal
    assert wants_colour(_Stream(terminal=False)) is in_a_pipe


def test_a_stream_that_was_closed_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    assert not wants_colour(None)


def test_forced_colour_goes_through_a_pipe_but_never_into_json(run: Run, folder: Folder) -> None:
    folder.job()
    plain = run("status").out
    folder.env["FORCE_COLOR"] = "1"

    forced = run("status").out

    assert forced.startswith("\x1b[1mJOB")
    assert forced.replace("\x1b[1m", "").replace("\x1b[0m", "") == plain
    assert json.loads(run("status", "--json").out)[0]["name"] == "hello"
