"""When a batch takes longer than it should, and when its results will be gone. Pure.

Providers are to expire a batch at the end of its window; some never do (fact sheet, failure 7), so
that a job would wait for ever. And nobody keeps results for ever (failure 27).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from runner.ledger.records import SubmissionState
from runner.spec.job import DeadlineAction
from runner.spec.project import LONGEST_LIFE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.batch import Batch
    from runner.ledger.records import Run, Submission
    from runner.reconcile.desk import Desk
    from runner.reconcile.facts import Facts

_LEEWAY: Final = 3600.0
"""Seconds after the end of its window that a batch may still take to come to its end."""
_WARNING: Final = 7 * 86_400.0
"""Seconds before results are gone from which on people are warned."""
_WINDOW: Final = re.compile(r"([1-9][0-9]{0,5})(m|h|d)")
_HOUR: Final = 3600
_DAY: Final = 86_400
_UNITS: Final = {"m": 60, "h": _HOUR, "d": _DAY}


def overdue(desk: Desk, submission: Submission, batch: Batch) -> str | None:
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
    late = _span(desk.facts.now - due)
    return f"{batch.id} is overdue: {batch.status}, and due {late} ago; {done}"


def _due(desk: Desk, submission: Submission, batch: Batch) -> float | None:
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


def expiring(run: Run, facts: Facts) -> Iterator[str]:
    """Warn of results that lie at the provider, are not here, and will be gone before long."""
    provider = facts.providers.get(run.provider)
    life = (provider and provider.output_expires_after) or LONGEST_LIFE
    for submission in run.submissions:
        began = submission.submitted_at
        if (
            submission.state is not SubmissionState.SUBMITTED
            or submission.terminal_at is None
            or began is None
        ):
            continue
        gone = began + life  # at the earliest: the files are younger than that
        if gone - _WARNING <= facts.now < gone:
            yield (
                f"{run.job}: the results of {submission.batch_id} are not here yet, and the provider may "
                f"delete them in {_span(gone - facts.now)}"
            )


def _span(seconds: float) -> str:
    """Write a span of time in its largest whole unit: 40 min, 5 h, 3 days."""
    if seconds < _HOUR:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.0f} h"
    return f"{seconds / _DAY:.0f} days"
