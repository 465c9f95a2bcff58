"""Where the runs stand that are waited for: requests done, phases and since when, what is left.

The counts and times are the provider's own and may lie: they are shown to people here and nothing
goes by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from runner.batch import BatchStatus
from runner.report.colour import NO_COLOURS, bar, lay_out_line, uncoloured
from runner.report.safe_text import columns, fit, pad, plain
from runner.text import rough_span, span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from runner.ledger.records import Run, Submission
    from runner.planning.actions import Wait
    from runner.report.colour import Colours

    _Piece: TypeAlias = tuple[str, Callable[[str], str]]

_ROOMY: Final = 100
"""From how many columns on there is room for long names and long bars."""

_GAP: Final = "  "
_FAR: Final = 100 * 86_400.0
"""Seconds; what expires later than that is no time that a batch has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What some batches of a run are doing, and since when (Unix seconds) the first of them."""

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
    phases: tuple[Phase, ...] = ()
    expires: float | None = None
    reasons: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, run: Run, waits: Sequence[Wait] = ()) -> RunProgress:
        """Sum up a run with its submissions, and what a pass left to be waited for."""
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
            (wait.why, wait.until or 0.0)
            for wait in waits
            if wait.trouble or wait.until or str(wait.key) not in keys
        }
        return cls(
            job=run.job,
            done=min(done, run.requests),
            failed=min(failed, run.requests),
            total=run.requests,
            phases=_phases(opened),
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


def run_progress(waits: Sequence[Wait]) -> tuple[RunProgress, ...]:
    """Sum up, by run, what a pass left to be waited for."""
    runs: dict[int, tuple[Run, list[Wait]]] = {}
    for wait in waits:
        runs.setdefault(wait.run.id, (wait.run, []))[1].append(wait)
    return tuple(RunProgress.of(run, its_waits) for run, its_waits in runs.values())


def _phases(opened: Iterable[Submission]) -> tuple[Phase, ...]:
    found: dict[str, Phase] = {}
    for one in opened:
        name = str(one.state if one.batch is None else one.batch.status)
        since = _since(one)
        before = found.get(name)
        if before is not None and before.since is not None:
            since = before.since if since is None else min(before.since, since)
        found[name] = Phase(name=name, count=1 if before is None else before.count + 1, since=since)
    return tuple(found.values())


def _since(submission: Submission) -> float | None:
    """Return when a submission got where it is, as far as anybody has said."""
    batch = submission.batch
    if batch is None:
        return submission.intent_at
    match batch.known_status:
        case BatchStatus.IN_PROGRESS:
            said = batch.in_progress_at
        case BatchStatus.FINALIZING:
            said = batch.finalizing_at
        case BatchStatus.CANCELLING:
            said = batch.cancelling_at
        case BatchStatus.VALIDATING:
            said = batch.created_at
        case _:
            said = None
    return said or submission.terminal_at or submission.submitted_at


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
    bar_width, longest_name = (16, 32) if width >= _ROOMY else (8, min(20, width // 4))
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
    for why, until in one.reasons:
        again = f" (again in {rough_span(until - unix)})" if until > unix else ""
        pieces += [(gap, uncoloured), (f"{plain(why)}{again}", colours.warning)]
        gap = ", "
    return pieces
