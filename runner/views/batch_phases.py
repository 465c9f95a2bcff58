"""What a batch has been through, and how long each part of it took, by its own times.

Times are optional but for the first, and not every provider sends those that it should. A span is
told only where both of its ends are known; nothing is made of times that contradict each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from runner.batch import BatchStatus

if TYPE_CHECKING:
    from runner.batch import Batch


_RANK: Final = {
    BatchStatus.VALIDATING: 0,
    BatchStatus.IN_PROGRESS: 1,
    BatchStatus.FINALIZING: 2,
    BatchStatus.CANCELLING: 3,
}
_SKIPS_WORK: Final = (BatchStatus.FINALIZING, BatchStatus.COMPLETED)
"""What no batch comes to from validation alone: in between it was in progress, unsaid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A status that a batch was in since a moment (Unix seconds, the provider's clock).

    `seconds` is how long, None while it still is.
    """

    status: BatchStatus
    since: int
    seconds: int | None


def phases(batch: Batch) -> tuple[Phase, ...]:
    """Return the phases of a batch in order, as far as its times tell."""
    times = _times(batch)
    told = [
        Phase(status=status, since=since, seconds=until - since)
        for (since, status), (until, after) in pairwise(times)
        if not (status is BatchStatus.VALIDATING and after in _SKIPS_WORK)
    ]
    if times and times[-1][1] is batch.known_status and not batch.terminal:
        told.append(Phase(status=times[-1][1], since=times[-1][0], seconds=None))
    return tuple(told)


def _times(batch: Batch) -> list[tuple[int, BatchStatus]]:
    """Return when it came to which status, in order; its end, if any, is the last."""
    ways = {
        BatchStatus.VALIDATING: batch.created_at,
        BatchStatus.IN_PROGRESS: batch.in_progress_at,
        BatchStatus.FINALIZING: batch.finalizing_at,
        BatchStatus.CANCELLING: batch.cancelling_at,
    }
    times = sorted(
        ((at, status) for status, at in ways.items() if at is not None),
        key=lambda time: (time[0], _RANK[time[1]]),
    )
    end, last = batch.ended_at, batch.known_status
    if end is not None and last is not None:
        times = [time for time in times if time[0] <= end]
        times.append((end, last))
    return times
