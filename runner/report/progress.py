"""What is going on at this moment, for somebody who watches: bytes that move, requests done.

The counts are the provider's own and are known to lie (fact sheet, failures 1 to 5): they are
shown to people here and nothing goes by them.

Where the runs stand that are waited for: requests done, phases and since when, what is left.

The counts and times are the provider's own and may lie: they are shown to people here and nothing
goes by them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from runner.report.colour import NO_COLOURS, bar, lay_out_line, uncoloured
from runner.report.safe_text import columns, fit, pad, plain
from runner.text import plural, rough_span, size, span
from runner.views.batch_phases import in_status_since

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.report.colour import Colours


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


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from runner.ledger.records import Run, Submission
    from runner.planning.actions import Wait
    from runner.report.colour import Colours

    _Piece: TypeAlias = tuple[str, Callable[[str], str]]

_ROOMY_FOR_RUNS: Final = 100
"""From how many columns on there is room for long names and long bars."""

_GAP: Final = "  "
_FAR: Final = 100 * 86_400.0
"""Seconds; what expires later than that is no time that a batch has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusCount:
    """The number of batches of a run with one status, and since when the first of them has it.

    `since` is in Unix seconds, None where it is not known.
    """

    name: str
    count: int
    since: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """One run that is being waited for.

    `state` is the job's, where that is to be shown too; `expires` is when the first of its
    batches will, in Unix seconds; `reasons` are why something else is waited for, and until when
    (0: nobody knows).
    """

    job: str
    done: int
    failed: int
    total: int
    state: str = ""
    phases: tuple[StatusCount, ...] = ()
    expires: float | None = None
    reasons: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, run: Run, waits: Sequence[Wait] = (), *, now: float) -> RunProgress:
        """Sum up a run with its submissions, and what a pass left to be waited for.

        `now` is in Unix seconds.
        """
        done = failed = 0
        opened = []
        for submission in run.submissions:
            if submission.state.closed:
                permanent = 0 if submission.permanent is None else len(submission.permanent)
                transient = 0 if submission.transient is None else len(submission.transient)
                done += submission.requests - permanent - transient
                failed += permanent
                continue
            opened.append(submission)
            if submission.batch is not None:
                counts = submission.batch.request_counts
                done += min(max(counts.completed, 0), submission.requests)
                failed += min(max(counts.failed, 0), submission.requests)
        keys = {str(one.key) for one in opened}
        others = {
            (wait.reason, wait.until or 0.0)
            for wait in waits
            if wait.trouble or wait.until or str(wait.key) not in keys
        }
        return cls(
            job=run.job,
            done=min(done, run.requests),
            failed=min(failed, run.requests),
            total=run.requests,
            phases=_status_counts(opened, now),
            expires=min(
                (
                    one.batch.expires_at
                    for one in opened
                    if one.batch is not None and one.batch.expires_at and not one.batch.terminal
                ),
                default=None,
            ),
            reasons=tuple(sorted(others)),
        )


def run_progress(waits: Sequence[Wait], now: float) -> tuple[RunProgress, ...]:
    """Sum up, by run, what a pass left to be waited for."""
    runs: dict[int, tuple[Run, list[Wait]]] = {}
    for wait in waits:
        runs.setdefault(wait.run.id, (wait.run, []))[1].append(wait)
    return tuple(RunProgress.of(run, its_waits, now=now) for run, its_waits in runs.values())


def _status_counts(opened: Iterable[Submission], now: float) -> tuple[StatusCount, ...]:
    found: dict[str, StatusCount] = {}
    for one in opened:
        name = str(one.state if one.batch is None else one.batch.status)
        since = _since(one, now)
        before = found.get(name)
        if before is not None and before.since is not None:
            since = before.since if since is None else min(before.since, since)
        count = 1 if before is None else before.count + 1
        found[name] = StatusCount(name=name, count=count, since=since)
    return tuple(found.values())


def _since(submission: Submission, now: float) -> float | None:
    """Return since when a submission has its status, as far as that is known."""
    batch = submission.batch
    if batch is None:
        return submission.intent_at
    return in_status_since(batch, now) or submission.terminal_at or submission.submitted_at


def run_progress_lines(
    standing: Sequence[RunProgress],
    *,
    unix: float,
    most: int,
    width: int,
    colours: Colours = NO_COLOURS,
) -> list[str]:
    """Render what is waited for, a line a job.

    In at most `most` lines (at least one) of `width` columns; `unix` is now, in Unix seconds.
    Where there is no room the bars go and times are rough, then when it expires is left out;
    what is still too long is cut off.
    """
    bar_width, longest_name = (16, 32) if width >= _ROOMY_FOR_RUNS else (8, min(20, width // 4))
    shown = standing if len(standing) <= most else standing[: max(most - 1, 0)]
    names = [fit(plain(one.job), longest_name) for one in shown]
    name_width = max(map(columns, names), default=0)
    states = max((columns(one.state) for one in shown), default=0)
    state_width = states + 2 if states else 0
    counts = [f"{one.done:,} of {one.total:,}" for one in shown]
    count_width = max(map(len, counts), default=0)
    room = width - (2 + name_width + 2 + state_width + count_width)
    told = [_progress(one, unix, span, colours) for one in shown]
    if max(map(_length, told), default=0) > room - bar_width - 2:
        bar_width = 0
        told = [_progress(one, unix, rough_span, colours) for one in shown]
        told = [pieces if _length(pieces) <= room else pieces[:-1] for pieces in told]
    lines = []
    for one, name, count, pieces in zip(shown, names, counts, told, strict=True):
        done, rest = bar(one.done, one.total, bar_width)
        lead: list[_Piece] = [
            (f"  {pad(name, name_width)}  ", uncoloured),
            (pad(one.state, state_width), partial(colours.state, one.state)),
            (done, colours.busy),
            (rest, colours.faint),
            (f"{'  ' if bar_width else ''}{count.rjust(count_width)}", uncoloured),
        ]
        lines.append(lay_out_line([*lead, *pieces, *_reasons(one, unix, colours)], width))
    if len(shown) < len(standing):
        lines.append(fit(f"  and {len(standing) - len(shown):,} more", width))
    return lines


def _length(pieces: Sequence[_Piece]) -> int:
    return sum(columns(text) for text, _ in pieces)


def _progress(
    one: RunProgress, unix: float, spelt: Callable[[float], str], colours: Colours
) -> list[_Piece]:
    """Return how the requests and the batches do; when they expire is the last piece."""
    pieces: list[_Piece] = []
    if one.failed:
        pieces += [(", ", uncoloured), (f"{one.failed:,} failed", colours.bad)]
    gap = _GAP
    for phase in one.phases:
        count = f"{phase.count} " if phase.count > 1 else ""
        since = "" if phase.since is None else f" {spelt(unix - phase.since)}"
        pieces.append((f"{gap}{count}{plain(phase.name)}{since}", uncoloured))
        gap = ", "
    told = ""
    if one.expires is not None and one.expires - unix < _FAR:
        left = one.expires - unix
        told = f"{gap}expires in {spelt(left)}" if left > 0 else f"{gap}past its window"
    return [*pieces, (told, colours.faint)]


def _reasons(one: RunProgress, unix: float, colours: Colours) -> list[_Piece]:
    pieces: list[_Piece] = []
    gap = ", " if one.phases else _GAP
    for reason, until in one.reasons:
        again = f" (again in {rough_span(until - unix)})" if until > unix else ""
        pieces += [(gap, uncoloured), (f"{plain(reason)}{again}", colours.warning)]
        gap = ", "
    return pieces
