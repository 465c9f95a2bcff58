from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults import sweeping
from tests.faults.launching import Run, launched
from tests.faults.project import Project
from tests.faults.worlds import stepping_world
from tests.simulation.http import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.launching import Launcher
    from tests.faults.sweeping import Sweep
    from tests.simulation.http import Server
    from tests.simulation.world import World

MEMORY = Path("/dev/shm")
POINTS = "points struck"
"""The property of a test's report that says how many points its sweep has struck."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many points were struck: these figures are what the documentation quotes."""
    points = {
        report.location[2]: int(str(value))
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == POINTS
    }
    if points:
        terminalreporter.section("points struck in sweeps, all of them hit")
        for name, count in points.items():
            terminalreporter.line(f"{count:5} {name}")
        terminalreporter.line(f"{sum(points.values()):5} in all")


@pytest.fixture
def sweep(request: pytest.FixtureRequest) -> Sweep:
    """Strike at each point of a story, and remember how many these were."""

    def told(points: int, strike_at: Callable[[int], bool]) -> None:
        found = sweeping.sweep(points, strike_at)
        request.node.user_properties.append((POINTS, found))

    return told


@pytest.fixture(scope="package")
def launcher() -> Iterator[Launcher]:
    with launched() as launcher:
        yield launcher


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is such a thing.

    What a process had written outlives its SIGKILL with or without fsync, and a sweep waits for
    thousands of these on a disk.
    """
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture
def world() -> World:
    return stepping_world()


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    with serve(world) as server:
        yield server


@pytest.fixture
def project(memory_path: Path, server: Server) -> Project:
    return Project.at(memory_path / "project", server)


@pytest.fixture
def run(launcher: Launcher, project: Project) -> Run:
    return Run(launcher, project)
