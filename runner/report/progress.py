"""Live progress in a terminal: the runs that a command waits for, and the transfers under way.

The counts and times of a batch are the provider's and can be wrong. They are only shown here; no
decision depends on them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from runner.report.colour import NO_COLOURS, bar, join_coloured, uncoloured
from runner.report.text_width import columns, fit, pad
from runner.text import plural, printable, rough_span, size, span
from runner.views.batch_phases import in_status_since

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from runner.ledger.records import Run, Submission
    from runner.planning.actions import Wait
    from runner.report.colour import Colours

    _Piece: TypeAlias = tuple[str, Callable[[str], str]]

_WIDE: Final = 100
"""Columns of a terminal from which on names are long and each transfer has a bar."""

_LONGEST_NAME: Final = 20
_LONGEST_NAME_WIDE: Final = 32
_BAR: Final = 8
_BAR_WIDE: Final = 16
"""Columns."""

_DELAY: Final = 1.0
"""Seconds before a transfer is shown: short ones never are."""

_SETTLING: Final = 0.5
"""Seconds of a transfer before its rate is shown."""

_STEADY: Final = 2.0
"""Seconds of a transfer before its remaining time is shown."""

_RECENT: Final = 10.0
"""Seconds over which a rate is taken: the rate now, not at the beginning."""

_STALLED: Final = 2.0
"""Seconds without a byte before a transfer is shown as stalled."""

_GAP: Final = "  "
_FAR: Final = 100 * 86_400.0
"""Seconds; a batch that expires later than that has a wrong time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """An upload, a download or another step that moves bytes.

    `done` and `total` are in bytes; `total` is 0 if it is not known. `began` and `now`, the time
    of the last byte, are seconds of a monotonic clock. `marks` are recent times, each with `done`
    at that time.
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
        """Return a transfer that begins now."""
        return cls(job=job, what=what, total=total, began=now, now=now, marks=((now, 0),))

    def moved(self, done: int, now: float) -> Transfer:
        """Return the transfer with `done` bytes; if it has restarted, its rate does too."""
        if done < self.done:
            return replace(self, done=done, now=now, marks=((now, done),))
        marks = self.marks
        if now - marks[-1][0] >= _SETTLING:
            recent = tuple(mark for mark in marks if now - mark[0] <= _RECENT) or marks[-1:]
            marks = (*recent, (now, done))
        return replace(self, done=done, now=now, marks=marks)

    @property
    def rate(self) -> float | None:
        """The recent rate in bytes a second; None if it is not known yet."""
        at, done = self.marks[0]
        elapsed = self.now - at
        return (self.done - done) / elapsed if elapsed >= _SETTLING and self.done > done else None

    @property
    def seconds_left(self) -> float | None:
        """The seconds that the rest takes at this rate; None if that is not known yet."""
        steady = self.now - self.marks[0][0] >= _STEADY
        if self.rate is None or not self.total or not steady:
            return None
        return max(self.total - self.done, 0) / self.rate

    def describe(self, now: float, *, brief: bool = False) -> str:
        """Return the bytes moved (`brief`: the percentage), the rate and the remaining time."""
        if not self.done and not self.total:
            return span(now - self.began)
        if not self.total:
            text = size(self.done)
        elif brief:
            text = f"{min(100 * self.done // self.total, 100)} %"
        else:
            text = f"{size(self.done)} of {size(self.total)}"
        quiet = now - self.now
        if quiet >= _STALLED:
            # With all bytes moved, the other side works on them; else the connection is stalled.
            whole = self.total and self.done >= self.total
            return f"{text}, {'working' if whole else 'stalled'} for {span(quiet)}"
        if self.rate is not None:
            text += f", {size(self.rate)}/s"
        if self.seconds_left is not None and self.seconds_left >= 1:
            text += f", {span(self.seconds_left)} left"
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """The transfers under way, and the runs that the command waits for.

    `began` and `next_pass` (None if no pass is due) are seconds of the clock of the transfers.
    """

    transfers: Sequence[Transfer] = ()
    runs: Sequence[RunProgress] = ()
    began: float
    next_pass: float | None = None

    def lines(
        self, *, now: float, unix: float, most: int, width: int, colours: Colours = NO_COLOURS
    ) -> list[str]:
        """Render it in at most `most` lines of at most `width` columns.

        `now` is a time of the clock of the transfers, `unix` the same time in Unix seconds. A
        transfer that has just begun is left out.
        """
        transfers = [one for one in self.transfers if now - one.began >= _DELAY]
        if not self.runs:
            return transfer_lines(transfers, now=now, most=most, width=width, colours=colours)
        head = f"waiting for {plural(len(self.runs), 'job')}, {span(now - self.began)}"
        if self.next_pass is not None and self.next_pass - now >= 1:
            head += f"; next pass in {span(self.next_pass - now)}"
        below = transfer_lines(
            transfers, now=now, most=max(most - 2, 0), width=width, colours=colours
        )
        jobs = run_progress_lines(
            self.runs,
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
    """Render transfers: one on a line of its own, several with a line each and a sum."""
    if most < 1 or not transfers:
        return []
    if len(transfers) == 1:
        [one] = transfers
        lead = f"{printable(one.job)}: {printable(one.what)} "
        return [_line(lead, one, one.describe(now), width, colours)]
    shown = transfers if len(transfers) < most else transfers[: max(most - 2, 0)]
    longest = _LONGEST_NAME_WIDE if width >= _WIDE else _LONGEST_NAME
    names = [fit(printable(one.job), longest) for one in shown]
    name_width = max(map(columns, names), default=0)
    what_width = max((columns(printable(one.what)) for one in shown), default=0)
    lines = [fit(_sum(transfers), width)]
    for one, name in zip(shown, names, strict=True):
        lead = f"  {pad(name, name_width)}  {pad(printable(one.what), what_width)}  "
        lines.append(_line(lead, one, one.describe(now, brief=width < _WIDE), width, colours))
    if 0 < len(shown) < len(transfers):
        lines.append(f"  and {len(transfers) - len(shown):,} more")
    return lines


def _line(lead: str, one: Transfer, text: str, width: int, colours: Colours) -> str:
    pieces = [(lead, uncoloured)]
    if width >= _WIDE and one.total:
        done, rest = bar(one.done, one.total, _BAR_WIDE)
        pieces += [(done, colours.busy), (rest, colours.faint), ("  ", uncoloured)]
    return join_coloured([*pieces, (text, uncoloured)], width)


def _sum(transfers: Sequence[Transfer]) -> str:
    done, total = sum(one.done for one in transfers), sum(one.total for one in transfers)
    text = f"{len(transfers)} transfers: {size(done)}"
    if all(one.total for one in transfers):
        text += f" of {size(total)}"
    rates = [one.rate for one in transfers if one.rate is not None]
    return f"{text}, {size(sum(rates))}/s" if rates else text


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
    """The progress of one run.

    `succeeded`, `failed` and `total` count requests. `state` is that of the job; empty if it is
    not shown. `expires` is the time at which the first batch expires, in Unix seconds. `reasons`
    say why the run waits for something other than a batch, each with the time at which that ends
    (0 if it is not known).
    """

    job: str
    succeeded: int
    failed: int
    total: int
    state: str = ""
    phases: tuple[StatusCount, ...] = ()
    expires: float | None = None
    reasons: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, run: Run, waits: Sequence[Wait] = (), *, now: float) -> RunProgress:
        """Sum up the submissions of a run, and the waits of its plan; `now` is in Unix seconds."""
        succeeded = failed = 0
        opened = []
        for submission in run.submissions:
            if submission.state.closed:
                permanent = 0 if submission.permanent is None else len(submission.permanent)
                transient = 0 if submission.transient is None else len(submission.transient)
                succeeded += submission.requests - permanent - transient
                failed += permanent
                continue
            opened.append(submission)
            if submission.batch is not None:
                counts = submission.batch.request_counts
                succeeded += min(max(counts.completed, 0), submission.requests)
                failed += min(max(counts.failed, 0), submission.requests)
        keys = {str(one.key) for one in opened}
        others = {
            (wait.reason, wait.until or 0.0)
            for wait in waits
            if wait.is_problem or wait.until or str(wait.key) not in keys
        }
        return cls(
            job=run.job,
            succeeded=min(succeeded, run.requests),
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
    """Return the progress of each run with a wait; `now` is in Unix seconds."""
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
    runs: Sequence[RunProgress],
    *,
    unix: float,
    most: int,
    width: int,
    colours: Colours = NO_COLOURS,
) -> list[str]:
    """Render runs, a line each, in at most `most` lines (at least one) of `width` columns.

    `unix` is now, in Unix seconds. In a narrow terminal the bars are left out and times have one
    unit, then the time of expiry is left out; a line that is still too long is cut.
    """
    wide = width >= _WIDE
    bar_width = _BAR_WIDE if wide else _BAR
    longest_name = _LONGEST_NAME_WIDE if wide else min(_LONGEST_NAME, width // 4)
    shown = runs if len(runs) <= most else runs[: max(most - 1, 0)]
    names = [fit(printable(one.job), longest_name) for one in shown]
    name_width = max(map(columns, names), default=0)
    states = max((columns(one.state) for one in shown), default=0)
    state_width = states + 2 if states else 0
    counts = [f"{one.succeeded:,} of {one.total:,}" for one in shown]
    count_width = max(map(len, counts), default=0)
    room = width - (2 + name_width + 2 + state_width + count_width)
    batches = [_batches(one, unix, span, colours) for one in shown]
    if max(map(_length, batches), default=0) > room - bar_width - 2:
        bar_width = 0
        batches = [_batches(one, unix, rough_span, colours) for one in shown]
        batches = [pieces if _length(pieces) <= room else pieces[:-1] for pieces in batches]
    lines = []
    for one, name, count, pieces in zip(shown, names, counts, batches, strict=True):
        done, rest = bar(one.succeeded, one.total, bar_width)
        lead: list[_Piece] = [
            (f"  {pad(name, name_width)}  ", uncoloured),
            (pad(one.state, state_width), partial(colours.state, one.state)),
            (done, colours.busy),
            (rest, colours.faint),
            (f"{'  ' if bar_width else ''}{count.rjust(count_width)}", uncoloured),
        ]
        lines.append(join_coloured([*lead, *pieces, *_reasons(one, unix, colours)], width))
    if len(shown) < len(runs):
        lines.append(fit(f"  and {len(runs) - len(shown):,} more", width))
    return lines


def _length(pieces: Sequence[_Piece]) -> int:
    return sum(columns(text) for text, _ in pieces)


def _batches(
    one: RunProgress, unix: float, write_span: Callable[[float], str], colours: Colours
) -> list[_Piece]:
    """Return the failed requests, the batches by status and, last, the time of expiry."""
    pieces: list[_Piece] = []
    if one.failed:
        pieces += [(", ", uncoloured), (f"{one.failed:,} failed", colours.bad)]
    gap = _GAP
    for phase in one.phases:
        count = f"{phase.count} " if phase.count > 1 else ""
        since = "" if phase.since is None else f" {write_span(unix - phase.since)}"
        pieces.append((f"{gap}{count}{printable(phase.name)}{since}", uncoloured))
        gap = ", "
    expiry = ""
    if one.expires is not None and one.expires - unix < _FAR:
        left = one.expires - unix
        expiry = f"{gap}expires in {write_span(left)}" if left > 0 else f"{gap}past its window"
    return [*pieces, (expiry, colours.faint)]


def _reasons(one: RunProgress, unix: float, colours: Colours) -> list[_Piece]:
    pieces: list[_Piece] = []
    gap = ", " if one.phases else _GAP
    for reason, until in one.reasons:
        again = f" (again in {rough_span(until - unix)})" if until > unix else ""
        pieces += [(gap, uncoloured), (f"{printable(reason)}{again}", colours.warning)]
        gap = ", "
    return pieces
