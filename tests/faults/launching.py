"""Run the command in many processes without the second of start-up: see `launcher.py`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tests.faults.project import KEY, PATIENCE, ROOT, WAITING, Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.project import Project
    from tests.simulation.world import World

LAUNCHER = Path(__file__).with_name("launcher.py")
NEVER = 1_000_000
"""The number of a step that no command comes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where something happens to a process of the launcher from within: see `mishaps.py`."""

    kind: Literal["commit", "disk"]
    moment: Literal["before", "after"] = "before"
    number: int
    does: str = "SIGKILL"

    def __str__(self) -> str:
        return f"{self.does} {self.moment} {self.kind} {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The command in a process of the launcher.

    `code` is there when it has ended, and so are the `kilobytes` of memory that it needed.
    """

    pid: int
    kilobytes: Future[int]
    code: Future[int]
    out: Path
    err: Path

    def poll(self) -> int | None:
        """Return how it ended, None if it has not."""
        return self.code.result() if self.code.done() else None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it is too late."""
        if not self.code.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def ended(self) -> Ended:
        """Wait for the end; a process that takes too long is ended with SIGABRT."""
        try:
            code = self.code.result(PATIENCE)
        except TimeoutError:
            self.send_signal(signal.SIGABRT)
            code = self.code.result(PATIENCE)
        return Ended(
            code=code,
            out=self.out.read_text(encoding="utf-8"),
            err=self.err.read_text(encoding="utf-8"),
        )


@dataclass(slots=True)
class _Word:
    """What the launcher has sent word of, about one order."""

    pid: Future[int] = field(default_factory=Future)
    kilobytes: Future[int] = field(default_factory=Future)
    code: Future[int] = field(default_factory=Future)


class Launcher:
    """A process that runs the command many times, one after the other or concurrently.

    Its methods may be called from several threads.
    """

    def __init__(self, process: subprocess.Popen[str], streams: Path) -> None:
        self._process = process
        self._streams = streams
        self._orders: list[_Word] = []
        self._guard = threading.Lock()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def start(
        self,
        project: Project,
        *arguments: str,
        step: Step | None = None,
        clock: Path | None = None,
        hurry: float | None = None,
    ) -> Process:
        """Start the command, with a fault if one is given: see `mishaps.py`."""
        with self._guard:
            word = _Word()
            number = len(self._orders)
            self._orders.append(word)
            out, err = self._streams / f"{number}.out", self._streams / f"{number}.err"
            out.touch()  # the process may be killed before it opens them
            err.touch()
            order = {
                "number": number,
                "folder": str(project.root),
                "environment": project.environment,
                "arguments": arguments,
                "out": str(out),
                "err": str(err),
                "step": None if step is None else asdict(step),
                "steps": str(self._streams / f"{number}.steps"),
                "clock": None if clock is None else str(clock),
                "hurry": hurry,
            }
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        return Process(
            pid=word.pid.result(PATIENCE),
            kilobytes=word.kilobytes,
            code=word.code,
            out=out,
            err=err,
        )

    def run(
        self,
        project: Project,
        *arguments: str,
        step: Step | None = None,
        clock: Path | None = None,
        hurry: float | None = None,
        started: Callable[[int], object] = lambda _pid: None,
    ) -> Ended:
        """Run the command; `started` is called with its process id as soon as it has one."""
        process = self.start(project, *arguments, step=step, clock=clock, hurry=hurry)
        started(process.pid)
        return process.ended()

    def steps(self, project: Project, step: Step, *arguments: str) -> int:
        """Run the command with nothing happening, and count the steps of a kind."""
        process = self.start(project, *arguments, step=replace(step, number=NEVER))
        end = process.ended()
        assert end.code == 0, end
        return int(process.out.with_suffix(".steps").read_text(encoding="ascii"))

    def stop(self) -> None:
        """End whatever a failed test has left behind, and then the launcher."""
        for word in self._orders:
            if not word.code.done():
                with suppress(ProcessLookupError):
                    os.kill(word.pid.result(PATIENCE), signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._listener.join()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            number, what, value = line.split()
            word = self._orders[int(number)]
            told = {"began": word.pid, "needed": word.kilobytes, "ended": word.code}
            told[what].set_result(int(value))

    def until_final(self, project: Project, *, hurry: float | None = None) -> list[Ended]:
        """Make single passes, as cron would, until the job's results are there."""
        passes: list[Ended] = []
        last = time.monotonic() + PATIENCE
        while not project.finished():
            assert time.monotonic() < last, passes[-1]
            passes.append(self.run(project, "reconcile", hurry=hurry))
            assert passes[-1].code == 0, passes[-1]
        return passes

    def finish(self, project: Project) -> None:
        """Have the command wait for the job's end, and insist that it comes."""
        end = self.run(project, *WAITING)
        assert end.code == 0, end

    def check_idle(self, project: Project, world: World | None) -> None:
        """Assert that a further pass prints nothing, makes no call and changes no file."""
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
        launcher = Launcher(process, Path(streams))
        try:
            yield launcher
        finally:
            launcher.stop()


class Run:
    """Runs commands on one project; whatever they say, it is no traceback and not the key."""

    def __init__(self, launcher: Launcher, project: Project) -> None:
        self._launcher = launcher
        self._project = project

    def __call__(self, *arguments: str, code: int = 0, hurry: float | None = None) -> Ended:
        end = self._launcher.run(self._project, *arguments, hurry=hurry)
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
