"""The JSON of `plan`. Stable: fields are added, never changed or removed.

`runner/report/schemas/plan.json` describes it. It holds all that `reconcile --plan` compares
(`runner/planning/saved_plan.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner import __version__
from runner.planning.actions import AdoptFile, Finish, RelocateRun, Submit
from runner.planning.plan import prompt_tokens
from runner.planning.saved_plan import PLAN_FORMAT, PlanTerms, Selection, settings
from runner.report.plan import summary

if TYPE_CHECKING:
    from runner.errors import Problem
    from runner.planning.actions import Action, Wait
    from runner.planning.state import DesiredRun
    from runner.report.schemas.plan import (
        ActionOutput,
        ManualStepOutput,
        PlanOutput,
        PlanSummary,
        WaitOutput,
    )
    from runner.report.schemas.plan_job import JobChangesOutput, PlannedJob
    from runner.views.changes import JobChanges
    from runner.views.manual_steps import ManualStep
    from runner.views.preview import Preview


def plan_json(
    preview: Preview,
    problems: tuple[Problem, ...],
    *,
    selection: Selection | None = None,
    made_at: float | None = None,
) -> PlanOutput:
    """Return `plan --json`; `made_at` is the time of the plan, in Unix seconds."""
    plan = preview.plan
    selection = selection or Selection()
    terms = PlanTerms.of(preview.desired_runs, plan, selection)
    return {
        "format_version": PLAN_FORMAT,
        "selectors": list(selection.selectors),
        "selected_in": selection.folder,
        "jobs": [
            _job_json(desired, preview.changes.get(desired.job.name))
            for desired in preview.desired_runs
        ],
        "actions": [_action_json(action) for action in plan.actions],
        "waits": [_wait_json(wait) for wait in plan.waits],
        "made_at": made_at,
        "made_by": {"runner": __version__},
        "changes": any(not action.bookkeeping for action in plan.actions),
        "summary": _summary_json(preview),
        "notes": list(plan.notes),
        "unasked": dict(preview.not_queried),
        "problems": [str(problem) for problem in problems],
        "left_to_you": [_manual_step_json(step) for step in preview.manual_steps],
        "fingerprint": terms.fingerprint,
    }


def _job_json(desired: DesiredRun, since: JobChanges | None) -> PlannedJob:
    return {
        "job": desired.job.name,
        "revision": desired.short,
        "requests": desired.requests,
        "bytes": desired.bytes,
        "asks": settings(desired.job, desired.digest),
        "since": _changes_json(since),
    }


def _changes_json(since: JobChanges | None) -> JobChangesOutput | None:
    if since is None:
        return None
    requests = since.requests
    rows = None if requests is None else requests.rows
    return {
        "revision": since.before,
        "state": since.state,
        "same_revision": since.same_revision,
        "folder": since.folder,
        "spec": None
        if since.edits is None
        else [
            {
                "field": edit.change.field,
                "before": edit.change.before,
                "after": edit.change.after,
                "new_revision": edit.identity,
                "effect": edit.effect,
            }
            for edit in since.edits
        ],
        "requests": None
        if requests is None
        else {
            "added": None if rows is None else rows.added,
            "removed": None if rows is None else rows.removed,
            "kept": None if rows is None else rows.kept,
            "changed": None if rows is None else rows.changed,
            "source": requests.source,
        },
    }


def _action_json(action: Action) -> ActionOutput:
    key, batch = action.submission_key, action.remote_batch_id
    shape: ActionOutput = {
        "action": action.verb,
        "job": action.run.job,
        "revision": action.run.short,
        "provider": action.run.provider,
        "submission": None if key is None else str(key),
        "why": action.reason,
    }
    if batch is not None:
        shape["batch"] = batch
    match action:
        case Submit():
            load = prompt_tokens([action])
            shape["requests"] = action.submission.requests
            shape["bytes"] = action.submission.bytes or None
            shape["attempt"] = action.submission.key.attempt
            shape["sha256"] = action.submission.sha256 or None
            shape["tokens"] = load.tokens
            shape["tokens_exact"] = load.exact
        case AdoptFile():
            shape["file"] = action.file.id
        case RelocateRun():
            shape["folder"] = action.folder
        case Finish():
            shape["state"] = str(action.state)
        case _:
            pass
    return shape


def _wait_json(wait: Wait) -> WaitOutput:
    return {
        "job": wait.run.job,
        "revision": wait.run.short,
        "submission": None if wait.key is None else str(wait.key),
        "why": wait.reason,
        "until": wait.until,
        "trouble": wait.is_problem,
    }


def _summary_json(preview: Preview) -> PlanSummary:
    plan = preview.plan
    submits = [action for action in plan.actions if isinstance(action, Submit)]
    sizes = [action.submission.bytes for action in submits]
    load = prompt_tokens(submits)
    counts: dict[str, int] = {}
    for action in plan.actions:
        counts[action.verb] = counts.get(action.verb, 0) + 1
    return {
        "text": summary(preview),
        "actions": counts,
        "batches": len(submits),
        "requests": sum(action.submission.requests for action in submits),
        "bytes": sum(sizes) if all(sizes) else None,
        "tokens": load.tokens,
        "tokens_exact": load.exact,
        "waiting": sum(not wait.is_problem for wait in plan.waits),
        "stuck": sum(wait.is_problem for wait in plan.waits),
    }


def _manual_step_json(step: ManualStep) -> ManualStepOutput:
    return {
        "kind": step.kind,
        "provider": step.provider,
        "job": step.job,
        "revision": step.revision,
        "what": step.what,
        "command": step.command,
    }
