"""Benchmark cases, and those with one whole job: runner, the floor and the SDK."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from benchmarks.account import Account, environment
from benchmarks.costs import Bar, Figures, measure
from benchmarks.projects import PAUSE, count_lines, one_job, require_count
from benchmarks.rows import BATCH_ROWS, ROOT, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.costs import Cost

TOOLS: Final = "BENCHMARK_TOOLS"
"""Other tools to measure: `NAME=SCRIPT NAME=SCRIPT`; each gets the arguments of floor.sh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The settings of a run: the number of rounds, the size, the scratch folder."""

    scratch: Path
    pairs: int = 3
    quick: bool = False

    def sized(self, full: int) -> int:
        """Return the full size, or a hundredth of it for a quick run."""
        return max(full // 100, 1) if self.quick else full


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case; ratios, if any, are to the contestant named `baseline`."""

    name: str
    title: str
    run: Callable[[Bench], Figures]
    bars: Sequence[Bar] = ()
    baseline: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One job for one contestant, with its own account and an empty folder."""

    rows: Rows
    source: Path
    folder: Path
    account: Account

    def by_script(self, *command: str) -> Cost:
        """Run the job with a script that takes the arguments of floor.sh."""
        lines = BATCH_ROWS if self.rows.count > BATCH_ROWS else 0
        arguments = [self.rows.endpoint, str(self.source), str(self.folder), str(lines)]
        cost = measure(
            [*command, *arguments],
            folder=self.folder,
            account=self.account,
            environ=environment(OPENAI_BASE_URL=self.account.url),
        )
        answered = sum(map(count_lines, self.folder.glob("output*.jsonl")))
        require_count(found=answered, wanted=self.rows.count, what=f"answers from {command[-1]}")
        return cost

    def by_runner(self) -> Cost:
        """Run the job with runner, in a new project."""
        project = one_job(
            self.folder / "project", self.account, source=self.source, endpoint=self.rows.endpoint
        )
        cost = project.run("reconcile", "--wait", "--poll-interval", PAUSE, "--quiet")
        require_count(found=project.answered(), wanted=self.rows.count, what="answers from runner")
        return cost


def contestants() -> Mapping[str, Callable[[Task], Cost]]:
    """Return the contestants of whole jobs, by name."""
    scripts = {
        "floor": [str(ROOT / "benchmarks" / "floor.sh")],
        "SDK": [sys.executable, str(ROOT / "benchmarks" / "by_hand.py")],
    }
    for entry in os.environ.get(TOOLS, "").split():
        name, _, script = entry.partition("=")
        scripts[name] = [script]
    called: dict[str, Callable[[Task], Cost]] = {"runner": Task.by_runner}
    for name, command in scripts.items():
        called[name] = lambda task, command=command: task.by_script(*command)  # type: ignore[misc]
    return called


def run_rounds(pairs: int, names: Sequence[str], run: Callable[[str], Cost]) -> Figures:
    """Run every contestant once a round, in reverse order in every other round."""
    rounds: dict[str, list[Cost]] = {name: [] for name in names}
    for turn in range(pairs):
        for name in names if turn % 2 == 0 else reversed(names):
            rounds[name].append(run(name))
    return Figures(rounds=rounds)


def whole_job(rows: Rows) -> Callable[[Bench], Figures]:
    """Return the run of a case: from an input to its answers, with the same bytes for all."""

    def run(bench: Bench) -> Figures:
        sized = replace(rows, count=bench.sized(rows.count))
        source, answers = bench.scratch / "input.jsonl", bench.scratch / "answers"
        answers.mkdir()
        sized.write_requests(source)
        sized.write_answers(answers)
        called = contestants()

        def one(name: str) -> Cost:
            folder = bench.scratch / "round"
            (folder / "own").mkdir(parents=True)
            try:
                with Account(folder / "account", answers=answers) as account:
                    return called[name](
                        Task(rows=sized, source=source, folder=folder / "own", account=account)
                    )
            finally:
                shutil.rmtree(folder)

        return run_rounds(bench.pairs, list(called), one)

    return run


def collect(bench: Bench) -> Figures:
    """Measure how runner collects a submitted batch, and how the others download it."""
    rows = Rows(count=bench.sized(50_000), answer_bytes=4_000)
    source, answers = bench.scratch / "input.jsonl", bench.scratch / "answers"
    answers.mkdir()
    rows.write_requests(source)
    rows.write_answers(answers)
    folder = bench.scratch / "round"
    scripts = {
        "floor": ["sh", "-c", 'curl -sSf -o output.jsonl "$0" && sha256sum output.jsonl'],
        "SDK": [sys.executable, str(ROOT / "benchmarks" / "download.py")],
    }

    def one(name: str) -> Cost:
        folder.mkdir()
        try:
            with Account(folder / "account", answers=answers) as account:
                account.hold(held=True)
                project = one_job(
                    folder / "project", account, source=source, endpoint=rows.endpoint
                )
                project.run("reconcile", "--quiet")
                account.hold(held=False)
                if name == "runner":
                    cost = project.run("reconcile", "--quiet")
                    require_count(found=project.answered(), wanted=rows.count, what="answers")
                    return cost
                output = account.finish()
                cost = measure(
                    [*scripts[name], f"{account.url}/files/{output}/content"],
                    folder=folder,
                    account=account,
                    environ=environment(OPENAI_BASE_URL=account.url),
                )
                require_count(
                    found=count_lines(folder / "output.jsonl"), wanted=rows.count, what="answers"
                )
                return cost
        finally:
            shutil.rmtree(folder)

    return run_rounds(bench.pairs, ["runner", *scripts], one)


_LESS_THAN_THE_SDK: Final = (
    Bar(name="runner", what="wall", limit=1, other="SDK", below=True),
    Bar(name="runner", what="cpu", limit=1, other="SDK", below=True),
)

JOBS: Final = (
    Case(
        name="large",
        title="One job of 50,000 rows, 200 MB",
        run=whole_job(Rows(count=50_000, request_bytes=4_000)),
        baseline="floor",
        bars=(
            Bar(name="runner", what="wall", limit=2, other="floor"),
            *_LESS_THAN_THE_SDK,
            Bar(name="runner", what="peak_mb", limit=120),
        ),
    ),
    Case(
        name="million",
        title="1,000,000 small rows in 20 batches",
        run=whole_job(Rows(count=1_000_000)),
        baseline="floor",
        bars=(Bar(name="runner", what="peak_mb", limit=200),),
    ),
    Case(
        name="ten-thousand",
        title="10,000 rows, the questions of Banking77",
        run=whole_job(Rows(count=10_000)),
        baseline="floor",
    ),
    Case(
        name="small-rows",
        title="50,000 rows of 450 bytes",
        run=whole_job(Rows(count=50_000, request_bytes=450)),
        baseline="floor",
        bars=_LESS_THAN_THE_SDK,
    ),
    Case(
        name="collect",
        title="Collecting 200 MB of answers in random order",
        run=collect,
        baseline="floor",
    ),
)
