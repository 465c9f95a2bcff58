from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.launching import Run, launched
from tests.faults.project import Project
from tests.faults.worlds import stepping_world
from tests.simulation.http import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.launching import Launcher
    from tests.simulation.http import Server
    from tests.simulation.world import World

MEMORY = Path("/dev/shm")


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
