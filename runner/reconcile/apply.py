"""Carrying out a plan, one action at a time; what fails is left for a later pass.

The plan alone decides. A failure concerns its own submission, or its provider where asking
again cannot help; everything else goes on.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, assert_never

from runner.errors import ApiError, InputChanged, InvalidInput, LocalFileError, MissingExtra
from runner.inputs.row_set import RowSet
from runner.ledger import run_transitions as run_steps
from runner.ledger import submission_transitions
from runner.ledger.records import SubmissionState
from runner.planning.actions import (
    AbandonSubmission,
    AdoptBatch,
    AdoptFile,
    CancelBatch,
    ClearIntent,
    CloseRejectedBatch,
    Collect,
    DeleteRemoteFiles,
    Finish,
    MarkLost,
    MarkUncertain,
    NoteMissing,
    NoteOverdue,
    NoteSpec,
    Observe,
    PointLatest,
    RelocateRun,
    ReopenRun,
    RestoreRun,
    StartRun,
    Submit,
)
from runner.reconcile.adopt import adopt_batch, adopt_file
from runner.reconcile.collect import close_rejected_batch, collect, mark_lost
from runner.reconcile.concurrency import TaskRunner
from runner.reconcile.context import Notice, RequestCounts
from runner.reconcile.finish import finish, point
from runner.reconcile.restore import restore
from runner.reconcile.run_lifecycle import delete_remote_files, relocate, reopen
from runner.reconcile.submit import submit
from runner.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.batch import Batch
    from runner.ledger.records import Run
    from runner.planning.actions import Action, Alone
    from runner.reconcile.context import Context


def apply(context: Context, actions: Sequence[Action]) -> int:
    """Carry out the actions in order; returns how many were carried out.

    What waits for the network longest, submitting and collecting, is done side by side as far as
    `context.executor` reach. Errors of the provider, the disk or the input are told and held
    (`context.trouble`); LedgerError ends the pass, since nothing may be done that cannot be written
    down.
    """
    started: dict[tuple[str, str], int] = {}
    crew = TaskRunner(context.executor)
    done = 0

    def ended(action: Action, error: Exception | None) -> None:
        nonlocal done
        if error is None:
            done += 1
        else:
            _hold(context, action, error)

    for planned in actions:
        action = _with_id(planned, started)
        if _left_alone(context, action):
            continue
        if not isinstance(action, Submit | Collect):
            try:
                _apply(context, action, started)
            except Exception as error:  # noqa: BLE001 -- judged, and raised if it is none of ours
                ended(action, error)
            else:
                ended(action, None)
            continue
        size = action.submission.bytes if isinstance(action, Submit) else 0
        crew.room(size)
        if isinstance(action, Submit) and action.run.provider not in context.proven:
            crew.finish()
        # What has ended meanwhile may have shown that there is no use in asking.
        if not _left_alone(context, action) and not _outgrown(context, action):
            steps = (
                submit(context, action) if isinstance(action, Submit) else collect(context, action)
            )
            crew.begin(steps, size=size, ended=partial(ended, action))
    crew.finish()
    return done


def _outgrown(context: Context, action: Action) -> bool:
    """Whether this pass has learned that a file is too large; the next plan has a smaller one."""
    if not isinstance(action, Submit) or not action.new or action.submission.requests == 1:
        return False
    ceiling = context.ceilings.get(action.run.id)
    submission, shard = action.submission, action.shard
    size = submission.bytes or shard.bytes * submission.requests // shard.requests
    return ceiling is not None and size > ceiling


def _left_alone(context: Context, action: Action) -> bool:
    """Whether there is no use in carrying an action out now; the reason is kept."""
    name = action_name(action)
    stopped = context.stopped.get(action.run.provider) if _asks(action) else None
    if stopped is not None:
        context.trouble.setdefault(name, stopped)
    return name in context.trouble


def _hold(context: Context, action: Action, error: Exception) -> None:
    """Keep what went wrong for the rest of the pass; raises what is no trouble but a bug."""
    name, job = action_name(action), action.run.job
    if isinstance(error, ApiError):
        context.note_provider(action.run.provider, error)
        context.hold(name, error, job=job)
    elif isinstance(error, LocalFileError | InputChanged | InvalidInput | MissingExtra):
        context.hold(name, error, job=job)
    elif isinstance(error, OSError):
        told = LocalFileError(f"{error.filename}: {error.strerror or error}")
        context.hold(name, told, job=job)
    else:
        raise error


def _with_id(action: Action, started: dict[tuple[str, str], int]) -> Action:
    """Give an action on a run that this very plan started the id it was recorded under."""
    identifier = started.get((action.run.job, action.run.revision))
    if identifier is None or action.run.id == identifier:
        return action
    return dataclasses.replace(action, run=dataclasses.replace(action.run, id=identifier))


def action_name(action: Action) -> str:
    """Name what a failure of this action concerns: its submission, or else its run."""
    match action:
        case (
            Submit()
            | MarkLost()
            | Collect()
            | CloseRejectedBatch()
            | CancelBatch()
            | AbandonSubmission()
        ):
            return str(action.submission.key)
        case (
            AdoptBatch()
            | AdoptFile()
            | MarkUncertain()
            | ClearIntent()
            | Observe()
            | NoteMissing()
            | NoteOverdue()
        ):
            return str(action.key)
        case _:
            return f"{action.run.job}/{action.run.short}"


def _asks(action: Action) -> bool:
    """Whether carrying this out means calling the provider."""
    return isinstance(action, Submit | AdoptFile | Collect | CancelBatch | DeleteRemoteFiles)


def _apply(  # noqa: C901, PLR0912 -- one line a case
    context: Context, action: Alone, started: dict[tuple[str, str], int]
) -> None:
    ledger, run = context.ledger, action.run
    match action:
        case StartRun():
            run = dataclasses.replace(run, git=context.git())
            identifier = run_steps.start_run(ledger, action.job, run, run.shards)
            started[run.job, run.revision] = identifier
            context.tell(
                Notice(
                    job=run.job,
                    what=f"begins with {run.short}: {plural(run.requests, 'request')} "
                    f"from {run.input_path}",
                    event="run_started",
                    aside=True,
                    revision=run.short,
                    tally=RequestCounts(total=run.requests),
                )
            )
        case RestoreRun():
            restore(context, action)
        case RelocateRun():
            relocate(context, action)
        case ReopenRun():
            reopen(context, run, next_round=False, attempts=action.attempts)
        case NoteSpec():
            run_steps.want(ledger, action.job)
        case AdoptBatch():
            adopt_batch(context, action)
        case AdoptFile():
            adopt_file(context, action)
        case MarkUncertain():
            submission_transitions.mark_uncertain(ledger, action.key, action.reason)
        case ClearIntent():
            submission_transitions.clear_intent(ledger, action.key, action.reason)
        case Observe():
            context.noted.add(str(action.key))
            submission_transitions.observed(ledger, action.key, run.provider, action.batch)
            context.tell(
                Notice(
                    job=run.job,
                    what=_seen(action.batch),
                    event="batch_changed",
                    aside=True,
                    submission=action.key,
                    batch=action.batch,
                )
            )
        case NoteMissing():
            submission_transitions.missing(ledger, action.key, action.batch_id)
        case NoteOverdue():
            submission_transitions.overdue(ledger, action.key, action.reason)
            context.tell(
                Notice(
                    job=run.job,
                    what=action.reason,
                    trouble=True,
                    event="overdue",
                    submission=action.key,
                )
            )
        case MarkLost():
            mark_lost(context, action)
        case CloseRejectedBatch():
            close_rejected_batch(context, action)
        case CancelBatch():
            _cancel(context, run, action)
        case AbandonSubmission():
            context.scratch(action.submission.key).unlink(missing_ok=True)
            submission_transitions.close(
                ledger,
                action.submission.key,
                state=SubmissionState.ABANDONED,
                transient=action.submission.rows,
                permanent=RowSet.parse(""),
                problem=action.reason,
            )
        case Finish():
            finish(context, action)
        case PointLatest():
            point(context, action)
        case DeleteRemoteFiles():
            delete_remote_files(context, action)
        case _:
            assert_never(action)


def _seen(batch: Batch) -> str:
    """Say what a provider shows of a batch."""
    counts = batch.request_counts
    return (
        f"{batch.id}: {batch.status}, {counts.completed:,} of {counts.total:,} done, "
        f"{counts.failed:,} failed"
    )


def _cancel(context: Context, run: Run, action: CancelBatch) -> None:
    submission = action.submission
    context.cancelled.add(str(submission.key))
    batch = context.api(run.provider).cancel_batch(submission.batch_id or "")
    submission_transitions.observed(context.ledger, submission.key, run.provider, batch)
    context.tell(
        Notice(
            job=run.job,
            what=f"asked the provider to cancel {batch.id}: {batch.status}",
            event="cancel_sent",
            submission=submission.key,
            batch=batch,
        )
    )
