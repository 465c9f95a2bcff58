"""The totals of a project, counted from its ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.ledger import notifications, run_transitions, submission_transitions
from runner.ledger.records import RunState, SubmissionState
from runner.ledger.store import Ledger
from runner.views.token_usage import TokenUsage
from runner.views.totals import JobTotals, project_totals
from tests.ledger.entries import KEY, PROVIDER, Clock, batch, bring_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.spec.job import Job


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", clock=clock) as ledger:
        yield ledger


class Named:
    """A job with a name; nothing else of it is read."""

    def __init__(self, name: str) -> None:
        self.name = name


def jobs(*names: str) -> list[Job]:
    return [Named(name) for name in names]  # type: ignore[misc]


def test_a_job_that_was_never_run_is_pending(ledger: Ledger) -> None:
    found = project_totals(jobs("new"), ledger)

    assert found.jobs == (JobTotals(name="new", state=RunState.PENDING, tokens=TokenUsage()),)
    assert (found.in_flight, found.oldest, found.problem_count) == ({}, None, 0)


def test_a_job_in_flight(ledger: Ledger, clock: Clock) -> None:
    bring_to(ledger, SubmissionState.SUBMITTED)
    usage = {"input_tokens": 40, "output_tokens": "many", "total_tokens": 40}
    submission_transitions.observed(ledger, KEY, PROVIDER, batch(status="finalizing", usage=usage))
    notifications.record_problems(ledger, began={"job hello": "x"}, over=())
    clock.now += 500

    found = project_totals(jobs("hello"), ledger)

    assert found.jobs == (
        JobTotals(
            name="hello", state=RunState.RUNNING, pending=6, tokens=TokenUsage(input=40, total=40)
        ),
    )
    assert (found.in_flight, found.oldest) == ({(PROVIDER, "finalizing"): 1}, 1000.0)
    assert found.problem_count == 1


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}, (7, 5)),
        ({"total_tokens": 12}, (None, None)),
        ({"input_tokens": -7, "output_tokens": 2**70}, (None, None)),
        ("many", (None, None)),
    ],
)
def test_tokens_are_counted_under_either_name(
    ledger: Ledger, usage: object, tokens: tuple[int | None, int | None]
) -> None:
    bring_to(ledger, SubmissionState.SUBMITTED)
    submission_transitions.observed(ledger, KEY, PROVIDER, batch(status="finalizing", usage=usage))

    [job] = project_totals(jobs("hello"), ledger).jobs

    assert (job.tokens.input, job.tokens.output) == tokens


def test_a_job_that_is_half_answered(ledger: Ledger) -> None:
    bring_to(ledger, SubmissionState.COLLECTED)

    [job] = project_totals(jobs("hello"), ledger).jobs

    assert (job.succeeded, job.failed, job.pending) == (3, 0, 3)


def test_a_job_that_has_ended(ledger: Ledger) -> None:
    run = bring_to(ledger, SubmissionState.COLLECTED)
    run_transitions.finish_run(
        ledger,
        run,
        state=RunState.PARTIAL,
        reason=None,
        succeeded=4,
        failed=2,
        superseded=False,
    )

    found = project_totals(jobs("hello"), ledger)

    assert found.jobs == (
        JobTotals(name="hello", state=RunState.PARTIAL, succeeded=4, failed=2, tokens=TokenUsage()),
    )
    assert found.in_flight == {}
