"""The JSON of `plan`. Stable: fields are added, never changed or removed.

`runner/report/schemas/plan.json` describes it. It has all that `reconcile --plan` compares, so
that a saved plan can be compared with a new one later (`planning.saved_plan`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from runner import __version__
from runner.ledger.records import REVISION_SHOWN
from runner.planning.actions import AdoptFile, Finish, RelocateRun, Submit
from runner.planning.saved_plan import terms_of
from runner.report.plan import summary
from runner.report.steps import action_word, batch_of, enqueued, is_change, subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.errors import Problem
    from runner.planning.actions import Action, Plan, Wait
    from runner.planning.state import DesiredRun
    from runner.spec.job import Job
    from runner.views.changes import JobChanges
    from runner.views.manual_steps import ManualStep
    from runner.views.preview import Preview


PLAN_FORMAT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The specs that a plan was made for: the arguments SPEC, and the folder they are relative to.

    `folder` is relative to the project's root. Without selectors the plan is for every spec.
    """

    selectors: tuple[str, ...] = ()
    folder: str = "."


def plan_json(
    preview: Preview,
    problems: tuple[Problem, ...],
    *,
    selection: Selection | None = None,
    made_at: float | None = None,
) -> dict[str, Any]:
    """Return `plan --json`; `made_at` is the time of the plan, in Unix seconds."""
    plan = preview.plan
    shape = {
        **asked_and_done(preview.desired_runs, plan, selection or Selection()),
        "made_at": made_at,
        "made_by": {"runner": __version__},
        "changes": any(is_change(action) for action in plan.actions),
        "summary": _summary_json(preview),
        "notes": list(plan.notes),
        "unasked": dict(preview.unasked),
        "problems": [str(problem) for problem in problems],
        "left_to_you": [_manual_step_json(left) for left in preview.left],
    }
    for job in shape["jobs"]:
        since = preview.since.get(job["job"])
        job["since"] = None if since is None else _changes_json(since)
    return shape | {"fingerprint": terms_of(shape).fingerprint}


def asked_and_done(
    desired_runs: Sequence[DesiredRun], plan: Plan, selection: Selection
) -> dict[str, Any]:
    """Return the part of the JSON with the selected jobs, the actions and the waits."""
    return {
        "format_version": PLAN_FORMAT,
        "selectors": list(selection.selectors),
        "selected_in": selection.folder,
        "jobs": [_job_json(desired) for desired in desired_runs],
        "actions": [_action_json(action) for action in plan.actions],
        "waits": [_wait_json(wait) for wait in plan.waits],
    }


def _job_json(desired: DesiredRun) -> dict[str, Any]:
    return {
        "job": desired.job.name,
        "revision": desired.revision[:REVISION_SHOWN],
        "requests": desired.requests,
        "bytes": desired.bytes,
        "asks": {**_asks(desired.job), "requests_sha256": desired.digest},
    }


def _asks(job: Job) -> dict[str, Any]:
    """Return the fields of a job from its spec and the project, with defaults filled in."""
    provider = job.provider
    return {
        "endpoint": job.endpoint,
        "input": job.input_shown,
        "provider": provider.name,
        "base_url": provider.identity["base_url"],
        "replicate": job.replicate,
        "completion_window": job.completion_window,
        "metadata": dict(job.metadata),
        "attempts": job.attempts,
        "deadline_after": job.deadline.after,
        "deadline_action": str(job.deadline.action),
        "canary": job.canary,
        "keep_remote": job.keep_remote,
        "output": job.output,
        "input_expires_after": provider.input_expires_after,
        "output_expires_after": provider.output_expires_after,
    }


def _changes_json(since: JobChanges) -> dict[str, Any]:
    requests = since.requests
    rows = None if requests is None else requests.rows
    return {
        "revision": since.before,
        "state": str(since.state),
        "same_revision": since.again,
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


def _action_json(action: Action) -> dict[str, Any]:
    key, batch = subject(action), batch_of(action)
    shape: dict[str, Any] = {
        "action": action_word(action),
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
            load = enqueued([action])
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


def _wait_json(wait: Wait) -> dict[str, Any]:
    return {
        "job": wait.run.job,
        "revision": wait.run.short,
        "submission": None if wait.key is None else str(wait.key),
        "why": wait.reason,
        "until": wait.until,
        "trouble": wait.trouble,
    }


def _summary_json(preview: Preview) -> dict[str, Any]:
    plan = preview.plan
    submits = [action for action in plan.actions if isinstance(action, Submit)]
    sizes = [action.submission.bytes for action in submits]
    load = enqueued(submits)
    counts: dict[str, int] = {}
    for action in plan.actions:
        word = action_word(action)
        counts[word] = counts.get(word, 0) + 1
    return {
        "text": summary(preview),
        "actions": counts,
        "batches": len(submits),
        "requests": sum(action.submission.requests for action in submits),
        "bytes": sum(sizes) if all(sizes) else None,
        "tokens": load.tokens,
        "tokens_exact": load.exact,
        "waiting": sum(not wait.trouble for wait in plan.waits),
        "stuck": sum(wait.trouble for wait in plan.waits),
    }


def _manual_step_json(left: ManualStep) -> dict[str, Any]:
    return {
        "kind": str(left.kind),
        "provider": left.provider,
        "job": left.job,
        "revision": left.revision,
        "what": left.what,
        "command": left.command,
    }
