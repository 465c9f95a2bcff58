"""How batches end, and what they report before: failure modes 4 to 6, 20, 22, 23, 26."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runner.ledger.records import RunState, SubmissionState
from runner.report.status import render_status
from tests.failures.scene import (
    REMOTE,
    Dialect,
    ask_again,
    asked,
    cancel,
    each_batch,
    error_lines,
    final_files,
    history,
    ids,
    known,
    latest,
    told,
)
from tests.simulation.behaviour import (
    CANNOT_FIND_FILE,
    MODEL_NOT_FOUND,
    TOKEN_LIMIT,
    Behaviour,
    Cancelled,
    Counts,
    Expire,
    Fail,
    NoFile,
    Vanish,
)
from tests.simulation.faults import Status
from tests.simulation.scene import get

if TYPE_CHECKING:
    from tests.failures.conftest import MakeSite
    from tests.simulation.exchange import Request
    from tests.simulation.site import Site

ONCE = "endpoint: /v1/chat/completions\ninput: requests.jsonl\nname: job\nretry: {attempts: 1}\n"


def contents(site: Site) -> list[str]:
    """Return the paths of all downloads of result files so far."""
    return [each.path for each in site.world.calls("GET", "/files/*") if "content" in each.path]


@pytest.mark.parametrize("lists_unrun", [True, False])
@pytest.mark.parametrize(
    "ending",
    [
        Expire(fraction=0.1),
        Cancelled(fraction=0.1),
        Fail(problems=(CANNOT_FIND_FILE,), fraction=0.1),
        Fail(problems=(TOKEN_LIMIT,), fraction=0.1),
        Fail(problems=(MODEL_NOT_FOUND,), fraction=0.1),
    ],
    ids=["expired", "cancelled", "failed", "failed at a limit", "failed for a lasting reason"],
)
def test_04_what_an_ended_batch_answered_is_kept_and_the_rest_asked_again(
    make_site: MakeSite, ending: Expire | Cancelled | Fail, *, lists_unrun: bool
) -> None:
    """Failure mode 4: batches that expired, were cancelled or failed are read like completed ones.

    One of ten is answered and paid for: it is in the final file, and only the other nine are
    submitted again, whether or not the error file lists them.
    """
    site = make_site(Behaviour(ending=ending, lists_unrun=lists_unrun), Behaviour(), rows=10)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    first, second = site.world.submissions()
    assert len(first.answered) == 1
    assert set(second.rows) == set(ids(10)) - first.answered
    site.check(ids(10))
    assert set(site.world.paid().values()) == {1}


@pytest.mark.parametrize("ending", [Expire(fraction=0.5), Cancelled(fraction=0.5)])
def test_04_paid_answers_are_read_even_if_nothing_may_be_asked_again(
    make_site: MakeSite, ending: Expire | Cancelled
) -> None:
    """Failure mode 4: the answers of an ended batch are results, also where it was the last."""
    site = make_site(Behaviour(ending=ending), spec=ONCE)
    assert site.until_done().states == {"job": RunState.PARTIAL}
    [batch] = site.world.submissions()
    good, bad = site.results()
    assert set(good) == batch.answered
    assert len(good) == len(bad) == 3
    codes = {line["error"]["code"] for line in error_lines(site).values()}
    assert codes <= {"batch_expired", "batch_cancelled"}
    site.check(ids())


@pytest.mark.parametrize("who", ["somebody else", "runner cancel"])
def test_05_nothing_is_concluded_before_a_cancelled_batch_shows_its_files(
    make_site: MakeSite, who: str
) -> None:
    """Failure mode 5: rows in neither file were not run, but that is known only at the very end.

    While the batch is being cancelled, and in the minutes in which it is cancelled and names no
    file yet, nothing is collected and nothing submitted again; then its responses count, and only
    what is in no file is submitted again (or, if the user cancelled, reported as unfinished).
    """
    foreign = who == "somebody else"
    behaviour = Behaviour(
        working=100,
        cancelling=300,
        files_after=400,
        ending=Cancelled(fraction=0.5) if foreign else Expire(fraction=1.0),
        lists_unrun=False,
    )
    site = make_site(behaviour, Behaviour(), base_url=REMOTE)
    site.reconcile()
    site.clock.sleep(50)
    if not foreign:
        cancel(site)
    seen = set[str]()
    while site.clock() < site.world.submissions()[0].readable_at:
        report = site.reconcile()
        assert not report.all_final
        assert len(asked(site)) == 1, "nothing is asked while answers may come"
        assert contents(site) == []
        seen |= {wait.reason for wait in report.waits}
        site.clock.sleep(60)
    assert "in flight, cancelling" in seen
    assert "cancelled, but its files are not named yet" in seen
    state = RunState.SUCCEEDED if foreign else RunState.CANCELLED
    assert site.until_done().states == {"job": state}
    first = site.world.submissions()[0]
    assert len(first.answered) == 3
    assert set(first.answered) <= set(site.results()[0])
    if foreign:
        assert set(asked(site)[1]) == set(ids()) - first.answered
    else:
        assert len(asked(site)) == 1
        assert set(error_lines(site)) == set(ids()) - first.answered
    site.check(ids())


@pytest.mark.parametrize("counts", list(Counts))
def test_05_a_batch_that_fails_after_it_ran_may_name_its_files_late(
    make_site: MakeSite, counts: Counts
) -> None:
    """Failure mode 5: its responses are waited for, and only the rest is submitted again."""
    failing = Behaviour(
        working=10,
        ending=Fail(problems=(TOKEN_LIMIT,), fraction=0.5),
        files_after=120,
        counts=counts,
    )
    site = make_site(failing, Behaviour(), base_url=REMOTE)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    first, second = site.world.submissions()
    assert len(first.answered) == 3
    assert set(second.rows) == set(ids()) - first.answered
    site.check(ids())


def test_05_a_cancelled_batch_without_any_file_is_not_waited_for_for_ever(
    make_site: MakeSite,
) -> None:
    """Failure mode 5: if no row was run no file comes, and all are submitted again in the end."""
    nothing = Behaviour(ending=Cancelled(fraction=0.0), lists_unrun=False)
    site = make_site(nothing, Behaviour(), base_url=REMOTE)
    assert site.until_done(pause=150).states == {"job": RunState.SUCCEEDED}
    first, second = site.world.submissions()
    assert second.created >= first.over_at + 900, "a quarter of an hour is given to it"
    assert second.rows == tuple(ids())
    site.check(ids())


def test_06_a_full_count_is_not_the_end(make_site: MakeSite) -> None:
    """Failure mode 6: all requests counted and hours of finalizing: the phase is shown.

    The job runs, nothing is downloaded, nothing is submitted, and `status` says what the batch
    is doing; when it has completed, it is collected.
    """
    site = make_site(Behaviour(working=60, finalizing=6 * 3600), base_url=REMOTE)
    site.reconcile()
    for _ in range(12):
        site.clock.sleep(1500)
        report = site.reconcile()
        assert report.states == {"job": RunState.RUNNING}
        assert [wait.reason for wait in report.waits] == ["in flight, finalizing"]
        [view] = site.views()
        [batch] = view.batches
        assert batch["request_counts"] == {"total": 6, "completed": 6, "failed": 0}
        assert (view.succeeded, view.pending) == (0, 6)
        assert "1 finalizing" in render_status([view], now=0)
    assert contents(site) == []
    assert final_files(site) == []
    assert site.until_done(pause=1500).states == {"job": RunState.SUCCEEDED}
    assert len(asked(site)) == 1
    site.check(ids())


def test_20_a_batch_that_vanishes_is_lost_and_not_failed(make_site: MakeSite) -> None:
    """Failure mode 20: 404 for a batch seen before is a loss: reported, recorded, never repeated.

    The problem names the batch, the API key, and what a retry may cost; the record keeps the
    batch as it was last seen.
    """
    site = make_site(Behaviour(working=9000, ending=Vanish(after=100)), base_url=REMOTE)
    site.reconcile()
    [batch] = site.world.submissions()
    site.clock.sleep(150)
    report = site.reconcile()
    assert not report.all_final, "one denial proves nothing"
    assert report.has_problem
    assert (
        f"does not know {batch.batch_id}: is the API key of the same project?"
        in report.waits[0].reason
    )
    assert site.until_done(pause=120).states == {"job": RunState.FAILED}
    [lost] = known(site).submissions
    assert lost.state is SubmissionState.LOST
    assert lost.batch_id == batch.batch_id
    for words in (batch.batch_id, "has vanished", "another project", "runner retry job"):
        assert words in (lost.problem or "")
        assert words in told(site)
    record = json.loads(latest(site, "run.json").read_bytes())
    assert record["shards"][0]["submissions"][0]["batch"]["id"] == batch.batch_id
    codes = {line["error"]["code"] for line in error_lines(site).values()}
    assert codes == {"runner_batch_lost"}
    for _ in range(3):
        site.clock.sleep(86_400)
        site.reconcile()
    assert len(asked(site)) == 1, "nobody was asked to pay twice"


def unknown_batches(request: Request, _number: int) -> Status | None:
    """Answer as for the key of another project: nothing is known, nothing is listed."""
    if request.path.startswith("/batches/"):
        return Status(status=404, message="No batch found with that id.")
    if request.path == "/batches" and request.method == "GET":
        return Status(status=200, body={"object": "list", "data": [], "has_more": False})
    return None


def test_20_another_projects_key_loses_nothing_that_the_right_one_finds(
    make_site: MakeSite,
) -> None:
    """Failure mode 20: with the right key put back in time everything goes on as if never out."""
    site = make_site(Behaviour(working=60), base_url=REMOTE)
    site.reconcile()
    nothing_wrong, site.world.faults = site.world.faults, unknown_batches
    for _ in range(3):
        site.clock.sleep(120)
        assert site.reconcile().has_problem
    site.world.faults = nothing_wrong
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(asked(site)) == 1
    site.check(ids())


def test_20_a_retry_looks_for_what_was_lost_before_it_asks_again(make_site: MakeSite) -> None:
    """Failure mode 20: a user who retries gets the lost results, if they are back."""
    site = make_site(Behaviour(working=60), base_url=REMOTE)
    site.reconcile()
    nothing_wrong, site.world.faults = site.world.faults, unknown_batches
    assert site.until_done(pause=120).states == {"job": RunState.FAILED}
    site.world.faults = nothing_wrong
    ask_again(site)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(asked(site)) == 1
    site.check(ids())


@pytest.mark.parametrize("empty", list(NoFile))
def test_22_an_empty_error_file_in_any_form_is_no_error(make_site: MakeSite, empty: NoFile) -> None:
    """Failure mode 22: null, "" and a file of 0 bytes all say that nothing failed.

    An id that is empty text is never requested.
    """
    site = make_site(Behaviour(no_error=empty))
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    [shown] = site.views()[0].batches
    assert {NoFile.NULL: None, NoFile.EMPTY_TEXT: ""}.get(empty, "a file") in (
        shown["error_file_id"],
        "a file",
    )
    fetched = {f"/files/{shown['output_file_id']}/content"}
    if empty is NoFile.EMPTY_FILE:
        assert site.world.content(shown["error_file_id"]) == b""
        fetched.add(f"/files/{shown['error_file_id']}/content")
    assert set(contents(site)) == fetched
    assert site.results() == (ids(), [])
    assert latest(site, "errors.jsonl").read_bytes() == b""
    assert len(asked(site)) == 1


@pytest.mark.parametrize("counts", list(Counts))
def test_23_counts_may_be_empty_null_or_nought(make_site: MakeSite, counts: Counts) -> None:
    """Failure mode 23: empty counts break neither a pass nor its output."""
    site = make_site(Behaviour(validating=60, working=60, counts=counts), base_url=REMOTE)
    site.reconcile()
    for _ in range(4):
        site.clock.sleep(30)
        site.reconcile()
        [view] = site.views()
        assert "job" in render_status([view], now=0, width=80)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert {event.detail["status"] for event in history(site, "batch_changed")} >= {"completed"}
    site.check(ids())
    assert len(asked(site)) == 1


@pytest.mark.parametrize("odd", [None, 7, "", [], {}, {"total": "6"}, {"total": 0.5}])
def test_23_fields_of_any_other_kind_are_passed_over(make_site: MakeSite, odd: object) -> None:
    """Failure mode 23: what is not required may be null or of another type anywhere."""

    def spoil(batch: dict[str, Any]) -> None:
        for name in ("request_counts", "usage", "model", "expires_at", "in_progress_at"):
            batch[name] = odd
        batch.pop("completed_at", None)

    site = make_site(world=Dialect(each_batch(spoil), behaviour=Behaviour(working=40)))
    site.reconcile()
    assert "job" in render_status(site.views(), now=0)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids())
    assert len(asked(site)) == 1


def test_26_a_file_id_shown_early_is_left_alone_until_the_end(make_site: MakeSite) -> None:
    """Failure mode 26: a batch at work may name its files; they are read when it is over."""

    def early(batch: dict[str, Any]) -> None:
        batch["output_file_id"] = batch["output_file_id"] or "file-not-yet-written"

    site = make_site(
        world=Dialect(each_batch(early), behaviour=Behaviour(working=100, finalizing=100)),
        base_url=REMOTE,
    )
    site.reconcile()
    for _ in range(4):
        site.clock.sleep(45)
        site.reconcile()
        [shown] = site.views()[0].batches
        assert shown["output_file_id"] == "file-not-yet-written"
        assert site.world.calls("GET", "/files/*") == []
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    output = get(site.world, f"/batches/{site.world.submissions()[0].batch_id}")["output_file_id"]
    assert contents(site) == [f"/files/{output}/content"]
    site.check(ids())


def test_26_a_finished_batch_whose_files_cannot_be_read_yet_is_waited_for(
    make_site: MakeSite,
) -> None:
    """Failure mode 26: 404 for a file just named is not its loss: nothing is submitted again."""
    site = make_site(Behaviour(content_after=600), base_url=REMOTE)
    site.reconcile()
    for _ in range(8):
        site.clock.sleep(60)
        report = site.reconcile()
        assert report.has_problem
        assert report.states == {"job": RunState.RUNNING}
        assert final_files(site) == []
        assert len(asked(site)) == 1
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(asked(site)) == 1
    site.check(ids())
