"""Several reconciles of one project at the same time: one works, and nothing is sent twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.launching import Step
from tests.faults.project import PATIENCE, ROOT, WAITING, Project, has_open, ids, until
from tests.faults.sweeping import check_words
from tests.faults.worlds import check_all_asked_once, stepping_world
from tests.simulation.behaviour import Behaviour, Stuck
from tests.simulation.http import serve

if TYPE_CHECKING:
    from tests.faults.launching import Launcher
    from tests.simulation.exchange import Request
    from tests.simulation.world import World

OPENERS = Path(__file__).with_name("openers.py")


class Gate:
    """A fault that is none: the first exchange of all is answered when the gate is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()

    def __call__(self, _request: Request, number: int) -> None:
        if number == 0:
            self.reached.set()
            assert self._opened.wait(PATIENCE)

    def open(self) -> None:
        self._opened.set()


def finish_and_check(launcher: Launcher, project: Project, world: World) -> None:
    launcher.finish(project)
    project.check_results(ids(12))
    check_all_asked_once(world, ids(12), batches=4)
    launcher.check_idle(project, world)
    project.check_ledger()
    assert project.litter() == []


@pytest.mark.parametrize("others", [1, 7])
@pytest.mark.parametrize("wait", [(), ("--wait",)], ids=["a pass", "wait"])
def test_whoever_comes_second_leaves_the_work_to_the_first(
    launcher: Launcher, project: Project, world: World, others: int, wait: tuple[str, ...]
) -> None:
    world.faults = gate = Gate()
    first = launcher.start(project, "reconcile")
    assert gate.reached.wait(PATIENCE)
    second = [launcher.start(project, "reconcile", *wait) for _ in range(others)]
    ends = [process.ended() for process in second]
    curious = launcher.run(project, "reconcile", "--verbose", *wait)
    gate.open()
    assert first.ended().code == 0
    for end in [*ends, curious]:
        assert (end.code, end.out) == (0, "")
        assert f"another reconcile is running on {project.ledger} (process {first.pid}, " in end.err
    assert len(world.submissions()) == 3
    finish_and_check(launcher, project, world)


@pytest.mark.parametrize("others", [1, 7])
def test_if_locked_fail_says_so_with_75(
    launcher: Launcher, project: Project, world: World, others: int
) -> None:
    world.faults = gate = Gate()
    first = launcher.start(project, "reconcile")
    assert gate.reached.wait(PATIENCE)
    failing = ("reconcile", "--if-locked", "fail")
    for arguments in ((), ("--wait",), ("job",)):
        second = [launcher.start(project, *failing, *arguments) for _ in range(others)]
        for end in [process.ended() for process in second]:
            check_words(end, code=75)
            assert "another reconcile is running" in end.err
    gate.open()
    assert first.ended().code == 0
    finish_and_check(launcher, project, world)


@pytest.mark.parametrize("others", [1, 7])
def test_if_locked_wait_runs_afterwards(
    launcher: Launcher, project: Project, world: World, others: int
) -> None:
    world.faults = gate = Gate()
    first = launcher.start(project, "reconcile")
    assert gate.reached.wait(PATIENCE)
    waiting = [launcher.start(project, "reconcile", "--if-locked", "wait") for _ in range(others)]
    until(lambda: all(has_open(process.pid, "ledger.db.lock") for process in waiting))
    assert all(process.poll() is None for process in waiting)
    assert len(world.requests) == 0
    gate.open()
    for process in [first, *waiting]:
        assert process.ended().code == 0
    finish_and_check(launcher, project, world)


@pytest.mark.parametrize("several", [2, 8])
@pytest.mark.parametrize("what", ["skip", "wait", "fail"])
def test_all_started_at_once_on_a_new_project(
    launcher: Launcher, memory_path: Path, several: int, what: str
) -> None:
    """Where there is no ledger yet, nor a folder for it; again and again, since luck is in it."""
    for number in range(3):
        world = stepping_world()
        with serve(world) as server:
            project = Project.at(memory_path / str(number), server)
            reconcile = ("reconcile", "--if-locked", what)
            processes = [launcher.start(project, *reconcile) for _ in range(several)]
            ends = [process.ended() for process in processes]
            busy = [each for each in ends if each.code == 75]
            assert [each for each in ends if each.code not in (0, 75)] == []
            assert len(busy) < several if what == "fail" else not busy
            assert all("another reconcile is running" in each.err for each in busy)
            finish_and_check(launcher, project, world)


@pytest.mark.parametrize("several", [2, 8])
def test_all_waiting_at_once_until_the_end(
    launcher: Launcher, project: Project, world: World, several: int
) -> None:
    processes = [launcher.start(project, *WAITING, "--if-locked", "wait") for _ in range(several)]
    ends = [process.ended() for process in processes]
    assert [each for each in ends if each.code != 0] == []
    assert project.finished()
    finish_and_check(launcher, project, world)


@pytest.mark.parametrize("seed", range(4))
def test_eight_that_work_side_by_side_and_die_now_and_then(
    launcher: Launcher, project: Project, world: World, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(4):
        step = [Step(kind="commit", number=chance.randrange(40)) for _ in range(8)]
        processes = [
            launcher.start(project, *WAITING, "--if-locked", "wait", step=each) for each in step
        ]
        for process in processes:
            assert process.ended().code in (0, -signal.SIGKILL)
    finish_and_check(launcher, project, world)


def test_a_command_that_waits_lets_others_have_their_turn(
    project: Project, world: World, launcher: Launcher
) -> None:
    world.behaviour = Behaviour(ending=Stuck(fraction=0.5))
    waiting = launcher.start(project, *WAITING)
    until(lambda: len(world.submissions()) == 3)
    cancelled = launcher.run(project, "cancel", "job")
    assert cancelled.code == 0, cancelled
    end = waiting.ended()
    assert end.code == 0, end
    good, bad = project.results()
    assert (len(good), sorted(good + bad)) == (5, sorted(ids(12)))
    check_all_asked_once(world, ids(12), batches=3)


def test_a_new_ledger_opened_by_many_in_the_same_instant(tmp_path: Path) -> None:
    opened = subprocess.run(
        [sys.executable, "-P", OPENERS, tmp_path, "8", "40"],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (opened.returncode, opened.stdout, opened.stderr) == (0, "", "")
