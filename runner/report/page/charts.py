"""Charts of queue times, throughput and tokens."""

from __future__ import annotations

from collections import Counter
from math import floor
from typing import TYPE_CHECKING, Final

from runner.batch import BatchStatus
from runner.report.page.figure import (
    drawing,
    figure,
    folded_table,
    horizontal_line,
    label,
    legend,
    rect,
)
from runner.report.page.markup import element
from runner.report.page.scale import step_for
from runner.text import moment, plural, span
from runner.views.batch_phases import phases, seconds_in
from runner.views.token_usage import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runner.batch import Batch
    from runner.report.page.markup import Html
    from runner.views.project import SubmittedBatch

_WAITS: Final = (0, 1, 10, 60, 600, 3600, 4 * 3600, 12 * 3600, 24 * 3600)
_WAIT_LABELS: Final = ("0", "1 s", "10 s", "1 min", "10 min", "1 h", "4 h", "12 h", "1 d")
_RATES: Final = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
"""The lower edges of the columns of a histogram; the last column has no upper edge."""

_FEWEST_VALUES: Final = 3
_FEWEST_COLUMNS: Final = 4
_MOST_COLUMNS: Final = 40
_HEIGHT: Final = 150
_BASE: Final = 128
_TOP: Final = 18
_DAY: Final = 86_400


def queue_time_figure(batches: Sequence[SubmittedBatch], now: float) -> Html | None:
    """Return the histogram of the times from the creation of a batch to its start."""
    seconds = sorted(
        took
        for submitted in batches
        if len(batch_phases := phases(submitted.batch, now)) > 1
        and (took := seconds_in(batch_phases, BatchStatus.VALIDATING)) is not None
    )
    return _distribution(
        "queue-time",
        "Queue time",
        "From validating to in progress.",
        span,
        seconds,
        _WAITS,
        _WAIT_LABELS,
    )


def throughput_figure(batches: Sequence[SubmittedBatch], now: float) -> Html | None:
    """Return the histogram of the requests per minute of batches while in progress."""
    rates = sorted(
        rate for submitted in batches if (rate := throughput(submitted.batch, now)) is not None
    )
    return _distribution(
        "throughput",
        "Throughput",
        "Completed requests while in progress.",
        _rate,
        rates,
        _RATES,
        tuple(f"{edge:,}" for edge in _RATES),
    )


def throughput(batch: Batch, now: float) -> float | None:
    """Return the requests that a batch completed per minute in progress; None if not known.

    Times have whole seconds: work that took less than one second counts as one.
    """
    seconds = seconds_in(phases(batch, now), BatchStatus.IN_PROGRESS)
    completed = batch.request_counts.completed
    if seconds is None or completed <= 0:
        return None
    return completed * 60 / max(seconds, 1)


def _rate(value: float) -> str:
    return f"{value:,.0f} per minute" if value >= 10 else f"{value:,.1f} per minute"  # noqa: PLR2004


