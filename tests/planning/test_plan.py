"""The decision table: what a plan holds for each state of a submission and each thing seen.

No clock, no file, no network: the plan is a function, and each row here is a call of it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from runner.batch import Batch, File
from runner.ledger.records import JobRecord, RunState, SubmissionKey, SubmissionState
from runner.planning.actions import (
    AbandonSubmission,
    AdoptBatch,
    AdoptFile,
    BatchFailure,
    CancelBatch,
    ClearIntent,
    CloseRejectedBatch,
    Collect,
    Finish,
    MarkLost,
    MarkUncertain,
    NoteMissing,
    Observe,
    PointLatest,
    RelocateRun,
    ReopenRun,
    StartRun,
    Submit,
)
from runner.planning.in_flight import batch_failure
from runner.planning.plan import make_plan
from runner.planning.state import DesiredRun, Listing, Observed, PlanInputs, Recorded
from runner.spec.job import Job, Source
from runner.spec.project import Provider
from tests.planning.test_shards import EVERY, attempt, run_of, shard

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runner.ledger.records import Run, Submission
    from runner.planning.actions import Plan

NOW = 1000.0
GRACE = 60.0
PROVIDER = Provider(name="openai", base_url="https://api.example/v1")
KEY = SubmissionKey(job="job", revision="a" * 12, shard=1, attempt=1)


def desired(root: Path, **more: Any) -> DesiredRun:  # noqa: ANN401 -- fields of a Wish
    job = Job(
        name="job",
        endpoint="/v1/chat/completions",
        input=root / "in.jsonl",
        input_shown="in.jsonl",
        metadata={},
        provider=PROVIDER,
        source=Source(path="specs/job.yaml", line=1, sha256="s", positions={}),
        document="name: job\n",
    )
    values: dict[str, Any] = {
        "job": job,
        "revision": "a" * 64,
        "digest": "d" * 64,
        "requests": 8,
        "bytes": 100,
        "folder": "outputs/job/aaaaaaaaaaaa",
        "record": RECORD,
        "shards": (shard(),),
    }
    return DesiredRun(**(values | more))


RECORD = JobRecord(
    name="job",
    desired_revision="a" * 64,
    spec_path="specs/job.yaml",
    spec_line=1,
    spec_sha256="s",
    spec_document="name: job\n",
)


def batch(status: str, **more: Any) -> Batch:  # noqa: ANN401 -- fields of a Batch object
    return Batch.from_api({"id": "batch_1", "status": status, "created_at": 900, **more})


def submission(state: SubmissionState, **more: Any) -> Submission:  # noqa: ANN401 -- fields
    made = attempt(1, EVERY, state, EVERY, EVERY)
    values: dict[str, Any] = {"transient": None, "permanent": None, "input_file_id": "file-1"}
    if state is SubmissionState.SUBMITTED:
        values |= {"batch_id": "batch_1", "batch": batch("in_progress")}
    return dataclasses.replace(made, **(values | more))


def observed(**more: Any) -> Observed:  # noqa: ANN401 -- fields of Seen
    return Observed(**more)


def listing(**more: Any) -> Listing:  # noqa: ANN401 -- fields of a Look
    values: dict[str, Any] = {
        "started_at": NOW,
        "complete": True,
        "files": (),
        "files_complete": True,
    }
    return Listing(**(values | more))


def plan_for(
    root: Path,
    *submissions: Submission,
    at: Observed | None = None,
    wanted: bool = True,
    run: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    desired_runs: Mapping[str, Any] | None = None,
) -> Plan:
    address = {"base_url": PROVIDER.base_url}
    recorded = dataclasses.replace(run_of(submissions), **(address | dict(run or {})))
    values: dict[str, Any] = {
        "now": NOW,
        "observed": {"openai": at or Observed()},
        "providers": {"openai": PROVIDER},
        "job_names": frozenset({"job"}) if wanted else frozenset(),
    }
    return make_plan(
        [desired(root, **(desired_runs or {}))] if wanted else [],
        Recorded(jobs={"job": RECORD}, runs=(recorded,)),
        PlanInputs(**(values | dict(inputs or {}))),
    )


def kinds(plan: Plan) -> list[type]:
    return [type(action) for action in plan.actions]


TAGGED = batch("in_progress", metadata={"runner": f"{KEY} rows=8 sha256={'0' * 64}"})
SAME_FILE = batch("in_progress", input_file_id="file-1")
LATE = NOW - GRACE - 1
P, U, UP, C, S = (
    SubmissionState.PREPARED,
    SubmissionState.UPLOADING,
    SubmissionState.UPLOADED,
    SubmissionState.CREATING,
    SubmissionState.SUBMITTED,
)


@pytest.mark.parametrize(
    ("recorded", "at", "expected"),
    [
        # Nothing was sent yet: send it, but look first.
        (submission(P), observed(listing=listing()), [Submit]),
        (submission(P), observed(listing=listing(complete=False)), []),
        (submission(P), observed(listing=listing(complete=False, offered=False)), [Submit]),
        (submission(P), observed(), []),
        (submission(P), observed(failure="out of reach"), []),
        (submission(P), observed(listing=listing(batches=(TAGGED,))), [AdoptBatch]),
        (submission(P, not_before=NOW + 1), observed(listing=listing()), []),
        (submission(UP), observed(listing=listing()), [Submit]),
        (submission(UP), observed(listing=listing(batches=(SAME_FILE,))), [AdoptBatch]),
        # The answer to an upload was lost.
        (submission(U), observed(listing=listing()), [MarkUncertain]),
        (submission(U, doubt_at=NOW - 1), observed(listing=listing()), []),
        (submission(U, doubt_at=LATE), observed(listing=listing()), [ClearIntent]),
        (submission(U, doubt_at=LATE), observed(listing=listing(started_at=NOW - 5)), []),
        (submission(U, doubt_at=LATE), observed(listing=listing(files_complete=False)), []),
        (submission(U, doubt_at=LATE), observed(listing=listing(files=None)), []),
        (
            submission(U, doubt_at=NOW - 1),
            observed(listing=listing(files_offered=False)),
            [ClearIntent],
        ),
        # The answer to a creation was lost: money.
        (submission(C), observed(listing=listing()), [MarkUncertain]),
        (submission(C), observed(listing=listing(batches=(TAGGED,))), [AdoptBatch]),
        (submission(C), observed(listing=listing(batches=(SAME_FILE,))), [AdoptBatch]),
        (submission(C, doubt_at=NOW - 1), observed(listing=listing()), []),
        (submission(C, doubt_at=LATE), observed(listing=listing()), [ClearIntent]),
        (submission(C, doubt_at=LATE), observed(listing=listing(started_at=NOW - 5)), []),
        (submission(C, doubt_at=LATE), observed(listing=listing(complete=False)), []),
        (
            submission(C, doubt_at=LATE),
            observed(listing=listing(complete=False, offered=False)),
            [],
        ),
        (submission(C, doubt_at=LATE), observed(failure="out of reach"), []),
        # In flight.
        (submission(S), observed(batches={"batch_1": batch("in_progress")}), []),
        (submission(S), observed(batches={"batch_1": batch("finalizing")}), [Observe]),
        (submission(S), observed(batches={"batch_1": batch("validating")}), []),
        (submission(S), observed(batches={"batch_1": batch("brewing")}), [Observe]),
        (submission(S), observed(failure="out of reach"), []),
        (
            submission(S),
            observed(batches={"batch_1": batch("completed", output_file_id="o")}),
            [Observe, Collect],
        ),
        (
            submission(S),
            observed(
                batches={
                    "batch_1": batch("expired", error_file_id="e", request_counts={"total": 8})
                }
            ),
            [Observe, Collect],
        ),
        (submission(S), observed(batches={"batch_1": batch("completed")}), [Observe]),
        (
            submission(S, terminal_at=NOW - 901),
            observed(batches={"batch_1": batch("cancelled")}),
            [Observe, Collect],
        ),
        (
            submission(S),
            observed(batches={"batch_1": batch("failed")}),
            [Observe, CloseRejectedBatch],
        ),
        # Not known there any more.
        (submission(S), observed(missing=frozenset({"batch_1"})), [NoteMissing]),
        (submission(S, missing_at=NOW - 60), observed(missing=frozenset({"batch_1"})), []),
        (submission(S, missing_at=NOW - 601), observed(missing=frozenset({"batch_1"})), [MarkLost]),
    ],
)
def test_what_is_done_about_a_submission(
    tmp_path: Path, recorded: Submission, at: Observed, expected: list[type]
) -> None:
    plan = plan_for(tmp_path, recorded, at=at)
    assert kinds(plan) == expected
    reasons = plan.waits or plan.actions or plan.needs_listing
    assert reasons, "what is not done is waited for, in words"


@pytest.mark.parametrize(
    ("recorded", "at", "expected"),
    [
        (submission(P), observed(listing=listing()), [AbandonSubmission]),
        (submission(UP), observed(listing=listing()), [AbandonSubmission]),
        (submission(U), observed(listing=listing()), [AbandonSubmission]),
        (submission(C), observed(listing=listing()), [MarkUncertain]),
        (submission(C, doubt_at=LATE), observed(listing=listing()), [ClearIntent]),
        (submission(S), observed(batches={"batch_1": batch("in_progress")}), []),
        (
            submission(S),
            observed(batches={"batch_1": batch("completed", output_file_id="o")}),
            [Observe, Collect],
        ),
    ],
)
def test_what_no_spec_asks_for_is_seen_through_and_nothing_is_submitted(
    tmp_path: Path, recorded: Submission, at: Observed, expected: list[type]
) -> None:
    assert kinds(plan_for(tmp_path, recorded, at=at, wanted=False)) == expected


def test_a_cancelled_run_cancels_what_is_in_flight(tmp_path: Path) -> None:
    at = observed(batches={"batch_1": batch("in_progress")})
    plan = plan_for(tmp_path, submission(S), at=at, run={"cancel_requested": True})
    assert kinds(plan) == [CancelBatch]
    at = observed(batches={"batch_1": batch("cancelling")})
    plan = plan_for(tmp_path, submission(S), at=at, run={"cancel_requested": True})
    assert kinds(plan) == [Observe]


def test_a_new_job_starts_and_submits_in_one_plan(tmp_path: Path) -> None:
    inputs = PlanInputs(
        now=NOW,
        observed={"openai": observed(listing=listing())},
        providers={"openai": PROVIDER},
        job_names=frozenset({"job"}),
    )
    plan = make_plan([desired(tmp_path)], Recorded(jobs={}, runs=()), inputs)
    assert kinds(plan) == [StartRun, Submit]


def test_the_same_questions_under_an_old_name_are_taken_along(tmp_path: Path) -> None:
    old = dataclasses.replace(
        run_of([]), job="old", state=RunState.SUCCEEDED, folder="outputs/old/aaaaaaaaaaaa"
    )
    inputs = PlanInputs(now=NOW, observed={}, providers={}, job_names=frozenset({"job"}))
    recorded = Recorded(jobs={}, runs=(old,))
    plan = make_plan([desired(tmp_path)], recorded, inputs)
    assert RelocateRun in kinds(plan)
    assert Submit not in kinds(plan)
    both = frozenset({"job", "old"})
    plan = make_plan([desired(tmp_path)], recorded, dataclasses.replace(inputs, job_names=both))
    assert kinds(plan) == [StartRun], "the old job lives: these are twins"
    plan = make_plan([desired(tmp_path)], recorded, dataclasses.replace(inputs, job_names=None))
    assert kinds(plan) == [], "nobody knows whether it lives"
    assert plan.waits[0].is_problem


@pytest.mark.parametrize(
    ("run", "inputs", "expected"),
    [
        ({"state": RunState.SUCCEEDED}, {}, [Finish]),
        ({"state": RunState.SUCCEEDED}, {"published": frozenset({1})}, [PointLatest]),
        (
            {"state": RunState.PARTIAL},
            {"published": frozenset({1}), "latest": {"outputs/job": "a" * 12}},
            [],
        ),
        ({"state": RunState.PARTIAL, "superseded": True}, {}, [ReopenRun]),
    ],
)
def test_what_is_done_about_a_finished_run(
    tmp_path: Path, run: dict[str, Any], inputs: dict[str, Any], expected: list[type]
) -> None:
    assert kinds(plan_for(tmp_path, run=run, inputs=inputs)) == expected


def ended(*attempts: Submission, **run: Any) -> Run:  # noqa: ANN401 -- fields of a Run
    return dataclasses.replace(run_of(attempts), **run)


@pytest.mark.parametrize(
    ("attempts", "run", "state"),
    [
        ([("collected", "", "")], {}, RunState.SUCCEEDED),
        ([("collected", "", "3")], {}, RunState.PARTIAL),
        ([("collected", "3", "")] * 3, {}, RunState.PARTIAL),
        ([("failed", "", "0-7")], {}, RunState.FAILED),
        ([("lost", "", "0-7")], {}, RunState.FAILED),
        ([("collected", "3", "")], {"cancel_requested": True}, RunState.CANCELLED),
        ([("collected", "", "")], {"cancel_requested": True}, RunState.SUCCEEDED),
    ],
)
def test_what_becomes_of_a_run(
    tmp_path: Path,
    attempts: list[tuple[str, str, str]],
    run: dict[str, Any],
    state: RunState,
) -> None:
    from runner.inputs.row_set import RowSet

    rows = EVERY
    made = []
    for number, (how, transient, permanent) in enumerate(attempts, 1):
        left = RowSet.parse(transient)
        made.append(
            dataclasses.replace(
                attempt(number, rows, SubmissionState(how), left, RowSet.parse(permanent)),
                problem="the provider's words",
            )
        )
        rows = left
    plan = plan_for(tmp_path, *made, run=run)
    [finish] = plan.actions
    assert isinstance(finish, Finish)
    assert finish.state is state


def test_a_file_at_the_provider_is_adopted_only_if_it_arrived_whole(tmp_path: Path) -> None:
    whole = File.from_api({"id": "file-9", "filename": KEY.filename, "bytes": 1})
    cut = File.from_api({"id": "file-9", "filename": KEY.filename, "bytes": 0})
    for file, expected in ((whole, [AdoptFile]), (cut, [ClearIntent])):
        at = observed(listing=listing(files=(file,)))
        assert kinds(plan_for(tmp_path, submission(U, doubt_at=LATE), at=at)) == expected


def test_the_same_facts_give_the_same_plan(tmp_path: Path) -> None:
    at = observed(listing=listing(batches=(TAGGED,)))
    assert plan_for(tmp_path, submission(P), at=at) == plan_for(tmp_path, submission(P), at=at)


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("token_limit_exceeded", "Enqueued token limit reached", BatchFailure.LIMIT),
        (None, "Enqueued token limit reached for m", BatchFailure.LIMIT),
        ("insufficient_quota", None, BatchFailure.MONEY),
        ("invalid_request", "Cannot find file file-1, or ...", BatchFailure.PASSING),
        ("internal_error", None, BatchFailure.PASSING),
        ("invalid_json_line", "not parseable", BatchFailure.LASTING),
        ("something_new", None, BatchFailure.LASTING),
        ("server_error", None, BatchFailure.PASSING),
        ("503", None, BatchFailure.PASSING),
        (None, "Error code: 502", BatchFailure.PASSING),
        ("rate_limit_exceeded", None, BatchFailure.LIMIT),
        ("model_not_found", "see HTTP 503", BatchFailure.LASTING),
        (None, "There is no GPU here.", BatchFailure.LASTING),
    ],
)
def test_why_a_batch_was_turned_away(
    code: str | None, message: str | None, expected: BatchFailure
) -> None:
    errors = {"object": "list", "data": [{"code": code, "message": message, "line": 1}]}
    assert batch_failure(batch("failed", errors=errors)) is expected


def test_a_failure_without_a_reason_is_the_providers() -> None:
    assert batch_failure(batch("failed")) is BatchFailure.PASSING


def test_an_entry_that_cannot_be_read_is_named_in_the_wait(tmp_path: Path) -> None:
    """Nothing is submitted: it may be this very batch. Who can help is the provider."""
    named = ("entry 2: Batch batch_9 without a status", "3 more")
    seen = observed(listing=listing(complete=False, unreadable=named))
    [wait] = plan_for(tmp_path, submission(P), at=seen).waits
    assert "entry 2: Batch batch_9 without a status; 3 more" in wait.reason
    assert "ask the provider to correct or remove it" in wait.reason
    assert "to its end" not in wait.reason
