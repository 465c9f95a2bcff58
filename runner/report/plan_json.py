"""The JSON shape of `plan`. Stable: a field is added, never changed or removed.

`runner/report/schemas/plan.json` describes it. What `reconcile --plan` compares is in it, so that
a plan that was printed can be kept and held against the world later (`plan_terms`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

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
    from runner.report.schemas.plan import (
        ActionOutput,
        ManualStepOutput,
        PlanOutput,
        PlanSummary,
        PlanTermsOutput,
        WaitOutput,
    )
    from runner.report.schemas.plan_job import JobChangesOutput, PlannedJob, PlannedParameters
    from runner.spec.job import Job
    from runner.views.changes import JobChanges
    from runner.views.manual_steps import ManualStep
    from runner.views.preview import Preview


PLAN_FORMAT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a plan was made for: SPEC as typed, and the folder it was typed in.

    `folder` is relative to the project's root. No selector means every spec.
    """

    selectors: tuple[str, ...] = ()
    folder: str = "."


def plan_json(
    preview: Preview,
    problems: tuple[Problem, ...],
    *,
    selection: Selection | None = None,
    made_at: float | None = None,
) -> PlanOutput:
    """Return `plan --json`; `made_at` is when it was made, in Unix seconds."""
    plan = preview.plan
    terms = asked_and_done(preview.desired_runs, plan, selection or Selection())
    return {
        "format_version": terms["format_version"],
        "selectors": terms["selectors"],
        "selected_in": terms["selected_in"],
        "jobs": [
            {**job, "since": _since_shape(preview.since.get(job["job"]))} for job in terms["jobs"]
        ],
        "actions": terms["actions"],
        "waits": terms["waits"],
        "made_at": made_at,
        "made_by": {"runner": __version__},
        "changes": any(is_change(action) for action in plan.actions),
        "summary": _summary_shape(preview),
        "notes": list(plan.notes),
        "unasked": dict(preview.unasked),
        "problems": [str(problem) for problem in problems],
        "left_to_you": [_left_shape(left) for left in preview.left],
        "fingerprint": terms_of(terms).fingerprint,
    }


def asked_and_done(
    desired_runs: Sequence[DesiredRun], plan: Plan, selection: Selection
) -> PlanTermsOutput:
    """Return the part of the shape that says what is asked for and what would be done."""
    return {
        "format_version": PLAN_FORMAT,
        "selectors": list(selection.selectors),
        "selected_in": selection.folder,
        "jobs": [_job_shape(desired) for desired in desired_runs],
        "actions": [_action_shape(action) for action in plan.actions],
        "waits": [_wait_shape(wait) for wait in plan.waits],
    }


def _job_shape(desired: DesiredRun) -> PlannedJob:
    return {
        "job": desired.job.name,
        "revision": desired.revision[:REVISION_SHOWN],
        "requests": desired.requests,
        "bytes": desired.bytes,
        "asks": _asks(desired.job, desired.digest),
    }


def _asks(job: Job, digest: str) -> PlannedParameters:
    """Return what is asked for, spec and project taken together, defaults included."""
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
        "deadline_action": job.deadline.action,
        "canary": job.canary,
        "keep_remote": job.keep_remote,
        "output": job.output,
        "input_expires_after": provider.input_expires_after,
        "output_expires_after": provider.output_expires_after,
        "requests_sha256": digest,
    }


def _since_shape(since: JobChanges | None) -> JobChangesOutput | None:
    if since is None:
        return None
    requests = since.requests
    rows = None if requests is None else requests.rows
    return {
        "revision": since.before,
        "state": since.state,
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


def _action_shape(action: Action) -> ActionOutput:
    key, batch = subject(action), batch_of(action)
    shape: ActionOutput = {
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


def _wait_shape(wait: Wait) -> WaitOutput:
    return {
        "job": wait.run.job,
        "revision": wait.run.short,
        "submission": None if wait.key is None else str(wait.key),
        "why": wait.reason,
        "until": wait.until,
        "trouble": wait.trouble,
    }


def _summary_shape(preview: Preview) -> PlanSummary:
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


def _left_shape(left: ManualStep) -> ManualStepOutput:
    return {
        "kind": left.kind,
        "provider": left.provider,
        "job": left.job,
        "revision": left.revision,
        "what": left.what,
        "command": left.command,
    }