def _distribution(
    identifier: str,
    title: str,
    about: str,
    write: Callable[[float], str],
    ascending: Sequence[float],
    edges: Sequence[float],
    names: Sequence[str],
) -> Html | None:
    """Return numbers as a histogram; of few numbers, only their median."""
    if not ascending:
        return None
    half = write(ascending[(len(ascending) - 1) // 2])
    batches = plural(len(ascending), "batch")
    if len(ascending) < _FEWEST_VALUES:
        caption = f"{about} Of {batches}" + (", the lower." if len(ascending) > 1 else ".")
        return figure(identifier, title, caption, element("p", half, class_="big"))
    ends = f"from {write(ascending[0])} to {write(ascending[-1])}"
    caption = f"{about} {batches}: median {half}, {ends}."
    return _histogram(identifier, title, caption, ascending, edges, names)


def _histogram(
    identifier: str,
    title: str,
    caption: str,
    values: Sequence[float],
    edges: Sequence[float],
    names: Sequence[str],
) -> Html:
    counts = Counter(max(at for at, edge in enumerate(edges) if value >= edge) for value in values)
    first, last = min(counts), max(counts)
    while last - first + 1 < _FEWEST_COLUMNS and (first > 0 or last < len(edges) - 1):
        if last < len(edges) - 1:
            last += 1
        if first > 0 and last - first + 1 < _FEWEST_COLUMNS:
            first -= 1
    columns = range(first, last + 1)
    width = 100 / len(columns)
    most = max(counts.values())
    shapes: list[Html] = []
    rows: list[tuple[str, str]] = []
    for place, at in enumerate(columns):
        count = counts[at]
        height = count / most * (_BASE - _TOP)
        if count:
            shapes.append(rect(place * width + 0.6, width - 1.2, _BASE - height, height, "column"))
            shapes.append(
                label((place + 0.5) * width, _BASE - height - 4, f"{count:,}", anchor="middle")
            )
        anchor = "start" if place == 0 else "middle"
        shapes.append(label(place * width, _BASE + 16, names[at], anchor=anchor))
        until = f"to {names[at + 1]}" if at + 1 < len(names) else "and more"
        rows.append((f"{names[at]} {until}", f"{count:,}"))
    return figure(
        identifier,
        title,
        caption,
        drawing(
            identifier + "-drawing",
            title,
            caption,
            _HEIGHT,
            *shapes,
            horizontal_line(_BASE, class_="base"),
        ),
        folded_table(f"{title}: batches", ("Range", "Batches"), rows, numbers=1),
    )


def token_figure(batches: Sequence[SubmittedBatch], now: float) -> Html | None:
    """Return the chart of the tokens of batches, at the times at which the batches ended."""
    used: list[tuple[float, TokenUsage]] = []
    for submitted in batches:
        tokens = TokenUsage.of(submitted.batch.raw.get("usage"))
        batch_phases = phases(submitted.batch, now)
        if tokens.total is not None and submitted.batch.terminal and batch_phases:
            used.append((batch_phases[-1].ends(now), tokens))
    if not used:
        return None  # the summary says so
    begins, ends = min(at for at, _ in used), max(at for at, _ in used)
    step = step_for(max(ends - begins, 1), _MOST_COLUMNS - 2)
    step = max(step, 60)
    first = floor(begins / step)
    sums: dict[int, TokenUsage] = {}
    for at, tokens in used:
        place = floor(at / step) - first
        sums[place] = sums.get(place, TokenUsage()) + tokens
    if len(sums) == 1:
        return None  # the summary has the sum
    total = sum((tokens for _, tokens in used), TokenUsage())
    caption = (
        f"{total.total or 0:,} in all: {total.input or 0:,} in prompts, "
        f"{total.output or 0:,} in responses, "
        f"reported by {plural(len(used), 'batch')}; each column is {_length(step)} (UTC)."
    )
    return figure(
        "tokens-over-time",
        "Tokens over time",
        caption,
        legend((("tokens-in", "prompts"), ("tokens-out", "responses"))),
        drawing(
            "tokens-drawing",
            "Tokens over time",
            caption,
            _HEIGHT,
            *_columns(sums, first, step),
        ),
        folded_table(
            "Tokens by the time at which their batches ended",
            ("From (UTC)", "Prompts", "Responses", "Total"),
            (
                (
                    _begin((first + place) * step, step),
                    f"{tokens.input or 0:,}",
                    f"{tokens.output or 0:,}",
                    f"{tokens.total or 0:,}",
                )
                for place, tokens in sorted(sums.items())
            ),
            numbers=3,
        ),
        wide=True,
    )


def _columns(sums: dict[int, TokenUsage], first: int, step: int) -> Iterator[Html]:
    columns = max(sums) + 1
    width = 100 / columns
    most = max(1, *(tokens.total or 0 for tokens in sums.values()))
    for place, tokens in sorted(sums.items()):
        y = float(_BASE)
        for class_, count in (("tokens-in", tokens.input or 0), ("tokens-out", tokens.output or 0)):
            height = count / most * (_BASE - _TOP)
            if count:
                y -= height
                name = f"{_begin((first + place) * step, step)}: {tokens.total or 0:,}"
                yield rect(
                    place * width + width / 10, width * 0.8, y, height, class_,
                    element("title", name),
                )  # fmt: skip
    yield horizontal_line(_TOP)
    yield label(0, _TOP - 5, f"{most:,}")
    yield horizontal_line(_BASE, class_="base")
    yield label(0, _BASE + 16, _begin(first * step, step))
    last = max(sums)
    if last + 1 == columns:  # else it would stand in the way of the first
        yield label(100, _BASE + 16, _begin((first + last) * step, step), anchor="end")


def _begin(at: float, step: int) -> str:
    written = moment(at)
    return written[:10] if step >= _DAY else written[:16]


def _length(step: int) -> str:
    return {60: "a minute", 3600: "an hour", _DAY: "a day"}.get(step, span(step))
