"""Attempts, read from their events."""

from __future__ import annotations

import pytest

from runner.ledger.records import SubmissionState
from runner.report.job import render_history
from runner.views.attempts import Failure, read_attempts
from runner.views.jobs import JobHistory
from tests.report.scenes import NOW, raw_batch, view
from tests.report.stories import event, partial_story

REVISION = "9f86d081884c"


def test_attempts_are_told_in_order_with_all_that_is_known() -> None:
    job_history = partial_story("Slow down.")

    first, again, second = read_attempts(job_history.events, job_history.view.batches, REVISION)

    assert (first.key.shard, first.key.attempt) == (1, 1)
    assert (first.requests, first.answered, first.unanswered) == (3080, 3060, 20)
    assert first.failures == (
        Failure(
            code="rate_limit_exceeded",
            count=13,
            examples=("Slow down.", "Another message of the same kind."),
        ),
        Failure(
            code="invalid_request",
            count=1,
            examples=("Invalid 'messages[0].content': the string is too long.",),
        ),
    )
    assert first.oddities["in neither file"] == 4
    assert first.batch is not None
    assert first.batch.status == "completed"
    assert again.clean
    assert not first.clean
    assert (second.state, second.unanswered) == (SubmissionState.FAILED, 3080)


def test_another_revision_is_another_story() -> None:
    job_history = partial_story()

    assert read_attempts(job_history.events, (), "2c26b46b68ff") == ()
    assert read_attempts(job_history.events, (), None) == ()


def test_a_run_that_was_restored_has_its_batches() -> None:
    tag = {"runner": f"sentiment/{REVISION}/0007/2 rows=12 sha256=abc"}

    [attempt] = read_attempts(
        [event(0, "run_restored", state="succeeded")],
        [raw_batch(metadata=tag), raw_batch(2), {"no": "batch"}],
        REVISION,
    )

    assert (attempt.key.shard, attempt.key.attempt, attempt.requests) == (7, 2, 12)
    assert attempt.state is None


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("prepared", "prepared"),
        ("uploading", "uploading"),
        ("uploaded", "uploaded"),
        ("file_adopted", "uploaded"),
        ("creating", "creating"),
        ("submitted", "submitted"),
        ("batch_adopted", "submitted"),
        ("collected", "collected"),
        ("failed", "failed"),
        ("lost", "lost"),
        ("abandoned", "abandoned"),
    ],
)
def test_each_event_leaves_its_attempt_somewhere(kind: str, state: str) -> None:
    key = f"sentiment/{REVISION}/0001/1"

    [attempt] = read_attempts([event(0, kind, submission=key, outcome={})], (), REVISION)

    assert attempt.state == state


@pytest.mark.parametrize("detail", [{}, {"outcome": None}, {"outcome": {}}, {"outcome": 3}])
def test_an_event_of_an_older_version_may_say_less(detail: dict[str, object]) -> None:
    key = f"sentiment/{REVISION}/0001/1"
    events = (event(0, "collected", submission=key, **detail),)

    [attempt] = read_attempts(events, (), REVISION)

    assert attempt.failures == ()
    assert render_history(
        JobHistory(view=view(), runs=(), events=events), folder="outputs/x", now=NOW
    )
