"""Formatting figures as Markdown tables, and RESULTS.md.

RESULTS.md has one block for each case, so that one case can be measured again while the others keep
their figures. Each block has the time, the commit and the load of the machine.
"""

from __future__ import annotations

import re
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.costs import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.cases import Case
    from benchmarks.costs import Bar, Cost, Figures
    from benchmarks.growth import Growth, Step

HEAD: Final = """\
# Results

Written by `make bench`; README.md in this folder describes the measurements. Figures are medians
over rounds. Ratios are medians of the rounds' ratios, with the smallest and the largest: compare
these, not the seconds. On a busy machine, compare the ratios of CPU time.
"""


def case_block(case: Case, figures: Figures, stamp: str) -> str:
    """Return the block of one case: its table, its bars and its stamp."""
    lines = [f"## {case.title}", "", *_table(case, figures), ""]
    if case.bars:
        lines += [*(f"- {_verdict(bar, figures)}" for bar in case.bars), ""]
    return "\n".join([*lines, stamp, ""])


def growth_block(growth: Growth, stamp: str) -> str:
    """Return the block of the growth: the plot and its numbers."""
    lines = ["## Growth", "", "![wall clock and peak memory, by rows and by jobs](growth.svg)", ""]
    lines += [*_steps("rows", growth.rows), "", *_steps("jobs", growth.jobs), ""]
    return "\n".join([*lines, stamp, ""])


def put(text: str, name: str, block: str) -> str:
    """Return the document with a block: it replaces the one of the same name or is appended."""
    marked = f"<!-- {name} -->\n{block.rstrip()}\n<!-- end -->\n"
    pattern = re.compile(rf"<!-- {re.escape(name)} -->\n.*?<!-- end -->\n", re.DOTALL)
    if pattern.search(text):
        return pattern.sub(lambda _: marked, text)
    return f"{text.rstrip()}\n\n{marked}"


def _table(case: Case, figures: Figures) -> Iterator[str]:
    base = case.baseline
    head = ["", *NAMES.values(), "provider CPU s"]
    if base is not None:
        head += [f"wall ÷ {base}", f"CPU ÷ {base}"]
    yield _row(head)
    yield _row(["---", *["--:"] * (len(head) - 1)])
    for name, costs in figures.rounds.items():
        cells = [
            name,
            f"{figures.median(name, 'wall'):.3f}",
            f"{figures.median(name, 'cpu'):.3f}",
            f"{figures.median(name, 'idle'):.3f}",
            _peak(figures, name),
            f"{figures.median(name, 'requests'):,.0f}",
            f"{figures.median(name, 'listings'):,.0f}",
            f"{sorted(cost.provider_cpu for cost in costs)[len(costs) // 2]:.3f}",
        ]
        if base is not None:
            cells += [_spread(figures.ratios(name, base, what)) for what in ("wall", "cpu")]
        yield _row(cells)


def _spread(ratios: Sequence[float]) -> str:
    """Return the median, with the smallest and the largest."""
    shown = f"{median(ratios):.2f}"
    return shown if len(ratios) == 1 else f"{shown} ({min(ratios):.2f}–{max(ratios):.2f})"  # noqa: RUF001


def _peak(figures: Figures, name: str) -> str:
    peak = figures.median(name, "peak_mb")
    floor = max(cost.peak_floor for cost in figures.rounds[name])
    return f"{peak:,.0f}" if peak > floor else f"≤ {floor:.0f}"


def _verdict(bar: Bar, figures: Figures) -> str:
    value = f"{bar.value(figures):,.3f}".rstrip("0").rstrip(".")
    return f"{'met' if bar.met(figures) else '**not met**'}: {bar} (measured: {value})"


def _steps(across: str, steps: Sequence[Step]) -> Iterator[str]:
    names = list(steps[0].costs) if steps else []
    kinds = ("wall s", "peak MB", "list requests")
    yield _row([across, *(f"{name}: {kind}" for name in names for kind in kinds)])
    yield _row(["--:"] * (1 + len(names) * len(kinds)))
    for step in steps:
        cells = [cell for name in names for cell in _cells(step.costs[name])]
        yield _row([f"{step.size:,}", *cells])


def _cells(cost: Cost) -> tuple[str, str, str]:
    return f"{cost.wall:.2f}", f"{cost.peak_mb:.0f}", f"{cost.of('listings'):.0f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
