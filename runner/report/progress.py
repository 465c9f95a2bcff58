"""What is going on at this moment, for somebody who watches: bytes that move, requests done.

The counts are the provider's own and are known to lie (fact sheet, failures 1 to 5): they are
shown to people here and nothing goes by them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from runner.report.colour import NO_COLOURS, bar, lay_out_line, uncoloured
from runner.report.safe_text import columns, fit, pad, plain
from runner.report.standing import run_progress_lines
from runner.text import plural, size, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.report.colour import Colours
    from runner.report.standing import RunProgress

_ROOMY: Final = 100
"""From how many columns on there is room for long names and for bars."""
_LONGEST_NAME: Final = 20
_LONGEST_NAME_ROOMY: Final = 32
_BAR: Final = 16
_PATIENCE: Final = 1.0
"""Seconds that something may take before it is shown."""
_SETTLING: Final = 0.5
"""Seconds before a rate says anything."""

_STEADY: Final = 2.0
"""Seconds before a rate says how much longer it will take."""

_RECENT: Final = 10.0
"""Seconds that a rate is taken over: what the network does now, not what it did at first."""

_STILL: Final = 2.0
"""Seconds without a byte before that is worth saying."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Something under way: how far it has come, and since when.

    `began` and `now` are seconds of any clock that never goes back; `total` is 0 where nobody
    knows it. `marks` are moments of late, and how far it had come then.
    """

    job: str
    what: str
    total: int
    began: float
    now: float
    done: int = 0
    marks: tuple[tuple[float, int], ...] = ()

    @classmethod
    def begin(cls, *, job: str, what: str, total: int, now: float) -> Transfer:
        """Return what has just begun."""
        return cls(job=job, what=what, total=total, began=now, now=now, marks=((now, 0),))

    def moved(self, done: int, now: float) -> Transfer:
        """Return it after a step; one that has started over is timed anew."""
        if done < self.done:
            return replace(self, done=done, now=now, marks=((now, done),))
        marks = self.marks
        if now - marks[-1][0] >= _SETTLING:
            recent = tuple(mark for mark in marks if now - mark[0] <= _RECENT) or marks[-1:]
            marks = (*recent, (now, done))
        return replace(self, done=done, now=now, marks=marks)

    @property
    def rate(self) -> float | None:
        """Bytes a second of late; None while that says nothing."""
        at, done = self.marks[0]
        elapsed = self.now - at
        return (self.done - done) / elapsed if elapsed >= _SETTLING and self.done > done else None

    @property
    def left(self) -> float | None:
        """Seconds that it will still take at this rate; None while nobody can tell."""
        steady = self.now - self.marks[0][0] >= _STEADY
        if self.rate is None or not self.total or not steady:
            return None
        return max(self.total - self.done, 0) / self.rate

    def told(self, now: float, *, brief: bool = False) -> str:
        """Say how much of how much (`brief`: what part), how fast, how much longer."""
        if not self.done and not self.total:
            return span(now - self.began)
        if not self.total:
            told = size(self.done)
        elif brief:
            told = f"{min(100 * self.done // self.total, 100)} %"
        else:
            told = f"{size(self.done)} of {size(self.total)}"
        still = now - self.now
        if still >= _STILL:
            # All of it has come, and is being worked on; or the line is dead.
            whole = self.total and self.done >= self.total
            return f"{told}, {'working' if whole else 'nothing'} for {span(still)}"
        if self.rate is not None:
            told += f", {size(self.rate)}/s"
        if self.left is not None and self.left >= 1:
            told += f", {span(self.left)} left"
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """All that is going on.

    `began` and `next_look` (None: none is due) are seconds by the clock of the transfers.
    """

    transfers: Sequence[Transfer] = ()
    standing: Sequence[RunProgress] = ()
    began: float
    next_look: float | None = None

    def lines(
        self, *, now: float, unix: float, most: int, width: int, colours: Colours = NO_COLOURS
    ) -> list[str]:
        """Render it in at most `most` lines of at most `width` columns; none if there is nothing.

        `now` is by the clock of the transfers, `unix` the same moment in Unix seconds. What has
        only just begun is left out.
        """
        transfers = [one for one in self.transfers if now - one.began >= _PATIENCE]
        if not self.standing:
            return transfer_lines(transfers, now=now, most=most, width=width, colours=colours)
        head = f"waiting for {plural(len(self.standing), 'job')}, {span(now - self.began)}"
        if self.next_look is not None and self.next_look - now >= 1:
            head += f"; next look in {span(self.next_look - now)}"
        below = transfer_lines(
            transfers, now=now, most=max(most - 2, 0), width=width, colours=colours
        )
        jobs = run_progress_lines(
            self.standing,
            unix=unix,
            most=max(most - 1 - len(below), 1),
            width=width,
            colours=colours,
        )
        return [fit(head, width), *jobs, *below][:most]


def transfer_lines(
    transfers: Sequence[Transfer],
    *,
    now: float,
    most: int,
    width: int,
    colours: Colours = NO_COLOURS,
) -> list[str]:
    """Render what is under way: a line, or where there is more than one thing, a line each."""
    if most < 1 or not transfers:
        return []
    if len(transfers) == 1:
        [one] = transfers
        lead = f"{plain(one.job)}: {plain(one.what)} "
        return [_line(lead, one, one.told(now), width, colours)]
    shown = transfers if len(transfers) < most else transfers[: max(most - 2, 0)]
    longest = _LONGEST_NAME_ROOMY if width >= _ROOMY else _LONGEST_NAME
    names = [fit(plain(one.job), longest) for one in shown]
    name_width = max(map(columns, names), default=0)
    what_width = max((columns(plain(one.what)) for one in shown), default=0)
    lines = [fit(_sum(transfers), width)]
    for one, name in zip(shown, names, strict=True):
        lead = f"  {pad(name, name_width)}  {pad(plain(one.what), what_width)}  "
        lines.append(_line(lead, one, one.told(now, brief=width < _ROOMY), width, colours))
    if 0 < len(shown) < len(transfers):
        lines.append(f"  and {len(transfers) - len(shown):,} more")
    return lines


def _line(lead: str, one: Transfer, told: str, width: int, colours: Colours) -> str:
    pieces = [(lead, uncoloured)]
    if width >= _ROOMY and one.total:
        done, rest = bar(one.done, one.total, _BAR)
        pieces += [(done, colours.busy), (rest, colours.faint), ("  ", uncoloured)]
    return lay_out_line([*pieces, (told, uncoloured)], width)


def _sum(transfers: Sequence[Transfer]) -> str:
    done, total = sum(one.done for one in transfers), sum(one.total for one in transfers)
    told = f"{len(transfers)} at once: {size(done)}"
    if all(one.total for one in transfers):
        told += f" of {size(total)}"
    rates = [one.rate for one in transfers if one.rate is not None]
    return f"{told}, {size(sum(rates))}/s" if rates else told
