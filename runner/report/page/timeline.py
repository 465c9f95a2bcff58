"""When batches were at which phase: a bar for each, or how many at a time where there are many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.batch import BatchStatus
from runner.report.page.course import PHASES, course_of
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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeAlias

    from runner.report.page.course import Course
    from runner.report.page.markup import Html
    from runner.views.project import SubmittedBatch

    Flown: TypeAlias = tuple[SubmittedBatch, Course]

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

_LEGEND: Final = (
    ("validating", "validating"),
    ("in_progress", "in progress"),
    ("finalizing", "finalizing"),
    ("cancelling", "cancelling"),
    ("going", "not over yet"),
    ("broken", "did not complete"),
)


def timeline(flights: Iterable[SubmittedBatch], now: float) -> Iterator[Html]:
    """Yield the figures of a project's timeline; none if no batch can be placed on it."""
    flown = [
        (flight, course)
        for flight in flights
        if (course := course_of(flight.batch, now)) is not None
    ]
    flown.sort(key=lambda one: (one[1].begins, str(one[0].key)))
    if len(flown) > _MOST_BARS:
        yield _crowd(flown)
        yield _bars(flown[-_NEWEST:], f"The newest {_NEWEST} batches")
    elif flown:
        yield _bars(flown, "Each batch")


# A bar for each ------------------------------------------------------------------------------


def _bars(flown: Sequence[Flown], title: str) -> Html:
    scale = _scale(flown)
    shapes: list[Html] = []
    top = 4
    for job, its in _by_job(flown).items():
        shapes.append(label(0, top + 12, fit(plain(job), _LONGEST_NAME), class_="name"))
        told = plural(len(its), "batch") if len(its) > 1 else _told(*its[0])
        shapes.append(label(100, top + 12, told, anchor="end"))
        top += _HEAD
        for flight, course in its:
            shapes.append(_bar(flight, course, scale, top))
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
            (_row(flight, course) for flight, course in flown),
            numbers=3,
        ),
        wide=True,
    )


def _bar(flight: SubmittedBatch, course: Course, scale: TimeScale, top: int) -> Html:
    name = f"{flight.batch.id}: {_told(flight, course)}"
    parts: list[Html] = []
    for phase in course.phases:
        begins, ends = scale(phase.begins), scale(phase.ends)
        height = HEIGHTS.get(phase.name, FULL_HEIGHT)
        width = max(ends - begins, _SHORTEST_BAR if phase.name == "in_progress" else 0.1)
        y = top + (FULL_HEIGHT - height) / 2
        parts.append(rect(min(begins, 100 - width), width, y, height, phase.name))
    end = scale(course.ends)
    sign = _sign(flight, course)
    if sign is not None:
        parts.append(_mark(end, top, sign))
    return element("g", element("title", name), *parts)


def _sign(flight: SubmittedBatch, course: Course) -> str | None:
    if not course.over:
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


def _row(flight: SubmittedBatch, course: Course) -> tuple[str, ...]:
    def took(name: str) -> str:
        seconds = course.seconds(name)
        return BLANK if seconds is None else span(seconds)

    return (
        flight.batch.id,
        flight.job,
        flight.batch.status,
        moment(course.begins),
        took("validating"),
        took("in_progress"),
        took("finalizing"),
    )


def _told(flight: SubmittedBatch, course: Course) -> str:
    took = span(course.ends - course.begins)
    status = plain(flight.batch.status).replace("_", " ")
    return f"{status} after {took}" if course.over else f"{status}, for {took} now"


def _by_job(flown: Iterable[Flown]) -> dict[str, list[Flown]]:
    found: dict[str, list[Flown]] = {}
    for flight, course in flown:
        found.setdefault(flight.job, []).append((flight, course))
    return found


def _met(flown: Sequence[Flown], *, marked: bool) -> list[tuple[str, str]]:
    """Return the entries of the legend that there is something of."""
    seen = {phase.name for _, course in flown for phase in course.phases}
    if marked:
        seen |= {mark for flight, course in flown if (mark := _sign(flight, course)) is not None}
    return [entry for entry in _LEGEND if entry[0] in seen]


def _scale(flown: Iterable[Flown]) -> TimeScale:
    courses = [course for _, course in flown]
    return TimeScale.over(
        min(course.begins for course in courses), max(course.ends for course in courses)
    )


# Many at a time ------------------------------------------------------------------------------


def _crowd(flown: Sequence[Flown]) -> Html:
    scale = _scale(flown)
    counts = _counted(flown, scale)
    sums = [sum(counts[name][at] for name in PHASES) for at in range(_BINS)]
    most = max(sums)
    base = _CROWD - _AXIS
    shapes: list[Html] = []
    for at in range(_BINS):
        y = float(base)
        for name in PHASES:
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


def _counted(flown: Iterable[Flown], scale: TimeScale) -> dict[str, list[float]]:
    """Count the batches in each phase over equal spans of time, on average."""
    counts = {name: [0.0] * _BINS for name in PHASES}
    width = scale.seconds / _BINS
    for _, course in flown:
        for phase in course.phases:
            first = min(int((phase.begins - scale.begins) / width), _BINS - 1)
            last = min(int((phase.ends - scale.begins) / width), _BINS - 1)
            for at in range(first, last + 1):
                opens = scale.begins + at * width
                inside = min(phase.ends, opens + width) - max(phase.begins, opens)
                counts[phase.name][at] += max(inside, 0.0) / width
    return counts


def _phase_rows(flown: Sequence[Flown]) -> Iterator[tuple[str, ...]]:
    for name, words in _LEGEND:
        seconds = sorted(took for _, course in flown if (took := course.seconds(name)) is not None)
        if seconds:
            half = seconds[(len(seconds) - 1) // 2]
            yield words, f"{len(seconds):,}", span(half), span(seconds[-1])
