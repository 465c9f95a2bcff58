"""The sums in flight: exact tokens, and bytes where the tokens were not counted."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from runner.inputs.row_set import RowSet
from runner.ledger import run_transitions, submission_transitions
from runner.ledger.mapping import InFlight
from runner.ledger.records import SubmissionState
from tests.ledger.entries import (
    JOB,
    KEY,
    RUN,
    SHARDS,
    batch,
    bring_to,
    close,
    file,
    submission,
)

if TYPE_CHECKING:
    from runner.ledger.records import Run, Submission, SubmissionKey
    from runner.ledger.store import Ledger


def begin(ledger: Ledger, *tokens: int | None, model: str = "gpt") -> Run:
    """Record the run with shards of one model that have so many tokens."""
    shards = [
        dataclasses.replace(shard, model=model, tokens=known)
        for shard, known in zip(SHARDS, tokens, strict=True)
    ]
    run = ledger.run(run_transitions.start_run(ledger, JOB, RUN, shards))
    assert [shard.tokens for shard in run.shards] == list(tokens)
    return run


def send(ledger: Ledger, run: Run, attempt: Submission, identifier: str) -> SubmissionKey:
    """Bring an attempt into flight."""
    key = attempt.key
    submission_transitions.prepare(ledger, run, attempt)
    submission_transitions.intend_upload(ledger, key, since=5)
    submission_transitions.uploaded(ledger, key, file(f"file-{identifier}"))
    submission_transitions.intend_create(ledger, key, since=7, completion_window="24h")
    submission_transitions.submitted(ledger, key, run.provider, batch(identifier))
    return key


@pytest.mark.parametrize(
    ("tokens", "expected", "size", "exact"),
    [
        ((40, 30), 70, 0, True),
        ((None, None), 0, 600, False),
        ((40, None), 40, 200, False),
        ((None, 30), 30, 400, False),
        ((0, 0), 0, 0, True),
    ],
)
def test_counted_and_uncounted_shards_are_told_apart(
    ledger: Ledger, tokens: tuple[int | None, ...], expected: int, size: int, *, exact: bool
) -> None:
    run = begin(ledger, *tokens)
    assert ledger.in_flight() == []
    send(ledger, run, submission(), "batch_1")
    send(ledger, run, submission(dataclasses.replace(KEY, shard=2)), "batch_2")

    assert ledger.in_flight() == [
        InFlight(
            provider="lab",
            model="gpt",
            batches=2,
            tokens=expected,
            uncounted_bytes=size,
            exact=exact,
        )
    ]


def test_what_was_left_of_a_shard_has_its_part_of_the_tokens_rounded_up(ledger: Ledger) -> None:
    run = begin(ledger, 41, None)
    key = send(ledger, run, submission(), "batch_1")
    close(ledger, SubmissionState.COLLECTED, key)
    assert ledger.in_flight() == []
    rest = submission(
        dataclasses.replace(KEY, attempt=2),
        rows=RowSet.parse("4"),
        requests=1,
        bytes=100,
        sha256="9" * 64,
    )
    send(ledger, run, rest, "batch_2")

    [found] = ledger.in_flight()
    assert (found.batches, found.tokens, found.uncounted_bytes, found.exact) == (1, 11, 0, False)


@pytest.mark.parametrize("state", list(SubmissionState))
def test_a_batch_counts_from_the_moment_it_may_exist(
    ledger: Ledger, state: SubmissionState
) -> None:
    bring_to(ledger, state)

    flying = state in (SubmissionState.CREATING, SubmissionState.SUBMITTED)
    assert [found.batches for found in ledger.in_flight()] == ([1] if flying else [])
