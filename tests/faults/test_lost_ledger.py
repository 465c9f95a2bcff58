"""The ledger and its folder are deleted, or from another version: nothing is submitted twice."""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from tests.faults.project import WAITING, Project, ids, sent
from tests.faults.worlds import Killer, stepping_world
from tests.simulation.faults import never
from tests.simulation.http import serve

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.faults.sweeping import Sweep
    from tests.simulation.world import World

BATCHES = 4


def lose_all(project: Project) -> None:
    shutil.rmtree(project.ledger.parent)


def lose_the_file_alone(project: Project) -> None:
    """Leave the write-ahead log of a killed process, the lock and the list of ids behind."""
    project.ledger.unlink()


def empty_the_file(project: Project) -> None:
    project.ledger.write_bytes(b"")


LOSSES = [lose_all, lose_the_file_alone, empty_the_file]


def finish(launcher: Launcher, project: Project) -> None:
    last = launcher.run(project, *WAITING)
    assert last.code == 0, last
    project.check_results(ids(12))


def check_batches(world: World) -> None:
    world.check_exactly_once()
    assert len(world.submissions()) == BATCHES


def test_the_ledger_is_lost_with_the_process_at_any_exchange(
    launcher: Launcher, memory_path: Path, sweep: Sweep
) -> None:
    def die_at(number: int) -> bool:
        world = stepping_world()
        world.faults = killer = Killer(number, acted=True)
        with serve(world) as server:
            project = Project.at(memory_path / str(number), server)
            killed = launcher.run(project, *WAITING, started=killer.pid.set_result)
            world.faults = never
            assert killed.code in (0, -signal.SIGKILL), killed
            LOSSES[number % len(LOSSES)](project)
            finish(launcher, project)
            check_batches(world)
            launcher.check_idle(project, world)
        return killed.code != 0

    world = stepping_world()
    with serve(world) as server:
        finish(launcher, Project.at(memory_path / "clean", server))
    assert len(world.requests) > 20
    sweep(len(world.requests), die_at)


@pytest.mark.parametrize("passes", [1, 2, 3, 4])
def test_the_ledger_is_lost_after_each_pass(
    launcher: Launcher, project: Project, world: World, passes: int
) -> None:
    for _ in range(passes):
        assert launcher.run(project, "reconcile").code == 0
        lose_all(project)
    finish(launcher, project)
    check_batches(world)


def test_a_finished_job_is_taken_over_from_its_outputs(
    launcher: Launcher, project: Project, world: World
) -> None:
    finish(launcher, project)
    asked = len(world.requests)
    before = project.outputs()
    lose_all(project)
    taken = launcher.run(project, "reconcile")
    assert taken.code == 0, taken
    assert "restored from outputs/" in taken.err
    assert len(world.requests) == asked
    assert project.outputs() == before
    launcher.check_idle(project, world)
    told = launcher.run(project, "status", "--json").json()
    assert [each["state"] for each in told] == ["succeeded"]
    assert len(told[0]["batches"]) == BATCHES


@pytest.mark.parametrize(
    "lost", ["outputs", "outputs/job/latest/output.jsonl", "outputs/job/latest/run.json"]
)
def test_a_finished_job_whose_outputs_are_lost_too_is_fetched_again(
    launcher: Launcher, project: Project, world: World, lost: str
) -> None:
    finish(launcher, project)
    before = project.outputs()
    lose_all(project)
    path = project.root / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    asked = len(sent(world))
    finish(launcher, project)
    assert len(sent(world)) == asked
    check_batches(world)
    launcher.check_idle(project, world)
    after = project.outputs()
    same = [name for name in before if not name.endswith("run.json")]
    assert [after[name] for name in same] == [before[name] for name in same]


@pytest.mark.parametrize(
    "lost", ["outputs", "outputs/job/latest/output.jsonl", "outputs/job/latest"]
)
def test_outputs_alone_are_lost(
    launcher: Launcher, project: Project, world: World, lost: str
) -> None:
    finish(launcher, project)
    before = project.outputs()
    path = project.root / lost
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path)
    asked = len(sent(world))
    finish(launcher, project)
    assert len(sent(world)) == asked
    launcher.check_idle(project, world)
    after = project.outputs()
    same = [name for name in before if not name.endswith("run.json")]
    assert [after.get(name) for name in same] == [before[name] for name in same]


def test_a_ledger_from_a_backup(
    launcher: Launcher, project: Project, world: World, tmp_path: Path
) -> None:
    assert launcher.run(project, "reconcile").code == 0
    shutil.copytree(project.ledger.parent, tmp_path / "backup")
    finish(launcher, project)
    shutil.rmtree(project.root / "outputs")
    lose_all(project)
    shutil.copytree(tmp_path / "backup", project.ledger.parent)
    finish(launcher, project)
    check_batches(world)


def test_two_ledgers_of_one_project(
    launcher: Launcher, project: Project, world: World, tmp_path: Path
) -> None:
    other = Project(root=tmp_path / "other", environment=project.environment)
    shutil.copytree(project.root, other.root)
    for _ in range(40):
        for each in (project, other):
            ended = launcher.run(each, "reconcile")
            assert ended.code == 0, ended
    finish(launcher, project)
    finish(launcher, other)
    check_batches(world)
