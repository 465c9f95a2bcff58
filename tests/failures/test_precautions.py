"""What a spec can set against waste: failure modes 7, 32 and 33."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runner.ledger.records import RunState
from tests.failures.scene import (
    REMOTE,
    Dialect,
    ask_again,
    asked,
    each_batch,
    error_lines,
    history,
    ids,
    known,
    latest,
    told,
)
from tests.simulation.behaviour import (
    Behaviour,
    HttpError,
    Missing,
    Stuck,
    by_id,
    first_time,
    in_turn,
)
from tests.simulation.faults import Status
from tests.simulation.scene import request_line
from tests.simulation.site import SPEC

if TYPE_CHECKING:
    from tests.failures.conftest import MakeSite
    from tests.simulation.exchange import Request
    from tests.simulation.faults import Fault

HOUR = 3600.0
RESUBMIT = SPEC + "deadline: {after: 30h, action: resubmit}\n"


# 7: batches that never end --------------------------------------------------------------------


@pytest.mark.parametrize("status", ["validating", "in_progress", "finalizing"])
def test_07_a_batch_that_does_not_end_is_told_of_once(make_site: MakeSite, status: str) -> None:
    """Failure mode 7: an hour after its window a batch is overdue: reported and recorded.

    Once, with what the user can do; the batch stays in flight, and nothing is submitted again.
    """
    site = make_site(Behaviour(ending=Stuck(status=status)), base_url=REMOTE)
    site.reconcile()
    site.clock.sleep(24.9 * HOUR)
    site.reconcile()
    assert "overdue" not in told(site)
    assert known(site).submissions[0].overdue_at is None
    site.clock.sleep(0.2 * HOUR)
    for _ in range(3):
        site.reconcile()
        site.clock.sleep(HOUR)
    report = site.reconcile()
    [words] = [line for line in site.told if "overdue" in line]
    [batch] = site.world.submissions()
    for part in (batch.batch_id, status, "runner cancel job", "deadline"):
        assert part in words
    assert [wait.reason for wait in report.waits] == [f"in flight, {status}, overdue"]
    noted = known(site).submissions[0].overdue_at
    assert noted is not None
    assert noted - batch.created == pytest.approx(25.1 * HOUR, abs=60)
    assert len(history(site, "overdue")) == 1
    assert report.states == {"job": RunState.RUNNING}
    assert len(asked(site)) == 1
    assert site.world.calls("POST", "/batches/*") == []


def test_07_a_batch_that_ends_late_after_all_is_collected(make_site: MakeSite) -> None:
    """Failure mode 7: overdue is a warning and no verdict; its answers count like any others."""
    site = make_site(Behaviour(working=40 * HOUR), base_url=REMOTE)
    assert site.until_done(pause=5 * HOUR).states == {"job": RunState.SUCCEEDED}
    assert "overdue" in told(site)
    assert len(asked(site)) == 1
    site.check(ids())


@pytest.mark.parametrize("spoilt", ["null", "absent", "far away by its clock"])
def test_07_providers_that_name_no_end_have_one(make_site: MakeSite, spoilt: str) -> None:
    """Failure mode 7: without expires_at the window decides, and not the provider's clock."""

    def spoil(batch: dict[str, Any]) -> None:
        if spoilt == "null":
            batch["expires_at"] = None
        elif spoilt == "absent":
            del batch["expires_at"]
        else:
            for name in ("created_at", "expires_at"):
                batch[name] += 5_000_000

    world = Dialect(each_batch(spoil), behaviour=Behaviour(ending=Stuck()))
    site = make_site(world=world, base_url=REMOTE)
    site.reconcile()
    site.clock.sleep(24.5 * HOUR)
    site.reconcile()
    assert "overdue" not in told(site)
    site.clock.sleep(HOUR)
    site.reconcile()
    assert "overdue" in told(site)


