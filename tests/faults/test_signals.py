"""SIGINT and SIGTERM wherever the command may wait: a clean end, and the next pass continues."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import threading
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.faults.project import PATIENCE, WAITING, Project, has_open, ids, long_lines, until
from tests.faults.wire import DOWNLOAD, UPLOAD, wired
from tests.faults.worlds import check_all_asked_once, stepping_world
from tests.simulation.faults import Delay, Drop, Status, never, rate_limited
from tests.simulation.http import serve

if TYPE_CHECKING:
    import re
    from pathlib import Path

    from tests.faults.launching import Launcher, Process
    from tests.faults.project import Ended
    from tests.simulation.exchange import Request
    from tests.simulation.faults import Fault
    from tests.simulation.world import World

AGES = 60.0
"""Seconds that nobody is going to wait."""
SOON = 5.0
TRIES = 3
"""How often a signal may come too late for what it is to interrupt."""

pytestmark = pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)


class Ambush:
    """A fault at the n-th call of one kind, and word of when that has come."""

    def __init__(self, call: str, fault: Fault, *, nth: int = 0) -> None:
        self.reached = threading.Event()
        self._left = nth
        self._call = call
        self._fault = fault

    def __call__(self, request: Request, _number: int) -> Fault | None:
        if self.reached.is_set() or f"{request.method} {request.path}" != self._call:
            return None
        if self._left:
            self._left -= 1
            return None
        self.reached.set()
        return self._fault


def interrupt(process: Process, *sent: signal.Signals, pause: float = 0.0) -> Ended:
    """Send a signal, and others after a pause, and insist on an end within seconds."""
    assert process.poll() is None
    asked = time.monotonic()
    for number in sent:
        process.send_signal(number)
        time.sleep(pause)
    end = process.ended()
    assert time.monotonic() - asked < SOON + pause
    return end


def check_clean(end: Ended, code: int, project: Project, world: World, launcher: Launcher) -> None:
    """Assert that the end was reported, and that the next pass continues normally."""
    assert (end.code, end.out) == (code, "")
    assert "interrupted" in end.err
    assert "Traceback" not in end.err
    world.faults = never
    if project.ledger.exists():
        project.check_ledger()
    told = launcher.run(project, "status", "--json")
    assert told.code == 0, told
    last = launcher.run(project, *WAITING)
    assert last.code == 0, last
    project.check_results(ids(12))
    check_all_asked_once(world, ids(12), batches=4)
    launcher.check_idle(project, world)
    assert project.litter() == []


@pytest.mark.parametrize(
    ("call", "acted"),
    [
        ("GET /batches", True),
        ("POST /files", True),
        ("POST /batches", True),
        ("POST /batches", False),
    ],
)
def test_while_an_answer_is_awaited(
    project: Project,
    world: World,
    launcher: Launcher,
    sent: signal.Signals,
    code: int,
    call: str,
    acted: bool,  # noqa: FBT001 -- pytest passes it
) -> None:
    slow = Delay(seconds=AGES, then=None if acted else Drop(acted=False))
    # The second shard of three: one is under way, one has not begun.
    world.faults = ambush = Ambush(call, slow, nth=0 if call == "GET /batches" else 1)
    process = launcher.start(project, "reconcile")
    assert ambush.reached.wait(PATIENCE)
    check_clean(interrupt(process, sent), code, project, world, launcher)


@pytest.mark.parametrize(
    ("message", "back"), [(UPLOAD, False), (DOWNLOAD, True)], ids=["up", "down"]
)
def test_in_the_middle_of_a_file(
    tmp_path: Path,
    world: World,
    launcher: Launcher,
    sent: signal.Signals,
    code: int,
    message: re.Pattern[bytes],
    back: bool,  # noqa: FBT001 -- pytest passes it
) -> None:
    with serve(world) as server, wired(server) as wire:
        project = Project.at(tmp_path, wire)
        project.write("requests.jsonl", long_lines(12, 1_000_000))
        wire.hold(message, after=1000, back=back)
        process = launcher.start(project, *WAITING)
        assert wire.held.wait(PATIENCE)
        check_clean(interrupt(process, sent), code, project, world, launcher)


def test_between_two_passes(
    project: Project, world: World, launcher: Launcher, sent: signal.Signals, code: int
) -> None:
    process = launcher.start(project, "reconcile", "--wait", "--poll-interval", str(AGES))
    until(lambda: len(world.submissions()) == 3 and lock_is_free(project))
    check_clean(interrupt(process, sent), code, project, world, launcher)


@pytest.mark.parametrize(
    ("call", "refusal"),
    [
        ("GET /batches", rate_limited("50")),
        ("GET /batches", Status(status=503, headers={"retry-after": "50"})),
        ("POST /files", rate_limited("50")),
    ],
)
def test_before_another_try(
    project: Project,
    world: World,
    launcher: Launcher,
    sent: signal.Signals,
    code: int,
    call: str,
    refusal: Status,
) -> None:
    world.faults = ambush = Ambush(call, refusal)
    process = launcher.start(project, "reconcile")
    assert ambush.reached.wait(PATIENCE)
    check_clean(interrupt(process, sent), code, project, world, launcher)


def test_while_the_embedded_provider_works(
    tmp_path: Path, launcher: Launcher, sent: signal.Signals, code: int
) -> None:
    project = Project.at_home(tmp_path, rows=20_000, a_shard=10_000)
    process = launcher.start(project, "reconcile", "--wait")
    log = project.ledger.parent / "local" / "server.db"
    until(lambda: log.exists() and statuses(log).count("in_progress"))
    end = interrupt(process, sent)
    assert (end.code, end.out) == (code, "")
    assert "Traceback" not in end.err
    last = launcher.run(project, *WAITING)
    assert last.code == 0, last
    project.check_results(ids(20_000))
    assert len(statuses(log)) == 2


def test_while_waiting_for_the_lock(
    project: Project, world: World, launcher: Launcher, sent: signal.Signals, code: int
) -> None:
    project.ledger.parent.mkdir()
    with project.ledger.with_name("ledger.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = launcher.start(project, "reconcile", "--if-locked", "wait")
        until(lambda: has_open(process.pid, "ledger.db.lock"))
        end = interrupt(process, sent)
    assert world.requests == []
    check_clean(end, code, project, world, launcher)


def test_while_the_input_is_read(
    tmp_path: Path, launcher: Launcher, sent: signal.Signals, code: int
) -> None:
    for number in range(TRIES):
        world = stepping_world()
        with serve(world) as server:
            project = Project.at(tmp_path / str(number), server)
            project.write("requests.jsonl", long_lines(12, 8_000_000))
            process = launcher.start(project, "reconcile")
            until(partial(has_open, process.pid, "requests.jsonl"))
            end = interrupt(process, sent)
            if not world.requests:
                check_clean(end, code, project, world, launcher)
                return
    pytest.fail("each time the input had been read before the signal came")


@pytest.mark.parametrize("pause", [0.0, 0.01, 0.1])
def test_a_second_time_on_the_way_out(
    tmp_path: Path,
    world: World,
    launcher: Launcher,
    sent: signal.Signals,
    code: int,
    pause: float,
) -> None:
    with serve(world) as server, wired(server) as wire:
        project = Project.at(tmp_path, wire)
        wire.hold(DOWNLOAD, after=100, back=True)
        process = launcher.start(project, *WAITING)
        assert wire.held.wait(PATIENCE)
        end = interrupt(process, sent, sent, sent, pause=pause)
        check_clean(end, code, project, world, launcher)


@pytest.mark.parametrize("pause", [0.01, 0.2])
def test_a_second_time_while_the_embedded_provider_ends(
    tmp_path: Path, launcher: Launcher, sent: signal.Signals, code: int, pause: float
) -> None:
    project = Project.at_home(tmp_path, rows=4_000, a_shard=2_000)
    process = launcher.start(project, "reconcile", "--wait")
    log = project.ledger.parent / "local" / "server.db"
    until(lambda: log.exists() and statuses(log).count("in_progress"))
    end = interrupt(process, sent, sent, sent, pause=pause)
    assert (end.code, end.out) == (code, "")
    assert "Traceback" not in end.err, end.err
    project.check_ledger()
    launcher.finish(project)
    project.check_results(ids(4_000))
    assert len(statuses(log)) == 2


def statuses(database: Path) -> list[str]:
    """Return the status of each batch of the embedded provider; none before it has its tables."""
    with closing(sqlite3.connect(database)) as connection:
        try:
            return [status for (status,) in connection.execute("SELECT status FROM batches")]
        except sqlite3.OperationalError:
            return []


def lock_is_free(project: Project) -> bool:
    """Whether no pass is under way."""
    path = project.ledger.with_name("ledger.db.lock")
    if not path.exists():
        return False
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
