"""The help of the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import runner
from tests.cli.shell import PATIENCE, Done, environment
from tests.report.golden_files import check_golden

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.shell import Folder

GOLDEN = Path(__file__).parent / "golden"
COMMANDS = (
    "init",
    "validate",
    "plan",
    "reconcile",
    "status",
    "watch",
    "show",
    "events",
    "report",
    "verify",
    "cancel",
    "retry",
    "trust",
    "schedule",
    "notify",
    "adopt",
    "rebuild",
    "orphans",
    "doctor",
    "schema",
    "completion",
)


def test_help(run: Run) -> None:
    done = run("--help")

    assert (done.code, done.err) == (0, "")
    check_golden(GOLDEN / "help.txt", done.out)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(run: Run, command: str) -> None:
    done = run(command, "--help")

    assert (done.code, done.err) == (0, "")
    check_golden(GOLDEN / f"help-{command}.txt", done.out)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"schema", "completion"}))
def test_help_of_a_command_says_what_its_exit_codes_mean(run: Run, command: str) -> None:
    _, _, told = run(command, "--help").out.partition("\nExit codes:\n")

    codes = re.findall(r"^  (\d+) ", told, re.MULTILINE)
    assert codes[:1] == ["0"]
    assert "2" in codes
    assert codes == sorted(codes, key=int)


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir()))
def test_help_fits_a_narrow_terminal(name: str) -> None:
    lines = (GOLDEN / name).read_text("utf-8").splitlines()

    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if line != line.rstrip()]


def test_every_command_is_in_the_help(run: Run) -> None:
    section = run("--help").out.partition("Commands:\n")[2].partition("\n\n")[0]

    assert tuple(re.findall(r"^  (\w+)", section, re.MULTILINE)) == COMMANDS


def test_the_short_option_says_the_same(run: Run) -> None:
    assert run("-h") == run("--help")
    assert run("plan", "-h") == run("plan", "--help")


def test_without_a_command_there_is_help_and_an_error(run: Run) -> None:
    done = run()

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: runner [OPTIONS] COMMAND [ARGS]...")
    assert "Commands:" in done.err


def test_version(run: Run) -> None:
    done = run("--version")

    assert (done.code, done.out, done.err) == (0, f"runner, version {runner.__version__}\n", "")


@pytest.mark.parametrize("arguments", [("--version",), ("plan", "--help"), ("frobnicate",)])
def test_python_m_runner_is_the_same_command(
    run: Run, folder: Folder, arguments: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runner", *arguments],
        cwd=folder.root,
        env=environment({"COLUMNS": "80"}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert Done(code=done.returncode, out=done.stdout, err=done.stderr) == run(*arguments)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("statsu", "status"), ("reconcil", "reconcile"), ("Plan", "plan"), ("valdate", "validate")],
)
def test_a_slip_of_the_finger_is_understood(run: Run, typed: str, meant: str) -> None:
    done = run(typed)

    assert (done.code, done.out) == (2, "")
    assert f'error: there is no command "{typed}"; did you mean "{meant}"?\n' in done.err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("reconcile --wiat", 'there is no option "--wiat"; did you mean "--wait"?'),
        ("plan --detailed-exit-code", 'option "--detailed-exit-code"; did you mean "--detailed-ex'),
        ("show hello --revsion 1", 'there is no option "--revsion"\n'),
        ("status -z", 'there is no option "-z"\n'),
        ("show helo", 'no job, file or folder is called "helo"; did you mean "hello"?'),
        ("validate specs/helo.yaml", 'specs/helo.yaml; did you mean "specs/hello.yaml"?'),
        ("doctor --provider lcal", 'is not a provider of this project; did you mean "local"?'),
        ("status --select stat:failed", 'no "stat" to select by; did you mean "state"?'),
        ("status --select state:faild", 'there is no state "faild"; did you mean "failed"?'),
        ("events --kind submited", 'of the kind "submited"; did you mean "submitted"?'),
    ],
)
def test_a_slip_in_any_name_is_understood(
    run: Run, folder: Folder, arguments: str, error: str
) -> None:
    folder.job("hello")

    done = run(*arguments.split())

    assert (done.code, done.out) == (2, "")
    line = next(line for line in done.err.splitlines() if line.startswith("error: "))
    assert error in f"{line}\n"


def test_an_unknown_command_is_an_error(run: Run) -> None:
    done = run("frobnicate")

    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "Usage: runner [OPTIONS] COMMAND [ARGS]...\n"
        'error: there is no command "frobnicate"\n'
        "Run `runner --help` for more information.\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--nonsense",),
        ("plan", "--nonsense"),
        ("show",),
        ("show", "a", "b"),
        ("cancel",),
        ("retry",),
        ("report", "--samples", "-1"),
        ("report", "--samples", "many"),
        ("reconcile", "--poll-interval", "0"),
        ("reconcile", "--poll-interval", "-1"),
        ("reconcile", "--poll-interval", "soon"),
        ("reconcile", "--poll-interval", "nan"),
        ("reconcile", "--poll-interval", "inf"),
        ("reconcile", "--poll-interval", "1e300"),
        ("reconcile", "--if-locked", "panic"),
        ("reconcile", "--wait=3"),
        ("init", "a", "b"),
        ("schema",),
        ("schema", "specs"),
        ("completion", "csh"),
        ("-C",),
    ],
    ids=" ".join,
)
def test_a_command_line_that_makes_no_sense_is_an_error(run: Run, arguments: tuple[str]) -> None:
    done = run(*arguments)

    assert (done.code, done.out) == (2, "")
    assert re.search(r"^error: \S", done.err, re.MULTILINE)
