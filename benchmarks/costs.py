"""The cost of one process, and figures over several rounds: medians, ratios, bars.

A machine may be busy for a time. So contestants run alternately, round by round, and a ratio is the
median of the rounds' ratios, not a ratio of medians.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.account import Account

Measure = Literal["wall", "cpu", "idle", "peak_mb", "requests", "listings"]

NAMES: Final[Mapping[Measure, str]] = {
    "wall": "wall s",
    "cpu": "CPU s",
    "idle": "idle s",
    "peak_mb": "peak MB",
    "requests": "requests",
    "listings": "list requests",
}
_KIB: Final = 1 if sys.platform == "darwin" else 1024
_PRESSURE: Final = Path("/proc/pressure/cpu")
_WAITED: Final = re.compile(r"^waited ([0-9.]+) ([0-9.]+)$", re.MULTILINE)
_IDLE_AT_MOST: Final = 1 / 3
"""The part of a baseline's wall clock that may be a pause."""


class BenchmarkFailed(RuntimeError):
    """A measured process failed, or did not do the whole work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds of wall clock and processor, peak memory in megabytes (10^6), requests by kind.

    `provider_cpu` is the processor time of the provider in seconds. A peak of at most `peak_floor`
    is only an upper bound: until it executes another program, a process has its parent's size.
    `queued` is the time in which any process of the machine waited for a processor (0 if the
    system does not tell), and `waited` the time that curl itself reports between the moment when
    it was ready to send a request and the first byte.
    """

    wall: float
    cpu: float
    peak_mb: float
    peak_floor: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)
    provider_cpu: float = 0.0
    queued: float = 0.0
    waited: float = 0.0

    @property
    def idle(self) -> float:
        """Seconds in which neither the process nor the provider worked; some of them queued."""
        return max(self.wall - self.cpu - self.provider_cpu, 0.0)

    @property
    def paused(self) -> float:
        """Seconds that were a pause for certain, even if the machine was busy."""
        return max(self.waited, self.idle - self.queued)

    def __add__(self, other: Cost) -> Cost:
        """Return the cost of both, one after the other."""
        kinds = {**self.counts, **other.counts}
        return Cost(
            wall=self.wall + other.wall,
            cpu=self.cpu + other.cpu,
            peak_mb=max(self.peak_mb, other.peak_mb),
            peak_floor=max(self.peak_floor, other.peak_floor),
            counts={kind: self.counts.get(kind, 0) + other.counts.get(kind, 0) for kind in kinds},
            provider_cpu=self.provider_cpu + other.provider_cpu,
            queued=self.queued + other.queued,
            waited=self.waited + other.waited,
        )

    def of(self, measure: Measure) -> float:
        """Return one figure."""
        match measure:
            case "wall":
                return self.wall
            case "cpu":
                return self.cpu
            case "idle":
                return self.idle
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
    queued = _queued()
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
    queued = _queued() - queued
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
        queued=queued,
        waited=sum(
            float(first_byte) - float(ready)
            for ready, first_byte in _WAITED.findall(said.read_text(errors="replace"))
        ),
    )


def _queued() -> float:
    """Return the seconds so far in which any process waited for a processor, 0 if unknown."""
    try:
        some = _PRESSURE.read_text(encoding="ascii").split("\n")[0]
    except OSError:
        return 0.0
    return int(some.rpartition("total=")[2]) / 1e6


def require_busy(figures: Figures, name: str) -> None:
    """Raise BenchmarkFailed if a contestant paused for a large part of its wall clock.

    A baseline that waits for something, such as a reply that never comes, makes everything look
    fast that is compared with it.
    """
    part = median(cost.paused / cost.wall for cost in figures.rounds[name])
    if part > _IDLE_AT_MOST:
        wall, paused, waited = (
            median(getattr(cost, what) for cost in figures.rounds[name])
            for what in ("wall", "paused", "waited")
        )
        raise BenchmarkFailed(
            f"{name} paused for {paused:.2f} s of its {wall:.2f} s (curl waited {waited:.2f} s for"
            " first bytes). Nothing can be compared with a baseline that pauses: find out what it"
            " waits for, with curl -v or strace -f -r."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The costs of a case: one for each contestant and round."""

    rounds: Mapping[str, Sequence[Cost]]

    def median(self, name: str, what: Measure) -> float:
        """Return the median of a figure over the rounds."""
        return median(cost.of(what) for cost in self.rounds[name])

    def ratios(self, name: str, other: str, what: Measure) -> Sequence[float]:
        """Return one contestant's figure over another's, round by round."""
        pairs = zip(self.rounds[name], self.rounds[other], strict=True)
        return [mine.of(what) / its.of(what) for mine, its in pairs]

    def ratio(self, name: str, other: str, what: Measure) -> float:
        """Return the median of the rounds' ratios."""
        return median(self.ratios(name, other, what))

    def queued(self) -> float:
        """Return the part of the measured time in which any process waited for a processor."""
        costs = [cost for taken in self.rounds.values() for cost in taken]
        part = sum(cost.queued for cost in costs) / sum(cost.wall for cost in costs)
        return min(part, 1.0)


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
