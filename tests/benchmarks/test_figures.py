"""The figures of the benchmarks: medians, ratios, bars, tables."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.__main__ import CASES, RESULTS
from benchmarks.account import environment
from benchmarks.cases import Case, run_rounds
from benchmarks.costs import Bar, BenchmarkFailed, Cost, Figures, measure
from benchmarks.growth import Growth, Step
from benchmarks.report import HEAD, case_block, growth_block, put

if TYPE_CHECKING:
    from pathlib import Path


def cost(wall: float, *, cpu: float = 1.0, peak_mb: float = 50.0, listings: int = 0) -> Cost:
    return Cost(wall=wall, cpu=cpu, peak_mb=peak_mb, counts={"GET /batches": listings})


# The second round met a busy machine: both took ten times as long.
FIGURES = Figures(
    rounds={
        "runner": [cost(3.0), cost(20.0), cost(2.0)],
        "floor": [cost(1.0), cost(10.0), cost(1.0)],
    }
)


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    assert FIGURES.median("runner", "wall") == 3.0
    assert FIGURES.ratio("runner", "floor", "wall") == 2.0


@pytest.mark.parametrize(
    ("limit", "below", "met"),
    [(2.0, False, True), (2.0, True, False), (1.9, False, False), (2.1, True, True)],
)
def test_a_bar_is_met_up_to_its_limit_or_below_it(limit: float, below: bool, met: bool) -> None:  # noqa: FBT001
    bar = Bar(name="runner", what="wall", limit=limit, other="floor", below=below)

    assert bar.met(FIGURES) is met


def test_a_bar_without_another_contestant_is_a_number() -> None:
    bar = Bar(name="runner", what="wall", limit=3)

    assert bar.met(FIGURES)
    assert str(bar) == "runner: wall s ≤ 3"


def test_requests_are_counted_by_kind() -> None:
    spent = Cost(
        wall=1,
        cpu=1,
        peak_mb=1,
        counts={"GET /batches": 2, "GET /files": 1, "POST /files": 5, "GET /batches/ID": 7},
    )

    assert spent.of("listings") == 3
    assert spent.of("requests") == 15


def test_rounds_go_in_turn_and_back() -> None:
    ran: list[str] = []

    def run(name: str) -> Cost:
        ran.append(name)
        return cost(len(ran))

    figures = run_rounds(3, ["a", "b"], run)

    assert ran == ["a", "b", "b", "a", "a", "b"]
    assert [taken.wall for taken in figures.rounds["a"]] == [1, 4, 5]


def test_a_process_is_measured_with_its_children(tmp_path: Path) -> None:
    busy = (
        "import subprocess, sys, time\n"
        "held = bytearray(150_000_000)\n"
        "held[::4096] = b'x' * len(held[::4096])\n"
        "code = 'import time\\nwhile time.process_time() < 0.2: pass'\n"
        "subprocess.run([sys.executable, '-c', code], check=True)\n"
    )
    spent = measure(
        [sys.executable, "-c", busy], folder=tmp_path, account=None, environ=environment()
    )

    assert spent.cpu >= 0.2
    assert spent.wall >= 0.2
    # What the parent holds counts as well: a peak below that is only known as such.
    assert 150 < spent.peak_mb < max(300, spent.peak_floor)


def test_what_fails_is_not_measured_but_told(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('out of paper'); sys.exit(3)"]

    with pytest.raises(BenchmarkFailed, match=r"ended with 3:\nout of paper"):
        measure(command, folder=tmp_path, account=None, environ=environment())


def test_a_table_shows_medians_ratios_and_bars() -> None:
    case = Case(
        name="paper",
        title="A job of paper",
        run=lambda _: FIGURES,
        baseline="floor",
        bars=(
            Bar(name="runner", what="wall", limit=2, other="floor"),
            Bar(name="runner", what="peak_mb", limit=10),
        ),
    )

    block = case_block(case, FIGURES, "on a Monday")

    assert (
        "| runner | 3.000 | 1.000 | 2.000 | 50 | 0 | 0 | 0.000"
        " | 2.00 (2.00–3.00) | 1.00 (1.00–1.00) |"  # noqa: RUF001
    ) in block
    assert "- met: runner: wall s ≤ 2 times floor (measured: 2)" in block
    assert "- **not met**: runner: peak MB ≤ 10 (measured: 50)" in block
    widths = {line.count("|") for line in block.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_a_peak_that_may_be_the_benchmarks_own_is_shown_as_a_bound() -> None:
    small = Cost(wall=1, cpu=1, peak_mb=29.5, peak_floor=30.5)
    case = Case(name="small", title="Small", run=lambda _: FIGURES)

    block = case_block(case, Figures(rounds={"floor": [small]}), "")

    assert "| ≤ 30 |" in block


def test_settings_of_this_shell_do_not_reach_what_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://elsewhere.example")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")

    seen = environment(OPENAI_BASE_URL="http://127.0.0.1/v1")

    assert "PYTHONDONTWRITEBYTECODE" not in seen
    assert "HTTPS_PROXY" not in seen
    assert seen["OPENAI_BASE_URL"] == "http://127.0.0.1/v1"


def test_costs_of_processes_that_run_one_after_the_other_are_added() -> None:
    first = Cost(wall=1, cpu=2, peak_mb=30, peak_floor=5, counts={"POST /files": 1}, queued=0.5)
    second = Cost(wall=4, cpu=8, peak_mb=20, counts={"POST /files": 2, "GET /files": 1}, waited=1)

    assert first + second == Cost(
        wall=5,
        cpu=10,
        peak_mb=30,
        peak_floor=5,
        counts={"POST /files": 3, "GET /files": 1},
        queued=0.5,
        waited=1,
    )


def test_growth_is_a_table_by_rows_and_one_by_jobs() -> None:
    growth = Growth(
        rows=[Step(size=1_000, costs={"job": cost(0.5)})],
        jobs=[Step(size=250, costs={"polling": cost(0.25, listings=3)})],
    )

    block = growth_block(growth, "")

    assert "| 1,000 | 0.50 | 50 | 0 |" in block
    assert "| 250 | 0.25 | 50 | 3 |" in block


def test_a_block_takes_the_place_of_the_one_of_its_name_alone() -> None:
    text = put(put(HEAD, "a", "first"), "b", "second")
    again = put(text, "a", r"third \g<0>")

    assert again == text.replace("first", r"third \g<0>")
    assert put(again, "b", "second") == again
    assert again.startswith(HEAD)


def test_published_ratios_are_medians_of_at_least_five_rounds() -> None:
    blocks = re.findall(
        r"<!-- ([a-z-]+) -->\n(.*?)<!-- end -->", RESULTS.read_text("utf-8"), re.DOTALL
    )
    compared = {name: block for name, block in blocks if " ÷ " in block}

    assert {case.name for case in CASES.values() if case.baseline is not None} == set(compared)
    for name, block in compared.items():
        [rounds] = re.findall(r"; ([0-9]+) rounds?", block)
        assert int(rounds) >= 5, name
        assert "–" in block, name  # noqa: RUF001
