"""Places on an axis: numbers become percentages of a drawing's width, and ticks that people read.

Drawings have no width of their own: across they are measured in percent, so that text keeps its
size on a phone, on a wide screen and on paper; downwards they are measured in pixels.
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
"""Spans of time that people count in, in seconds."""

_MOST_TICKS: Final = 5
_NEAR_THE_END: Final = 80.0
"""Percent: a label that begins further right would not fit on a phone."""


def step_for(seconds: float, most: int) -> int:
    """Choose the span of which so many seconds hold at most `most`."""
    return next((step for step in STEPS if seconds <= step * most), _years(seconds, most))


def _years(seconds: float, most: int) -> int:
    return ceil(seconds / most / STEPS[-1]) * STEPS[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeScale:
    """Moments between a first and a last one; the last is later than the first."""

    begins: float
    ends: float

    @classmethod
    def over(cls, begins: float, ends: float) -> TimeScale:
        """Make a scale that has some length, whatever happened in it."""
        return cls(begins=begins, ends=max(ends, begins + 1))

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.ends - self.begins

    def __call__(self, at: float) -> float:
        """Return the place of a moment, in percent."""
        return min(max((at - self.begins) / self.seconds, 0.0), 1.0) * 100

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Yield (percent, label) for round moments, in UTC; one near the end has no label."""
        step = step_for(self.seconds, _MOST_TICKS)
        first = ceil(self.begins / step) * step
        for number in range(floor((self.ends - first) / step) + 1):
            at = first + number * step
            place = self(at)
            yield place, _label(at, step) if place <= _NEAR_THE_END else ""

    def describe(self) -> str:
        """Say from when to when it goes."""
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
