"""Benchmark cases, and those with one job: runner, the floor and the SDK."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Final, TypeVar

from benchmarks.account import Account, environment
from benchmarks.costs import Bar, Figures, measure
from benchmarks.projects import PAUSE, count_lines, one_job, require_count
from benchmarks.rows import BATCH_ROWS, ROOT, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.costs import Cost
    from benchmarks.projects import Project

FLOOR: Final = ROOT / "benchmarks" / "floor.sh"
_Result = TypeVar("_Result")

TOOLS: Final = "BENCHMARK_TOOLS"
"""Other tools to measure: `NAME=SCRIPT NAME=SCRIPT`; each gets the arguments of floor.sh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The settings of a run: the number of rounds, the size, the scratch folder."""

    scratch: Path
    pairs: int = 5
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

    def by_script(self, *command: str, **variables: str) -> Cost:
        """Run the job with a script that takes the arguments of floor.sh."""
        cost = self._call(command, **variables)
        self._require_answers(command[-1])
        return cost

    def by_floor_in_halves(self) -> Mapping[str, Cost]:
        """Run the job as cron does with floor.sh: submit, and later collect."""
        self.account.hold(held=True)
        submitted = self._call([str(FLOOR)], "submit")
        self.account.hold(held=False)
        collected = self._call([str(FLOOR)], "collect")
        self._require_answers("floor.sh")
        return {"submitting": submitted, "collecting": collected}

    def by_runner(self) -> Cost:
        """Run the job with runner, in a new project."""
        project = self._project()
        cost = project.run("reconcile", "--wait", "--poll-interval", PAUSE, "--quiet")
        require_count(found=project.answered(), wanted=self.rows.count, what="answers from runner")
        return cost

    def by_runner_in_passes(self) -> Mapping[str, Cost]:
        """Run the job as cron does with runner: validate, submit, and later collect."""
        project = self._project()
        validated = project.run("validate")
        self.account.hold(held=True)
        submitted = project.run("reconcile", "--quiet")
        self.account.hold(held=False)
        collected = project.run("reconcile", "--quiet")
        require_count(found=project.answered(), wanted=self.rows.count, what="answers from runner")
        return {"validating": validated, "submitting": submitted, "collecting": collected}

    def _call(self, command: Sequence[str], *half: str, **variables: str) -> Cost:
        lines = BATCH_ROWS if self.rows.count > BATCH_ROWS else 0
        arguments = [self.rows.endpoint, str(self.source), str(self.folder), str(lines), *half]
        return measure(
            [*command, *arguments],
            folder=self.folder,
            account=self.account,
            environ=environment(OPENAI_BASE_URL=self.account.url, **variables),
        )

    def _project(self) -> Project:
        return one_job(
            self.folder / "project", self.account, source=self.source, endpoint=self.rows.endpoint
        )

    def _require_answers(self, script: str) -> None:
        answered = sum(map(count_lines, self.folder.glob("output*.jsonl")))
        require_count(found=answered, wanted=self.rows.count, what=f"answers from {script}")


def contestants() -> Mapping[str, Callable[[Task], Cost]]:
    """Return the contestants of whole jobs, by name."""
    by_hand = str(ROOT / "benchmarks" / "by_hand.py")
    called: dict[str, Callable[[Task], Cost]] = {
        "runner": Task.by_runner,
        "floor": lambda task: task.by_script(str(FLOOR)),
        "floor, no hash": lambda task: task.by_script(str(FLOOR), HASH=":"),
        "SDK": lambda task: task.by_script(sys.executable, by_hand),
    }
    for entry in os.environ.get(TOOLS, "").split():
        name, _, script = entry.partition("=")
        called[name] = lambda task, script=script: task.by_script(script)  # type: ignore[misc]
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
        called = contestants()
        return run_rounds(bench.pairs, list(called), _on_new_task(bench, rows, called))

    return run


def in_passes(rows: Rows) -> Callable[[Bench], Figures]:
    """Return the run of a case: the same as whole_job, in the separate processes of cron.

    A contestant's cost is the sum of its processes, which are shown below it.
    """
    called = {"runner": Task.by_runner_in_passes, "floor": Task.by_floor_in_halves}

    def run(bench: Bench) -> Figures:
        do = _on_new_task(bench, rows, called)
        passes: dict[str, list[Cost]] = {}

        def one(name: str) -> Cost:
            costs = do(name)
            for what, cost in costs.items():
                passes.setdefault(f"{name}: {what}", []).append(cost)
            return reduce(add, costs.values())

        whole = run_rounds(bench.pairs, list(called), one)
        return Figures(rounds={**whole.rounds, **passes})

    return run


def _on_new_task(
    bench: Bench, rows: Rows, called: Mapping[str, Callable[[Task], _Result]]
) -> Callable[[str], _Result]:
    """Write the input and the answers; return what runs a contestant with a new account."""
    sized = replace(rows, count=bench.sized(rows.count))
    source, answers = bench.scratch / "input.jsonl", bench.scratch / "answers"
    answers.mkdir()
    sized.write_requests(source)
    sized.write_answers(answers)

    def one(name: str) -> _Result:
        folder = bench.scratch / "round"
        (folder / "own").mkdir(parents=True)
        try:
            with Account(folder / "account", answers=answers) as account:
                return called[name](
                    Task(rows=sized, source=source, folder=folder / "own", account=account)
                )
        finally:
            shutil.rmtree(folder)

    return one


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
        name="cron",
        title="The same 200 MB in the processes of cron",
        run=in_passes(Rows(count=50_000, request_bytes=4_000)),
        baseline="floor",
    ),
    Case(
        name="cron-small",
        title="The same 50,000 rows of 450 bytes in the processes of cron",
        run=in_passes(Rows(count=50_000, request_bytes=450)),
        baseline="floor",
    ),
    Case(
        name="collect",
        title="Collecting 200 MB of answers in random order",
        run=collect,
        baseline="floor",
    ),
)
