"""Apply the actions of a plan in order; a failed action is held until the next pass.

This module decides nothing: the plan does. A failure holds its own submission or run, or stops its
provider if other calls would fail as well; everything else continues.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from functools import partial
from typing import TYPE_CHECKING, assert_never

from runner.errors import (
    ApiError,
    InputChanged,
    InvalidInput,
    LocalFileError,
    MissingExtra,
    NoRoom,
    OutOfMoney,
    RateLimited,
    Transient,
    Unauthorized,
    UnexpectedReply,
    Unreachable,
)
from runner.inputs.row_set import RowSet
from runner.ledger import run_transitions, submission_transitions
from runner.ledger.records import SubmissionState
from runner.outputs.files import prove_writable
from runner.outputs.provenance import git_json
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
from runner.planning.in_flight import LONGEST_BACKOFF
from runner.reconcile.adopt import adopt_batch, adopt_file
from runner.reconcile.collect import close_rejected_batch, collect, is_given_up, mark_lost
from runner.reconcile.concurrency import TaskRunner
from runner.reconcile.context import Notice, RequestCounts
from runner.reconcile.finish import finish, update_latest
from runner.reconcile.restore import restore
from runner.reconcile.run_lifecycle import delete_remote_files, relocate, reopen
from runner.reconcile.submit import submit
from runner.text import plural, span

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.planning.actions import Action, SequentialAction
    from runner.reconcile.context import Context, PassState


def apply(context: Context, state: PassState, actions: Sequence[Action]) -> int:
    """Apply the actions in order, and return how many were applied.

    Submitting and collecting wait for the network longest, so they run concurrently, as far as
    `context.executor` allows. An error of the provider, the disk or the input is reported, and the
    subject of its action is held (`state.held`). LedgerError ends the pass: nothing may be done
    that cannot be recorded.
    """
    started: dict[tuple[str, str], int] = {}
    tasks = TaskRunner(context.executor)
    git = functools.cache(lambda: git_json(context.project.root))
    done = 0

    def on_end(action: Action, error: Exception | None) -> None:
        nonlocal done
        if error is None:
            done += 1
        else:
            _hold(context, state, action, error)

    for planned in actions:
        action = _with_id(planned, started)
        if _is_held(state, action):
            continue
        if not isinstance(action, Submit | Collect):
            try:
                _apply(context, state, action, started, git)
            except Exception as error:  # noqa: BLE001 -- judged, and raised if it is none of ours
                on_end(action, error)
            else:
                on_end(action, None)
            continue
        size = action.submission.bytes if isinstance(action, Submit) else 0
        tasks.wait_for_room(size)
        if isinstance(action, Submit) and action.run.provider not in state.accepting:
            tasks.finish()
        # A task that has ended in the meantime may have held this action or stopped its provider.
        if not (
            _is_held(state, action)
            or _is_too_large(state, action)
            or _is_unwritable(context, state, action)
        ):
            steps = (
                submit(context, state, action)
                if isinstance(action, Submit)
                else collect(context, state, action)
            )
            tasks.begin(steps, size=size, on_end=partial(on_end, action))
    tasks.finish()
    return done


def _is_too_large(state: PassState, action: Action) -> bool:
    """Whether this pass has learned that a file is too large; the next plan has a smaller one."""
    if not isinstance(action, Submit) or not action.new or action.submission.requests == 1:
        return False
    max_bytes = state.max_file_bytes.get(action.run.id)
    return max_bytes is not None and _size(action) > max_bytes


def _is_unwritable(context: Context, state: PassState, action: Action) -> bool:
    """Whether the results of a submission could not be written: then nothing is paid for."""
    if not isinstance(action, Submit):
        return False
    run = action.run
    if run.id not in state.unwritable:
        state.unwritable[run.id] = None
        try:
            prove_writable(context.folder(run))
        except LocalFileError as error:
            state.unwritable[run.id] = str(error)
            _hold(context, state, action, error)
    reason = state.unwritable[run.id]
    if reason is not None:
        state.held[action.subject] = reason
        state.on_this_machine.add(action.subject)
    return reason is not None


def _size(action: Submit) -> int:
    """Return the bytes of the file to upload, an estimate where it is not written yet."""
    submission, shard = action.submission, action.shard
    return submission.bytes or shard.bytes * submission.requests // shard.requests


def _is_held(state: PassState, action: Action) -> bool:
    """Whether an action cannot be applied in this pass; the reason is in `state.held`."""
    stopped = state.stopped.get(action.run.provider) if action.calls_provider else None
    if stopped is not None:
        state.held.setdefault(action.subject, stopped)
    if isinstance(action, Submit):
        size, reason = state.no_room.get(action.run.provider, (math.inf, ""))
        if _size(action) >= size:
            state.held.setdefault(action.subject, reason)
    return action.subject in state.held


def _hold(context: Context, state: PassState, action: Action, error: Exception) -> None:
    """Report an error and hold the subject of its action; raises any error that is a bug."""
    problem = str(error)
    if isinstance(error, ApiError):
        _stop_provider(context, state, action.run.provider, error)
        if isinstance(action, Collect):
            problem = _refused_results(context, state, action, error)
        if isinstance(error, NoRoom) and isinstance(action, Submit):
            smallest, _reason = state.no_room.get(action.run.provider, (math.inf, ""))
            if _size(action) < smallest:
                state.no_room[action.run.provider] = (_size(action), str(error))
    elif isinstance(error, OSError):
        error = LocalFileError(f"{error.filename}: {error.strerror or error}")
        problem = str(error)
    elif not isinstance(error, LocalFileError | InputChanged | InvalidInput | MissingExtra):
        raise error
    if not isinstance(error, ApiError):
        state.on_this_machine.add(action.subject)
    state.held[action.subject] = problem
    context.report_notice(
        Notice(
            job=action.run.job,
            message=problem,
            is_problem=True,
            event="held",
            submission=action.submission_key,
            error=error,
        )
    )


def _refused_results(context: Context, state: PassState, action: Collect, error: ApiError) -> str:
    """Return what is wrong with the results of a batch, and what the user can do in the end.

    Until then `--wait` goes on; after it, these results are no reason to wait any more.
    """
    now = context.clock()
    # A provider that asks for more time gets it once, and not for ever.
    asked_for = min(error.retry_after or 0.0, LONGEST_BACKOFF)
    if not is_given_up(context, action, now - asked_for):
        state.patience_until = max(state.patience_until, now)
        return str(error)
    state.refused.add(str(action.submission.key))
    age = span(now - (action.submission.terminal_at or now))
    return (
        f"{error}; the results of {action.batch.id} have been refused or unusable for {age}. "
        f"`runner reconcile` tries again, and nothing is submitted again; `runner cancel "
        f"{action.run.job}` ends the job without them"
    )


def _stop_provider(context: Context, state: PassState, provider: str, error: ApiError) -> None:
    """Stop a provider for the rest of the pass if another request cannot help."""
    if isinstance(error, OutOfMoney | Unauthorized | Unreachable):
        state.stopped.setdefault(provider, str(error))
    if isinstance(error, OutOfMoney | Unauthorized):
        state.unusable.add(provider)
    is_transient = isinstance(error, Transient | UnexpectedReply)
    if (is_transient and provider in context.providers.responded) or isinstance(error, RateLimited):
        state.patience_until = max(
            state.patience_until, context.clock() + (error.retry_after or 0.0)
        )


def _with_id(action: Action, started: dict[tuple[str, str], int]) -> Action:
    """Return an action with the id of its run, if the run was started earlier in this plan."""
    identifier = started.get((action.run.job, action.run.revision))
    if identifier is None or action.run.id == identifier:
        return action
    return dataclasses.replace(action, run=dataclasses.replace(action.run, id=identifier))


def _apply(  # noqa: C901, PLR0912 -- one line a case
    context: Context,
    state: PassState,
    action: SequentialAction,
    started: dict[tuple[str, str], int],
    git: Callable[[], str | None],
) -> None:
    ledger, run = context.ledger, action.run
    match action:
        case StartRun():
            started[run.job, run.revision] = _start(context, action, git())
        case RestoreRun():
            restore(context, action)
        case RelocateRun():
            relocate(context, action)
        case ReopenRun():
            reopen(context, run, next_round=False, attempts=action.attempts)
        case NoteSpec():
            run_transitions.set_desired(ledger, action.job)
        case AdoptBatch():
            adopt_batch(context, action)
        case AdoptFile():
            adopt_file(context, action)
        case MarkUncertain():
            submission_transitions.mark_uncertain(ledger, action.key, action.reason)
        case ClearIntent():
            submission_transitions.clear_intent(ledger, action.key, action.reason)
        case Observe():
            _record_batch(context, state, action)
        case NoteMissing():
            submission_transitions.batch_not_found(ledger, action.key, action.batch_id)
        case NoteOverdue():
            _note_overdue(context, action)
        case MarkLost():
            mark_lost(context, action)
        case CloseRejectedBatch():
            close_rejected_batch(context, state, action)
        case CancelBatch():
            _cancel(context, state, action)
        case AbandonSubmission():
            _abandon(context, action)
        case Finish():
            finish(context, state, action)
        case PointLatest():
            update_latest(context, action)
        case DeleteRemoteFiles():
            delete_remote_files(context, action)
        case _:
            assert_never(action)


def _start(context: Context, action: StartRun, git: str | None) -> int:
    """Record a new run; returns its id."""
    run = dataclasses.replace(action.run, git=git)
    identifier = run_transitions.start_run(context.ledger, action.job, run, run.shards)
    context.report_notice(
        Notice(
            job=run.job,
            message=f"begins with {run.short}: {plural(run.requests, 'request')} from "
            f"{run.input_path}",
            event="run_started",
            debug=True,
            revision=run.short,
            counts=RequestCounts(total=run.requests),
        )
    )
    return identifier


def _record_batch(context: Context, state: PassState, action: Observe) -> None:
    """Record the present state of a batch."""
    run, batch = action.run, action.batch
    counts = batch.request_counts
    state.recorded_batches.add(str(action.key))
    submission_transitions.observed(context.ledger, action.key, run.provider, batch)
    context.report_notice(
        Notice(
            job=run.job,
            message=f"{batch.id}: {batch.status}, {counts.completed:,} of {counts.total:,} done, "
            f"{counts.failed:,} failed",
            event="batch_changed",
            debug=True,
            submission=action.key,
            batch=batch,
        )
    )


def _note_overdue(context: Context, action: NoteOverdue) -> None:
    submission_transitions.overdue(context.ledger, action.key, action.reason)
    context.report_notice(
        Notice(
            job=action.run.job,
            message=action.reason,
            is_problem=True,
            event="overdue",
            submission=action.key,
        )
    )


def _cancel(context: Context, state: PassState, action: CancelBatch) -> None:
    run, submission = action.run, action.submission
    state.cancelled.add(str(submission.key))
    batch = context.api(run.provider).cancel_batch(submission.batch_id or "")
    submission_transitions.observed(context.ledger, submission.key, run.provider, batch)
    context.report_notice(
        Notice(
            job=run.job,
            message=f"requested the cancellation of {batch.id}: {batch.status}",
            event="cancel_sent",
            submission=submission.key,
            batch=batch,
        )
    )


def _abandon(context: Context, action: AbandonSubmission) -> None:
    key = action.submission.key
    context.scratch(key).unlink(missing_ok=True)
    submission_transitions.close(
        context.ledger,
        key,
        state=SubmissionState.ABANDONED,
        transient=action.submission.rows,
        permanent=RowSet.parse(""),
        problem=action.reason,
    )
