"""What runner does so that nothing is wasted: canary, deadline, smaller files, tidying up."""

from __future__ import annotations

import dataclasses
import shutil
from typing import TYPE_CHECKING

import pytest

from runner.ledger import run_transitions
from runner.ledger.records import RunState
from runner.ledger.store import Ledger
from tests.reconcile.conftest import ids
from tests.simulation.behaviour import (
    Behaviour,
    Conditions,
    Expire,
    Fail,
    HttpError,
    Problem,
    Stuck,
    by_id,
)
from tests.simulation.exchange import Request
from tests.simulation.faults import Refuse, never, on, rate_limited
from tests.simulation.scene import get, request_line
from tests.simulation.site import SPEC

if TYPE_CHECKING:
    from tests.reconcile.conftest import MakeSite
    from tests.simulation.site import Site

GOOD = Behaviour()
HOUR = 3600.0


def sizes(site: Site) -> list[int]:
    """Return how many requests each batch asked, in order."""
    return [len(batch.rows) for batch in site.world.submissions()]


def refusing(*rows: str) -> Behaviour:
    return Behaviour(answer=by_id({row: HttpError(status=400) for row in rows}))


# The canary ------------------------------------------------------------------------------------


def test_a_canary_goes_ahead_and_the_rest_follows(make_site: MakeSite) -> None:
    site = make_site(rows=12, shard=5, spec=SPEC + "canary: 2\n")
    site.reconcile()
    assert sizes(site) == [2]
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert sizes(site) == [2, 3, 5, 2]
    site.check(ids(12))


def test_a_canary_that_fails_stops_the_job_before_the_rest_is_paid(make_site: MakeSite) -> None:
    site = make_site(refusing("r0", "r1", "r2"), rows=12, shard=5, spec=SPEC + "canary: 4\n")
    assert site.until_done().states == {"job": RunState.FAILED}
    assert sizes(site) == [4]
    assert "the canary has failed: 1 of its 4 requests" in " ".join(site.told)
    site.check(ids(12))
    assert site.results()[0] == ["r3"]


def test_a_canary_that_half_succeeds_is_good_enough(make_site: MakeSite) -> None:
    site = make_site(refusing("r0", "r1"), rows=12, spec=SPEC + "canary: 4\n")
    assert site.until_done().states == {"job": RunState.PARTIAL}
    assert sizes(site) == [4, 8]


def test_a_canary_may_need_several_attempts(make_site: MakeSite) -> None:
    site = make_site(
        Behaviour(ending=Expire(fraction=0.0)), GOOD, rows=12, spec=SPEC + "canary: 4\n"
    )
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert sizes(site) == [4, 4, 8]
    site.check(ids(12))


def test_a_canary_said_too_late_is_none(make_site: MakeSite) -> None:
    site = make_site(Behaviour(ending=Expire(fraction=0.5)), GOOD, rows=12, shard=6)
    site.reconcile()
    site.write_spec(SPEC + "canary: 1\n")
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert sizes(site) == [6, 6, 3]


def test_a_ledger_lost_behind_a_canary_is_found_again(make_site: MakeSite) -> None:
    site = make_site(Behaviour(working=100), rows=12, spec=SPEC + "canary: 3\n")
    site.reconcile()
    site.drop_ledger()
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert sizes(site) == [3, 9]
    site.check(ids(12))


# Files that are too large ----------------------------------------------------------------------


