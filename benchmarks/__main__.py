"""Measure runner, a minimal shell script (the floor) and the official SDK.

    python -m benchmarks                    all cases, written to RESULTS.md and growth.svg
    python -m benchmarks --case large       one case; the others in RESULTS.md stay
    python -m benchmarks --quick            a quick check that every case runs; writes nothing

It prints whether each bar is met, and the reader compares: it fails for no figure but one. A
baseline that is idle for a large part of its time is no baseline.
"""

from __future__ import annotations

import argparse
import compileall
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import machine
from benchmarks.cases import JOBS, Bench
from benchmarks.costs import BenchmarkFailed, require_busy
from benchmarks.fleet import FLEETS
from benchmarks.growth import grow
from benchmarks.plot import svg
from benchmarks.report import HEAD, case_block, growth_block, put
from benchmarks.rows import ROOT
from benchmarks.scan import SCANS

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE: Final = Path(__file__).resolve().parent
RESULTS: Final = HERE / "RESULTS.md"
PLOT: Final = HERE / "growth.svg"
GROWTH: Final = "growth"
CASES: Final = {case.name: case for case in (*JOBS, *SCANS, *FLEETS)}
_PAIRS: Final = 5
_QUICK_PAIRS: Final = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen cases and return the exit code."""
    chosen = _options().parse_args(arguments)
    missing = [name for name in ("curl", "sha256sum") if shutil.which(name) is None]
    if missing:
        sys.exit(f"the floor needs {' and '.join(missing)}")
    # pip compiles what it installs. Of an editable install, the first process would do this.
    compileall.compile_dir(ROOT / "runner", quiet=1)
    pairs = chosen.pairs or (_QUICK_PAIRS if chosen.quick else _PAIRS)
    for name in chosen.case or [*CASES, GROWTH]:
        stamp = machine.stamp()
        print(f"… {name}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="benchmark-", dir=chosen.scratch) as scratch:
            bench = Bench(scratch=Path(scratch), pairs=pairs, quick=chosen.quick)
            try:
                block, plot = _run(bench, name, full=chosen.full, stamp=stamp)
            except BenchmarkFailed as failure:
                print(f"{name}: {failure}", file=sys.stderr)
                return 1
        print(block, flush=True)
        if not chosen.quick:
            _write(name, block, plot)
    return 0


def _run(bench: Bench, name: str, *, full: bool, stamp: str) -> tuple[str, str | None]:
    """Run one case, or the growth; return its block for RESULTS.md and its plot."""
    if name == GROWTH:
        found = grow(bench, full=full, report=lambda what: print(what, file=sys.stderr, flush=True))
        return growth_block(found, f"{stamp}; each size once."), svg(found.panels())
    case = CASES[name]
    figures = case.run(bench)
    # A quick run is one round of next to nothing: there the start of a process is a long pause.
    if case.baseline is not None and not bench.quick:
        require_busy(figures, case.baseline)
    rounds = len(next(iter(figures.rounds.values())))
    text = "1 round" if rounds == 1 else f"{rounds} rounds"
    busy = f"processes waited for a processor in {figures.queued():.0%} of the time"
    return case_block(case, figures, f"{stamp}; {text}; {busy}."), None


def _write(name: str, block: str, plot: str | None) -> None:
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else HEAD
    text = put(text, "machine", machine.describe())
    RESULTS.write_text(put(text, name, block), encoding="utf-8")
    if plot is not None:
        PLOT.write_text(plot, encoding="utf-8")


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure runner, the floor and the SDK."
    )
    options.add_argument(
        "--case", action="append", choices=[*CASES, GROWTH], help="only this one; may be repeated"
    )
    options.add_argument("--pairs", type=int, help=f"rounds of each case ({_PAIRS})")
    options.add_argument("--full", action="store_true", help="growth to 10 million rows")
    options.add_argument(
        "--quick", action="store_true", help="a hundredth of each size; write nothing"
    )
    options.add_argument(
        "--scratch", type=Path, help="a folder for some gigabytes of temporary files"
    )
    return options


if __name__ == "__main__":
    sys.exit(main())
