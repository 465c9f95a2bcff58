"""The JSON shapes of `status` and `show`. Stable: a field is added, never changed or removed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from runner.ledger.records import Event
    from runner.reconcile.overview import JobStory, JobView

_UNSHOWABLE: Final = re.compile(
    r"[\x7f-\x9f\xad\u0600-\u0605\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""What JSON need not escape but a terminal should never see: control, direction, surrogates."""


def as_json(value: object, *, ascii_only: bool = False) -> str:
    """Write JSON for scripts that people look at as well: readable, and safe in a terminal.

    Characters that a terminal obeys instead of showing are escaped, which is the same JSON;
    with `ascii_only` so is everything that is not ASCII.
    """
    return _showable(json.dumps(value, indent=2, ensure_ascii=ascii_only)) + "\n"


def as_json_line(value: object, *, ascii_only: bool = False) -> str:
    """Write JSON on one line, as safe in a terminal as the other."""
    return _showable(json.dumps(value, ensure_ascii=ascii_only)) + "\n"


def _showable(text: str) -> str:
    return _UNSHOWABLE.sub(lambda match: json.dumps(match[0])[1:-1], text)


def job_shape(view: JobView) -> dict[str, Any]:
    """Return one entry of `status --json`, as the contract of the command line has it."""
    return {
        "name": view.name,
        "revision": view.revision,
        "state": str(view.state),
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
    }


def story_shape(story: JobStory) -> dict[str, Any]:
    """Return `show --json`: the job as in `status`, its runs, its events."""
    return {
        **job_shape(story.view),
        "runs": [job_shape(run) for run in story.runs],
        "events": [_event_shape(event) for event in story.events],
    }


def _event_shape(event: Event) -> dict[str, Any]:
    return {
        "at": event.at,
        "kind": event.kind,
        "revision": event.revision,
        "submission": event.submission,
        "batch": event.batch,
        "detail": dict(event.detail),
    }
