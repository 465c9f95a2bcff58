"""A batch that has ended, and result files that never come: `--wait` ends and says why.

Nothing is closed and nothing is submitted again by it: the provider may only be out of order, and
the next pass looks again. `runner cancel` gives the results up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.ledger.records import RunState
from tests.failures.scene import (
    LOOPBACK,
    REMOTE,
    ask_again,
    asked,
    cancel,
    error_lines,
    ids,
    told,
)
from tests.simulation.behaviour import Behaviour
from tests.simulation.faults import Html, Status, Truncate, rate_limited
from tests.simulation.scene import request_lines

if TYPE_CHECKING:
    from tests.failures.conftest import MakeSite
    from tests.simulation.exchange import Request
    from tests.simulation.faults import Fault
    from tests.simulation.site import Site

HOUR = 3600.0
FAULTS: dict[str, Fault] = {
    "500": Status(status=500),
    "a 429": rate_limited("30"),
    "400": Status(status=400, message="Files of this purpose cannot be downloaded."),
    "a cut": Truncate(keep=0.5),
    "a page": Html(status=200),
}


def refuse(site: Site, fault: Fault | None) -> None:
    """Answer every download of a result file by a fault, or well again."""

    def strike(request: Request, _number: int) -> Fault | None:
        return fault if request.path.endswith("/content") and request.method == "GET" else None

    site.world.faults = strike


@pytest.mark.parametrize("name", FAULTS)
def test_the_wait_ends_after_an_hour_and_a_later_pass_takes_the_results(
    make_site: MakeSite, name: str
) -> None:
    site = make_site(base_url=REMOTE)
    refuse(site, FAULTS[name])
    report = site.wait()
    ended = site.world.submissions()[0].over_at
    assert HOUR <= site.clock() - ended < 2 * HOUR
    assert report.states == {"job": RunState.RUNNING}
    [wait] = report.waits
    assert wait.is_problem
    assert "have been refused or unusable for 1 h" in wait.reason
    assert "`runner cancel job`" in wait.reason
    assert asked(site) == [tuple(ids())]
    again = site.clock()
    assert site.wait().has_problem
    assert site.clock() - again < HOUR, "the next one does not wait for another hour"
    refuse(site, None)
    assert site.wait().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids())]
    site.check(ids())


def test_a_file_that_is_denied_is_waited_for_until_it_counts_as_lost(make_site: MakeSite) -> None:
    site = make_site(base_url=REMOTE)
    refuse(site, Status(status=404))
    assert site.wait().states == {"job": RunState.FAILED}
    assert site.clock() - site.world.submissions()[0].over_at >= HOUR
    assert "are not at the provider any more" in told(site)
    assert asked(site) == [tuple(ids())]


def test_a_file_that_appears_after_some_minutes_is_waited_for(make_site: MakeSite) -> None:
    site = make_site(Behaviour(content_after=900), base_url=REMOTE)
    assert site.wait().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids())]


def test_on_loopback_the_grace_of_the_project_is_the_patience(make_site: MakeSite) -> None:
    site = make_site(base_url=LOOPBACK, config="    adoption_grace: 20\n")
    refuse(site, Status(status=500))
    assert site.wait().has_problem
    assert 20 <= site.clock() - site.world.submissions()[0].over_at < HOUR


def test_the_other_jobs_are_seen_through_first(make_site: MakeSite) -> None:
    site = make_site(Behaviour(), Behaviour(working=5 * HOUR), base_url=REMOTE)
    (site.root / "other.jsonl").write_bytes(request_lines(2, prefix="o"))
    refuse(site, Status(status=500))
    site.reconcile()
    site.write_spec(
        "name: other\nendpoint: /v1/chat/completions\ninput: other.jsonl\n", name="other"
    )
    site.reconcile()
    mine = site.world.calls("GET", "/files/*")[-1].path

    def strike(request: Request, _number: int) -> Fault | None:
        return Status(status=500) if request.path == mine else None

    site.world.faults = strike
    report = site.wait()
    assert report.states == {"job": RunState.RUNNING, "other": RunState.SUCCEEDED}
    assert site.clock() >= site.world.submissions()[1].over_at
    assert report.has_problem


def test_an_outage_of_the_provider_is_no_refusal(make_site: MakeSite) -> None:
    site = make_site(Behaviour(working=60), base_url=REMOTE)
    began = site.clock()
    site.world.faults = lambda _request, _number: (
        Status(status=503) if 30 < site.clock() - began < 5 * HOUR else None
    )
    assert site.wait().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids())]


def test_cancel_ends_the_job_and_retry_looks_at_the_file_before_it_asks_again(
    make_site: MakeSite,
) -> None:
    site = make_site(base_url=REMOTE)
    refuse(site, Status(status=500))
    site.wait()
    cancel(site)
    assert site.wait().states == {"job": RunState.CANCELLED}
    assert {line["error"]["code"] for line in error_lines(site).values()} == {"runner_batch_lost"}
    assert "could not be downloaded" in told(site)
    assert asked(site) == [tuple(ids())]
    refuse(site, None)
    ask_again(site)
    assert site.wait().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids())]
    site.check(ids())


def test_a_cancel_before_the_hour_is_over_waits_for_its_end(make_site: MakeSite) -> None:
    site = make_site(base_url=REMOTE)
    refuse(site, Status(status=500))
    site.reconcile()
    cancel(site)
    assert site.reconcile().states == {"job": RunState.RUNNING}
    assert site.wait().states == {"job": RunState.CANCELLED}
    assert site.clock() - site.world.submissions()[0].over_at >= HOUR


def test_retry_asks_again_where_the_results_still_do_not_come(make_site: MakeSite) -> None:
    site = make_site(base_url=REMOTE)
    refuse(site, Status(status=500))
    site.wait()
    cancel(site)
    site.wait()
    ask_again(site)
    first = site.world.calls("GET", "/files/*")[-1].path
    site.world.faults = lambda request, _number: (
        Status(status=500) if request.path == first else None
    )
    assert site.wait().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids()), tuple(ids())]
