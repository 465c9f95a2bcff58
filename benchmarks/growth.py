"""The growth of wall clock and memory with the number of rows and of jobs.

Each size runs in a process of its own, one after the other. Rows are as short as possible: only
their number grows.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.account import Account
from benchmarks.plot import Line, Panel
from benchmarks.projects import PAUSE, many_jobs, one_job, require_count
from benchmarks.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from benchmarks.cases import Bench
    from benchmarks.costs import Cost

ROWS: Final = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
JOBS: Final = (1, 10, 100, 1_000, 10_000)
_QUICK: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One size and its costs, by phase."""

    size: int
    costs: dict[str, Cost]


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """The measured steps: whole jobs by number of rows, passes by number of jobs."""

    rows: Sequence[Step]
    jobs: Sequence[Step]

    def panels(self) -> Sequence[Panel]:
        """Return the panels of the plot."""
        return (
            Panel(
                title="one job, submitted and collected",
                across="rows",
                lines=tuple(_lines(self.rows)),
            ),
            Panel(title="one pass over many jobs", across="jobs", lines=tuple(_lines(self.jobs))),
        )


def grow(bench: Bench, *, full: bool, report: Callable[[str], None]) -> Growth:
    """Measure each size once; the largest of each only where `full`."""
    last = _QUICK if bench.quick else len(ROWS) if full else len(ROWS) - 1
    rows, jobs = [], []
    for size in ROWS[:last]:
        report(f"growth: {size:,} rows")
        rows.append(_in_folder(bench.scratch / "step", _rows, size))
    for size in JOBS[:last]:
        report(f"growth: {size:,} jobs")
        jobs.append(_in_folder(bench.scratch / "step", _jobs, size))
    return Growth(rows=rows, jobs=jobs)


def _in_folder(folder: Path, run: Callable[[Path, int], dict[str, Cost]], size: int) -> Step:
    folder.mkdir()
    try:
        return Step(size=size, costs=run(folder, size))
    finally:
        shutil.rmtree(folder)


def _rows(folder: Path, count: int) -> dict[str, Cost]:
    rows = Rows(count=count, tiny=True)
    source, answers = folder / "input.jsonl", folder / "answers"
    answers.mkdir()
    rows.write_requests(source)
    rows.write_answers(answers)
    with Account(folder / "account", answers=answers) as account:
        project = one_job(folder / "project", account, source=source, endpoint=rows.endpoint)
        cost = project.run("reconcile", "--quiet", "--wait", "--poll-interval", PAUSE)
        require_count(found=project.answered(), wanted=count, what="answers")
    return {"job": cost}


def _jobs(folder: Path, count: int) -> dict[str, Cost]:
    with Account(folder / "account") as account:
        account.hold(held=True)
        project = many_jobs(folder / "project", account, count)
        submitted = project.run("reconcile", "--quiet")
        project.run("reconcile", "--quiet")  # the first pass finds all of them changed
        polled = project.run("reconcile", "--quiet")
        account.hold(held=False)
        collected = project.run("reconcile", "--quiet")
        require_count(found=project.answered(), wanted=count, what="answers")
        project.run("reconcile", "--quiet")
        idle = project.run("reconcile", "--quiet")
    return {"submitting": submitted, "polling": polled, "collecting": collected, "idle": idle}


def _lines(steps: Sequence[Step]) -> Iterator[Line]:
    """Yield a line for the seconds of each phase, and one for the peak memory."""
    names = list(steps[0].costs) if steps else []
    for name in names:
        yield Line(
            name=f"{name}, s", points=tuple((step.size, step.costs[name].wall) for step in steps)
        )
    yield Line(
        name="peak memory, MB",
        points=tuple(
            (step.size, max(cost.peak_mb for cost in step.costs.values())) for step in steps
        ),
        dashed=True,
    )