def test_a_file_that_is_too_large_goes_out_in_parts(make_site: MakeSite) -> None:
    site = make_site(rows=12)
    whole = len(site.lines)
    site.world.conditions = Conditions(max_bytes=whole // 3)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert sizes(site) == [2] * 6
    site.check(ids(12))
    assert "are submitted in smaller ones" in " ".join(site.told)


def test_what_one_shard_learned_spares_the_others(make_site: MakeSite) -> None:
    site = make_site(rows=12, shard=6)
    site.world.conditions = Conditions(max_bytes=len(site.lines) // 3)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    refused = len(site.world.calls("POST", "/files")) - len(sizes(site))
    assert refused == 1
    site.check(ids(12))


def test_one_request_that_is_too_large_is_the_users_to_mend(make_site: MakeSite) -> None:
    site = make_site(rows=2)
    site.world.conditions = Conditions(max_bytes=10)
    assert site.until_done().states == {"job": RunState.FAILED}
    assert sizes(site) == []


SLOW = Behaviour(working=10 * HOUR)


def limits(site: Site, **values: int) -> None:
    """Write the limits of the provider anew."""
    path = site.root / "runner.yaml"
    kept = [line for line in path.read_text().splitlines() if "max_" not in line]
    lines = [f"    {name}: {value}" for name, value in values.items()]
    path.write_text("\n".join([*kept, *lines]) + "\n")


def test_the_parts_of_a_file_that_is_too_large_go_out_in_one_pass(make_site: MakeSite) -> None:
    site = make_site(SLOW, rows=24, shard=12)
    site.world.conditions = Conditions(max_bytes=len(site.lines) // 6)
    site.reconcile()
    assert sizes(site) == [2] * 12
    site.clock.sleep(11 * HOUR)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert sizes(site) == [2] * 12
    site.check(ids(24))


def test_a_part_that_fails_is_sent_again_and_the_others_are_left_alone(make_site: MakeSite) -> None:
    site = make_site(Behaviour(ending=Expire(fraction=0.0)), SLOW, rows=12)
    site.world.conditions = Conditions(max_bytes=len(site.lines) // 2 + 50)
    site.reconcile()
    site.reconcile()
    assert [batch.rows for batch in site.world.submissions()] == [
        tuple(ids(12)[:6]),
        tuple(ids(12)[6:]),
        tuple(ids(12)[:6]),
    ]
    site.clock.sleep(21 * HOUR)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(sizes(site)) == 3
    site.check(ids(12))


def test_the_parts_are_found_again_without_a_ledger(make_site: MakeSite) -> None:
    site = make_site(SLOW, rows=12)
    site.world.conditions = Conditions(max_bytes=len(site.lines) // 3)
    site.reconcile()
    site.drop_ledger()
    site.clock.sleep(11 * HOUR)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert sizes(site) == [2] * 6
    site.check(ids(12))


def test_a_smaller_limit_of_requests_counts_for_what_is_not_sent_yet(make_site: MakeSite) -> None:
    site = make_site(SLOW, rows=12, shard=6)
    limits(site, max_requests_per_batch=6, max_active_batches=1)
    site.reconcile()
    assert sizes(site) == [6]
    limits(site, max_requests_per_batch=4)
    site.reconcile()
    assert sizes(site) == [6, 4, 2]
    site.clock.sleep(11 * HOUR)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids(12))


def test_a_smaller_limit_of_bytes_holds_for_each_file(make_site: MakeSite) -> None:
    site = make_site(SLOW, rows=12)
    names = [f"r{number}-{'x' * (97 * number % 400)}" for number in range(12)]
    lines = [request_line(name) for name in names]
    (site.root / "requests.jsonl").write_bytes(b"".join(lines))
    site.world.faults = on("POST", "/files", *[Refuse()] * 9)
    site.reconcile()
    limit = max(map(len, lines)) + 200
    limits(site, max_bytes_per_batch=limit)
    site.world.faults = never
    site.reconcile()
    uploaded = [len(site.world.content(file.id)) for file in site.world.files()]
    assert max(uploaded) <= limit
    assert sum(sizes(site)) == 12
    site.clock.sleep(11 * HOUR)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(names)


@pytest.mark.parametrize("path", ["/files", "/batches"])
def test_a_smaller_limit_counts_for_an_attempt_that_was_prepared(
    make_site: MakeSite, path: str
) -> None:
    site = make_site(SLOW, rows=6)
    site.world.faults = on("POST", path, *[rate_limited()] * 9)
    site.reconcile()
    assert sizes(site) == []
    limits(site, max_requests_per_batch=2)
    site.world.faults = never
    site.reconcile()
    assert sizes(site) == [2, 2, 2]
    site.clock.sleep(11 * HOUR)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids())


# Batches that take too long --------------------------------------------------------------------

STUCK = Behaviour(ending=Stuck())


def test_an_overdue_batch_is_told_of_once(make_site: MakeSite) -> None:
    site = make_site(STUCK)
    site.reconcile()
    site.clock.sleep(24.5 * HOUR)
    site.reconcile()
    assert "overdue" not in " ".join(site.told)
    site.clock.sleep(HOUR)
    for _ in range(3):
        site.reconcile()
    told = [words for words in site.told if "overdue" in words]
    assert len(told) == 1
    assert "runner cancel job" in told[0]
    assert sizes(site) == [6]


def test_an_overdue_batch_is_cancelled_and_the_rest_asked_again(make_site: MakeSite) -> None:
    site = make_site(STUCK, GOOD, spec=SPEC + "deadline: {after: 90m, action: resubmit}\n")
    site.reconcile()
    site.clock.sleep(HOUR)
    site.reconcile()
    assert not site.world.calls("POST", "/batches/*")
    site.clock.sleep(HOUR)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(sizes(site)) == 2
    site.check(ids())


def test_somebody_may_want_to_wait(make_site: MakeSite) -> None:
    site = make_site(STUCK, spec=SPEC + "deadline: {action: wait}\n")
    site.reconcile()
    site.clock.sleep(100 * HOUR)
    site.reconcile()
    assert "overdue" not in " ".join(site.told)


def test_results_that_will_be_gone_soon_are_warned_of(make_site: MakeSite) -> None:
    site = make_site(Behaviour(working=60))
    site.reconcile()
    shutil.rmtree(site.root / "outputs")
    (site.root / "outputs").write_text("in the way")
    site.clock.sleep(HOUR)
    site.reconcile()
    assert "may delete them" not in " ".join(site.told)
    site.clock.sleep(25 * 24 * HOUR)
    site.reconcile()
    assert "the provider may delete them in 4 d 22 h" in " ".join(site.told)


# Money -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached"])
def test_a_batch_without_credit_stops_the_provider_and_goes_on_when_there_is_some(
    make_site: MakeSite, code: str
) -> None:
    broke = Behaviour(ending=Fail(problems=(Problem(code=code, message="No credit."),)))
    site = make_site(broke, GOOD, rows=12, shard=6)
    site.reconcile()
    site.clock.sleep(60)
    report = site.reconcile()
    assert report.has_problem
    assert report.unusable == {"openai"}
    assert "No credit." in " ".join(site.told)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids(12))


# Leaving nothing behind ------------------------------------------------------------------------


def test_remote_files_stay_unless_the_spec_says_otherwise(make_site: MakeSite) -> None:
    site = make_site()
    site.until_done()
    site.reconcile()
    assert not site.world.calls("DELETE", "/files/*")


def test_remote_files_are_deleted_once_the_results_are_here(make_site: MakeSite) -> None:
    site = make_site(
        Behaviour(ending=Expire(fraction=0.5)), GOOD, spec=SPEC + "keep_remote: false\n"
    )
    site.until_done()
    site.reconcile()
    assert [file for file in site.world.files() if file.deleted is None] == []
    before = len(site.world.requests)
    assert not site.reconcile().changed
    assert len(site.world.requests) == before
    site.check(ids())


def test_said_later_it_holds_for_what_is_finished(make_site: MakeSite) -> None:
    site = make_site()
    site.until_done()
    site.write_spec(SPEC + "keep_remote: false\n")
    site.reconcile()
    assert [file for file in site.world.files() if file.deleted is None] == []


def test_nothing_is_deleted_while_a_result_here_is_not_what_was_downloaded(
    make_site: MakeSite,
) -> None:
    site = make_site()
    site.until_done()
    [raw] = (site.root / "outputs/job/latest/raw").glob("*.output.jsonl")
    raw.write_bytes(raw.read_bytes() + b" ")
    site.write_spec(SPEC + "keep_remote: false\n")
    assert site.reconcile().has_problem
    assert not site.world.calls("DELETE", "/files/*")
    assert "is not what was downloaded" in " ".join(site.told)


def test_what_has_not_succeeded_keeps_its_files(make_site: MakeSite) -> None:
    site = make_site(refusing("r5"), spec=SPEC + "keep_remote: false\n")
    assert site.until_done().states == {"job": RunState.PARTIAL}
    assert not site.world.calls("DELETE", "/files/*")


def test_a_raw_file_that_is_gone_is_fetched_before_it_is_deleted_there(
    make_site: MakeSite,
) -> None:
    site = make_site()
    site.until_done()
    [raw] = (site.root / "outputs/job/latest/raw").glob("*.output.jsonl")
    raw.unlink()
    site.write_spec(SPEC + "keep_remote: false\n")
    assert not site.reconcile().has_problem
    assert raw.exists()
    assert [file for file in site.world.files() if file.deleted is None] == []


def test_nothing_is_deleted_at_another_address(make_site: MakeSite) -> None:
    site = make_site()
    site.until_done()
    before = {file.id for file in site.world.files()}
    config = site.root / "runner.yaml"
    config.write_text(config.read_text().replace("127.0.0.1:9/", "127.0.0.1:10/"))
    site.write_spec(SPEC + "keep_remote: false\nask_again: true\n")
    site.until_done()
    assert {file.id for file in site.world.files() if file.deleted is None} == before


# Found by somebody who looked for it --------------------------------------------------------------


def test_one_result_file_that_is_gone_does_not_take_the_other_along(make_site: MakeSite) -> None:
    site = make_site(refusing("r5"))
    site.reconcile()
    [batch] = site.world.submissions()
    error_file = get(site.world, f"/batches/{batch.batch_id}")["error_file_id"]
    site.world.handle(Request.json("DELETE", f"/files/{error_file}"))
    assert site.until_done(pause=10).states == {"job": RunState.FAILED}
    assert site.results() == (ids()[:5], ["r5"])
    assert "its 1 request without a line" in " ".join(site.told)


def test_an_attempt_prepared_before_a_413_is_no_endless_plan(make_site: MakeSite) -> None:
    site = make_site(rows=12, shard=4)
    site.world.faults = on("POST", "/files", *[rate_limited("7200")] * 9)
    site.reconcile()
    site.world.faults = never
    site.world.conditions = Conditions(max_bytes=len(site.lines) // 5)
    assert not site.reconcile().has_problem
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert "please report it" not in " ".join(site.told)
    site.check(ids(12))


def test_a_canary_on_its_way_is_not_made_smaller(make_site: MakeSite) -> None:
    site = make_site(
        dataclasses.replace(refusing(*ids(25)), working=100),
        rows=25,
        shard=10,
        spec=SPEC + "canary: 5\n",
    )
    site.reconcile()
    site.write_spec(SPEC + "canary: 3\n")
    assert site.until_done().states == {"job": RunState.FAILED}
    assert sizes(site) == [5]


def test_what_was_downloaded_is_not_asked_again_when_the_provider_has_lost_it(
    make_site: MakeSite,
) -> None:
    site = make_site(refusing("r5"), GOOD)
    site.reconcile()
    [batch] = site.world.submissions()
    shown = get(site.world, f"/batches/{batch.batch_id}")
    site.world.handle(Request.json("DELETE", f"/files/{shown['error_file_id']}"))
    site.until_done(pause=10)
    site.world.handle(Request.json("DELETE", f"/files/{shown['output_file_id']}"))
    with Ledger.open(site.ledger, clock=site.clock) as ledger:
        [run] = ledger.runs()
        run_transitions.reopen_run(ledger, run, next_round=True, attempts=3)
    assert site.until_done(pause=10).states == {"job": RunState.SUCCEEDED}
    assert sizes(site) == [6, 1]
    site.check(ids())
