"""The clock of this machine is put forward or back by a day: nothing is doubled, nothing waits.

Only the command's clock is wrong (`mishaps.Clock`); the provider's and the file system's are not.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.faults.launching import NEVER
from tests.faults.mishaps import set_clock
from tests.faults.project import PATIENCE, WAITING, Project, ids, until
from tests.faults.worlds import Killer, check_all_asked_once, stepping_world
from tests.simulation.behaviour import TOKEN_LIMIT, Behaviour, Fail, in_turn
from tests.simulation.faults import Drop, never, on, rate_limited
from tests.simulation.http import serve

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.faults.sweeping import Sweep
    from tests.simulation.world import World

DAY = 86_400.0
JUMPS = pytest.mark.parametrize("jump", [DAY, -DAY, 400 * DAY, -400 * DAY])


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """Return the file with the number of seconds by which the command's clock is wrong."""
    set_clock(tmp_path / "clock", 0.0)
    return tmp_path / "clock"


def check_ended(
    launcher: Launcher, project: Project, world: World, *, rows: int = 12, batches: int = 4
) -> None:
    project.check_results(ids(rows))
    check_all_asked_once(world, ids(rows), batches=batches)
    launcher.check_idle(project, world)
    project.check_ledger()
    assert project.litter() == []


@JUMPS
def test_between_any_two_passes(
    launcher: Launcher, project: Project, world: World, clock: Path, jump: float
) -> None:
    """There and back again, a pass each."""
    for number in range(40):
        if project.finished():
            break
        set_clock(clock, jump if number % 2 else 0.0)
        end = launcher.run(project, "reconcile", clock=clock)
        assert end.code == 0, end
    check_ended(launcher, project, world)


@JUMPS
def test_for_good_after_any_pass(
    launcher: Launcher, memory_path: Path, clock: Path, jump: float
) -> None:
    for passes in range(1, 5):
        world = stepping_world()
        with serve(world) as server:
            project = Project.at(memory_path / str(passes), server)
            set_clock(clock, 0.0)
            for _ in range(passes):
                assert launcher.run(project, "reconcile", clock=clock).code == 0
            set_clock(clock, jump)
            end = launcher.run(project, *WAITING, clock=clock)
            assert end.code == 0, end
            check_ended(launcher, project, world)


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_between_an_intent_and_the_next_look(
    launcher: Launcher, memory_path: Path, clock: Path, sweep: Sweep, jump: float
) -> None:
    """A crash at each creation, of a file or of a batch, before and after the provider acts.

    A listing that shows what was created counts immediately, whatever the clock says. If nothing
    was created and the clock was put back, the intent is in the future: it counts as one of now.
    """
    set_clock(clock, jump)
    world = stepping_world()
    with serve(world) as server:
        launcher.finish(Project.small(memory_path / "clean", server))
    creations = [each.number for each in world.requests if each.method == "POST"]
    deaths = [(number, acted) for number in creations for acted in (False, True)]

    def die_at(point: int) -> bool:
        number, acted = deaths[point] if point < len(deaths) else (NEVER, False)
        other = stepping_world()
        other.faults = killer = Killer(number, acted=acted)
        with serve(other) as server:
            project = Project.small(memory_path / str(point), server)
            killed = launcher.run(project, *WAITING, started=killer.pid.set_result)
            other.faults = never
            assert killed.code in (0, -signal.SIGKILL), killed
            end = launcher.run(project, *WAITING, clock=clock)
            assert end.code == 0, end
            check_ended(launcher, project, other, rows=6, batches=2)
        return killed.code != 0

    assert len(creations) == 4
    sweep(len(deaths), die_at)


@pytest.mark.parametrize(
    ("jump", "acted"), [(DAY, False), (DAY, True), (-DAY, False), (-DAY, True)]
)
@pytest.mark.parametrize("call", ["/files", "/batches"])
def test_between_a_lost_answer_and_the_next_look(
    launcher: Launcher,
    project: Project,
    world: World,
    clock: Path,
    jump: float,
    call: str,
    *,
    acted: bool,
) -> None:
    """The doubt has been noted down, with a time that is now of the past or of the future."""
    world.faults = on("POST", call, Drop(acted=acted))
    end = launcher.run(project, "reconcile", clock=clock)
    assert end.code == 1, end
    set_clock(clock, jump)
    end = launcher.run(project, *WAITING, clock=clock)
    assert end.code == 0, end
    check_ended(launcher, project, world)


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_while_a_command_waits(
    launcher: Launcher, project: Project, world: World, clock: Path, jump: float
) -> None:
    """No pause becomes a day long, and none negative."""
    process = launcher.start(project, "reconcile", "--wait", clock=clock)
    until(lambda: len(world.submissions()) == 3)
    set_clock(clock, jump)
    until(project.finished)
    assert process.code.result(PATIENCE) == 0
    assert "Traceback" not in process.ended().err
    check_ended(launcher, project, world)


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_while_a_limit_is_waited_for(
    launcher: Launcher, project: Project, world: World, clock: Path, jump: float
) -> None:
    limit = Behaviour(ending=Fail(problems=(TOKEN_LIMIT,)))
    world.behaviour = in_turn(Behaviour(), limit, Behaviour())
    for _ in range(2):
        assert launcher.run(project, "reconcile", clock=clock).code == 0
    set_clock(clock, jump)
    end = launcher.run(project, *WAITING, clock=clock)
    assert end.code == 0, end
    project.check_results(ids(12))
    world.check_exactly_once()
    world.check_uploads_once()


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_where_a_provider_asked_for_patience(
    launcher: Launcher, project: Project, world: World, clock: Path, jump: float
) -> None:
    world.faults = on("POST", "/batches", *[rate_limited("100")] * 2)
    assert launcher.run(project, "reconcile", clock=clock).code == 1
    set_clock(clock, jump)
    end = launcher.run(project, *WAITING, clock=clock)
    assert end.code == 0, end
    check_ended(launcher, project, world)
