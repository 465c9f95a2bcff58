"""SIGKILL at every exchange, commit and file operation, with a real server at the other end.

The simulation checks its own replies; here they come from the provider `local`, through a proxy at
which the command is killed.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Literal

import pytest

from tests.faults.launching import Step
from tests.faults.project import WAITING
from tests.faults.relay import (
    LEAST,
    TRIED,
    Relay,
    at_home,
    check_whole,
    kill_at_every_exchange,
    project_at,
)
from tests.simulation.faults import chaos, never
from tests.simulation.http import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.faults.relay import Home
    from tests.faults.sweeping import Sweep


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with at_home(tmp_path / "home") as home:
        yield home


@pytest.mark.parametrize("acted", [False, True], ids=["before", "after"])
def test_a_death_at_any_exchange(
    launcher: Launcher, memory_path: Path, home: Home, sweep: Sweep, *, acted: bool
) -> None:
    kill_at_every_exchange(launcher, memory_path, home, sweep, acted=acted)


@pytest.mark.parametrize("kind", ["commit", "disk"])
def test_a_death_at_any_step(
    launcher: Launcher,
    memory_path: Path,
    home: Home,
    sweep: Sweep,
    kind: Literal["commit", "disk"],
) -> None:
    def die_at(number: int) -> bool:
        relay = Relay(home)
        with serve(relay) as server:
            name = f"n{number}-{next(TRIED)}"
            project = project_at(memory_path, name, server, home)
            killed = launcher.run(project, *WAITING, step=Step(kind=kind, number=number))
            assert killed.code in (0, -signal.SIGKILL), killed
            launcher.finish(project)
            check_whole(launcher, project, home, relay, name)
        return killed.code != 0

    with serve(Relay(home)) as server:
        clean = project_at(memory_path, "clean", server, home)
        points = launcher.steps(clean, Step(kind=kind, number=0), *WAITING)
    assert points > LEAST
    sweep(points, die_at)


@pytest.mark.parametrize("seed", range(4))
def test_faults_of_every_kind_at_a_third_of_all_exchanges(
    launcher: Launcher, memory_path: Path, home: Home, seed: int
) -> None:
    relay = Relay(home)
    with serve(relay) as server:
        project = project_at(memory_path, f"s{seed}", server, home)
        relay.faults = chaos(seed, 0.33)
        for _ in range(20):
            end = launcher.run(project, "reconcile", hurry=0.3)
            assert end.code in (0, 1), end
            assert "Traceback" not in end.err, end
        relay.faults = never
        launcher.finish(project)
        check_whole(launcher, project, home, relay, f"s{seed}")
