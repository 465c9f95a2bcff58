"""What people read in a terminal: plans, tables, stories. Pure: values in, text out."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runner.reconcile.actions import CloseWhole, Collect, Finish, StartRun, Submit
from runner.report.words import action_sign, action_word, is_change, plural, size, subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runner.ledger.records import Event
    from runner.reconcile.actions import Action, Plan
    from runner.reconcile.overview import JobStory, JobView
    from runner.reconcile.preview import Preview


def plain(text: str) -> str:
    """Make text from outside safe to show: no control characters, no change of direction."""
    return "".join(
        character
        if not unicodedata.category(character).startswith("C")
        else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def render_plan(preview: Preview) -> str:
    """Render a plan: a block a job, a sign and a reason for each action, one summary line."""
    plan = preview.plan
    lines: list[str] = []
    for job in _jobs(plan):
        actions = [action for action in plan.actions if action.run.job == job]
        waits = [wait for wait in plan.waits if wait.run.job == job]
        run = actions[0].run if actions else waits[0].run
        lines.append(f"{job} ({run.short}), {run.endpoint} on {run.provider}")
        lines += [f"  {action_sign(action)} {_told(action)}" for action in actions]
        for why, count in _counted([wait.why for wait in waits]).items():
            lines.append(f"    wait: {plural(count, 'batch')}, {plain(why)}")
        lines.append("")
    lines += [f"note: {plain(note)}" for note in plan.notes]
    lines += [
        f"note: {provider} was not asked what it has already: {plain(why)}"
        for provider, why in preview.unasked.items()
    ]
    if lines and lines[-1]:
        lines.append("")
    lines.append(_summary(plan, preview))
    return "\n".join(lines) + "\n"


def _jobs(plan: Plan) -> list[str]:
    return list(
        dict.fromkeys(
            [action.run.job for action in plan.actions] + [wait.run.job for wait in plan.waits]
        )
    )


def _told(action: Action) -> str:
    match action:
        case StartRun():
            what = (
                f"start: {plural(action.run.requests, 'request')} from {action.run.input_path}, "
                f"{size(action.run.bytes)}, in {plural(len(action.run.shards), 'shard')}"
            )
        case Submit():
            sent = size(action.submission.bytes) if action.submission.bytes else "part of a shard"
            what = (
                f"submit {subject(action)}: {plural(action.submission.requests, 'request')}, {sent}"
            )
        case Collect() | CloseWhole():
            what = f"{action_word(action)} {action.batch.id}"
        case Finish():
            what = f"publish as {action.state}"
        case _:
            what = " ".join(part for part in (action_word(action), subject(action)) if part)
    return plain(f"{what} — {action.why}")


def _summary(plan: Plan, preview: Preview) -> str:
    submits = [action for action in plan.actions if isinstance(action, Submit)]
    changes = [action for action in plan.actions if is_change(action)]
    if not changes and not plan.waits:
        return f"Nothing to do: {plural(len(preview.wishes), 'job')} up to date."
    requests = sum(action.submission.requests for action in submits)
    collects = sum(isinstance(action, Collect) for action in plan.actions)
    return (
        f"Plan: {plural(len(submits), 'batch')} to submit ({plural(requests, 'request')}), "
        f"{collects} to collect, {len(plan.waits)} to wait for."
    )


def _counted(items: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in items:
        counts[item] = counts.get(item, 0) + 1
    return counts


def render_status(views: Sequence[JobView]) -> str:
    """Render the table of `runner status`; empty if there is no job."""
    if not views:
        return ""
    header = ("JOB", "REVISION", "STATE", "DONE", "FAILED", "TOTAL", "BATCHES")
    rows = [
        (
            view.name,
            view.revision or "-",
            str(view.state),
            f"{view.succeeded:,}",
            f"{view.failed:,}",
            f"{view.total:,}",
            _phases(view.batches),
        )
        for view in views
    ]
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    numbers = {3, 4, 5}
    table = [
        "  ".join(
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *rows)
    ]
    notes = [f"{view.name}: {plain(view.note)}" for view in views if view.note]
    return "\n".join([*table, *([""] if notes else []), *notes]) + "\n"


def _phases(batches: Sequence[Mapping[str, object]]) -> str:
    counts = _counted([plain(str(batch.get("status"))) for batch in batches])
    return ", ".join(f"{count} {status}" for status, count in counts.items()) or "-"


def render_story(story: JobStory, folder: str) -> str:
    """Render `runner show`: how the job stands, each batch, each event."""
    view = story.view
    lines = [
        f"{view.name}  {view.state}",
        f"  revision  {view.revision or '-'}",
        f"  asks      {view.endpoint} on {view.provider}",
        (
            f"  requests  {view.total:,}: {view.succeeded:,} answered, {view.failed:,} failed, "
            f"{view.pending:,} pending"
        ),
        f"  outputs   {folder}",
    ]
    if view.note:
        lines.append(f"  note      {plain(view.note)}")
    if view.batches:
        lines += ["", "Batches"]
    for batch in view.batches:
        counts = batch.get("request_counts")
        done = (
            f"  {counts.get('completed')}/{counts.get('total')} done, {counts.get('failed')} failed"
            if isinstance(counts, dict)
            else ""
        )
        lines.append(plain(f"  {batch.get('id')}  {batch.get('status')}{done}"))
    others = [run for run in story.runs if run.revision != view.revision]
    if others:
        lines += ["", "Other revisions"]
        lines += [
            f"  {run.revision}  {run.state}  {run.succeeded:,}/{run.total:,} answered"
            for run in others
        ]
    if story.events:
        lines += ["", "History (UTC)"]
        lines += [f"  {_line(event)}" for event in story.events]
    return "\n".join(lines) + "\n"


def _line(event: Event) -> str:
    at = datetime.fromtimestamp(event.at, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
    about = event.batch or event.submission or event.revision or ""
    detail = ", ".join(
        f"{name}={value}" for name, value in event.detail.items() if value not in (None, "", {})
    )
    return plain(f"{at}  {event.kind:<16} {about}  {detail}".rstrip())
