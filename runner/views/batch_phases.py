"""The phases of a batch, from the times that its provider reports. Pure.

Providers leave times out, send 0 for them, or send times that contradict each other. One rule
holds wherever phases are shown:

- A time before the year 2000, or more than a day after now, is taken as missing.
- A batch is validated, then in progress, then finalized or cancelled. A time before that of an
  earlier phase, or after the end of the batch, is left out.
- Equal times make a phase of 0 seconds.
- Where the times do not say which phase a batch was in, the phase has no status.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from runner.batch import BatchStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runner.batch import Batch

_SKIPS_WORK: Final = (BatchStatus.FINALIZING, BatchStatus.COMPLETED)
"""Statuses that no batch reaches from validation alone: it was in progress for a part of the time,
which was not reported."""

_EARLIEST: Final = 946_684_800
"""Unix time of the year 2000: there were no Batch APIs before it."""

_AHEAD: Final = 86_400
"""Seconds by which the clock of a provider may be ahead of this machine's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """The status that a batch had for a part of its life, by the provider's clock.

    `status` is None where it is not known. `since` is in Unix seconds; `seconds` is None while
    the batch still has the status.
    """

    status: BatchStatus | None
    since: int
    seconds: int | None

    def ends(self, now: float) -> float:
        """Return when the phase ended, in Unix seconds: now, if it has not."""
        return max(now, self.since) if self.seconds is None else self.since + self.seconds


def phases(batch: Batch, now: float) -> tuple[Phase, ...]:
    """Return the phases of a batch in order, without gaps; `now` is in Unix seconds."""
    times = list(_times(batch, now))
    found = [
        Phase(
            status=None if status is BatchStatus.VALIDATING and after in _SKIPS_WORK else status,
            since=since,
            seconds=until - since,
        )
        for (since, status), (until, after) in pairwise(times)
    ]
    if times and not batch.terminal:
        since, status = times[-1]
        known = status if status is batch.known_status else None
        found.append(Phase(status=known, since=since, seconds=None))
    return tuple(found)


def seconds_in(phases: Iterable[Phase], status: BatchStatus) -> int | None:
    """Return how long a batch had a status; None if that is not known, or it still has it."""
    return next((phase.seconds for phase in phases if phase.status is status), None)


def in_status_since(batch: Batch, now: float) -> int | None:
    """Return since when a batch has its status, in Unix seconds; None if that is not known."""
    last = phases(batch, now)[-1:]
    return next(
        (phase.since for phase in last if phase.seconds is None and phase.status is not None), None
    )


def _times(batch: Batch, now: float) -> Iterator[tuple[int, BatchStatus]]:
    """Yield the time at which the batch reached each status, in order; its end is the last."""

    def usable(at: int | None) -> bool:
        return at is not None and _EARLIEST <= at <= now + _AHEAD

    reported = [
        (batch.created_at, BatchStatus.VALIDATING),
        (batch.in_progress_at, BatchStatus.IN_PROGRESS),
        *sorted(
            (
                (batch.finalizing_at, BatchStatus.FINALIZING),
                (batch.cancelling_at, BatchStatus.CANCELLING),
            ),
            key=lambda time: time[0] or 0,
        ),
    ]
    end = batch.ended_at if usable(batch.ended_at) else None
    last = _EARLIEST
    for at, status in reported:
        if at is not None and usable(at) and last <= at and (end is None or at <= end):
            yield at, status
            last = at
    if end is not None and batch.known_status is not None:
        yield end, batch.known_status
