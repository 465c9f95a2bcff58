"""Problems as editors and CI read them, one per line, and with their lines, in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.cli.shell import Folder

SPEC: Final = "endpoint: /v1/chat/completions\ninput: data/hello.jsonl\nreplicate: 0\n"
WHAT: Final = "specs/hello.yaml:3:12: replicate: 0 is too small; write at least 1\n"
FRAME: Final = "  2 | input: data/hello.jsonl\n  3 | replicate: 0\n    |            ^\n"


@pytest.fixture
def spoilt(folder: Folder) -> Folder:
    folder.job()
    folder.write("specs/hello.yaml", SPEC)
    return folder


@pytest.mark.parametrize("command", ["validate", "plan", "reconcile"])
def test_a_terminal_shows_the_line(spoilt: Folder, command: str) -> None:
    spoilt.env["NO_COLOR"] = "1"

    screen = spoilt.terminal(command, streams=["stderr"])

    assert screen.code == 2
    assert WHAT + FRAME in screen.text


def test_colour_is_for_those_who_want_it(spoilt: Folder) -> None:
    assert "\x1b[31m^" in spoilt.terminal("validate").text

    spoilt.env["NO_COLOR"] = "1"
    assert "\x1b" not in spoilt.terminal("validate").text


def test_a_pipe_gets_one_line_for_each_problem(spoilt: Folder) -> None:
    spoilt.env["FORCE_COLOR"] = "1"

    assert spoilt.sh("validate").err == WHAT
    assert spoilt.terminal("validate", streams=["stdout"]).text == ""


def test_a_project_file_and_a_project_elsewhere_are_shown_too(folder: Folder) -> None:
    folder.env["NO_COLOR"] = "1"
    folder.write("inner/runner.yaml", "specs: specs\nproviders:\n  lab:\n    api_key: hunter2\n")

    text = folder.terminal("-C", "inner", "status").text

    assert "  4 |     api_key: ***\n    |     ^\n" in text
    assert "hunter2" not in text


def test_the_first_problems_have_their_lines(folder: Folder) -> None:
    folder.env["NO_COLOR"] = "1"
    folder.job()
    folder.write("data/hello.jsonl", "{\n" * 30)
    folder.write("specs/other.yaml", "colour: red\n")

    text = folder.terminal("validate").text

    assert text.count("data/hello.jsonl:") == 21
    assert text.count("specs/other.yaml:") == 3
    assert text.count("^\n") == 20


def test_narrow_terminals_are_kept_to(folder: Folder) -> None:
    folder.job()
    folder.write("data/hello.jsonl", '{"custom_id": "' + "a" * 500 + '", "x": NaN}\n')

    lines = folder.terminal("validate", columns=40).text.splitlines()

    assert lines[-1].endswith("^\x1b[0m")
    assert "NaN" in lines[-2]
    assert len(lines[-2]) <= 40 + len("\x1b[2m\x1b[0m")
