"""Passes until every selected job is in a final state: `runner reconcile --wait`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.reconcile.lock import locked
from runner.reconcile.passes import reconcile_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.reconcile.context import Context
    from runner.reconcile.passes import PassReport
    from runner.spec.job import Specs


_SHORTEST_POLL: Final = 5.0
_SHORTEST_POLL_LOOPBACK: Final = 0.2
_LONGEST_POLL: Final = 60.0
_SOONEST: Final = 0.05
_PATIENCE: Final = 3
"""How many passes in a row may meet nothing but trouble before waiting is given up."""


def reconcile_until_done(
    context: Context,
    specs: Specs,
    *,
    everything: bool,
    sleep: Callable[[float], None],
    poll_interval: float | None = None,
    wait_for_lock: bool = False,
    waiting: Callable[[PassReport, float], None] | None = None,
) -> PassReport:
    """Make passes until all selected jobs are final, or until waiting cannot help.

    The lock is held during a pass and not between passes, so that other reconciles get their
    turn. Without `poll_interval` (seconds) the pause is a tenth of the time in which nothing
    has changed, between 5 s (0.2 s on this machine) and a minute. A provider that has answered
    before, or that asks for patience, is waited for as long as it takes; a refused key, a lack
    of money or a missing extra ends the wait, and so does trouble alone, three passes in a row.
    `waiting` hears of each pause. Raises LockHeld, at the first pass only and unless
    `wait_for_lock`, if another reconcile is at work.
    """
    changed_at = context.clock()
    fruitless = 0
    while True:
        with locked(context.ledger.path, wait=wait_for_lock):
            report = reconcile_once(context, specs, everything=everything)
        wait_for_lock = True
        now = context.clock()
        if report.settled or report.in_vain:
            return report
        changed_at = now if report.changed else changed_at
        alone = bool(report.waits) and all(wait.trouble for wait in report.waits)
        outage = bool(context.stopped) and context.stopped.keys() <= context.answered
        asked = context.patience_until > 0
        fruitless = (
            fruitless + 1 if alone and not outage and not asked and not report.changed else 0
        )
        if fruitless >= _PATIENCE:
            return report
        pause = poll_interval or max(
            _pause(context, report, now - changed_at), context.patience_until - now
        )
        untils = [wait.until for wait in report.waits if wait.until is not None]
        if untils:
            pause = min(pause, max(min(untils) - now, _SOONEST))
        if waiting is not None:
            waiting(report, pause)
        sleep(pause)


def _pause(context: Context, report: PassReport, quiet: float) -> float:
    providers = {wait.run.provider for wait in report.waits}
    near = all(
        provider in context.project.providers and context.project.providers[provider].loopback
        for provider in providers
    )
    shortest = _SHORTEST_POLL_LOOPBACK if near else _SHORTEST_POLL
    return min(max(quiet / 10, shortest), _LONGEST_POLL)
