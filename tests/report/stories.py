"""Histories of a job, made of events of the ledger."""

from __future__ import annotations

from typing import Any

from runner.ledger.records import Event
from runner.outputs.failures import Example, FailureKind
from runner.views.jobs import JobHistory
from tests.report.scenes import NOW, REVISIONS, batch, raw_batch, view


def event(seconds: float, kind: str, **values: Any) -> Event:  # noqa: ANN401
    """Return an event of the sentiment job, so long after the first."""
    detail = {
        name: value
        for name, value in values.items()
        if name not in ("submission", "batch", "revision")
    }
    return Event(
        at=NOW - 7300 + seconds,
        kind=kind,
        job="sentiment",
        revision=values.get("revision", REVISIONS["sentiment"][:12]),
        submission=values.get("submission"),
        batch=values.get("batch"),
        detail=detail,
    )


def attempt_events(
    shard_number: int, attempt: int, begun: float, *, batch_number: int, requests: int
) -> list[Event]:
    """Return what happens between the preparation of an attempt and the end of its batch."""
    key = f"sentiment/{REVISIONS['sentiment'][:12]}/{shard_number:04}/{attempt}"
    name = batch(batch_number).id
    return [
        event(begun, "prepared", submission=key, requests=requests),
        event(begun + 1, "uploading", submission=key),
        event(begun + 3, "uploaded", submission=key, file=f"file-{batch_number:04}"),
        event(begun + 3, "creating", submission=key, completion_window="24h"),
        event(begun + 4, "submitted", submission=key, batch=name, status="validating"),
        *(
            event(
                begun + 60 * look,
                "batch_changed",
                submission=key,
                batch=name,
                status="in_progress" if look < 4 else "completed",
                completed=requests * look // 4,
                failed=0,
                total=requests,
            )
            for look in range(1, 5)
        ),
        event(begun + 241, "downloaded", submission=key, kind_of_file="output", file="file-output"),
    ]


def partial_story(
    message: str = "Rate limit reached for gpt-4.1-mini on tokens per min.",
) -> JobHistory:
    """Return the story of a job of two shards that ended partial."""
    first, again = ("sentiment/9f86d081884c/0001/1", "sentiment/9f86d081884c/0001/2")
    second = "sentiment/9f86d081884c/0002/1"
    outcome = {
        "succeeded": 3060,
        "missing": 4,
        "unknown": 1,
        "malformed": 2,
        "duplicates": 0,
        "codes": {"rate_limit_exceeded": 13, "invalid_request": 1},
        "examples": {
            "rate_limit_exceeded": [message, "Another message of the same kind."],
            "invalid_request": ["Invalid 'messages[0].content': the string is too long."],
        },
    }
    events = [
        event(0, "run_started", requests=6160, input="data/sentiment.jsonl"),
        *attempt_events(1, 1, 10, batch_number=1, requests=3080),
        event(
            252, "collected", submission=first, transient=19, permanent=1, problem=None,
            outcome=outcome,
        ),
        *attempt_events(1, 2, 300, batch_number=2, requests=19),
        event(
            552, "collected", submission=again, transient=0, permanent=0, problem=None,
            outcome={"succeeded": 19, "codes": {}, "examples": {}},
        ),
        *attempt_events(2, 1, 600, batch_number=3, requests=3080)[:5],
        event(
            700, "failed", submission=second, transient=0, permanent=3080, outcome={},
            problem="batch_3 failed: line 1: The provided model 'gpt-0' is not supported by the "
            "Batch API. (model_not_found)",
        ),
        event(
            710, "run_finished", state="partial", succeeded=3079, failed=3081,
            reason="3081 of 6160 requests ended without a successful response",
        ),
    ]  # fmt: skip
    created = int(NOW) - 7200
    ended: dict[str, Any] = {
        "in_progress_at": created + 2,
        "finalizing_at": created + 236,
        "completed_at": created + 240,
        "usage": {
            "prompt_tokens": 1_200_000,
            "completion_tokens": 34_567,
            "total_tokens": 1_234_567,
        },
    }
    now = view(
        state="partial",
        total=6160,
        succeeded=3079,
        failed=3081,
        note="3081 of 6160 requests ended without a successful response",
        batches=(
            raw_batch(1, **ended),
            raw_batch(
                2, **ended, request_counts={"total": 19, "completed": 19, "failed": 0}
            ),
            raw_batch(
                3, "failed", failed_at=created + 10,
                request_counts={"total": 0, "completed": 0, "failed": 0},
            ),
        ),
    )  # fmt: skip
    before = view(
        revision="2c26b46b68ff", state="partial", succeeded=3000, failed=80, note="superseded",
        created_at=NOW - 90_000, finished_at=NOW - 80_000,
    )  # fmt: skip
    unknown = "The provided model 'gpt-0' is not supported by the Batch API."
    failures = (
        FailureKind(
            code="model_not_found",
            count=3080,
            examples=tuple(
                Example(custom_id=f"review-{number}", message=unknown)
                for number in (3081, 3082, 3083)
            ),
        ),
        FailureKind(
            code="invalid_request",
            count=1,
            examples=(Example(custom_id="review-77", message=message),),
        ),
    )
    return JobHistory(view=now, runs=(before, now), events=tuple(events), failures=failures)


def running_story() -> JobHistory:
    """Return the story of a job whose only batch is at work."""
    events = [
        event(0, "run_started", requests=3080, input="data/sentiment.jsonl"),
        *attempt_events(1, 1, 100, batch_number=1, requests=3080)[:7],
    ]
    counts = {"total": 3080, "completed": 1540, "failed": 2}
    began = {"in_progress_at": int(NOW) - 7100}
    now = view(
        state="running",
        succeeded=0,
        batches=(raw_batch(1, "in_progress", request_counts=counts, **began),),
    )
    return JobHistory(view=now, runs=(now,), events=tuple(events))


def long_story(shards: int = 1000) -> JobHistory:
    """Return the story of a job of very many shards, most of them collected, the rest at work."""
    revision = REVISIONS["sentiment"][:12]
    counts = {"total": 50_000, "completed": 50_000, "failed": 0}
    events = [event(0, "run_started", requests=shards * 50_000, input="data/sentiment.jsonl")]
    batches = []
    for number in range(1, shards + 1):
        key = f"sentiment/{revision}/{number:04}/1"
        started = int(NOW) - 7200 + number
        events += attempt_events(number, 1, number, batch_number=number, requests=50_000)
        if number > 0.8 * shards:
            last: dict[str, Any] = {"in_progress_at": started + 60} if number % 30 else {}
            status = "in_progress" if last else "validating"
            batches.append(raw_batch(number, status, created_at=started, **last))
            events = events[:-2]
            continue
        without = 3 if number % 100 == 0 else 0
        outcome: dict[str, Any] = {"succeeded": 50_000 - without}
        if without:
            outcome |= {"codes": {"server_error": 3}, "examples": {"server_error": ["Try again."]}}
        events.append(
            event(
                number + 300, "collected", submission=key, transient=without, permanent=0,
                problem=None, outcome=outcome,
            )
        )  # fmt: skip
        batches.append(
            raw_batch(
                number, created_at=started, request_counts=counts, in_progress_at=started + 30,
                finalizing_at=started + 3000 + number, completed_at=started + 3060 + number,
            )
        )  # fmt: skip
    now = view(
        state="running",
        total=shards * 50_000,
        succeeded=int(0.8 * shards) * 50_000,
        batches=tuple(batches),
    )
    return JobHistory(view=now, runs=(now,), events=tuple(events))
