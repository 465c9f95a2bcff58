"""The timeline of batches: a bar for each, and of many batches their number in each phase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.batch import BatchStatus
from runner.report.page.figure import (
    FULL_HEIGHT,
    HEIGHTS,
    MARKS,
    drawing,
    figure,
    folded_table,
    horizontal_line,
    label,
    legend,
    rect,
    vertical_line,
)
from runner.report.page.markup import BLANK, element
from runner.report.page.scale import TimeScale
from runner.report.text_width import fit
from runner.text import moment, plural, printable, span
from runner.views.batch_phases import phases, seconds_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeAlias

    from runner.report.page.markup import Html
    from runner.views.batch_phases import Phase
    from runner.views.project import SubmittedBatch

    TimedBatch: TypeAlias = tuple[SubmittedBatch, tuple[Phase, ...]]

_MOST_BARS: Final = 48
_NEWEST: Final = 24
"""The most batches that all get a bar, and how many of the newest get one if there are more."""

_BINS: Final = 96
_LANE: Final = 17
_HEAD: Final = 22
"""Pixels: the height of a bar with the space below it, and of a line with the name of a job."""

_AXIS: Final = 20
_CROWD: Final = 130
_LONGEST_NAME: Final = 40
_SHORTEST_BAR: Final = 0.35
"""Percent of the width; a shorter bar cannot be seen."""

_PHASES: Final = ("validating", "in_progress", "finalizing", "cancelling", "unreported")
"""Classes of the shapes that show phases, in the order in which they are stacked."""

_LEGEND: Final = (
    ("validating", "validating"),
    ("in_progress", "in progress"),
    ("finalizing", "finalizing"),
    ("cancelling", "cancelling"),
    ("unreported", "phase not reported"),
    ("going", "not finished"),
    ("broken", "did not complete"),
)


def timeline_figures(batches: Iterable[SubmittedBatch], now: float) -> Iterator[Html]:
    """Yield the figures of the timeline; none if no batch has times."""
    timed = [
        (submitted, batch_phases)
        for submitted in batches
        if (batch_phases := phases(submitted.batch, now))
    ]
    timed.sort(key=lambda one: (one[1][0].since, str(one[0].key)))
    if len(timed) > _MOST_BARS:
        yield _crowd(timed, now)
        yield _bars(timed[-_NEWEST:], f"The newest {_NEWEST} batches", now)
    elif timed:
        yield _bars(timed, "Each batch", now)


# A bar for each ------------------------------------------------------------------------------


def _bars(timed: Sequence[TimedBatch], title: str, now: float) -> Html:
    scale = _scale(timed, now)
    shapes: list[Html] = []
    top = 4
    for job, its in _by_job(timed).items():
        shapes.append(label(0, top + 12, fit(printable(job), _LONGEST_NAME), class_="name"))
        text = plural(len(its), "batch") if len(its) > 1 else _describe(*its[0], now)
        shapes.append(label(100, top + 12, text, anchor="end"))
        top += _HEAD
        for submitted, batch_phases in its:
            shapes.append(_bar(submitted, batch_phases, scale, top, now))
            top += _LANE
        top += 4
    description = f"{plural(len(timed), 'batch')} of {plural(len(_by_job(timed)), 'job')}, drawn"
    return figure(
        "batches-timeline",
        title,
        f"{scale.describe()}, by the provider's clock.",
        legend(_legend_entries(timed, marked=True)),
        drawing(
            "timeline-bars",
            title,
            f"{description} from {scale.describe()}. The table below has the same numbers.",
            top + _AXIS,
            *_axis(scale, top),
            *shapes,
        ),
        folded_table(
            f"{title}: times in UTC",
            ("Batch", "Job", "Status", "Created", "Validating", "In progress", "Finalizing"),
            (_row(submitted, batch_phases) for submitted, batch_phases in timed),
            numbers=3,
        ),
        wide=True,
    )


def _bar(
    submitted: SubmittedBatch, batch_phases: Sequence[Phase], scale: TimeScale, top: int, now: float
) -> Html:
    name = f"{submitted.batch.id}: {_describe(submitted, batch_phases, now)}"
    parts: list[Html] = []
    for phase in batch_phases:
        class_ = _class(phase)
        begins, ends = scale(phase.since), scale(phase.ends(now))
        height = HEIGHTS.get(class_, FULL_HEIGHT)
        width = max(ends - begins, _SHORTEST_BAR if class_ == "in_progress" else 0.1)
        y = top + (FULL_HEIGHT - height) / 2
        parts.append(rect(min(begins, 100 - width), width, y, height, class_))
    sign = _sign(submitted)
    if sign is not None:
        parts.append(_mark(scale(batch_phases[-1].ends(now)), top, sign))
    return element("g", element("title", name), *parts)


def _class(phase: Phase) -> str:
    return "unreported" if phase.status is None else str(phase.status)


def _sign(submitted: SubmittedBatch) -> str | None:
    if not submitted.batch.terminal:
        return "going"
    return None if submitted.batch.known_status is BatchStatus.COMPLETED else "broken"


def _mark(x: float, top: int, class_: str) -> Html:
    """Return the sign after the end of a bar: the batch is not finished, or did not complete."""
    return element(
        "svg",
        element("path", d=MARKS[class_], class_=class_),
        x=f"{x:.2f}%",
        y=top,
        width=1,
        height=FULL_HEIGHT,
        class_="mark",
    )


def _axis(scale: TimeScale, bottom: int) -> Iterator[Html]:
    for place, words in scale.ticks():
        yield vertical_line(place, 0, bottom)
        if words:
            yield label(place, bottom + 15, words)
    yield horizontal_line(bottom, class_="base")


def _row(submitted: SubmittedBatch, batch_phases: Sequence[Phase]) -> tuple[str, ...]:
    def took(status: BatchStatus) -> str:
        seconds = seconds_in(batch_phases, status)
        return BLANK if seconds is None else span(seconds)

    return (
        submitted.batch.id,
        submitted.job,
        submitted.batch.status,
        moment(batch_phases[0].since)
        if submitted.batch.created_at == batch_phases[0].since
        else BLANK,
        took(BatchStatus.VALIDATING),
        took(BatchStatus.IN_PROGRESS),
        took(BatchStatus.FINALIZING),
    )


def _describe(submitted: SubmittedBatch, batch_phases: Sequence[Phase], now: float) -> str:
    ends = batch_phases[-1].ends(now)
    took = span(ends - batch_phases[0].since)
    status = printable(submitted.batch.status).replace("_", " ")
    if not submitted.batch.terminal:
        return f"{status} for {took}"
    return f"{status} after {took}" if submitted.batch.ended_at == ends else status


def _by_job(timed: Iterable[TimedBatch]) -> dict[str, list[TimedBatch]]:
    found: dict[str, list[TimedBatch]] = {}
    for submitted, batch_phases in timed:
        found.setdefault(submitted.job, []).append((submitted, batch_phases))
    return found


def _legend_entries(timed: Sequence[TimedBatch], *, marked: bool) -> list[tuple[str, str]]:
    """Return the entries of the legend for the shapes that the drawing has."""
    seen = {_class(phase) for _, batch_phases in timed for phase in batch_phases}
    if marked:
        seen |= {mark for submitted, _ in timed if (mark := _sign(submitted)) is not None}
    return [entry for entry in _LEGEND if entry[0] in seen]


def _scale(timed: Iterable[TimedBatch], now: float) -> TimeScale:
    every = [batch_phases for _, batch_phases in timed]
    return TimeScale.over(
        min(batch_phases[0].since for batch_phases in every),
        max(batch_phases[-1].ends(now) for batch_phases in every),
    )


# Many at a time ------------------------------------------------------------------------------


def _crowd(timed: Sequence[TimedBatch], now: float) -> Html:
    scale = _scale(timed, now)
    counts = _average_counts(timed, scale, now)
    sums = [sum(counts[name][at] for name in _PHASES) for at in range(_BINS)]
    most = max(sums)
    base = _CROWD - _AXIS
    shapes: list[Html] = []
    for at in range(_BINS):
        y = float(base)
        for name in _PHASES:
            height = counts[name][at] / most * (base - 18)
            if height >= 0.1:  # noqa: PLR2004 -- a tenth of a pixel is not seen
                y -= height
                shapes.append(
                    rect(at * 100 / _BINS, 100 / _BINS, round(y, 1), round(height, 1), name)
                )
    average = f"{most:,.1f}" if most < 10 else f"{most:,.0f}"  # noqa: PLR2004
    text = f"{len(timed):,} batches, at most {average} under way at a time. {scale.describe()}."
    return figure(
        "batches-crowd",
        "Batches under way",
        text,
        legend(_legend_entries(timed, marked=False)),
        drawing(
            "timeline-crowd",
            "Batches under way, by phase",
            text,
            _CROWD,
            *_axis(scale, base),
            *shapes,
            horizontal_line(18),
            label(0, 14, f"{average} batches"),
        ),
        folded_table(
            "Batches by the phases that they have finished",
            ("Phase", "Batches", "Half within", "Longest"),
            _phase_rows(timed),
            numbers=3,
        ),
        wide=True,
    )


def _average_counts(
    timed: Iterable[TimedBatch], scale: TimeScale, now: float
) -> dict[str, list[float]]:
    """Return the average number of batches in each phase, over equal spans of time."""
    counts = {name: [0.0] * _BINS for name in _PHASES}
    width = scale.seconds / _BINS
    for _, batch_phases in timed:
        for phase in batch_phases:
            ends = phase.ends(now)
            first = min(int((phase.since - scale.begins) / width), _BINS - 1)
            last = min(int((ends - scale.begins) / width), _BINS - 1)
            for at in range(first, last + 1):
                opens = scale.begins + at * width
                inside = min(ends, opens + width) - max(phase.since, opens)
                counts[_class(phase)][at] += max(inside, 0.0) / width
    return counts


def _phase_rows(timed: Sequence[TimedBatch]) -> Iterator[tuple[str, ...]]:
    for name, words in _LEGEND:
        seconds = sorted(
            phase.seconds
            for _, batch_phases in timed
            for phase in batch_phases
            if phase.seconds is not None and _class(phase) == name
        )
        if seconds:
            half = seconds[(len(seconds) - 1) // 2]
            yield words, f"{len(seconds):,}", span(half), span(seconds[-1])
