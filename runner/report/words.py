"""The words and signs for what a plan holds: one place, so that all renderings agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.reconcile.actions import (
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
    NoteSpec,
    Observe,
    PointLatest,
    RelocateRun,
    ReopenRun,
    RestoreRun,
    Retract,
    StartRun,
    Submit,
)

if TYPE_CHECKING:
    from runner.reconcile.actions import (
        Action,
    )

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
    Lose: ("!", "lose"),
    Collect: ("<", "collect"),
    CloseWhole: ("!", "close"),
    CancelBatch: ("-", "cancel"),
    Abandon: ("-", "abandon"),
    Finish: ("=", "publish"),
    PointLatest: ("=", "point_latest"),
}

_BOOKKEEPING: Final = (Observe, Doubt, NoteMissing, NoteSpec)
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


def subject(action: Action) -> str | None:
    """Return the key of the submission that an action is about, or None for a whole run."""
    match action:
        case Submit() | Lose() | Collect() | CloseWhole() | CancelBatch() | Abandon():
            return str(action.submission.key)
        case AdoptBatch() | AdoptFile() | Doubt() | Retract() | Observe() | NoteMissing():
            return str(action.key)
        case _:
            return None


def plural(count: int, noun: str) -> str:
    """Write a count with its noun: `1 request`, `3,080 requests`, `2 batches`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}{'es' if noun.endswith('ch') else 's'}"


def size(count: int) -> str:
    """Write bytes in decimal units, as providers state their limits: `1.2 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":  # noqa: PLR2004 -- decimal units
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")
