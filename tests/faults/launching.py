"""The command in process after process, without the second of start-up: see `launcher.py`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tests.faults.project import KEY, PATIENCE, ROOT, Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.project import Project
    from tests.simulation.world import World

LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where a process of the launcher is to kill itself: see `launcher.py`."""

    kind: Literal["commit", "disk"]
    moment: Literal["before", "after"]
    number: int

    def __str__(self) -> str:
        return f"{self.moment} {self.kind} {self.number}"


class Launcher:
    """A process that runs the command as often as it is told to, one after the other."""

    def __init__(self, process: subprocess.Popen[str], streams: Path) -> None:
        self._process = process
        self._out, self._err = streams / "out", streams / "err"

    def run(
        self,
        project: Project,
        *arguments: str,
        step: Step | None = None,
        started: Callable[[int], object] = lambda _pid: None,
    ) -> Ended:
        """Run the command; `started` is called with its process id as soon as it has one.

        A process that takes too long is ended with SIGABRT.
        """
        order = {
            "folder": str(project.root),
            "environment": project.environment,
            "arguments": arguments,
            "out": str(self._out),
            "err": str(self._err),
            "step": None if step is None else asdict(step),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        pid = self._answer()
        started(pid)
        watchdog = threading.Timer(PATIENCE, os.kill, (pid, signal.SIGABRT))
        watchdog.start()
        try:
            code = self._answer()
        finally:
            watchdog.cancel()
        return Ended(
            code=code,
            out=self._out.read_text(encoding="utf-8"),
            err=self._err.read_text(encoding="utf-8"),
        )

    def _answer(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def until_final(self, project: Project) -> list[Ended]:
        """Make single passes, as cron would, until the job's results are there."""
        passes: list[Ended] = []
        last = time.monotonic() + PATIENCE
        while not project.finished():
            assert time.monotonic() < last, passes[-1]
            passes.append(self.run(project, "reconcile"))
            assert passes[-1].code == 0, passes[-1]
        return passes

    def check_idle(self, project: Project, world: World | None) -> None:
        """Assert that a further pass says nothing, asks nobody and changes no file."""
        before, asked = project.picture(), world and len(world.requests)
        idle = self.run(project, "reconcile")
        assert (idle.code, idle.out, idle.err) == (0, "", "")
        assert asked == (world and len(world.requests)), str(world and world.requests[-1])
        after = project.picture()
        assert before.keys() == after.keys()
        assert [name for name in before if before[name] != after[name]] == []


@contextmanager
def launched() -> Iterator[Launcher]:
    """Run a launcher for as long as the block lasts."""
    with (
        tempfile.TemporaryDirectory() as streams,
        subprocess.Popen(
            [sys.executable, "-P", LAUNCHER],
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ.get("PATH", os.defpath)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        yield Launcher(process, Path(streams))


class Run:
    """Runs commands on one project; whatever they say, it is no traceback and not the key."""

    def __init__(self, launcher: Launcher, project: Project) -> None:
        self._launcher = launcher
        self._project = project

    def __call__(self, *arguments: str, code: int = 0) -> Ended:
        end = self._launcher.run(self._project, *arguments)
        assert end.code == code, end
        assert "Traceback" not in end.err
        assert KEY not in end.out + end.err
        return end

    def status(self, *jobs: str) -> list[dict[str, Any]]:
        """Return what `status --json` says, and insist that it says nothing else."""
        told = self("status", "--json", *jobs)
        assert told.err == ""
        listed = told.json()
        assert isinstance(listed, list)
        return listed
