"""SIGKILL at the commits and on the disk while a job is cancelled, asked again, moved, restored."""

from __future__ import annotations

import shutil
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pytest

from tests.faults.launching import Step
from tests.faults.project import SPEC, WAITING, Project, sweep
from tests.faults.worlds import stepping_world
from tests.simulation.behaviour import Behaviour, HttpError, Stuck, first_time
from tests.simulation.http import serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.simulation.world import World

REFUSED = HttpError(status=400, code="invalid_value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What has happened before, and the command that is killed.

    `before` is done after a first `reconcile --wait`, or after one pass for a job in flight.
    """

    behaviour: Behaviour | None = None
    in_flight: bool = False
    before: Callable[[Project], object] = lambda _project: None
    command: tuple[str, ...] = WAITING
    then: tuple[str, ...] = WAITING
    job: str = "job"
    state: str = "succeeded"
    batches: int = 4


def rename(project: Project) -> None:
    (project.root / "specs" / "job.yaml").unlink()
    project.write("specs/new.yaml", SPEC.replace("name: job", "name: new"))


def move_outputs(project: Project) -> None:
    config = project.root / "runner.yaml"
    config.write_text(config.read_text() + "outputs: elsewhere\n")


def lose_the_ledger(project: Project) -> None:
    shutil.rmtree(project.ledger.parent)


def lose_the_outputs(project: Project) -> None:
    shutil.rmtree(project.root / "outputs")


def lose_all(project: Project) -> None:
    lose_the_ledger(project)
    lose_the_outputs(project)


SCENES = {
    "cancelled": Scene(
        behaviour=Behaviour(ending=Stuck(fraction=0.5), cancelling=1),
        in_flight=True,
        command=("cancel", "job"),
        then=("cancel", "job"),
        state="cancelled",
        batches=3,
    ),
    "asked again": Scene(
        behaviour=Behaviour(answer=first_time({"r3": REFUSED, "r7": REFUSED})),
        command=("retry", "job"),
        then=("retry", "job"),
        batches=5,
    ),
    "renamed": Scene(before=rename, job="new"),
    "renamed in flight": Scene(in_flight=True, before=rename, job="new"),
    "moved": Scene(before=move_outputs),
    "restored": Scene(before=lose_the_ledger),
    "fetched again": Scene(before=lose_the_outputs),
    "adopted": Scene(before=lose_all),
}


@pytest.mark.parametrize("kind", ["commit", "disk"])
@pytest.mark.parametrize("name", SCENES)
def test_a_death_in_later_life_costs_and_loses_nothing(
    launcher: Launcher, memory_path: Path, name: str, kind: Literal["commit", "disk"]
) -> None:
    scene = SCENES[name]

    def die_at(number: int) -> bool:
        world = stepping_world()
        if scene.behaviour is not None:
            world.behaviour = scene.behaviour
        with serve(world) as server:
            project = Project.at(memory_path / str(number), server)
            launcher.run(project, *(("reconcile",) if scene.in_flight else WAITING))
            scene.before(project)
            moment = "after" if number % 2 else "before"
            step = Step(kind=kind, moment=moment, number=number // 2)
            killed = launcher.run(project, *scene.command, step=step)
            assert killed.code in (0, -signal.SIGKILL), killed
            assert launcher.run(project, *scene.then).code == 0
            launcher.run(project, *WAITING)
            check(launcher, project, world, scene)
        return killed.code != 0

    assert sweep(die_at) > 1


def check(launcher: Launcher, project: Project, world: World, scene: Scene) -> None:
    world.check_exactly_once()
    assert len(world.submissions()) == scene.batches
    [job] = launcher.run(project, "status", "--json").json()
    assert (job["name"], job["state"]) == (scene.job, scene.state)
    launcher.check_idle(project, world)
    outputs = project.root / ("elsewhere" if scene.before is move_outputs else "outputs")
    assert [path.name for path in outputs.iterdir()] == [scene.job]
