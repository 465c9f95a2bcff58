"""The attempts of a run, put together from the events that the ledger keeps. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from runner.batch import Batch
from runner.ledger.records import SubmissionKey, SubmissionState, Tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runner.ledger.records import Event


_STATES: Final = {
    "prepared": SubmissionState.PREPARED,
    "uploading": SubmissionState.UPLOADING,
    "uploaded": SubmissionState.UPLOADED,
    "file_adopted": SubmissionState.UPLOADED,
    "creating": SubmissionState.CREATING,
    "submitted": SubmissionState.SUBMITTED,
    "batch_adopted": SubmissionState.SUBMITTED,
    "collected": SubmissionState.COLLECTED,
    "failed": SubmissionState.FAILED,
    "lost": SubmissionState.LOST,
    "abandoned": SubmissionState.ABANDONED,
}
"""The state of a submission after an event, by kind; events of other kinds do not change it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One kind of failure in an attempt: the number of requests, and up to three messages."""

    code: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One submission, as its events describe it.

    `state` is None if the ledger has the batch alone: a run that was restored from disk.
    `answered` is the number of requests that succeeded, None before the results are collected;
    `unanswered` are the others. `by_order` is the number of lines that were matched with their
    requests by order, on request. `oddities` counts what was wrong with the result files, by kind.
    """

    key: SubmissionKey
    state: SubmissionState | None = None
    requests: int | None = None
    batch: Batch | None = None
    problem: str | None = None
    answered: int | None = None
    unanswered: int = 0
    by_order: int = 0
    failures: tuple[Failure, ...] = ()
    oddities: Mapping[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether all requests succeeded and the result files were in order."""
        return (
            self.state is SubmissionState.COLLECTED
            and not self.unanswered
            and not any(self.oddities.values())
        )


def read_attempts(
    events: Iterable[Event], batches: Sequence[Mapping[str, Any]], revision: str | None
) -> tuple[Attempt, ...]:
    """Return the attempts of one revision, in order of shard and attempt.

    `batches` are the Batch objects of that revision, `revision` is its first 12 digits.
    """
    objects = {batch.id: batch for raw in batches if (batch := _batch(raw)) is not None}
    attempts: dict[SubmissionKey, Attempt] = {}
    for event in events:
        key = SubmissionKey.parse(event.submission) if event.submission is not None else None
        if key is None or key.revision != revision:
            continue
        attempts[key] = _after(attempts.get(key, Attempt(key=key)), event, objects)
    with_events = {attempt.batch.id for attempt in attempts.values() if attempt.batch is not None}
    for batch in objects.values():
        tag = Tag.of(batch)
        if batch.id not in with_events and tag is not None and tag.key not in attempts:
            attempts[tag.key] = Attempt(key=tag.key, requests=tag.requests, batch=batch)
    return tuple(sorted(attempts.values(), key=lambda one: (one.key.shard, one.key.attempt)))


def read_failures(outcome: Mapping[str, Any]) -> tuple[Failure, ...]:
    """Return the failures in the outcome of a collected attempt, the most frequent kind first."""
    examples = outcome.get("examples") or {}
    failures = (
        Failure(code=code, count=count, examples=tuple(map(str, examples.get(code, ()))))
        for code, count in (outcome.get("codes") or {}).items()
    )
    return tuple(sorted(failures, key=lambda failure: (-failure.count, failure.code)))


def _batch(raw: Mapping[str, Any]) -> Batch | None:
    try:
        return Batch.from_api(dict(raw))
    except ValueError:
        return None


def _after(attempt: Attempt, event: Event, objects: Mapping[str, Batch]) -> Attempt:
    """Return an attempt after an event."""
    detail = event.detail
    attempt = replace(
        attempt,
        state=_STATES.get(event.kind, attempt.state),
        requests=_count(detail.get("requests")) or attempt.requests,
        batch=objects.get(event.batch or "", attempt.batch),
        problem=_text(detail.get("problem")),
    )
    match event.kind:
        case "collected" | "matched_by_order":
            return _collected(attempt, detail)
        case "failed" | "lost" | "abandoned":
            return replace(attempt, unanswered=attempt.requests or 0)
        case _:
            return attempt


def _collected(attempt: Attempt, detail: Mapping[str, object]) -> Attempt:
    outcome = detail.get("outcome")
    if not isinstance(outcome, dict):
        return attempt
    return replace(
        attempt,
        answered=_count(outcome.get("succeeded")),
        unanswered=_count(detail.get("transient")) + _count(detail.get("permanent")),
        by_order=_count(outcome.get("matched")),
        failures=read_failures(outcome),
        oddities={
            "in neither file": _count(outcome.get("missing")),
            "unreadable": _count(outcome.get("malformed")),
            "never asked": _count(outcome.get("unknown")),
            "beyond a request's first": _count(outcome.get("duplicates")),
        },
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
