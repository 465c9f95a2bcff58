"""When a batch takes longer than it should. Pure.

Providers are to expire a batch at the end of its window; some never do (fact sheet, failure 7), so
that a job would wait for ever.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from runner.spec.job import DeadlineAction

if TYPE_CHECKING:
    from runner.batch import Batch
    from runner.ledger.records import Submission
    from runner.planning.shard_context import ShardContext


_LEEWAY: Final = 3600.0
"""Seconds after the end of its window that a batch may still take to come to its end."""
_WINDOW: Final = re.compile(r"([1-9][0-9]{0,5})(m|h|d)")
_HOUR: Final = 3600
_DAY: Final = 86_400
_UNITS: Final = {"m": 60, "h": _HOUR, "d": _DAY}


def overdue(desk: ShardContext, submission: Submission, batch: Batch) -> str | None:
    """Say that a batch takes longer than it should, and what is done about it; None if not."""
    due = _due(desk, submission, batch)
    if due is None or desk.facts.now < due or desk.deadline.action is DeadlineAction.WAIT:
        return None
    done = (
        "it is cancelled, and what it leaves unanswered is asked again"
        if desk.deadline.action is DeadlineAction.RESUBMIT
        else f"`runner cancel {desk.run.job}` collects what it has answered; "
        f"`deadline: {{action: resubmit}}` in the spec cancels it and asks the rest again"
    )
    late = span(desk.facts.now - due)
    return f"{batch.id} is overdue: {batch.status}, and due {late} ago; {done}"


def _due(desk: ShardContext, submission: Submission, batch: Batch) -> float | None:
    """Return when a batch should be over, by this machine's clock; None where nobody has said.

    The provider's clock gives the length of the window only: it may be of another opinion about
    the time of day.
    """
    began = submission.submitted_at
    if began is None:
        return None
    if desk.deadline.after is not None:
        return began + desk.deadline.after
    if batch.expires_at is not None and batch.created_at is not None:
        return began + max(0, batch.expires_at - batch.created_at) + _LEEWAY
    window = _WINDOW.fullmatch(batch.completion_window or "")
    if window is None:
        return None
    return began + int(window[1]) * _UNITS[window[2]] + _LEEWAY


def span(seconds: float) -> str:
    """Write a span of time in its largest whole unit: 40 min, 5 h, 3 days."""
    if seconds < _HOUR:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.0f} h"
    return f"{seconds / _DAY:.0f} days"
