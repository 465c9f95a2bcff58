"""When batches were at which phase: a bar for each, or how many at a time where there are many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.batch import BatchStatus
from runner.report.page.figure import (
    FULL_HEIGHT,
    HEIGHTS,
    MARKS,
    as_table,
    drawing,
    figure,
    label,
    legend,
    rect,
    rule,
    upright,
)
from runner.report.page.markup import BLANK, element
from runner.report.page.scale import TimeScale
from runner.report.safe_text import fit, plain
from runner.text import moment, plural, span
from runner.views.batch_phases import phases, seconds_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeAlias

    from runner.report.page.markup import Html
    from runner.views.batch_phases import Phase
    from runner.views.project import SubmittedBatch

    Flown: TypeAlias = tuple[SubmittedBatch, tuple[Phase, ...]]

_MOST_BARS: Final = 48
_NEWEST: Final = 24
"""Batches with a bar of their own: if that is all of them, and of very many."""

_BINS: Final = 96
_LANE: Final = 17
_HEAD: Final = 22
"""Pixels: a bar with the space below it, a line with the name of a job."""

_AXIS: Final = 20
_CROWD: Final = 130
_LONGEST_NAME: Final = 40
_SHORTEST_BAR: Final = 0.35
"""Percent of the width below which a bar could not be seen."""

_PHASES: Final = ("validating", "in_progress", "finalizing", "cancelling", "unreported")
"""Classes of the shapes that show phases, in the order in which they are stacked."""

_LEGEND: Final = (
    ("validating", "validating"),
    ("in_progress", "in progress"),
    ("finalizing", "finalizing"),
    ("cancelling", "cancelling"),
    ("unreported", "phase not reported"),
    ("going", "not over yet"),
    ("broken", "did not complete"),
)


def timeline(flights: Iterable[SubmittedBatch], now: float) -> Iterator[Html]:
    """Yield the figures of a project's timeline; none if no batch can be placed on it."""
    flown = [(flight, reported) for flight in flights if (reported := phases(flight.batch, now))]
    flown.sort(key=lambda one: (one[1][0].since, str(one[0].key)))
    if len(flown) > _MOST_BARS:
        yield _crowd(flown, now)
        yield _bars(flown[-_NEWEST:], f"The newest {_NEWEST} batches", now)
    elif flown:
        yield _bars(flown, "Each batch", now)


# A bar for each ------------------------------------------------------------------------------


def _bars(flown: Sequence[Flown], title: str, now: float) -> Html:
    scale = _scale(flown, now)
    shapes: list[Html] = []
    top = 4
    for job, its in _by_job(flown).items():
        shapes.append(label(0, top + 12, fit(plain(job), _LONGEST_NAME), class_="name"))
        told = plural(len(its), "batch") if len(its) > 1 else _told(*its[0], now)
        shapes.append(label(100, top + 12, told, anchor="end"))
        top += _HEAD
        for flight, reported in its:
            shapes.append(_bar(flight, reported, scale, top, now))
            top += _LANE
        top += 4
    described = f"{plural(len(flown), 'batch')} of {plural(len(_by_job(flown)), 'job')}, drawn"
    return figure(
        "batches-timeline",
        title,
        f"{scale.told()}, by the provider's clock.",
        legend(_met(flown, marked=True)),
        drawing(
            "timeline-bars",
            title,
            f"{described} from {scale.told()}. The table below has the same numbers.",
            top + _AXIS,
            *_axis(scale, top),
            *shapes,
        ),
        as_table(
            f"{title}: times in UTC",
            ("Batch", "Job", "Status", "Created", "Validating", "In progress", "Finalizing"),
            (_row(flight, reported) for flight, reported in flown),
            numbers=3,
        ),
        wide=True,
    )


def _bar(
    flight: SubmittedBatch, reported: Sequence[Phase], scale: TimeScale, top: int, now: float
) -> Html:
    name = f"{flight.batch.id}: {_told(flight, reported, now)}"
    parts: list[Html] = []
    for phase in reported:
        class_ = _class(phase)
        begins, ends = scale(phase.since), scale(phase.ends(now))
        height = HEIGHTS.get(class_, FULL_HEIGHT)
        width = max(ends - begins, _SHORTEST_BAR if class_ == "in_progress" else 0.1)
        y = top + (FULL_HEIGHT - height) / 2
        parts.append(rect(min(begins, 100 - width), width, y, height, class_))
    sign = _sign(flight)
    if sign is not None:
        parts.append(_mark(scale(reported[-1].ends(now)), top, sign))
    return element("g", element("title", name), *parts)


