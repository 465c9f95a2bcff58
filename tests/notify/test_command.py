"""Commands that are told: what they are given, and what becomes of those that misbehave."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from runner.errors import NotDelivered
from runner.notify.command import run
from runner.spec.notifications import CommandChannel

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {"PATH": os.environ["PATH"]}


def python(folder: Path, script: str) -> CommandChannel:
    return CommandChannel(arguments=(sys.executable, "-S", "-c", script), folder=folder)


def refusal(command: CommandChannel, *, timeout: float = 20.0) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        run(command, b"{}", ENVIRON, timeout=timeout)
    return caught.value


def test_a_command_has_the_message_the_variables_and_the_folder(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "with open('told', 'w') as file:\n"
        "    file.write(sys.stdin.read() + os.environ['RUNNER_KIND'] + str('HOME' in os.environ))\n"
        "print('not shown')"
    )

    run(python(tmp_path, script), b'{"a": 1}\n', ENVIRON | {"RUNNER_KIND": "failed"})

    assert (tmp_path / "told").read_text() == '{"a": 1}\nfailedFalse'


def test_a_command_is_run_without_a_shell(tmp_path: Path) -> None:
    command = CommandChannel(arguments=("touch", "$HOME; echo `x` > y"), folder=tmp_path)

    run(command, b"", ENVIRON)

    assert [path.name for path in tmp_path.iterdir()] == ["$HOME; echo `x` > y"]


def test_a_command_need_not_read(tmp_path: Path) -> None:
    run(CommandChannel(arguments=("true",), folder=tmp_path), b"x" * 1_000_000, ENVIRON)


def test_a_command_that_fails_is_told_with_what_it_printed(tmp_path: Path) -> None:
    script = (
        "import sys; print('a' * 9000, flush=True); print('to err', file=sys.stderr); sys.exit(3)"
    )

    error = refusal(python(tmp_path, script))

    assert str(error) == "failed with exit code 3"
    assert error.printed.startswith("…aaa")
    assert error.printed.endswith("a to err")
    assert len(error.printed) <= 301


def test_a_command_that_is_none_is_told(tmp_path: Path) -> None:
    assert "No such file" in str(refusal(CommandChannel(arguments=("./none",), folder=tmp_path)))
    assert "it is not a command" in str(
        refusal(CommandChannel(arguments=("a\0b",), folder=tmp_path))
    )


def test_a_command_that_is_killed_is_told(tmp_path: Path) -> None:
    error = refusal(python(tmp_path, "import os; os.kill(os.getpid(), 9)"))

    assert str(error) == "was killed by signal 9"


def test_a_command_that_takes_too_long_ends_with_all_it_has_started(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "open('child', 'w').write(str(child.pid))\n"
        "print('waiting', flush=True)\n"
        "time.sleep(60)"
    )

    error = refusal(python(tmp_path, script), timeout=0.5)

    assert str(error) == "did not end within 0.5 s"
    assert error.printed in ("waiting", "")
    child = (tmp_path / "child").read_text()
    deadline = time.monotonic() + 10
    while _lives(int(child)):
        assert time.monotonic() < deadline


def _lives(process: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_that_is_left_behind_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()

    error = refusal(
        CommandChannel(arguments=("sh", "-c", "sleep 5 & echo gone; exit 1"), folder=tmp_path)
    )

    assert (str(error), error.printed) == ("failed with exit code 1", "gone")
    assert time.monotonic() - began < 4
