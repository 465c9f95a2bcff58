"""Cases with many jobs, and the cold start: the overhead of runner.

Only runner is measured: a script has no passes to compare with.
"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Final

from benchmarks.account import Account, environment
from benchmarks.cases import Case, run_rounds
from benchmarks.costs import Bar, measure
from benchmarks.projects import PAUSE, RUNNER, add_jobs, count_lines, many_jobs, require_count

if TYPE_CHECKING:
    from benchmarks.cases import Bench
    from benchmarks.costs import Cost, Figures

_JOBS: Final = 2_000
_FINISHED: Final = 1_000
_FEW: Final = 10
_A_PAGE: Final = 100


def submitting(bench: Bench) -> Figures:
    """Submit many new jobs in one pass."""
    jobs = bench.sized(_JOBS)

    def one(_: str) -> Cost:
        folder = bench.scratch / "round"
        folder.mkdir()
        try:
            with Account(folder / "account") as account:
                account.hold(held=True)
                cost = many_jobs(folder / "project", account, jobs).run("reconcile", "--quiet")
            require_count(found=cost.counts.get("POST /batches", 0), wanted=jobs, what="batches")
            return cost
        finally:
            shutil.rmtree(folder)

    return run_rounds(bench.pairs, ["runner"], one)


def polling(bench: Bench) -> Figures:
    """Observe many batches in flight in one pass."""
    jobs = bench.sized(_JOBS)
    with Account(bench.scratch / "account") as account:
        account.hold(held=True)
        project = many_jobs(bench.scratch / "project", account, jobs)
        project.run("reconcile", "--quiet")
        project.run("reconcile", "--quiet")  # the first pass finds all of them changed
        return run_rounds(bench.pairs, ["runner"], lambda _: project.run("reconcile", "--quiet"))


def idle(bench: Bench) -> Figures:
    """Run a pass over many finished jobs."""
    jobs = bench.sized(_FINISHED)
    with Account(bench.scratch / "account") as account:
        project = many_jobs(bench.scratch / "project", account, jobs)
        project.run("reconcile", "--quiet", "--wait", "--poll-interval", PAUSE)
        require_count(found=project.answered(), wanted=jobs, what="answers")
        project.run("reconcile", "--quiet")  # inputs that were new at the first pass are read again
        return run_rounds(bench.pairs, ["runner"], lambda _: project.run("reconcile", "--quiet"))


_READING_COMMANDS: Final = {
    "runner status": ("status",),
    "runner status -o wide": ("status", "-o", "wide"),
    "runner status --json": ("status", "--json"),
    "runner events": ("events",),
}


def reading(bench: Bench) -> Figures:
    """Show the status of many jobs, half of them finished and half in flight."""
    jobs = bench.sized(_FINISHED)
    with Account(bench.scratch / "account") as account:
        project = many_jobs(bench.scratch / "project", account, jobs // 2)
        project.run("reconcile", "--quiet", "--wait", "--poll-interval", PAUSE)
        account.hold(held=True)
        add_jobs(project, range(jobs // 2, jobs))
        project.run("reconcile", "--quiet")
        return run_rounds(
            bench.pairs, list(_READING_COMMANDS), lambda name: project.run(*_READING_COMMANDS[name])
        )


def rebuilding(bench: Bench) -> Figures:
    """Rebuild a lost ledger from the provider's list of batches."""
    jobs = bench.sized(_JOBS)
    with Account(bench.scratch / "account") as account:
        account.hold(held=True)
        project = many_jobs(bench.scratch / "project", account, jobs)
        project.run("reconcile", "--quiet")

        def one(_: str) -> Cost:
            shutil.rmtree(project.folder / ".runner")
            return project.run("rebuild")

        figures = run_rounds(bench.pairs, ["runner"], one)
        after = project.run("reconcile", "--quiet")
        require_count(
            found=after.counts.get("POST /batches", 0), wanted=0, what="batches created again"
        )
        return figures


_COMMANDS: Final = {
    "runner --help": ("--help",),
    "runner --version": ("--version",),
    "runner validate": ("validate",),
    "runner plan": ("plan",),
    "runner status": ("status",),
    "runner show": ("show", "job-00000"),
    "runner events": ("events",),
    "runner reconcile": ("reconcile",),
    "runner verify": ("verify",),
    "runner orphans": ("orphans",),
}


