"""A new address is not a new asker by accident: nothing is bought again because of a setting.

The public reports are of a server that was called 127.0.0.1 one day and localhost the next, and of
a cron job without the variable that a shell had.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from runner.ledger.records import RunState
from tests.failures.scene import LOOPBACK, asked, ids, latest, told
from tests.simulation.behaviour import Behaviour, Fail, Problem
from tests.simulation.scene import request_lines
from tests.simulation.site import SPEC

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.failures.conftest import MakeSite
    from tests.simulation.site import Site

OTHER = "http://localhost:9/v1"
LAB = f"  lab:\n    base_url: {OTHER}\n    api_key_env: KEY\n"


INVALID = Problem(code="invalid_json_line", message="Line 1 is not JSON.")


def configure(site: Site, change: Callable[[str], str]) -> None:
    file = site.root / "runner.yaml"
    file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")


def to_another_address(site: Site) -> None:
    configure(site, lambda text: text.replace(LOOPBACK, OTHER))


def to_another_default(site: Site) -> None:
    configure(site, lambda text: f"default_provider: lab\n{text}{LAB}")


def to_no_configuration(site: Site) -> None:
    (site.root / "runner.yaml").unlink()


BY_ACCIDENT = [to_another_address, to_another_default, to_no_configuration]


@pytest.fixture(params=BY_ACCIDENT, ids=lambda each: each.__name__)
def move(request: pytest.FixtureRequest) -> Callable[[Site], None]:
    chosen: Callable[[Site], None] = request.param
    return chosen


def add(site: Site, line: str) -> None:
    site.write_spec(SPEC + line)


def stays_unasked(site: Site, *words: str) -> None:
    """Assert that passes submit nothing, call no provider and say why."""
    before, calls = asked(site), len(site.world.requests)
    reports = []
    for _ in range(3):
        site.clock.sleep(3600)
        reports.append(site.reconcile())
    assert all(report.has_problem for report in reports)
    assert all(report.states == {"job": RunState.PENDING} for report in reports)
    assert asked(site) == before
    assert len(site.world.requests) == calls
    reasons = " ".join(wait.reason for wait in reports[-1].waits)
    assert reasons == " ".join(wait.reason for wait in site.preview().plan.waits)
    for word in ("nothing is submitted", *words):
        assert word in reasons


def test_requests_with_responses_are_not_sent_to_another_address(
    make_site: MakeSite, move: Callable[[Site], None]
) -> None:
    site = make_site()
    site.until_done()
    move(site)
    stays_unasked(site, f"6 of 6 responses from openai at {LOOPBACK}", "same_as", "ask_again")


def test_nor_are_requests_in_flight(make_site: MakeSite) -> None:
    site = make_site(Behaviour(working=1e6))
    site.reconcile()
    to_another_default(site)
    site.clock.sleep(3600)
    report = site.reconcile()
    assert report.states == {"job": RunState.PENDING}
    [wait] = [wait for wait in report.waits if wait.is_problem]
    assert "in flight at openai" in wait.reason
    site.clock.sleep(1e6)
    site.reconcile()
    stays_unasked(site, "6 of 6 responses from openai")


def test_the_ledger_may_be_lost_as_well(make_site: MakeSite, move: Callable[[Site], None]) -> None:
    site = make_site()
    site.until_done()
    site.drop_ledger()
    move(site)
    stays_unasked(site, "6 of 6 responses from openai")


def test_the_address_comes_back(make_site: MakeSite, move: Callable[[Site], None]) -> None:
    site = make_site()
    site.until_done()
    before = (site.root / "runner.yaml").read_text()
    move(site)
    site.reconcile()
    (site.root / "runner.yaml").write_text(before)
    assert site.reconcile().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids())]


@pytest.mark.parametrize("lost", [False, True], ids=["with the ledger", "without"])
@pytest.mark.parametrize("name", [LOOPBACK, f"{LOOPBACK}/", "HTTP://127.0.0.1:9/v1", "openai"])
def test_same_as_lets_the_responses_count(make_site: MakeSite, name: str, lost: bool) -> None:  # noqa: FBT001
    site = make_site()
    site.until_done()
    if lost:
        site.drop_ledger()
    to_another_address(site)
    configure(site, lambda text: text + f'    same_as: ["{name}"]\n')
    report = site.reconcile()
    assert report.states == {"job": RunState.SUCCEEDED}
    assert not report.has_problem
    [view] = site.views()
    assert (view.state, view.succeeded) == (RunState.SUCCEEDED, 6)
    site.check(ids())
    assert asked(site) == [tuple(ids())]


@pytest.mark.parametrize("renamed", [False, True])
def test_same_as_follows_what_is_in_flight(make_site: MakeSite, renamed: bool) -> None:  # noqa: FBT001
    site = make_site(Behaviour(working=7200))
    site.reconcile()
    if renamed:
        configure(
            site,
            lambda text: (
                "default_provider: lab\n"
                + text.replace("openai", "lab").replace(LOOPBACK, OTHER)
                + "    same_as: [openai]\n"
            ),
        )
    else:
        to_another_address(site)
        configure(site, lambda text: text + f"    same_as: [{LOOPBACK}]\n")
    report = site.until_done(pause=600)
    assert report.states == {"job": RunState.SUCCEEDED}
    site.check(ids())
    assert asked(site) == [tuple(ids())]
    provider = json.loads(latest(site, "run.json").read_bytes())["request"]["provider"]
    assert provider == {"name": "openai", "base_url": LOOPBACK}
    site.drop_ledger()
    assert site.reconcile().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids())]


def test_ask_again_asks_once(make_site: MakeSite, move: Callable[[Site], None]) -> None:
    site = make_site()
    site.until_done()
    move(site)
    if move is to_no_configuration:
        site.write_spec(SPEC + "provider: openai\nask_again: true\n")
        (site.root / "runner.yaml").write_text(
            f"providers: {{openai: {{base_url: {OTHER}, api_key_env: KEY}}}}\n"
        )
    else:
        add(site, "ask_again: true\n")
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids())] * 2
    assert "have responses elsewhere already" in told(site)
    for _ in range(3):
        site.reconcile()
    assert asked(site) == [tuple(ids())] * 2


def test_ask_again_does_not_count_for_a_second_move(make_site: MakeSite) -> None:
    site = make_site()
    site.until_done()
    to_another_address(site)
    add(site, "ask_again: true\n")
    site.until_done()
    configure(site, lambda text: text.replace(OTHER, "http://127.0.0.2:9/v1"))
    stays_unasked(site, "used already", "replicate")
    add(site, "ask_again: true\nreplicate: 2\n")
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids())] * 3


def test_an_edit_of_the_provider_is_intent_enough(make_site: MakeSite) -> None:
    site = make_site(config=LAB)
    site.until_done()
    add(site, "provider: lab\n")
    [note] = site.preview().plan.notes
    assert f"responses elsewhere already: 6 of 6 responses from openai at {LOOPBACK}" in note
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids())] * 2


def test_another_name_for_the_same_address_is_not(make_site: MakeSite) -> None:
    site = make_site(config=LAB.replace(OTHER, LOOPBACK))
    site.until_done()
    add(site, "provider: lab\n")
    stays_unasked(site, "responses from openai")


def test_naming_the_provider_that_it_had_is_no_edit(make_site: MakeSite) -> None:
    site = make_site()
    site.until_done()
    to_another_address(site)
    add(site, "provider: openai\n")
    stays_unasked(site)


def test_a_first_attempt_without_a_response_does_not_bind(make_site: MakeSite) -> None:
    site = make_site(Behaviour(ending=Fail(problems=(INVALID,))), Behaviour())
    assert site.until_done().states == {"job": RunState.FAILED}
    to_another_address(site)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}


def test_other_requests_are_another_question(make_site: MakeSite) -> None:
    site = make_site()
    site.until_done()
    to_another_address(site)
    (site.root / "requests.jsonl").write_bytes(request_lines(2, prefix="n"))
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids()), ("n0", "n1")]


def test_a_configuration_that_is_gone_is_no_default(make_site: MakeSite) -> None:
    """A new job goes nowhere else while the ledger names a provider that nobody describes."""
    site = make_site(config=LAB)
    add(site, "provider: lab\n")
    site.until_done()
    (site.root / "runner.yaml").unlink()
    site.write_spec(SPEC.replace("job", "new"))
    shutil.copy(site.root / "requests.jsonl", site.root / "new.jsonl")
    calls = asked(site)
    report = site.reconcile()
    assert report.states == {"new": RunState.PENDING}
    assert "there is no runner.yaml" in " ".join(wait.reason for wait in report.waits)
    assert asked(site) == calls
