"""The time axis of a drawing: positions in percent of its width, and ticks at round times.

The x coordinates of a drawing are in percent, so that text keeps its size on a phone, on a wide
screen and on paper; the y coordinates are in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, Final

from runner.text import moment

if TYPE_CHECKING:
    from collections.abc import Iterator

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400
STEPS: Final = (
    1, 5, 15, 30,
    _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE,
    _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR,
    _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 90 * _DAY, 365 * _DAY,
)  # fmt: skip
"""Round spans of time, in seconds."""

_MOST_TICKS: Final = 5
_NEAR_THE_END: Final = 80.0
"""Percent of the width; a label that starts further right does not fit on a phone."""


def step_for(seconds: float, most: int) -> int:
    """Return the shortest round span of which `seconds` has at most `most`."""
    return next((step for step in STEPS if seconds <= step * most), _years(seconds, most))


def _years(seconds: float, most: int) -> int:
    return ceil(seconds / most / STEPS[-1]) * STEPS[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeScale:
    """The times between a first and a later last one, in Unix seconds."""

    begins: float
    ends: float

    @classmethod
    def over(cls, begins: float, ends: float) -> TimeScale:
        """Return a scale of at least one second."""
        return cls(begins=begins, ends=max(ends, begins + 1))

    @property
    def seconds(self) -> float:
        """The length of the scale."""
        return self.ends - self.begins

    def __call__(self, at: float) -> float:
        """Return the position of a time, in percent."""
        return min(max((at - self.begins) / self.seconds, 0.0), 1.0) * 100

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Yield (percent, label) for round times in UTC; a tick near the end has no label."""
        step = step_for(self.seconds, _MOST_TICKS)
        first = ceil(self.begins / step) * step
        for number in range(floor((self.ends - first) / step) + 1):
            at = first + number * step
            place = self(at)
            yield place, _label(at, step) if place <= _NEAR_THE_END else ""

    def describe(self) -> str:
        """Return the first and the last time in words."""
        begins, ends = moment(self.begins), moment(self.ends)
        same_day = begins[:10] == ends[:10]
        return f"{begins} to {ends[11:] if same_day else ends} UTC"


def _label(at: float, step: int) -> str:
    written = moment(at)
    if step >= _DAY:
        return written[:10]
    if step >= _HOUR:
        return written[5:16]
    return written[11:] if step < _MINUTE else written[11:16]