def starting(bench: Bench) -> Figures:
    """Run each command in a project of ten finished jobs, and Python alone for comparison."""
    with Account(bench.scratch / "account") as account:
        project = many_jobs(bench.scratch / "project", account, _FEW)
        project.run("reconcile", "--quiet", "--wait", "--poll-interval", PAUSE)
        require_count(found=project.answered(), wanted=_FEW, what="answers")
        project.run("reconcile", "--quiet")

        def one(name: str) -> Cost:
            if name in _COMMANDS:
                return project.run(*_COMMANDS[name])
            bare = [sys.executable, "-c", "pass"]
            return measure(bare, folder=project.folder, account=account, environ=environment())

        names = ["bare Python", *_COMMANDS]
        run_rounds(1, names, one)  # so that the modules are in the disk cache for all
        # Each takes little time: more rounds make the medians steadier.
        return run_rounds(bench.pairs if bench.quick else bench.pairs * 3, names, one)


_COMMAND_LINES: Final = {
    "a command": "runner recon",
    "a job": "runner show job-",
    "a spec": "runner plan specs/job-",
}


def completing(bench: Bench) -> Figures:
    """Complete a command line in a project of many jobs, as bash does."""
    jobs = bench.sized(_FINISHED)
    with Account(bench.scratch / "account") as account:
        project = many_jobs(bench.scratch / "project", account, jobs)
        project.run("reconcile", "--quiet", "--wait", "--poll-interval", PAUSE)

        def one(name: str) -> Cost:
            words = _COMMAND_LINES[name].split()
            variables = environment(
                _RUNNER_COMPLETE="bash_complete",
                COMP_WORDS=_COMMAND_LINES[name],
                COMP_CWORD=str(len(words) - 1),
            )
            cost = measure([str(RUNNER)], folder=project.folder, account=account, environ=variables)
            wanted = 1 if name == "a command" else jobs
            require_count(
                found=count_lines(project.folder / "said.txt"), wanted=wanted, what="completions"
            )
            return cost

        run_rounds(1, list(_COMMAND_LINES), one)
        return run_rounds(
            bench.pairs if bench.quick else bench.pairs * 3, list(_COMMAND_LINES), one
        )


FLEETS: Final = (
    Case(
        name="polling",
        title="A polling pass: 2,000 jobs with a batch each in flight",
        run=polling,
        bars=(
            Bar(name="runner", what="listings", limit=_JOBS // _A_PAGE + 1),
            Bar(name="runner", what="wall", limit=3),
        ),
    ),
    Case(
        name="submitting",
        title="A submitting pass: 2,000 new jobs of one row",
        run=submitting,
        bars=(
            Bar(name="runner", what="wall", limit=60),
            Bar(name="runner", what="listings", limit=1),
        ),
    ),
    Case(
        name="idle",
        title="An idle pass: 1,000 finished jobs",
        run=idle,
        bars=(
            Bar(name="runner", what="requests", limit=0),
            Bar(name="runner", what="wall", limit=0.8),
        ),
    ),
    Case(
        name="looking",
        title="Looking at 1,000 jobs, half of them in flight",
        run=reading,
        bars=(
            Bar(name="runner status", what="requests", limit=0),
            Bar(name="runner status", what="wall", limit=0.5, below=True),
        ),
    ),
    Case(
        name="start",
        title="Cold start, with 10 finished jobs",
        run=starting,
        baseline="bare Python",
        bars=(
            Bar(name="runner --help", what="wall", limit=0.15),
            Bar(name="runner status", what="wall", limit=0.35),
        ),
    ),
    Case(
        name="complete",
        title="Completion in a shell, with 1,000 finished jobs",
        run=completing,
        bars=tuple(Bar(name=name, what="wall", limit=0.15, below=True) for name in _COMMAND_LINES),
    ),
    Case(
        name="rebuild",
        title="Rebuilding a lost ledger: 2,000 batches in flight",
        run=rebuilding,
        bars=(Bar(name="runner", what="wall", limit=10),),
    ),
)
