"""What the ledger tells across all jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.inputs.row_set import RowSet
from runner.ledger import run_transitions, submission_transitions
from runner.ledger.queries import attempt_outcomes, batches_by_run, last_changes
from runner.ledger.records import SubmissionState
from tests.ledger.entries import JOB, KEY, RUN, SHARDS, bring_to, start

if TYPE_CHECKING:
    from runner.ledger.store import Ledger
    from tests.ledger.entries import Clock


def test_batches_are_told_by_run_as_each_run_tells_them(ledger: Ledger) -> None:
    run = bring_to(ledger, SubmissionState.SUBMITTED)

    assert batches_by_run(ledger) == {run.id: ledger.batches(run.id)}
    assert batches_by_run(ledger)[run.id]


def test_how_attempts_ended_is_told_once_each(ledger: Ledger) -> None:
    bring_to(ledger, SubmissionState.SUBMITTED)
    assert list(attempt_outcomes(ledger)) == []

    submission_transitions.close(
        ledger,
        KEY,
        state=SubmissionState.COLLECTED,
        transient=RowSet.parse("0"),
        permanent=RowSet(),
        problem=None,
        detail={"codes": {"rate_limit_exceeded": 1}},
    )

    [ending] = attempt_outcomes(ledger)
    assert (ending.job, ending.key, ending.kind) == (JOB.name, str(KEY), "collected")
    assert ending.requests == SHARDS[0].requests
    assert ending.detail["outcome"] == {"codes": {"rate_limit_exceeded": 1}}


def test_the_last_change_of_each_job(ledger: Ledger, clock: Clock) -> None:
    start(ledger)
    clock.now = 2000.0
    run_transitions.clear_desired(ledger, RUN.job)

    assert last_changes(ledger) == {RUN.job: 2000.0}
