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
    Abandon,
    AdoptBatch,
    AdoptFile,
    CancelBatch,
    CloseWhole,
    Collect,
    Doubt,
    Finish,
    Lose,
    NoteMissing,
    NoteOverdue,
    NoteSpec,
    Observe,
    PointLatest,
    RelocateRun,
    ReopenRun,
    RestoreRun,
    Retract,
    StartRun,
    Submit,
    Tidy,
)
from runner.reconcile.adopt import adopt_batch, adopt_file
from runner.reconcile.collect import close_whole, collect, lose
from runner.reconcile.concurrency import Crew
from runner.reconcile.context import Tally, Tidings, count
from runner.reconcile.finish import finish, point
from runner.reconcile.relocate import relocate
from runner.reconcile.reopen import reopen
from runner.reconcile.restore import restore
from runner.reconcile.submit import submit
from runner.reconcile.tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.batch import Batch
    from runner.ledger.records import Run
    from runner.planning.actions import Action, Alone
    from runner.reconcile.context import Workshop


def apply(shop: Workshop, actions: Sequence[Action]) -> int:
    """Carry out the actions in order; returns how many were carried out.

    What waits for the network longest, submitting and collecting, is done side by side as far as
    `shop.hands` reach. Errors of the provider, the disk or the input are told and held
    (`shop.trouble`); LedgerError ends the pass, since nothing may be done that cannot be written
    down.
    """
    started: dict[tuple[str, str], int] = {}
    crew = Crew(shop.hands)
    done = 0

    def ended(action: Action, error: Exception | None) -> None:
        nonlocal done
        if error is None:
            done += 1
        else:
            _hold(shop, action, error)

    for planned in actions:
        action = _with_id(planned, started)
        if _left_alone(shop, action):
            continue
        if not isinstance(action, Submit | Collect):
            try:
                _apply(shop, action, started)
            except Exception as error:  # noqa: BLE001 -- judged, and raised if it is none of ours
                ended(action, error)
            else:
                ended(action, None)
            continue
        size = action.submission.bytes if isinstance(action, Submit) else 0
        crew.room(size)
        if isinstance(action, Submit) and action.run.provider not in shop.proven:
            crew.finish()
        # What has ended meanwhile may have shown that there is no use in asking.
        if not _left_alone(shop, action) and not _outgrown(shop, action):
            steps = submit(shop, action) if isinstance(action, Submit) else collect(shop, action)
            crew.begin(steps, size=size, ended=partial(ended, action))
    crew.finish()
    return done


def _outgrown(shop: Workshop, action: Action) -> bool:
    """Whether this pass has learned that a file is too large; the next plan has a smaller one."""
    if not isinstance(action, Submit) or not action.new or action.submission.requests == 1:
        return False
    ceiling = shop.ceilings.get(action.run.id)
    submission, shard = action.submission, action.shard
    size = submission.bytes or shard.bytes * submission.requests // shard.requests
    return ceiling is not None and size > ceiling


def _left_alone(shop: Workshop, action: Action) -> bool:
    """Whether there is no use in carrying an action out now; the reason is kept."""
    name = action_name(action)
    stopped = shop.stopped.get(action.run.provider) if _asks(action) else None
    if stopped is not None:
        shop.trouble.setdefault(name, stopped)
    return name in shop.trouble


def _hold(shop: Workshop, action: Action, error: Exception) -> None:
    """Keep what went wrong for the rest of the pass; raises what is no trouble but a bug."""
    name, job = action_name(action), action.run.job
    if isinstance(error, ApiError):
        shop.note_provider(action.run.provider, error)
        shop.hold(name, error, job=job)
    elif isinstance(error, LocalFileError | InputChanged | InvalidInput | MissingExtra):
        shop.hold(name, error, job=job)
    elif isinstance(error, OSError):
        told = LocalFileError(f"{error.filename}: {error.strerror or error}")
        shop.hold(name, told, job=job)
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
        case Submit() | Lose() | Collect() | CloseWhole() | CancelBatch() | Abandon():
            return str(action.submission.key)
        case (
            AdoptBatch()
            | AdoptFile()
            | Doubt()
            | Retract()
            | Observe()
            | NoteMissing()
            | NoteOverdue()
        ):
            return str(action.key)
        case _:
            return f"{action.run.job}/{action.run.short}"


def _asks(action: Action) -> bool:
    """Whether carrying this out means calling the provider."""
    return isinstance(action, Submit | AdoptFile | Collect | CancelBatch | Tidy)


def _apply(  # noqa: C901, PLR0912 -- one line a case
    shop: Workshop, action: Alone, started: dict[tuple[str, str], int]
) -> None:
    ledger, run = shop.ledger, action.run
    match action:
        case StartRun():
            run = dataclasses.replace(run, git=shop.git())
            identifier = run_steps.start_run(ledger, action.job, run, run.shards)
            started[run.job, run.revision] = identifier
            shop.tell(
                Tidings(
                    job=run.job,
                    what=f"begins with {run.short}: {count(run.requests)} from {run.input_path}",
                    event="run_started",
                    aside=True,
                    revision=run.short,
                    tally=Tally(total=run.requests),
                )
            )
        case RestoreRun():
            restore(shop, action)
        case RelocateRun():
            relocate(shop, action)
        case ReopenRun():
            reopen(shop, run, next_round=False, attempts=action.attempts)
        case NoteSpec():
            run_steps.want(ledger, action.job)
        case AdoptBatch():
            adopt_batch(shop, action)
        case AdoptFile():
            adopt_file(shop, action)
        case Doubt():
            submission_transitions.doubt(ledger, action.key, action.why)
        case Retract():
            submission_transitions.retract(ledger, action.key, action.why)
        case Observe():
            shop.noted.add(str(action.key))
            submission_transitions.observed(ledger, action.key, run.provider, action.batch)
            shop.tell(
                Tidings(
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
            submission_transitions.overdue(ledger, action.key, action.why)
            shop.tell(
                Tidings(
                    job=run.job,
                    what=action.why,
                    trouble=True,
                    event="overdue",
                    submission=action.key,
                )
            )
        case Lose():
            lose(shop, action)
        case CloseWhole():
            close_whole(shop, action)
        case CancelBatch():
            _cancel(shop, run, action)
        case Abandon():
            shop.scratch(action.submission.key).unlink(missing_ok=True)
            submission_transitions.close(
                ledger,
                action.submission.key,
                state=SubmissionState.ABANDONED,
                transient=action.submission.rows,
                permanent=RowSet.parse(""),
                problem=action.why,
            )
        case Finish():
            finish(shop, action)
        case PointLatest():
            point(shop, action)
        case Tidy():
            tidy(shop, action)
        case _:
            assert_never(action)


def _seen(batch: Batch) -> str:
    """Say what a provider shows of a batch."""
    counts = batch.request_counts
    return (
        f"{batch.id}: {batch.status}, {counts.completed:,} of {counts.total:,} done, "
        f"{counts.failed:,} failed"
    )


def _cancel(shop: Workshop, run: Run, action: CancelBatch) -> None:
    submission = action.submission
    shop.cancelled.add(str(submission.key))
    batch = shop.api(run.provider).cancel_batch(submission.batch_id or "")
    submission_transitions.observed(shop.ledger, submission.key, run.provider, batch)
    shop.tell(
        Tidings(
            job=run.job,
            what=f"asked the provider to cancel {batch.id}: {batch.status}",
            event="cancel_sent",
            submission=submission.key,
            batch=batch,
        )
    )
