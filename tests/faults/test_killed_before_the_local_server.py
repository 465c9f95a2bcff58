"""SIGKILL at every exchange, commit and file operation, with a real server at the other end.

The simulation checks its own replies; here they come from the provider `local`, through a proxy at
which the command is killed.
"""

from __future__ import annotations

import signal
from itertools import count
from typing import TYPE_CHECKING, Literal

import pytest

from tests.faults.launching import Step
from tests.faults.project import WAITING, Project
from tests.faults.relay import Relay, at_home
from tests.faults.worlds import Killer
from tests.simulation.faults import chaos, never
from tests.simulation.http import serve
from tests.simulation.scene import request_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.faults.relay import Home
    from tests.faults.sweeping import Sweep
    from tests.simulation.http import Server

ROWS = 6
A_SHARD = 3
LEAST = 10
"""Calls without which two batches are not uploaded, created, looked at and fetched."""
TRIED = count()
"""A point may be tried again, at a server with another address: that asks something else."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with at_home(tmp_path / "home") as home:
        yield home


def asked(name: str) -> list[str]:
    """Return the custom_ids of the project of this name."""
    return [f"{name}-{number}" for number in range(ROWS)]


def project_at(folder: Path, name: str, server: Server) -> Project:
    """Make a project with requests of its own: all projects share one provider."""
    project = Project.at(folder / name, server, a_shard=A_SHARD)
    lines = [request_line(each, model="echo") for each in asked(name)]
    project.write("requests.jsonl", b"".join(lines))
    return project


def check_whole(launcher: Launcher, project: Project, home: Home, relay: Relay, name: str) -> None:
    """Assert that the job has ended: everything submitted once and succeeded, nothing left over."""
    project.check_results(asked(name))
    home.check_asked_once(asked(name), batches=ROWS // A_SHARD)
    launcher.check_idle(project, relay)
    project.check_ledger()
    assert project.litter() == []


@pytest.mark.parametrize("acted", [False, True], ids=["before", "after"])
def test_a_death_at_any_exchange(
    launcher: Launcher, memory_path: Path, home: Home, sweep: Sweep, *, acted: bool
) -> None:
    def die_at(number: int) -> bool:
        relay = Relay(home)
        relay.faults = killer = Killer(number, acted=acted)
        with serve(relay) as server:
            name = f"n{number}-{next(TRIED)}"
            project = project_at(memory_path, name, server)
            killed = launcher.run(project, *WAITING, started=killer.pid.set_result)
            relay.faults = never
            assert killed.code in (0, -signal.SIGKILL), killed
            launcher.until_final(project)
            check_whole(launcher, project, home, relay, name)
        return killed.code != 0

    clean = Relay(home)
    with serve(clean) as server:
        launcher.finish(project_at(memory_path, "clean", server))
    assert len(clean.requests) >= LEAST
    sweep(len(clean.requests), die_at)


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
            project = project_at(memory_path, name, server)
            killed = launcher.run(project, *WAITING, step=Step(kind=kind, number=number))
            assert killed.code in (0, -signal.SIGKILL), killed
            launcher.finish(project)
            check_whole(launcher, project, home, relay, name)
        return killed.code != 0

    with serve(Relay(home)) as server:
        clean = project_at(memory_path, "clean", server)
        points = launcher.steps(clean, Step(kind=kind, number=0), *WAITING)
    assert points > LEAST
    sweep(points, die_at)


@pytest.mark.parametrize("seed", range(4))
def test_faults_of_every_kind_at_a_third_of_all_exchanges(
    launcher: Launcher, memory_path: Path, home: Home, seed: int
) -> None:
    relay = Relay(home)
    with serve(relay) as server:
        project = project_at(memory_path, f"s{seed}", server)
        relay.faults = chaos(seed, 0.33)
        for _ in range(20):
            end = launcher.run(project, "reconcile", hurry=0.3)
            assert end.code in (0, 1), end
            assert "Traceback" not in end.err, end
        relay.faults = never
        launcher.finish(project)
        check_whole(launcher, project, home, relay, f"s{seed}")
