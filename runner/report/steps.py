"""The words and signs for what a plan holds, the same for people and for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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
from runner.planning.admission import prompt_size
from runner.planning.state import Enqueued

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runner.ledger.records import SubmissionKey
    from runner.planning.actions import Action
    from runner.report.schemas.plan import ActionWord

_WORDS: Final[dict[type[Action], tuple[str, ActionWord]]] = {
    StartRun: ("+", "start"),
    RestoreRun: ("<", "restore"),
    RelocateRun: ("~", "move"),
    ReopenRun: ("+", "reopen"),
    NoteSpec: (" ", "note"),
    Submit: ("+", "submit"),
    AdoptBatch: ("<", "adopt"),
    AdoptFile: ("<", "adopt_file"),
    MarkUncertain: ("?", "doubt"),
    ClearIntent: (" ", "retract"),
    Observe: (" ", "observe"),
    NoteMissing: ("?", "missing"),
    NoteOverdue: ("!", "overdue"),
    MarkLost: ("!", "lose"),
    Collect: ("<", "collect"),
    CloseRejectedBatch: ("!", "close"),
    CancelBatch: ("-", "cancel"),
    AbandonSubmission: ("-", "abandon"),
    Finish: ("=", "publish"),
    PointLatest: ("=", "point_latest"),
    DeleteRemoteFiles: ("-", "tidy"),
}

_BOOKKEEPING: Final = (Observe, MarkUncertain, NoteMissing, NoteOverdue, NoteSpec)
"""What only the ledger notices: no change that a plan should ask attention for."""


def action_word(action: Action) -> ActionWord:
    """Return the one word for an action, as `plan --json` has it."""
    return _WORDS[type(action)][1]


def action_sign(action: Action) -> str:
    """Return the one sign for an action, as `plan` prints it."""
    return _WORDS[type(action)][0]


def is_change(action: Action) -> bool:
    """Whether carrying this out changes more than what the ledger has noticed."""
    return not isinstance(action, _BOOKKEEPING)


def subject(action: Action) -> SubmissionKey | None:
    """Return the key of the submission that an action is about, or None for a whole run."""
    match action:
        case (
            Submit()
            | MarkLost()
            | Collect()
            | CloseRejectedBatch()
            | CancelBatch()
            | AbandonSubmission()
        ):
            return action.submission.key
        case AdoptBatch() | AdoptFile() | MarkUncertain() | ClearIntent() | Observe():
            return action.key
        case NoteMissing() | NoteOverdue():
            return action.key
        case _:
            return None


def batch_of(action: Action) -> str | None:
    """Return the id of the batch that an action is about, or None if there is none yet."""
    match action:
        case AdoptBatch() | Observe() | Collect() | CloseRejectedBatch():
            return action.batch.id
        case NoteMissing() | NoteOverdue():
            return action.batch_id
        case CancelBatch() | MarkLost():
            return action.submission.batch_id
        case _:
            return None


def enqueued(submits: Iterable[Submit]) -> Enqueued:
    """Sum up the prompt tokens of submissions, counted where they were and else estimated."""
    return sum(map(prompt_size, submits), Enqueued())
