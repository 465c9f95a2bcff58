"""SIGKILL at every exchange with the provider, before and after the provider acts."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.faults.project import Project, ids
from tests.faults.worlds import Killer, stepping_world
from tests.simulation.http import serve

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.project import Launcher

WAITING = ("reconcile", "--wait", "--poll-interval", "0.01")
FEWEST = 20
"""Three shards and a resubmission: the exchanges without which there are no results."""


@pytest.mark.parametrize("acted", [False, True], ids=["before", "after"])
def test_a_death_at_any_exchange_costs_and_loses_nothing(
    launcher: Launcher, tmp_path: Path, acted: bool
) -> None:
    wrong: list[str] = []
    number, dying = 0, True
    while dying:
        try:
            dying = _die_at(launcher, tmp_path / str(number), number, acted=acted)
        except AssertionError as error:
            wrong.append(f"killed at exchange {number}: {error}")
        number += 1
    assert not wrong, "\n\n".join(wrong)
    assert number > FEWEST


def _die_at(launcher: Launcher, root: Path, number: int, *, acted: bool) -> bool:
    """Kill the command at an exchange and see the job through; False if there was none such."""
    world = stepping_world()
    world.faults = killer = Killer(number, acted=acted)
    with serve(world) as server:
        project = Project.at(root, server)
        killed = launcher.run(project, *WAITING, started=killer.pid.set_result)
        assert killed.code in (0, -signal.SIGKILL), killed
        launcher.until_final(project)
        project.check_results(ids(12))
        world.check_exactly_once()
        world.check_nothing_lost(ids(12))
        world.check_uploads_once()
        assert len(world.submissions()) == 4
        launcher.check_idle(project, world)
    return killed.code != 0