def _class(phase: Phase) -> str:
    return "unreported" if phase.status is None else str(phase.status)


def _sign(flight: SubmittedBatch) -> str | None:
    if not flight.batch.terminal:
        return "going"
    return None if flight.batch.known_status is BatchStatus.COMPLETED else "broken"


def _mark(x: float, top: int, class_: str) -> Html:
    """Draw a sign behind the end of a bar: what is not over yet, or did not end well."""
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
        yield upright(place, 0, bottom)
        if words:
            yield label(place, bottom + 15, words)
    yield rule(bottom, class_="base")


def _row(flight: SubmittedBatch, reported: Sequence[Phase]) -> tuple[str, ...]:
    def took(status: BatchStatus) -> str:
        seconds = seconds_in(reported, status)
        return BLANK if seconds is None else span(seconds)

    return (
        flight.batch.id,
        flight.job,
        flight.batch.status,
        moment(reported[0].since) if flight.batch.created_at == reported[0].since else BLANK,
        took(BatchStatus.VALIDATING),
        took(BatchStatus.IN_PROGRESS),
        took(BatchStatus.FINALIZING),
    )


def _told(flight: SubmittedBatch, reported: Sequence[Phase], now: float) -> str:
    ends = reported[-1].ends(now)
    took = span(ends - reported[0].since)
    status = plain(flight.batch.status).replace("_", " ")
    if not flight.batch.terminal:
        return f"{status}, for {took} now"
    return f"{status} after {took}" if flight.batch.ended_at == ends else status


def _by_job(flown: Iterable[Flown]) -> dict[str, list[Flown]]:
    found: dict[str, list[Flown]] = {}
    for flight, reported in flown:
        found.setdefault(flight.job, []).append((flight, reported))
    return found


def _met(flown: Sequence[Flown], *, marked: bool) -> list[tuple[str, str]]:
    """Return the entries of the legend that there is something of."""
    seen = {_class(phase) for _, reported in flown for phase in reported}
    if marked:
        seen |= {mark for flight, _ in flown if (mark := _sign(flight)) is not None}
    return [entry for entry in _LEGEND if entry[0] in seen]


def _scale(flown: Iterable[Flown], now: float) -> TimeScale:
    every = [reported for _, reported in flown]
    return TimeScale.over(
        min(reported[0].since for reported in every),
        max(reported[-1].ends(now) for reported in every),
    )


# Many at a time ------------------------------------------------------------------------------


def _crowd(flown: Sequence[Flown], now: float) -> Html:
    scale = _scale(flown, now)
    counts = _counted(flown, scale, now)
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
    told = f"{len(flown):,} batches, at most {average} under way at a time. {scale.told()}."
    return figure(
        "batches-crowd",
        "Batches under way",
        told,
        legend(_met(flown, marked=False)),
        drawing(
            "timeline-crowd",
            "Batches under way, by phase",
            told,
            _CROWD,
            *_axis(scale, base),
            *shapes,
            rule(18),
            label(0, 14, f"{average} batches"),
        ),
        as_table(
            "Batches by the phases that they have gone through",
            ("Phase", "Batches", "Half within", "Longest"),
            _phase_rows(flown),
            numbers=3,
        ),
        wide=True,
    )


def _counted(flown: Iterable[Flown], scale: TimeScale, now: float) -> dict[str, list[float]]:
    """Count the batches in each phase over equal spans of time, on average."""
    counts = {name: [0.0] * _BINS for name in _PHASES}
    width = scale.seconds / _BINS
    for _, reported in flown:
        for phase in reported:
            ends = phase.ends(now)
            first = min(int((phase.since - scale.begins) / width), _BINS - 1)
            last = min(int((ends - scale.begins) / width), _BINS - 1)
            for at in range(first, last + 1):
                opens = scale.begins + at * width
                inside = min(ends, opens + width) - max(phase.since, opens)
                counts[_class(phase)][at] += max(inside, 0.0) / width
    return counts


def _phase_rows(flown: Sequence[Flown]) -> Iterator[tuple[str, ...]]:
    for name, words in _LEGEND:
        seconds = sorted(
            phase.seconds
            for _, reported in flown
            for phase in reported
            if phase.seconds is not None and _class(phase) == name
        )
        if seconds:
            half = seconds[(len(seconds) - 1) // 2]
            yield words, f"{len(seconds):,}", span(half), span(seconds[-1])
