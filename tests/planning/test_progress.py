"""How the attempts at a shard add up, each rule by an example; test_shards.py has the laws."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from runner.batch import Batch
from runner.inputs.row_set import RowSet
from runner.ledger.records import SubmissionState
from runner.planning.in_flight import awaits_credit
from runner.planning.shards import ShardProgress, shard_progress
from tests.planning.test_shards import EVERY, attempt, run_of, shard

if TYPE_CHECKING:
    from runner.ledger.records import Submission

NOTHING = RowSet()
FIRST = RowSet.span(0, 5)
REST = RowSet.span(5, 8)
COLLECTED = SubmissionState.COLLECTED


def test_before_the_first_attempt_all_is_pending() -> None:
    assert shard_progress(run_of([]), shard(), 3) == ShardProgress(
        shard=shard(),
        succeeded=NOTHING,
        failed=NOTHING,
        pending=EVERY,
        open=(),
        last_attempt=0,
        broken=None,
    )


def test_an_attempt_after_an_open_one_counts() -> None:
    """It was adopted: another ledger had submitted it."""
    first = attempt(1, EVERY, SubmissionState.SUBMITTED, NOTHING, NOTHING)
    second = attempt(2, FIRST, COLLECTED, NOTHING, NOTHING)
    progress = shard_progress(run_of([first, second]), shard(), 3)
    assert (progress.open, progress.succeeded, progress.last_attempt) == ((first,), FIRST, 2)


def test_an_attempt_of_this_round_counts_after_those_of_earlier_ones() -> None:
    first = attempt(1, EVERY, COLLECTED, NOTHING, EVERY)
    second = attempt(2, EVERY, COLLECTED, NOTHING, REST, round_=1)
    progress = shard_progress(run_of([first, second], 1), shard(), 3)
    assert (progress.succeeded, progress.failed) == (FIRST, REST)


def test_an_abandoned_attempt_does_not_count() -> None:
    given_up = attempt(1, EVERY, SubmissionState.ABANDONED, EVERY, NOTHING)
    assert shard_progress(run_of([given_up]), shard(), 1).pending == EVERY


def test_only_rows_of_as_many_attempts_as_allowed_are_used_up() -> None:
    first = attempt(1, EVERY, COLLECTED, EVERY, NOTHING)
    second = attempt(2, REST, COLLECTED, REST, NOTHING)
    progress = shard_progress(run_of([first, second]), shard(), 2)
    assert (progress.pending, progress.failed) == (FIRST, REST)


def test_a_shard_is_broken_by_what_is_lost_or_rejected_for_good() -> None:
    for state, permanent, broken in (
        (SubmissionState.LOST, NOTHING, "because"),
        (SubmissionState.FAILED, REST, "because"),
        (SubmissionState.FAILED, NOTHING, None),
        (COLLECTED, REST, None),
    ):
        made = attempt(1, EVERY, state, EVERY.difference(permanent), permanent)
        run = run_of([dataclasses.replace(made, problem="because")])
        assert shard_progress(run, shard(), 3).broken == broken


def refused(number: int, rows: RowSet) -> Submission:
    """Return an attempt whose batch failed for lack of credit."""
    errors = {"data": [{"code": "insufficient_quota", "message": "No credit."}]}
    return dataclasses.replace(
        attempt(number, rows, SubmissionState.FAILED, rows, NOTHING, counted=False),
        batch=Batch.from_api({"id": f"batch_{number}", "status": "failed", "errors": errors}),
    )


def in_flight(number: int, rows: RowSet, status: str) -> Submission:
    return dataclasses.replace(
        attempt(number, rows, SubmissionState.SUBMITTED, NOTHING, NOTHING),
        batch=Batch.from_api({"id": f"batch_{number}", "status": status}),
    )


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ([refused(1, EVERY)], True),
        ([refused(1, EVERY), in_flight(2, EVERY, "validating")], True),
        ([refused(1, EVERY), in_flight(2, EVERY, "in_progress")], False),
        ([refused(1, EVERY), in_flight(2, FIRST, "in_progress")], True),
        (
            [
                refused(1, EVERY),
                in_flight(2, FIRST, "validating"),
                in_flight(3, REST, "in_progress"),
            ],
            True,
        ),
        (
            [
                refused(1, EVERY),
                attempt(2, FIRST, COLLECTED, NOTHING, NOTHING),
                in_flight(3, REST, "in_progress"),
            ],
            False,
        ),
        ([attempt(1, EVERY, COLLECTED, NOTHING, NOTHING)], False),
    ],
)
def test_credit_is_awaited_until_all_that_was_refused_is_validated(
    attempts: list[Submission], *, expected: bool
) -> None:
    run = dataclasses.replace(run_of(attempts), shards=(shard(),))
    assert awaits_credit(run) is expected
