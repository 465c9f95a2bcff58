"""The attempts of a job in words: each of them if they are few, a summary if they are many."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from runner.ledger.records import SubmissionState
from runner.report.safe_text import plain
from runner.text import moment, plural, span
from runner.views.batch_phases import phases

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from runner.batch import Batch, BatchStatus
    from runner.views.attempts import Attempt, Failure

_MANY: Final = 20
"""Attempts from which on they are summed up, and only some of them shown."""

_WORST_SHOWN: Final = 3
_BROKEN: Final = (SubmissionState.FAILED, SubmissionState.LOST, SubmissionState.ABANDONED)


def attempt_lines(
    attempts: Sequence[Attempt], now: float, *, job: str, whole: bool
) -> Iterator[str]:
    """Yield the lines about attempts; of more than a few only the worst, unless `whole`."""
    if whole or len(attempts) <= _MANY:
        for attempt in attempts:
            yield from _told(attempt, now)
        return
    yield from _summary(attempts, now)
    worst = sorted((one for one in attempts if _is_bad(one)), key=_badness, reverse=True)
    for attempt in worst[:_WORST_SHOWN]:
        yield from _told(attempt, now)
    if len(worst) > _WORST_SHOWN:
        left = f"{len(worst) - _WORST_SHOWN:,} more had requests without success"
        yield plain(f"  {left}: `runner show {job} --all`")


def _is_bad(attempt: Attempt) -> bool:
    closed = attempt.state is not None and attempt.state.closed
    return closed and not attempt.clean


def _badness(attempt: Attempt) -> tuple[bool, int]:
    return attempt.state in _BROKEN, attempt.unanswered


def _summary(attempts: Sequence[Attempt], now: float) -> Iterator[str]:
    """Say of many attempts how far they are, how long it takes, and what expires first."""
    states = _ranked(str(attempt.state) for attempt in attempts if attempt.state is not None)
    shards = len({attempt.key.shard for attempt in attempts})
    yield plain(f"  {plural(len(attempts), 'attempt')} at {plural(shards, 'shard')}: {states}")
    batches = [attempt.batch for attempt in attempts if attempt.batch is not None]
    if not batches:
        return
    yield plain(f"  batches: {_ranked(batch.status for batch in batches)}")
    spans: dict[BatchStatus, list[int]] = {}
    for batch in batches:
        for phase in phases(batch):
            if phase.seconds is not None:
                spans.setdefault(phase.status, []).append(phase.seconds)
    for status, took in spans.items():
        yield f"  {status}: half within {span(median(took))}, all within {span(max(took))}"
    waiting = [
        attempt.batch
        for attempt in attempts
        if attempt.state is SubmissionState.SUBMITTED
        and attempt.batch is not None
        and not attempt.batch.terminal
    ]
    expiring = min(
        (batch for batch in waiting if batch.expires_at is not None),
        key=lambda batch: batch.expires_at or 0,
        default=None,
    )
    if expiring is not None:
        yield plain(f"  the first to expire: {_of_batch(expiring, now)}")


def _ranked(words: Iterable[str]) -> str:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{count:,} {word}" for word, count in ranked)


def _told(attempt: Attempt, now: float) -> Iterator[str]:
    yield plain(f"  {_headline(attempt)}")
    if attempt.batch is not None:
        yield plain(f"    {_of_batch(attempt.batch, now)}")
        if said := _phases(attempt.batch, now):
            yield f"    {said}"
    if attempt.problem and attempt.state is not SubmissionState.COLLECTED:
        yield plain(f"    {attempt.problem}")
    for failure in attempt.failures:
        yield from _failure(failure)
    for what, count in attempt.oddities.items():
        if count:
            yield plain(f"    {_oddity(what, count)}")


def _headline(attempt: Attempt) -> str:
    key = attempt.key
    asked = "" if attempt.requests is None else f": {plural(attempt.requests, 'request')}"
    headline = f"shard {key.shard}, attempt {key.attempt}{asked}"
    match attempt.state:
        case None:
            return headline
        case SubmissionState.COLLECTED:
            answered = "" if attempt.answered is None else f", {attempt.answered:,} answered"
            without = f", {attempt.unanswered:,} without success" if attempt.unanswered else ""
            return f"{headline}{answered}{without}"
        case _:
            return f"{headline}, {attempt.state}"


def _of_batch(batch: Batch, now: float) -> str:
    """Write a batch with its status, its counts, and how long it took or has taken."""
    counts = batch.request_counts
    told = f"{batch.id}  {batch.status}"
    if counts.total:
        told += f", {counts.completed:,} of {counts.total:,} done, {counts.failed:,} failed"
    began = batch.created_at
    if began is None:
        return told
    ended = batch.ended_at
    if ended is not None:
        return f"{told}, after {span(ended - began)}"
    if batch.terminal:
        return told
    told += f", for {span(now - began)} now"
    if batch.expires_at is not None:
        told += f", expires {moment(batch.expires_at)} UTC"
    return told


def _phases(batch: Batch, now: float) -> str:
    """Write how long each phase took; the one that it is in has only begun."""
    told = [
        f"{phase.status} {span(phase.seconds)}"
        if phase.seconds is not None
        else f"{phase.status} for {span(now - phase.since)} now"
        for phase in phases(batch)
    ]
    return ", ".join(told)


def _failure(failure: Failure) -> Iterator[str]:
    if not failure.examples:
        yield plain(f"    {failure.count:,} x {failure.code}")
        return
    yield plain(f"    {failure.count:,} x {failure.code}: {failure.examples[0]}")
    for example in failure.examples[1:]:
        yield plain(f"      also: {example}")


def _oddity(what: str, count: int) -> str:
    if what == "in neither file":
        return f"{plural(count, 'request')} in neither file"
    return f"{plural(count, 'line')} of the files {what}"
