"""A cancellation that the provider never ends: said after a day, and given up on request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runner.ledger.records import RunState
from tests.failures.scene import (
    REMOTE,
    Dialect,
    ask_again,
    asked,
    cancel,
    each_batch,
    error_lines,
    ids,
    told,
)
from tests.simulation.behaviour import Behaviour, Stuck
from tests.simulation.faults import Status
from tests.simulation.site import SPEC

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.failures.conftest import MakeSite
    from tests.simulation.site import Site

HOUR, DAY = 3600.0, 86_400.0
OVERDUE = SPEC + "deadline: {after: 30h, action: resubmit}\n"


def never_ends(batch: dict[str, Any]) -> None:
    """Show a cancelled batch as one that is being cancelled."""
    if batch["cancelling_at"] is not None:
        batch["status"] = "cancelling"
        batch["cancelled_at"] = batch["output_file_id"] = batch["error_file_id"] = None


def stuck(make_site: MakeSite, spec: str = SPEC) -> Site:
    world = Dialect(each_batch(never_ends), behaviour=Behaviour(ending=Stuck()))
    return make_site(world=world, base_url=REMOTE, spec=spec)


def test_after_a_deadline_it_is_said_and_cancel_and_retry_are_the_way_on(
    make_site: MakeSite,
) -> None:
    site = stuck(make_site, OVERDUE)
    site.reconcile()
    site.clock.sleep(31 * HOUR)
    site.reconcile()
    site.clock.sleep(23 * HOUR)
    assert not site.reconcile().has_problem
    site.clock.sleep(2 * HOUR)
    report = site.reconcile()
    assert report.has_problem
    [wait] = report.waits
    assert "has been cancelling for 1 d" in wait.reason
    assert "`runner cancel job`" in wait.reason
    assert asked(site) == [tuple(ids())]
    cancel(site)
    assert site.reconcile().states == {"job": RunState.CANCELLED}
    assert "given up" in told(site)
    assert {line["error"]["code"] for line in error_lines(site).values()} == {"runner_batch_lost"}
    site.world.behaviour = lambda _index, _rows: Behaviour()
    ask_again(site)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids()), tuple(ids())]


@pytest.mark.parametrize("hours", [0, 100])
def test_a_cancel_on_request_gets_its_day_however_old_the_batch_is(
    make_site: MakeSite, hours: int
) -> None:
    site = stuck(make_site)
    site.reconcile()
    site.clock.sleep(hours * HOUR)
    cancel(site)
    for _ in range(3):
        assert site.reconcile().states == {"job": RunState.RUNNING}
        site.clock.sleep(7 * HOUR)
    site.clock.sleep(DAY)
    assert site.reconcile().states == {"job": RunState.CANCELLED}
    assert asked(site) == [tuple(ids())]


def test_a_cancel_that_was_refused_for_days_gets_its_day_all_the_same(make_site: MakeSite) -> None:
    site = stuck(make_site, OVERDUE)
    site.reconcile()
    site.world.faults = lambda request, _number: (
        Status(status=500) if request.path.endswith("/cancel") else None
    )
    for _ in range(4):
        site.clock.sleep(31 * HOUR)
        site.reconcile()
    site.world.faults = lambda _request, _number: None
    cancel(site)
    assert site.reconcile().states == {"job": RunState.RUNNING}
    site.clock.sleep(DAY + HOUR)
    assert site.reconcile().states == {"job": RunState.CANCELLED}


def no_time(batch: dict[str, Any]) -> None:
    """Show a cancelled batch as one that is being cancelled, without saying since when."""
    never_ends(batch)
    batch["cancelling_at"] = None


def takes_no_notice(batch: dict[str, Any]) -> None:
    """Show a cancelled batch as one that goes on."""
    if batch["cancelling_at"] is not None:
        batch["status"] = "in_progress"
        batch["cancelling_at"] = batch["cancelled_at"] = None
        batch["output_file_id"] = batch["error_file_id"] = None


class Moving(Dialect):
    """Says at each look that the cancellation was requested just now."""

    def __init__(self) -> None:
        def move(batch: dict[str, Any]) -> None:
            never_ends(batch)
            if batch["cancelling_at"] is not None:
                batch["cancelling_at"] = int(self.clock())

        super().__init__(each_batch(move), behaviour=Behaviour(ending=Stuck()))


WORLDS: dict[str, Callable[[], Dialect]] = {
    "no time": lambda: Dialect(each_batch(no_time), behaviour=Behaviour(ending=Stuck())),
    "a moving time": Moving,
    "no notice": lambda: Dialect(each_batch(takes_no_notice), behaviour=Behaviour(ending=Stuck())),
}


@pytest.mark.parametrize("name", WORLDS)
def test_the_day_counts_from_the_first_sight_of_the_cancellation(
    make_site: MakeSite, name: str
) -> None:
    site = make_site(world=WORLDS[name](), base_url=REMOTE)
    site.reconcile()
    site.clock.sleep(30 * HOUR)
    cancel(site)
    for _ in range(3):
        assert site.reconcile().states == {"job": RunState.RUNNING}
        site.clock.sleep(7 * HOUR)
    site.clock.sleep(4 * HOUR)
    assert site.reconcile().states == {"job": RunState.CANCELLED}
    assert "given up" in told(site)
    assert asked(site) == [tuple(ids())]
    site.world.behaviour = lambda _index, _rows: Behaviour()
    ask_again(site)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids()), tuple(ids())]


@pytest.mark.parametrize("name", WORLDS)
def test_a_deadline_says_it_and_cancel_gives_the_batch_up(make_site: MakeSite, name: str) -> None:
    site = make_site(world=WORLDS[name](), base_url=REMOTE, spec=OVERDUE)
    site.reconcile()
    site.clock.sleep(31 * HOUR)
    site.reconcile()
    site.clock.sleep(25 * HOUR)
    for _ in range(3):
        report = site.reconcile()
        assert report.has_problem
        [wait] = report.waits
        assert "the provider does not end it" in wait.reason
        assert "`runner cancel job`" in wait.reason
        site.clock.sleep(HOUR)
    cancel(site)
    assert site.reconcile().states == {"job": RunState.CANCELLED}
    assert asked(site) == [tuple(ids())]
