"""Run command lines as a shell would: in this process for speed, in their own for realism."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.simulation.scene import request_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 30.0
_SETTINGS: Final = ("NO_COLOR", "COLUMNS", "LINES", "TERM", "FORCE_COLOR")
_COMMAND: Final = (sys.executable, "-c", "from runner.cli import main; main()")

SPEC: Final = """\
name: {name}
endpoint: /v1/chat/completions
input: data/{name}.jsonl
"""


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command line ended, and what it wrote."""

    code: int
    out: str
    err: str


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without what would change an answer, and with `more`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _SETTINGS and not name.startswith(("OPENAI_", "RUNNER_", "_RUNNER_"))
    }
    return kept | {"PYTHONPATH": str(ROOT)} | dict(more or {})


def begin(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Start a command line in a process of its own."""
    return subprocess.Popen(
        [*_COMMAND, *arguments],
        cwd=cwd,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
    )


def sh(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Done:
    """Run a command line in a process of its own, with pipes for streams."""
    process = begin(*arguments, cwd=cwd, env=env)
    out, err = process.communicate(timeout=PATIENCE)
    return Done(code=process.returncode, out=out, err=err)


@dataclass(frozen=True, kw_only=True)
class Screen:
    """What a terminal was sent, and how the command that sent it ended."""

    code: int
    text: str


def terminal(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    columns: int = 80,
    streams: Sequence[str] = ("stdout", "stderr"),
) -> Screen:
    """Run a command line in a terminal of so many columns; streams not named go nowhere."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = begin(
        *arguments,
        cwd=cwd,
        env={"TERM": "xterm-256color", **(env or {})},
        stdout=theirs if "stdout" in streams else subprocess.DEVNULL,
        stderr=theirs if "stderr" in streams else subprocess.DEVNULL,
    )
    os.close(theirs)
    received = b""
    deadline = time.monotonic() + PATIENCE
    while True:
        ready, _, _ = select.select([ours], [], [], max(deadline - time.monotonic(), 0))
        assert ready, f"still running after {PATIENCE} s; so far: {received!r}"
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux says that nobody has the terminal open any more
            break
        if not piece:
            break
        received += piece
    os.close(ours)
    text = received.decode().replace("\r\n", "\n")
    return Screen(code=process.wait(PATIENCE), text=text)


@dataclass
class Folder:
    """A project on disk, to run command lines in."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def job(self, name: str = "hello", *, rows: int = 3, more: str = "") -> None:
        """Write a spec and its input."""
        self.write(f"specs/{name}.yaml", SPEC.format(name=name) + more)
        lines = (request_line(f"{name}-{number}", model="echo") for number in range(rows))
        self.write(f"data/{name}.jsonl", b"".join(lines))

    def sh(self, *arguments: str, **env: str) -> Done:
        """Run a command line in a process of its own."""
        return sh(*arguments, cwd=self.root, env=self.env | env)

    def terminal(
        self, *arguments: str, columns: int = 80, streams: Sequence[str] = ("stdout", "stderr")
    ) -> Screen:
        """Run a command line in a terminal."""
        return terminal(*arguments, cwd=self.root, env=self.env, columns=columns, streams=streams)
