"""The cost of one process, and figures over several rounds: medians, ratios, bars.

A machine may be busy for a time. So contestants run alternately, round by round, and a ratio is the
median of the rounds' ratios, not a ratio of medians.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.account import Account

Measure = Literal["wall", "cpu", "peak_mb", "requests", "listings"]

NAMES: Final[Mapping[Measure, str]] = {
    "wall": "wall s",
    "cpu": "CPU s",
    "peak_mb": "peak MB",
    "requests": "requests",
    "listings": "list requests",
}
_KIB: Final = 1 if sys.platform == "darwin" else 1024


class BenchmarkFailed(RuntimeError):
    """A measured process failed, or did not do the whole work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds of wall clock and processor, peak memory in megabytes (10^6), requests by kind.

    `provider_cpu` is the processor time of the provider in seconds. A peak of at most `peak_floor`
    is only an upper bound: until it executes another program, a process has its parent's size.
    """

    wall: float
    cpu: float
    peak_mb: float
    peak_floor: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)
    provider_cpu: float = 0.0

    def of(self, measure: Measure) -> float:
        """Return one figure."""
        match measure:
            case "wall":
                return self.wall
            case "cpu":
                return self.cpu
            case "peak_mb":
                return self.peak_mb
            case "requests":
                return sum(self.counts.values())
            case "listings":
                return self.counts.get("GET /batches", 0) + self.counts.get("GET /files", 0)


def measure(
    command: Sequence[str], *, folder: Path, account: Account | None, environ: Mapping[str, str]
) -> Cost:
    """Run a process in `folder` to its end and return its cost, with that of its children.

    Raises BenchmarkFailed, with the end of its output, unless it exits with 0.
    """
    before = account.counters() if account is not None else {}
    said = folder / "said.txt"
    own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB / 1e6
    with said.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environ),
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = said.read_text(errors="replace")[-2000:]
        raise BenchmarkFailed(f"{' '.join(command)} ended with {process.returncode}:\n{tail}")
    after = account.counters() if account is not None else {}
    spent = {name: after[name] - before.get(name, 0) for name in after}
    provider_cpu = spent.pop("cpu", 0.0)
    return Cost(
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss * _KIB / 1e6,
        peak_floor=own_peak + 1,
        counts={name: int(count) for name, count in spent.items() if count},
        provider_cpu=provider_cpu,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The costs of a case: one for each contestant and round."""

    rounds: Mapping[str, Sequence[Cost]]

    def median(self, name: str, what: Measure) -> float:
        """Return the median of a figure over the rounds."""
        return median(cost.of(what) for cost in self.rounds[name])

    def ratio(self, name: str, other: str, what: Measure) -> float:
        """Return the median of one contestant's figure over another's, round by round."""
        pairs = zip(self.rounds[name], self.rounds[other], strict=True)
        return median(mine.of(what) / its.of(what) for mine, its in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """The limit of a figure of `name`: a number, or a multiple of the figure of `other`.

    `below`: the figure must be less than the limit, not equal to it.
    """

    name: str
    what: Measure
    limit: float
    other: str | None = None
    below: bool = False

    def value(self, figures: Figures) -> float:
        """Return the figure or ratio that is compared with the limit."""
        if self.other is None:
            return figures.median(self.name, self.what)
        return figures.ratio(self.name, self.other, self.what)

    def met(self, figures: Figures) -> bool:
        """Whether the figures are within the limit."""
        value = self.value(figures)
        return value < self.limit if self.below else value <= self.limit

    def __str__(self) -> str:
        times = "" if self.other is None else f" times {self.other}"
        sign = "<" if self.below else "≤"
        return f"{self.name}: {NAMES[self.what]} {sign} {self.limit:g}{times}"
