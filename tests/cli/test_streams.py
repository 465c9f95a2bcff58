"""Pipes, terminals, and readers that close early: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import FINISH
from tests.cli.shell import PATIENCE, ROOT, environment
from tests.simulation.behaviour import Behaviour, HttpError, by_id

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.world import World

ANSWERS = (
    ("--help",),
    ("plan", "--help"),
    ("--version",),
    ("status",),
    ("status", "--json"),
    ("plan",),
    ("plan", "--json"),
    ("show", "hello"),
    ("show", "hello", "--json"),
)
RUNNER = f"{sys.executable} -c 'from runner.cli import main; main()'"


def shell(folder: Folder, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in the project; `runner` is the command."""
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; runner() {{ {RUNNER} "$@"; }}; {line}'],
        cwd=folder.root,
        env=environment(folder.env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("command", ANSWERS, ids=" ".join)
def test_a_reader_that_has_had_enough_is_no_error(folder: Folder, command: tuple[str]) -> None:
    for number in range(60):  # more than the reader's end of a pipe takes
        folder.job(f"job-{number:02}-{'x' * 40}")
    folder.job()

    done = shell(folder, f"runner {' '.join(command)} | head -c 0")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("command", ["status", "plan --json", "show hello"])
def test_nobody_to_answer_is_no_error(folder: Folder, command: str) -> None:
    folder.job()

    done = shell(folder, f"runner {command} >&-")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("command", ["status", "plan --json", "show hello"])
def test_an_answer_that_cannot_be_written_is_an_error(folder: Folder, command: str) -> None:
    folder.job()

    done = shell(folder, f"runner {command} > /dev/full")

    assert done.returncode == 1
    assert done.stderr == "error: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2> >(exit)", ">&- 2>&-"])
def test_nobody_to_tell_is_no_reason_to_stop_working(
    lab: Folder, run: Run, redirection: str
) -> None:
    lab.job("one")
    lab.job("two")

    done = shell(lab, f"runner {' '.join(FINISH)} {redirection}")

    assert (done.returncode, done.stdout) == (0, "")
    shapes = json.loads(run("status", "--json").out)
    assert [shape["state"] for shape in shapes] == ["succeeded", "succeeded"]


def test_only_the_answer_is_on_stdout(run: Run, lab: Folder, world: World) -> None:
    lab.job("good")
    lab.job("half", rows=2)
    lab.write("specs/bad.yaml", "name: bad\n")
    world.behaviour = Behaviour(answer=by_id({"half-1": HttpError(status=400, code="bad")}))

    commands = (("validate",), FINISH, ("cancel", "good"), ("retry", "half"), ("init", "x"))
    for command in commands:
        done = run(*command)
        assert done.out == "", command
        assert done.err != "", command
        assert "Traceback" not in done.err
    for answering in (("plan", "--json"), ("status", "--json"), ("show", "half", "--json")):
        json.loads(run(*answering).out)


@pytest.mark.parametrize("command", ["status", "plan", "show hello"])
def test_a_terminal_gets_colour_and_a_pipe_gets_none(finished: Folder, command: str) -> None:
    arguments = command.split()

    coloured = finished.terminal(*arguments)
    plain = finished.sh(*arguments).out

    assert "\x1b[" not in plain
    assert coloured.code == 0
    if command == "plan":
        assert coloured.text == plain == "Nothing to do: 1 job up to date.\n"
    else:
        assert "\x1b[1m" in coloured.text


@pytest.mark.parametrize("setting", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_who_wants_no_colour_gets_none(folder: Folder, setting: dict[str, str]) -> None:
    folder.job()
    folder.env |= setting

    for command in (("status",), ("plan",), ("show", "hello")):
        assert "\x1b" not in folder.terminal(*command).text


def test_an_empty_no_color_means_nothing(folder: Folder) -> None:
    folder.job()
    folder.env["NO_COLOR"] = ""

    assert "\x1b[1m" in folder.terminal("status").text


def test_a_terminal_gets_lines_that_fit_it_and_a_pipe_gets_whole_ones(folder: Folder) -> None:
    folder.env["NO_COLOR"] = "1"
    name = "a-name-that-is-far-too-long-for-a-narrow-terminal"
    folder.job(name)

    narrow = folder.terminal("status", columns=60).text
    piped = folder.sh("status").out

    assert max(map(len, narrow.splitlines())) <= 60
    assert name not in narrow.partition("\n\n")[0]
    assert name in piped


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("utf-8", "größe: …"), ("ascii", "gr\\xf6\\xdfe: \\u2026"), ("latin-1", "größe: \\u2026")],
)
def test_a_stream_of_any_encoding_gets_an_answer(
    folder: Folder, encoding: str, written: str
) -> None:
    script = f"from runner.cli.output import write_output; write_output({'größe: …'!r})"

    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment({"PYTHONIOENCODING": encoding}) | folder.env,
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )

    assert done.stdout.decode(encoding) == written


def test_json_for_a_stream_that_is_not_utf_8_is_still_json(lab: Folder, run: Run) -> None:
    lab.job(more='metadata: {project: "größe 😀"}\n')
    run(*FINISH)

    whole = lab.sh("status", "--json").out
    ascii_only = lab.sh("status", "--json", PYTHONIOENCODING="ascii").out

    assert "größe 😀" in whole
    assert ascii_only.isascii()
    assert json.loads(ascii_only) == json.loads(whole)


def test_an_idle_pass_says_nothing_unless_somebody_is_watching(finished: Folder) -> None:
    unseen = finished.sh("reconcile")
    seen = finished.terminal("reconcile")
    quiet = finished.terminal("reconcile", "--quiet")

    assert (unseen.code, unseen.out, unseen.err) == (0, "", "")
    assert seen.text == "nothing to do: 1 job up to date\n"
    assert quiet.text == ""


def test_progress_is_not_for_a_stream_that_is_no_terminal(lab: Folder, world: World) -> None:
    import time

    lab.job("one", rows=4)
    world._ground.clock = world.clock = time.time
    world.behaviour = Behaviour(working=1.3)

    screen = lab.terminal("reconcile", "--wait", streams=("stdout",))

    assert (screen.code, screen.text) == (0, "")