def test_07_resubmit_cancels_collects_and_asks_the_rest(make_site: MakeSite) -> None:
    """Failure mode 7: if the spec allows it the batch is cancelled, and only the rest submitted.

    Not a minute before the deadline; not before the results of the cancelled batch are known;
    and those are kept.
    """
    stuck = Behaviour(ending=Stuck(fraction=0.5), cancelling=600, lists_unrun=False)
    site = make_site(stuck, Behaviour(), spec=RESUBMIT, base_url=REMOTE)
    site.reconcile()
    site.clock.sleep(29.9 * HOUR)
    site.reconcile()
    assert site.world.calls("POST", "/batches/*") == []
    site.clock.sleep(0.2 * HOUR)
    report = site.reconcile()
    assert len(site.world.calls("POST", "/batches/*")) == 1
    assert "is overdue" in told(site)
    assert not report.all_final
    assert len(asked(site)) == 1, "it may still answer"
    assert site.until_done(pause=120).states == {"job": RunState.SUCCEEDED}
    first, second = site.world.submissions()
    assert len(first.answered) == 3
    assert set(second.rows) == set(ids()) - first.answered
    assert second.created >= first.over_at
    assert len(site.world.calls("POST", "/batches/*")) == 1, "one cancel is enough"
    assert set(site.world.paid().values()) == {1}
    site.check(ids())


def test_07_a_batch_that_cannot_even_be_cancelled_is_not_asked_again(make_site: MakeSite) -> None:
    """Failure mode 7: as long as the old batch may answer, and be paid, there is no new one."""
    stuck = Behaviour(ending=Stuck(fraction=0.5), cancelling=1e9)
    site = make_site(stuck, Behaviour(), spec=RESUBMIT, base_url=REMOTE)
    site.reconcile()
    for _ in range(5):
        site.clock.sleep(31 * HOUR)
        site.reconcile()
    report = site.reconcile()
    [wait] = report.waits
    assert wait.is_problem
    assert "the provider does not end it; `runner cancel job` gives it up" in wait.reason
    assert len(asked(site)) == 1


def test_07_a_spec_may_want_to_wait(make_site: MakeSite) -> None:
    """Failure mode 7: `wait` says nothing and does nothing, for as long as it takes."""
    spec = SPEC + "deadline: {action: wait}\n"
    site = make_site(Behaviour(working=200 * HOUR), spec=spec, base_url=REMOTE)
    assert site.until_done(pause=20 * HOUR).states == {"job": RunState.SUCCEEDED}
    assert "overdue" not in told(site)
    assert len(asked(site)) == 1


# 32: what works live and not in a batch -------------------------------------------------------

CANARY = SPEC + "canary: 4\n"


def refusing(*names: str) -> Behaviour:
    refused = HttpError(status=400, code="unsupported", message="Not in a batch.")
    return Behaviour(answer=by_id(dict.fromkeys(names, refused)))


def test_32_a_few_rows_go_ahead_and_the_rest_follows(make_site: MakeSite) -> None:
    """Failure mode 32: the first rows alone, then everything else; none of them twice."""
    slow = Behaviour(working=600)
    site = make_site(slow, rows=12, shard=5, spec=CANARY, base_url=REMOTE)
    site.reconcile()
    site.clock.sleep(300)
    report = site.reconcile()
    assert asked(site) == [tuple(ids(4))]
    assert any(
        "waiting for the canary (4 requests of gpt-4o-mini)" in wait.reason for wait in report.waits
    )
    assert site.until_done(pause=300).states == {"job": RunState.SUCCEEDED}
    assert [len(rows) for rows in asked(site)] == [4, 1, 5, 2]
    first, *others = site.world.submissions()
    assert all(other.created >= first.over_at for other in others)
    assert set(site.world.paid().values()) == {1}
    site.check(ids(12))


def test_32_a_refused_canary_stops_the_job_in_words(make_site: MakeSite) -> None:
    """Failure mode 32: fewer than half succeed: failed, the reasons kept, nothing else sent.

    Not in later passes either; `runner retry` sends the same few rows first.
    """
    names = ("r0", "r1", "r2")
    behaviour = in_turn(refusing(*names), Behaviour())
    site = make_site(rows=12, shard=5, spec=CANARY, base_url=REMOTE)
    site.world.behaviour = behaviour
    assert site.until_done().states == {"job": RunState.FAILED}
    assert "the canary has failed: 1 of its 4 requests of gpt-4o-mini succeeded" in told(site)
    errors = error_lines(site)
    for name in names:
        assert errors[name]["response"]["body"]["error"]["message"] == "Not in a batch."
    for name in ids(12)[4:]:
        assert errors[name]["error"]["code"] == "runner_not_submitted"
    assert site.results()[0] == ["r3"]
    for _ in range(3):
        site.clock.sleep(HOUR)
        site.reconcile()
    assert asked(site) == [tuple(ids(4))]
    ask_again(site)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site)[1] == names
    site.check(ids(12))


