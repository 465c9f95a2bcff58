"""The words and signs for what a plan holds, the same for people and for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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
from runner.planning.admission import prompt_size
from runner.planning.loads import Enqueued

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runner.ledger.records import Key
    from runner.planning.actions import Action

_WORDS: Final[dict[type[Action], tuple[str, str]]] = {
    StartRun: ("+", "start"),
    RestoreRun: ("<", "restore"),
    RelocateRun: ("~", "move"),
    ReopenRun: ("+", "reopen"),
    NoteSpec: (" ", "note"),
    Submit: ("+", "submit"),
    AdoptBatch: ("<", "adopt"),
    AdoptFile: ("<", "adopt_file"),
    Doubt: ("?", "doubt"),
    Retract: (" ", "retract"),
    Observe: (" ", "observe"),
    NoteMissing: ("?", "missing"),
    NoteOverdue: ("!", "overdue"),
    Lose: ("!", "lose"),
    Collect: ("<", "collect"),
    CloseWhole: ("!", "close"),
    CancelBatch: ("-", "cancel"),
    Abandon: ("-", "abandon"),
    Finish: ("=", "publish"),
    PointLatest: ("=", "point_latest"),
    Tidy: ("-", "tidy"),
}

_BOOKKEEPING: Final = (Observe, Doubt, NoteMissing, NoteOverdue, NoteSpec)
"""What only the ledger notices: no change that a plan should ask attention for."""


def action_word(action: Action) -> str:
    """Return the one word for an action, as `plan --json` has it."""
    return _WORDS[type(action)][1]


def action_sign(action: Action) -> str:
    """Return the one sign for an action, as `plan` prints it."""
    return _WORDS[type(action)][0]


def is_change(action: Action) -> bool:
    """Whether carrying this out changes more than what the ledger has noticed."""
    return not isinstance(action, _BOOKKEEPING)


def subject(action: Action) -> Key | None:
    """Return the key of the submission that an action is about, or None for a whole run."""
    match action:
        case Submit() | Lose() | Collect() | CloseWhole() | CancelBatch() | Abandon():
            return action.submission.key
        case AdoptBatch() | AdoptFile() | Doubt() | Retract() | Observe():
            return action.key
        case NoteMissing() | NoteOverdue():
            return action.key
        case _:
            return None


def batch_of(action: Action) -> str | None:
    """Return the id of the batch that an action is about, or None if there is none yet."""
    match action:
        case AdoptBatch() | Observe() | Collect() | CloseWhole():
            return action.batch.id
        case NoteMissing() | NoteOverdue():
            return action.batch_id
        case CancelBatch() | Lose():
            return action.submission.batch_id
        case _:
            return None


def enqueued(submits: Iterable[Submit]) -> Enqueued:
    """Sum up the prompt tokens of submissions, counted where they were and else estimated."""
    return sum(map(prompt_size, submits), Enqueued())
