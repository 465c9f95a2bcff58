"""A pass in a few lines, for a check that hears of passes and not of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.ledger.records import RunState
from runner.report.safe_text import plain
from runner.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.errors import Problem
    from runner.reconcile.passes import PassReport


def pass_lines(report: PassReport, problems: Sequence[Problem]) -> list[str]:
    """Return how many jobs are where, then what a person must see to, each once.

    `problems` are those of specs, which no pass sees.
    """
    states = list(report.states.values())
    counts = [f"{states.count(state):,} {state}" for state in RunState if state in states]
    lines = [plural(len(states), "job") + (f": {', '.join(counts)}" if counts else "")]
    lines += [str(problem) for problem in (*problems, *report.problems)]
    lines += [f"{name}: {why}" for name, why in report.unread.items()]
    lines += dict.fromkeys(f"{wait.run.job}: {wait.why}" for wait in report.waits if wait.trouble)
    return [plain(line) for line in lines]
