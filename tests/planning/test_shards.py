"""The law of the shard: each row is answered, given up or pending, whatever happened to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from runner.inputs.row_set import RowSet
from runner.ledger.records import (
    Run,
    RunState,
    ShardRecord,
    Submission,
    SubmissionKey,
    SubmissionState,
)
from runner.planning.shards import shard_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS = 8
EVERY = RowSet.span(0, ROWS)


def shard() -> ShardRecord:
    return ShardRecord(
        number=1,
        model="m",
        rows=EVERY,
        requests=ROWS,
        bytes=100,
        sha256="0" * 64,
        offset=0,
        ids_offset=0,
        whole=True,
    )


def run_of(submissions: Sequence[Submission], round_: int = 0) -> Run:
    return Run(
        id=1,
        job="job",
        revision="a" * 64,
        state=RunState.RUNNING,
        provider="openai",
        base_url=None,
        endpoint="/v1/chat/completions",
        replicate=1,
        digest="d" * 64,
        requests=ROWS,
        bytes=100,
        input_path="in.jsonl",
        folder="outputs/job/aaaaaaaaaaaa",
        round=round_,
        created_at=0.0,
        shards=(shard(),),
        submissions=tuple(submissions),
    )


def attempt(
    number: int,
    rows: RowSet,
    state: SubmissionState,
    transient: RowSet,
    permanent: RowSet,
    *,
    counted: bool = True,
    round_: int = 0,
) -> Submission:
    return Submission(
        key=SubmissionKey(job="job", revision="a" * 12, shard=1, attempt=number),
        round=round_,
        state=state,
        rows=rows,
        requests=len(rows),
        bytes=1,
        sha256="0" * 64,
        counted=counted,
        transient=transient,
        permanent=permanent,
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Submission], int]:
    """Draw attempts as the protocol makes them: each asks only what is still pending."""
    submissions: list[Submission] = []
    round_ = 0
    for number in range(1, draw(st.integers(0, 6)) + 1):
        if draw(st.integers(0, 5)) == 0:
            round_ += 1
        before = shard_progress(run_of(submissions, round_), shard(), 100)
        if not before.pending:
            break
        fates = [draw(st.sampled_from("stp")) for _ in before.pending]
        rows = list(before.pending)
        picked = {
            fate: RowSet.from_iterable(
                row for row, its in zip(rows, fates, strict=True) if its == fate
            )
            for fate in "tp"
        }
        submissions.append(
            attempt(
                number,
                before.pending,
                SubmissionState.COLLECTED,
                picked["t"],
                picked["p"],
                counted=draw(st.booleans()),
                round_=round_,
            )
        )
    return submissions, round_


@given(histories(), st.integers(1, 4))
def test_every_row_is_in_exactly_one_set(
    history: tuple[list[Submission], int], attempts: int
) -> None:
    submissions, round_ = history
    progress = shard_progress(run_of(submissions, round_), shard(), attempts)
    parts = [progress.succeeded, progress.failed, progress.pending]
    assert sorted(row for part in parts for row in part) == list(range(ROWS))


@given(histories())
def test_an_answered_row_stays_answered(history: tuple[list[Submission], int]) -> None:
    submissions, round_ = history
    answered = RowSet()
    for end in range(len(submissions) + 1):
        progress = shard_progress(run_of(submissions[:end], round_), shard(), 3)
        assert not answered.difference(progress.succeeded)
        answered = progress.succeeded


@given(histories())
def test_a_new_round_asks_everything_unanswered(history: tuple[list[Submission], int]) -> None:
    submissions, round_ = history
    progress = shard_progress(run_of(submissions, round_ + 1), shard(), 1)
    assert progress.pending == EVERY.difference(progress.succeeded)


def test_attempts_that_do_not_count_leave_their_rows_pending() -> None:
    turned_away = attempt(1, EVERY, SubmissionState.FAILED, EVERY, RowSet(), counted=False)
    progress = shard_progress(run_of([turned_away]), shard(), 1)
    assert progress.pending == EVERY


def test_rows_that_were_not_asked_are_not_counted_as_asked() -> None:
    part, rest = RowSet.span(0, 5), RowSet.span(5, ROWS)
    first = attempt(1, part, SubmissionState.COLLECTED, part, RowSet())
    second = attempt(2, rest, SubmissionState.COLLECTED, rest, RowSet())
    assert shard_progress(run_of([first, second]), shard(), 2).pending == EVERY
    third = attempt(3, part, SubmissionState.COLLECTED, part, RowSet())
    progress = shard_progress(run_of([first, second, third]), shard(), 2)
    assert (progress.failed, progress.pending) == (part, rest)


def test_the_last_counted_attempt_ends_what_is_left() -> None:
    rest = RowSet.span(5, ROWS)
    first = attempt(1, EVERY, SubmissionState.COLLECTED, rest, RowSet())
    progress = shard_progress(run_of([first]), shard(), 1)
    assert (progress.succeeded, progress.failed) == (RowSet.span(0, 5), rest)


def test_an_open_attempt_keeps_its_rows_pending_even_if_it_is_the_last() -> None:
    rest = RowSet.span(5, ROWS)
    first = attempt(1, EVERY, SubmissionState.COLLECTED, rest, RowSet())
    second = attempt(2, rest, SubmissionState.SUBMITTED, RowSet(), RowSet())
    progress = shard_progress(run_of([first, second]), shard(), 1)
    assert progress.open == (second,)
    assert (progress.pending, progress.unsent) == (rest, RowSet())


def test_what_no_open_attempt_has_is_unsent() -> None:
    first = attempt(1, RowSet.span(0, 3), SubmissionState.SUBMITTED, RowSet(), RowSet())
    second = attempt(2, RowSet.span(3, 5), SubmissionState.PREPARED, RowSet(), RowSet())
    progress = shard_progress(run_of([first, second]), shard(), 1)
    assert progress.open == (first, second)
    assert (progress.pending, progress.unsent) == (EVERY, RowSet.span(5, ROWS))


def test_a_lost_batch_breaks_the_shard_and_nothing_is_pending() -> None:
    lost = attempt(1, EVERY, SubmissionState.LOST, RowSet(), EVERY)
    progress = shard_progress(run_of([lost]), shard(), 3)
    assert (progress.failed, len(progress.pending)) == (EVERY, 0)
