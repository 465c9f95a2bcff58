"""Several reconciles of one project at the same time: one works, and nothing is sent twice."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.project import PATIENCE, ROOT, WAITING, ended, has_open, ids, until
from tests.faults.worlds import check_all_asked_once
from tests.simulation.behaviour import Behaviour, Stuck

if TYPE_CHECKING:
    from tests.faults.launching import Launcher
    from tests.faults.project import Project
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


def finish_and_check(project: Project, world: World) -> None:
    last = project.run(*WAITING)
    assert last.code == 0, last.err
    project.check_results(ids(12))
    check_all_asked_once(world, ids(12), batches=4)


@pytest.mark.parametrize("others", [1, 7])
def test_whoever_comes_second_leaves_the_work_to_the_first(
    project: Project, world: World, others: int
) -> None:
    world.faults = gate = Gate()
    first = project.start("reconcile")
    assert gate.reached.wait(PATIENCE)
    second = [ended(process) for process in [project.start("reconcile") for _ in range(others)]]
    curious = project.run("reconcile", "--verbose")
    gate.open()
    assert ended(first).code == 0
    assert {(each.code, each.out, each.err) for each in second} == {(0, "", "")}
    assert (curious.code, curious.out) == (0, "")
    assert "another reconcile is at work" in curious.err
    assert len(world.submissions()) == 3
    finish_and_check(project, world)


def test_if_locked_fail_says_so_with_75(project: Project, world: World) -> None:
    world.faults = gate = Gate()
    first = project.start("reconcile")
    assert gate.reached.wait(PATIENCE)
    for arguments in ((), ("--wait",), ("job",)):
        second = project.run("reconcile", "--if-locked", "fail", *arguments)
        assert (second.code, second.out) == (75, "")
        assert "another reconcile is at work" in second.err
    gate.open()
    assert ended(first).code == 0
    finish_and_check(project, world)


@pytest.mark.parametrize("others", [1, 7])
def test_if_locked_wait_runs_afterwards(project: Project, world: World, others: int) -> None:
    world.faults = gate = Gate()
    first = project.start("reconcile")
    assert gate.reached.wait(PATIENCE)
    waiting = [project.start("reconcile", "--if-locked", "wait") for _ in range(others)]
    until(lambda: all(has_open(process.pid, "ledger.db.lock") for process in waiting))
    assert all(process.poll() is None for process in waiting)
    assert len(world.requests) == 0
    gate.open()
    for process in [first, *waiting]:
        assert ended(process).code == 0
    finish_and_check(project, world)


@pytest.mark.parametrize("several", [2, 8])
def test_all_started_at_once_on_a_new_project(project: Project, world: World, several: int) -> None:
    processes = [project.start("reconcile") for _ in range(several)]
    endings = [ended(process) for process in processes]
    assert [each.err for each in endings if each.code != 0] == []
    finish_and_check(project, world)


def test_all_waiting_at_once_until_the_end(project: Project, world: World) -> None:
    processes = [project.start(*WAITING, "--if-locked", "wait") for _ in range(4)]
    endings = [ended(process) for process in processes]
    assert [each.err for each in endings if each.code != 0] == []
    project.check_results(ids(12))
    check_all_asked_once(world, ids(12), batches=4)


def test_a_command_that_waits_lets_others_have_their_turn(
    project: Project, world: World, launcher: Launcher
) -> None:
    world.behaviour = Behaviour(ending=Stuck(fraction=0.5))
    waiting = project.start(*WAITING)
    until(lambda: len(world.submissions()) == 3)
    cancelled = launcher.run(project, "cancel", "job")
    assert cancelled.code == 0, cancelled
    end = ended(waiting)
    assert end.code == 0, end
    good, bad = project.results()
    assert (len(good), sorted(good + bad)) == (5, sorted(ids(12)))
    check_all_asked_once(world, ids(12), batches=3)


def test_a_new_ledger_opened_by_many_in_the_same_instant(tmp_path: Path) -> None:
    opened = subprocess.run(
        [sys.executable, "-P", OPENERS, tmp_path, "8", "80"],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (opened.returncode, opened.stdout, opened.stderr) == (0, "", "")
