"""The course of a batch through its phases, from the times that its provider gives.

Times are the provider's and may be missing, out of order or no times at all; what cannot be placed
is left out, and nothing is drawn that no time stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from runner.batch import Batch

PHASES: Final = ("validating", "in_progress", "finalizing", "cancelling")
"""As the API spells the statuses that a batch passes through, in their order."""

_EARLIEST: Final = 946_684_800
"""The year 2000: there were no Batch APIs before it."""

_AHEAD: Final = 86_400
"""Seconds by which the clock of a provider may be ahead of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of a batch's life; times in Unix seconds."""

    name: str
    begins: float
    ends: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ends - self.begins


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A batch from its creation to its end, or to now where it is not `over`."""

    phases: tuple[Phase, ...]
    over: bool

    @property
    def begins(self) -> float:
        """When the batch was created."""
        return self.phases[0].begins

    @property
    def ends(self) -> float:
        """When it ended, or now."""
        return self.phases[-1].ends

    def seconds(self, name: str) -> float | None:
        """How long a phase took; None for one that was not seen, or has not ended."""
        for number, phase in enumerate(self.phases):
            if phase.name == name:
                last = number == len(self.phases) - 1
                return None if last and not self.over else phase.seconds
        return None


def course_of(batch: Batch, now: float) -> Course | None:
    """Put the phases of a batch together; None where nobody says when it was created."""
    begins = _placed(batch.created_at, _EARLIEST, now)
    if begins is None:
        return None
    over = batch.terminal
    ended = _placed(batch.ended_at, begins, now) if over else max(now, begins)
    marks: list[tuple[str, float]] = [("validating", begins)]
    for name, at in (
        ("in_progress", batch.in_progress_at),
        ("finalizing", batch.finalizing_at),
        ("cancelling", batch.cancelling_at),
    ):
        placed = _placed(at, marks[-1][1], now)
        if placed is not None and (ended is None or placed <= ended):
            marks.append((name, placed))
    stops = [at for _, at in marks[1:]]
    stops.append(marks[-1][1] if ended is None else ended)
    return Course(
        phases=tuple(
            Phase(name=name, begins=at, ends=stop)
            for (name, at), stop in zip(marks, stops, strict=True)
        ),
        over=over,
    )


def _placed(at: float | None, earliest: float, now: float) -> float | None:
    return at if at is not None and earliest <= at <= now + _AHEAD else None


def throughput(batch: Batch, course: Course) -> float | None:
    """Return how many requests a batch answered in a minute of its work, if that can be told.

    Times have whole seconds: what took less than one is taken to have taken one.
    """
    seconds = course.seconds("in_progress")
    answered = batch.request_counts.completed
    if seconds is None or answered <= 0:
        return None
    return answered * 60 / max(seconds, 1.0)
