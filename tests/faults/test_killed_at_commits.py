"""SIGKILL at every commit of the ledger, and at every file operation."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Literal

import pytest

from tests.faults.launching import Step
from tests.faults.project import WAITING, Project, ids
from tests.faults.worlds import check_all_asked_once, stepping_world
from tests.simulation.http import serve

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.faults.sweeping import Sweep

FEWEST = 30
"""Steps without which four batches cannot be submitted, collected and published."""


@pytest.mark.parametrize(
    ("moment", "kind"), [("before", "commit"), ("after", "commit"), ("before", "disk")]
)
def test_a_death_at_any_step_costs_and_loses_nothing(
    launcher: Launcher,
    memory_path: Path,
    sweep: Sweep,
    kind: Literal["commit", "disk"],
    moment: Literal["before", "after"],
) -> None:
    def die_at(number: int) -> bool:
        world = stepping_world()
        with serve(world) as server:
            project = Project.at(memory_path / str(number), server)
            step = Step(kind=kind, moment=moment, number=number)
            killed = launcher.run(project, *WAITING, step=step)
            assert killed.code in (0, -signal.SIGKILL), killed
            launcher.finish(project)
            check_all_asked_once(world, ids(12), batches=4)
            launcher.check_idle(project, world)
            project.check_results(ids(12))
            project.check_ledger()
            assert project.litter() == []
        return killed.code != 0

    with serve(stepping_world()) as server:
        clean = Project.at(memory_path / "clean", server)
        points = launcher.steps(clean, Step(kind=kind, number=0), *WAITING)
    assert points > FEWEST
    sweep(points, die_at)


def test_the_embedded_provider_dies_with_the_command_and_comes_back_with_it(
    launcher: Launcher, memory_path: Path, sweep: Sweep
) -> None:
    def die_at(number: int) -> bool:
        project = Project.at_home(memory_path / str(number), rows=6, a_shard=3)
        killed = launcher.run(project, *WAITING, step=Step(kind="commit", number=number))
        assert killed.code in (0, -signal.SIGKILL), killed
        launcher.finish(project)
        assert keys_at_home(project) == [1, 2]
        launcher.check_idle(project, None)
        project.check_results(ids(6))
        return killed.code != 0

    clean = Project.at_home(memory_path / "clean", rows=6, a_shard=3)
    points = launcher.steps(clean, Step(kind="commit", number=0), *WAITING)
    assert points > FEWEST
    sweep(points, die_at)


def keys_at_home(project: Project) -> list[int]:
    """Return the shard of each batch that the embedded provider ever made."""
    path = project.ledger.parent / "local" / "server.db"
    with closing(sqlite3.connect(path)) as database:
        found = database.execute("SELECT metadata FROM batches ORDER BY sequence").fetchall()
    keys = [json.loads(metadata)["runner"].split(" ")[0] for (metadata,) in found]
    return sorted(int(key.split("/")[2]) for key in keys)
