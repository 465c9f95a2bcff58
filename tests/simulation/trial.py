"""One seed, one whole story: a provider, faults and deaths drawn by lot, until the job is done.

The real reconciler runs against the simulated world in virtual time. Whatever is drawn, the
promises are checked after every pass: one batch a submission key, no answered row asked again,
no final file that is not whole. Once faults stop, the job must come to an end by itself. The same
seed tells the same story, so that a failing one can be told again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest import mock

from runner.ledger import connection
from runner.ledger.records import RunState
from tests.simulation import chance
from tests.simulation.faults import Death, chaos
from tests.simulation.scene import request_lines
from tests.simulation.site import SPEC, Site
from tests.simulation.world import VirtualClock, World

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from tests.simulation.exchange import Request
    from tests.simulation.faults import Fault

ROWS = 12
IDS = [f"r{number}" for number in range(ROWS)]
LAG = 4.0
"""Seconds by which lists and files may lag; below the grace time on loopback, 5 s."""

_STORMY_PASSES = 40
_SETTLING = LAG + 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a seed came to, for whoever wants to read the story."""

    site: Site
    passes: int
    deaths: int
    lost_ledgers: int


def trial(seed: int, folder: Path) -> Trial:
    """Tell the story of one seed below an empty folder; raises AssertionError with it."""
    lot = random.Random(seed)
    world = World(
        VirtualClock(),
        seed=seed,
        behaviour=chance.behaviours(seed),
        conditions=chance.conditions(seed, lag=LAG),
        faults=chaos(seed, lot.choice((0.0, 0.05, 0.2))),
    )
    site = Site(
        folder / "project",
        world,
        request_lines(ROWS),
        max_requests=lot.choice((3, 5, 50)),
        spec=SPEC + "retry: {attempts: 8}\n",
    )
    try:
        return _told(site, lot)
    except Exception as error:
        story = "\n".join([*site.told[-80:], *(str(each)[:160] for each in world.requests[-80:])])
        raise AssertionError(f"seed {seed}: {error}\n{story}") from error


def _told(site: Site, lot: random.Random) -> Trial:
    mortality = lot.choice((0.0, 0.01, 0.05))
    loss = lot.choice((0.0, 0.0, 0.03))
    deaths = lost = number = 0
    with mock.patch.object(connection, "commit", _deadly(lot, mortality)):
        for number in range(_STORMY_PASSES):
            if lot.random() < loss:
                # A list that lags hides what was made seconds before the ledger was lost.
                site.clock.sleep(_SETTLING)
                site.drop_ledger()
                lost += 1
            site.told.append(f"-- pass {number} at {site.clock():.0f}")
            try:
                report = site.reconcile()
            except Death:
                site.told.append("-- died")
                deaths += 1
            else:
                if report.settled and number:
                    break
            site.world.check_exactly_once()
            site.clock.sleep(lot.choice((1, 30, 300, 4000)))
    site.world.faults = _calm
    report = site.until_done(passes=60, pause=300)
    assert report.states["job"] in (RunState.SUCCEEDED, RunState.PARTIAL), report.states
    site.check(IDS)
    assert (report.states["job"] is RunState.SUCCEEDED) == (not site.results()[1])
    exchanges = len(site.world.requests)
    assert not site.reconcile().changed, "a finished job changes once more"
    assert len(site.world.requests) == exchanges, "a finished job asks once more"
    return Trial(site=site, passes=number + 1, deaths=deaths, lost_ledgers=lost)


def _calm(_request: Request, _number: int) -> Fault | None:
    return None


def _deadly(lot: random.Random, mortality: float) -> Callable[[sqlite3.Connection], None]:
    """Let the process die just before, or just after, a commit."""
    commit = connection.commit

    def deadly(ledger: sqlite3.Connection) -> None:
        if lot.random() < mortality:
            raise Death
        commit(ledger)
        if lot.random() < mortality:
            raise Death

    return deadly
