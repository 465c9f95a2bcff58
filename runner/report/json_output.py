"""The JSON of `status`, `show` and `events`. Stable: fields are added, never changed or removed.

The files in `runner/report/schemas/` describe it for programs.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from runner.report.job import next_steps
from runner.views.attempts import read_attempts
from runner.views.batch_phases import phases

if TYPE_CHECKING:
    from runner.ledger.records import Event
    from runner.report.schemas.events import EventOutput
    from runner.report.schemas.show import AttemptOutput, ShowOutput
    from runner.report.schemas.status import JobOutput
    from runner.views.attempts import Attempt
    from runner.views.jobs import JobHistory, JobView


_UNSAFE: Final = re.compile(
    r"[\x7f-\x9f\xad\u0600-\u0605\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""Characters that JSON need not escape and a terminal must not get."""


def to_json(value: object, *, ascii_only: bool = False) -> str:
    """Return indented JSON that is safe in a terminal.

    Characters that a terminal would obey are escaped, which does not change the value; with
    `ascii_only`, all characters outside ASCII are escaped too.
    """
    return _escape_unsafe(json.dumps(value, indent=2, ensure_ascii=ascii_only)) + "\n"


def to_json_line(value: object, *, ascii_only: bool = False) -> str:
    """Return JSON on one line that is safe in a terminal, as `to_json` does."""
    return _escape_unsafe(json.dumps(value, ensure_ascii=ascii_only)) + "\n"


def _escape_unsafe(text: str) -> str:
    return _UNSAFE.sub(lambda match: json.dumps(match[0])[1:-1], text)


def job_json(view: JobView) -> JobOutput:
    """Return one job as in `status --json`."""
    return {
        "name": view.name,
        "revision": view.revision,
        "state": view.state,
        "requests": {
            "total": view.total,
            "succeeded": view.succeeded,
            "failed": view.failed,
            "pending": view.pending,
        },
        "output_dir": view.output_dir,
        "batches": [dict(batch) for batch in view.batches],
        "provider": view.provider,
        "endpoint": view.endpoint,
        "note": view.note,
        "spec": view.spec,
        "metadata": dict(view.metadata),
        "completion_window": view.completion_window,
        "attempts": view.attempts,
        "in_flight": [batch.id for batch in view.in_flight],
        "usage": view.usage,
        "created_at": view.created_at,
        "finished_at": view.finished_at,
        "progress": (
            None
            if view.progress is None
            else {
                "succeeded": view.progress.succeeded,
                "failed": view.progress.failed,
                "source": view.progress.source,
            }
        ),
        "blocked": (
            None
            if view.blocked is None
            else {
                "reason": view.blocked.reason,
                "since": view.blocked.since,
                "provider": view.blocked.provider,
            }
        ),
        "truncated": view.truncated,
    }


def history_json(job_history: JobHistory, *, folder: str, now: float) -> ShowOutput:
    """Return `show --json`: the job as in `status`, its runs, attempts and failures, its events.

    `folder` is the output folder as the user writes it, `now` is in Unix seconds.
    """
    return {
        **job_json(job_history.view),
        "runs": [job_json(run) for run in job_history.runs],
        "events": [event_json(event) for event in job_history.events],
        "submissions": [
            _attempt_shape(attempt, now)
            for run in job_history.runs
            for attempt in read_attempts(job_history.events, run.batches, run.revision)
        ],
        "failures": (
            None
            if job_history.failures is None
            else [
                {
                    "code": kind.code,
                    "count": kind.count,
                    "examples": [
                        {"custom_id": example.custom_id, "message": example.message}
                        for example in kind.examples
                    ],
                }
                for kind in job_history.failures
            ]
        ),
        "next": list(next_steps(job_history.view, folder)),
    }


def _attempt_shape(attempt: Attempt, now: float) -> AttemptOutput:
    batch = attempt.batch
    return {
        "key": str(attempt.key),
        "revision": attempt.key.revision,
        "shard": attempt.key.shard,
        "attempt": attempt.key.attempt,
        "state": None if attempt.state is None else str(attempt.state),
        "requests": attempt.requests,
        "answered": attempt.answered,
        "unanswered": attempt.unanswered,
        "by_order": attempt.by_order,
        "problem": attempt.problem,
        "batch": None if batch is None else batch.id,
        "phases": [
            {"status": str(phase.status), "since": phase.since, "seconds": phase.seconds}
            for phase in (() if batch is None else phases(batch, now))
            if phase.status is not None
        ],
        "failures": [
            {"code": failure.code, "count": failure.count, "messages": list(failure.examples)}
            for failure in attempt.failures
        ],
    }


def event_json(event: Event) -> EventOutput:
    """Return one event as in `show --json` and `events --json`."""
    return {
        "at": event.at,
        "kind": event.kind,
        "job": event.job,
        "revision": event.revision,
        "submission": event.submission,
        "batch": event.batch,
        "detail": dict(event.detail),
    }
