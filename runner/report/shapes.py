"""The JSON shapes of the command line. Stable: a field is added, never changed or removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from runner.reconcile.actions import (
    AdoptBatch,
    CloseWhole,
    Collect,
    NoteMissing,
    Observe,
    Submit,
)
from runner.report.words import action_word, is_change, subject

if TYPE_CHECKING:
    from runner.errors import Problem
    from runner.ledger.records import Event
    from runner.reconcile.actions import Action
    from runner.reconcile.overview import JobStory, JobView
    from runner.reconcile.preview import Preview

PLAN_FORMAT: Final = 1


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


def plan_shape(preview: Preview, problems: tuple[Problem, ...]) -> dict[str, Any]:
    """Return `plan --json`."""
    plan = preview.plan
    return {
        "format_version": PLAN_FORMAT,
        "changes": any(is_change(action) for action in plan.actions),
        "actions": [_action_shape(action) for action in plan.actions],
        "waits": [
            {
                "job": wait.run.job,
                "revision": wait.run.short,
                "submission": None if wait.key is None else str(wait.key),
                "why": wait.why,
                "until": wait.until,
                "trouble": wait.trouble,
            }
            for wait in plan.waits
        ],
        "notes": list(plan.notes),
        "unasked": dict(preview.unasked),
        "problems": [str(problem) for problem in problems],
    }


def _action_shape(action: Action) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "action": action_word(action),
        "job": action.run.job,
        "revision": action.run.short,
        "submission": subject(action),
        "why": action.why,
    }
    if isinstance(action, Submit):
        shape["requests"] = action.submission.requests
        shape["bytes"] = action.submission.bytes or None
        shape["attempt"] = action.submission.key.attempt
    if isinstance(action, AdoptBatch | Observe | Collect | CloseWhole):
        shape["batch"] = action.batch.id
    if isinstance(action, NoteMissing):
        shape["batch"] = action.batch_id
    return shape
