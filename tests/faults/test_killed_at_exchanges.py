"""SIGKILL at every exchange with the provider, before and after the provider acts."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.faults.project import PATIENCE, WAITING, Project, ids, long_lines
from tests.faults.wire import DOWNLOAD, UPLOAD, wired
from tests.faults.worlds import Killer, KillerByChance, check_all_asked_once, stepping_world
from tests.simulation.behaviour import Behaviour, HttpError, Stuck, first_time
from tests.simulation.faults import never
from tests.simulation.http import serve

if TYPE_CHECKING:
    import re
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.faults.sweeping import Sweep
    from tests.simulation.world import World

FEWEST = 20
"""Three shards and a resubmission: the exchanges without which there are no results."""


@pytest.mark.parametrize("acted", [False, True], ids=["before", "after"])
def test_a_death_at_any_exchange_costs_and_loses_nothing(
    launcher: Launcher, memory_path: Path, sweep: Sweep, *, acted: bool
) -> None:
    def die_at(number: int) -> bool:
        world = stepping_world()
        world.faults = killer = Killer(number, acted=acted)
        with serve(world) as server:
            project = Project.at(memory_path / str(number), server)
            killed = launcher.run(project, *WAITING, started=killer.pid.set_result)
            world.faults = never
            assert killed.code in (0, -signal.SIGKILL), killed
            launcher.until_final(project)
            check_all_asked_once(world, ids(12), batches=4)
            launcher.check_idle(project, world)
            project.check_results(ids(12))
            project.check_ledger()
            assert project.litter() == []
        return killed.code != 0

    world = stepping_world()
    with serve(world) as server:
        launcher.finish(Project.at(memory_path / "clean", server))
    assert len(world.requests) > FEWEST
    sweep(len(world.requests), die_at)


@pytest.mark.parametrize("seed", range(6))
def test_a_command_that_dies_again_and_again_gets_there_all_the_same(
    launcher: Launcher, memory_path: Path, seed: int
) -> None:
    world = stepping_world()
    deaths = 0
    with serve(world) as server:
        project = Project.at(memory_path / "project", server)
        while not project.finished() and deaths < 100:
            world.faults = killer = KillerByChance(1000 * seed + deaths, rate=0.3)
            killed = launcher.run(project, *WAITING, started=killer.pid.set_result)
            assert killed.code in (0, -signal.SIGKILL), killed
            deaths += killed.code != 0
        world.faults = never
        check_all_asked_once(world, ids(12), batches=4)
        launcher.until_final(project)
        launcher.check_idle(project, world)
        project.check_results(ids(12))
    assert deaths > 3


@pytest.mark.parametrize("after", [0, 700], ids=["nothing", "a piece"])
@pytest.mark.parametrize(
    ("message", "back"), [(UPLOAD, False), (DOWNLOAD, True)], ids=["up", "down"]
)
def test_a_death_in_the_middle_of_a_file(
    launcher: Launcher,
    memory_path: Path,
    message: re.Pattern[bytes],
    back: bool,  # noqa: FBT001 -- pytest passes it
    after: int,
) -> None:
    world = stepping_world()
    with serve(world) as server, wired(server) as wire:
        project = Project.at(memory_path / "project", wire)
        project.write("requests.jsonl", long_lines(12, 1_000_000))
        wire.hold(message, after=after, back=back)
        process = launcher.start(project, *WAITING)
        assert wire.held.wait(PATIENCE)
        process.send_signal(signal.SIGKILL)
        assert process.ended().code == -signal.SIGKILL
        launcher.until_final(project)
        check_all_asked_once(world, ids(12), batches=4)
        launcher.check_idle(project, world)
        project.check_results(ids(12))


@pytest.mark.parametrize("acted", [False, True], ids=["before", "after"])
def test_a_death_while_cancelling(
    launcher: Launcher, memory_path: Path, sweep: Sweep, *, acted: bool
) -> None:
    def begin(world: World, project: Project) -> None:
        world.behaviour = Behaviour(ending=Stuck(fraction=0.5), cancelling=1)
        assert launcher.run(project, "reconcile").code == 0

    def die_at(number: int) -> bool:
        world = stepping_world()
        with serve(world) as server:
            project = Project.at(memory_path / str(number), server)
            begin(world, project)
            world.faults = killer = Killer(len(world.requests) + number, acted=acted)
            killed = launcher.run(project, "cancel", "job", started=killer.pid.set_result)
            world.faults = never
            assert killed.code in (0, -signal.SIGKILL), killed
            again = launcher.run(project, "cancel", "job")
            assert again.code == 0, again
            launcher.until_final(project)
            good, bad = project.results()
            assert (len(good), sorted(good + bad)) == (5, sorted(ids(12)))
            check_all_asked_once(world, ids(12), batches=3)
            assert {each.status for each in world.submissions()} == {"cancelled"}
            launcher.check_idle(project, world)
        return killed.code != 0

    sweep(asked_by(launcher, memory_path, begin, "cancel"), die_at)


@pytest.mark.parametrize("acted", [False, True], ids=["before", "after"])
def test_a_death_while_asking_again(
    launcher: Launcher, memory_path: Path, sweep: Sweep, *, acted: bool
) -> None:
    refused = HttpError(status=400, code="invalid_value")

    def begin(world: World, project: Project) -> None:
        world.behaviour = Behaviour(answer=first_time({"r3": refused, "r7": refused}))
        assert launcher.run(project, *WAITING).code == 1

    def die_at(number: int) -> bool:
        world = stepping_world()
        with serve(world) as server:
            project = Project.at(memory_path / str(number), server)
            begin(world, project)
            world.faults = killer = Killer(len(world.requests) + number, acted=acted)
            killed = launcher.run(project, "retry", "job", started=killer.pid.set_result)
            world.faults = never
            assert killed.code in (0, -signal.SIGKILL), killed
            last = launcher.run(project, *WAITING)
            assert last.code == 0, last
            project.check_results(ids(12))
            check_all_asked_once(world, ids(12), batches=5)
            launcher.check_idle(project, world)
        return killed.code != 0

    sweep(asked_by(launcher, memory_path, begin, "retry"), die_at)


def asked_by(
    launcher: Launcher,
    folder: Path,
    begin: Callable[[World, Project], None],
    command: str,
) -> int:
    """Return how many exchanges a command takes when nothing happens to it."""
    world = stepping_world()
    with serve(world) as server:
        project = Project.at(folder / "clean", server)
        begin(world, project)
        before = len(world.requests)
        end = launcher.run(project, command, "job")
        assert end.code == 0, end
    asked = len(world.requests) - before
    assert asked > 3
    return asked
