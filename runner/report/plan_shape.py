"""The JSON shape of `plan`. Stable: a field is added, never changed or removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from runner.reconcile.actions import Submit
from runner.report.steps import action_word, batch_of, is_change, subject

if TYPE_CHECKING:
    from runner.errors import Problem
    from runner.reconcile.actions import Action
    from runner.reconcile.preview import Preview

PLAN_FORMAT: Final = 1


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
    key, batch = subject(action), batch_of(action)
    shape: dict[str, Any] = {
        "action": action_word(action),
        "job": action.run.job,
        "revision": action.run.short,
        "submission": None if key is None else str(key),
        "why": action.why,
    }
    if isinstance(action, Submit):
        shape["requests"] = action.submission.requests
        shape["bytes"] = action.submission.bytes or None
        shape["attempt"] = action.submission.key.attempt
    if batch is not None:
        shape["batch"] = batch
    return shape