def test_32_half_is_good_enough(make_site: MakeSite) -> None:
    """Failure mode 32: two of four show that a batch can do it; the rest follows."""
    site = make_site(refusing("r0", "r1"), rows=12, spec=CANARY)
    assert site.until_done().states == {"job": RunState.PARTIAL}
    assert [len(rows) for rows in asked(site)] == [4, 8]
    site.check(ids(12))


def test_32_trouble_that_passes_is_no_verdict(make_site: MakeSite) -> None:
    """Failure mode 32: a canary struck down for the moment is sent again before anything else."""
    passing = dict.fromkeys(ids(4), HttpError(status=503)) | {"r3": Missing()}
    site = make_site(Behaviour(answer=first_time(passing)), rows=12, spec=CANARY)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert [len(rows) for rows in asked(site)] == [4, 4, 8]
    site.check(ids(12))


def test_32_each_model_has_a_canary_of_its_own(make_site: MakeSite) -> None:
    """Failure mode 32: what one model can do says nothing of another."""
    names = ids(16)
    lines = b"".join(
        request_line(name, model="able" if number % 2 else "unable")
        for number, name in enumerate(names)
    )
    site = make_site(refusing(*names[::2]), lines=lines, spec=CANARY)
    assert site.until_done().states == {"job": RunState.FAILED}
    assert sorted(map(len, asked(site)))[:2] == [4, 4]
    assert [rows for rows in asked(site) if set(rows) & set(names[8::2])] == []
    assert "the canary has failed: 0 of its 4 requests of unable succeeded" in told(site)


# 33: what lies at the provider ----------------------------------------------------------------

AWAY = SPEC + "keep_remote: false\n"


def test_33_nothing_is_deleted_unasked(make_site: MakeSite) -> None:
    """Failure mode 33: nothing depends on deletion, so by default there is none."""
    site = make_site()
    site.until_done()
    site.reconcile()
    assert site.world.calls("DELETE", "/files/*") == []


def test_33_remote_files_are_deleted_when_the_results_are_here(make_site: MakeSite) -> None:
    """Failure mode 33: inputs and results, of every batch, after the final files stand."""
    site = make_site(
        Behaviour(answer=first_time({"r1": Missing(), "r2": HttpError(status=500)})), spec=AWAY
    )
    there: list[bool] = []

    def watch(request: Request, _number: int) -> None:
        if request.method == "DELETE":
            there.append(latest(site, "output.jsonl").exists())

    site.world.faults = watch
    site.until_done()
    site.reconcile()
    assert there == [True] * len(site.world.files())
    assert [file for file in site.world.files() if file.deleted is None] == []
    site.check(ids())
    before = len(site.world.requests)
    site.reconcile()
    assert len(site.world.requests) == before, "once is enough"


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409])
def test_33_a_refusal_to_delete_is_noted_and_no_error(make_site: MakeSite, status: int) -> None:
    """Failure mode 33: results are here, the job has succeeded; files that stay are reported."""

    def refuse(request: Request, _number: int) -> Fault | None:
        if request.method == "DELETE":
            return Status(status=status, message="Files of batches cannot be deleted.")
        return None

    site = make_site(spec=AWAY)
    site.world.faults = refuse
    site.until_done()
    report = site.reconcile()
    assert report.states == {"job": RunState.SUCCEEDED}
    assert not report.has_problem
    site.check(ids())
    assert len(site.world.calls("DELETE", "/files/*")) == 2
    if status != 404:  # a file that is not there is gone
        assert "2 could not be deleted" in told(site)
        assert "Files of batches cannot be deleted." in told(site)
    site.clock.sleep(HOUR)
    site.reconcile()
    assert len(site.world.calls("DELETE", "/files/*")) == 2, "it is not asked for ever"
