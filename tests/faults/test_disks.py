"""Files and folders that may not be written: a sentence on stderr, exit 1, nothing submitted."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.project import WAITING, ids, sent
from tests.faults.worlds import check_all_asked_once
from tests.simulation.behaviour import Behaviour, Succeed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.launching import Launcher
    from tests.faults.project import Ended, Project
    from tests.simulation.world import World

HERE = Path(__file__).parent
HUMBLE = (sys.executable, "-P", str(HERE / "humble.py"))
LIMITED = (sys.executable, "-P", str(HERE / "limited.py"))
LOOKING = [("status",), ("plan",), ("show", "job")]
ACTING = [("reconcile",), ("cancel", "job"), ("retry", "job")]


def check_refused(end: Ended, *words: str) -> None:
    """Assert that the command ended with one sentence about the ledger, and with 1."""
    assert (end.code, end.out) == (1, ""), end
    assert "Traceback" not in end.err
    for word in ("ledger", *words):
        assert word in end.err, end.err


# Permissions ----------------------------------------------------------------------------------


@contextmanager
def permitted(path: Path, mode: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)


def test_a_folder_in_which_no_ledger_can_be_made(project: Project, world: World) -> None:
    with permitted(project.root, 0o555):
        check_refused(project.run("reconcile", command=HUMBLE), "nothing was submitted")
    project.ledger.parent.mkdir()
    with permitted(project.ledger.parent, 0o555):
        check_refused(project.run("reconcile", command=HUMBLE), "nothing was submitted")
    assert sent(world) == []


@pytest.mark.parametrize("mode", [0o444, 0o000], ids=["read-only", "unreadable"])
@pytest.mark.parametrize("command", [*LOOKING, *ACTING], ids=lambda command: command[0])
def test_a_ledger_that_may_not_be_written(
    launcher: Launcher, project: Project, world: World, mode: int, command: tuple[str, ...]
) -> None:
    assert launcher.run(project, "reconcile").code == 0
    asked = len(sent(world))
    with permitted(project.ledger, mode):
        end = project.run(*command, command=HUMBLE)
    if command in ACTING or mode == 0:
        assert end.code == 1
        assert "ledger" in end.err
        assert "nothing was submitted" in end.err
    else:
        assert end.code == 0, end.err
        assert "job" in end.out
    assert "Traceback" not in end.err
    assert len(sent(world)) == asked


def test_outputs_that_may_not_be_written(
    launcher: Launcher, project: Project, world: World
) -> None:
    world.behaviour = Behaviour()
    assert launcher.run(project, "reconcile").code == 0
    shutil.rmtree(project.root / "outputs")
    (project.root / "outputs").mkdir()
    with permitted(project.root / "outputs", 0o555):
        end = project.run("reconcile", command=HUMBLE)
    check_held_up(end, project, "outputs", "ermission denied")
    check_goes_on(launcher, project, world)


def test_waiting_does_not_wait_for_a_disk(
    launcher: Launcher, project: Project, world: World
) -> None:
    (project.root / "outputs").mkdir()
    with permitted(project.root / "outputs", 0o555):
        end = project.run(*WAITING, command=HUMBLE)
    check_held_up(end, project, "outputs", "ermission denied")
    check_goes_on(launcher, project, world, batches=4)


def check_held_up(end: Ended, project: Project, *words: str) -> None:
    assert (end.code, end.out) == (1, ""), end
    assert "Traceback" not in end.err
    for word in words:
        assert word in end.err, end.err
    assert not project.finished()


def check_goes_on(launcher: Launcher, project: Project, world: World, *, batches: int = 3) -> None:
    last = launcher.run(project, *WAITING)
    assert last.code == 0, last
    project.check_results(ids(12))
    check_all_asked_once(world, ids(12), batches=batches)


# Files that may not grow -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "what"),
    [(0, "ledger"), (50_000, "ledger"), (600_000, "raw"), (1_500_000, "output.jsonl")],
)
def test_files_that_may_not_grow(
    launcher: Launcher, project: Project, world: World, limit: int, what: str
) -> None:
    world.behaviour = Behaviour(answer=lambda _row: Succeed(text="x" * 200_000))
    ends = [project.run(str(limit), "reconcile", command=LIMITED) for _ in range(2)]
    check_held_up(ends[1], project, what)
    check_goes_on(launcher, project, world)
