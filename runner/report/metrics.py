"""What monitoring receives after a pass: gauges for Prometheus, and a summary for a ping.

The gauges are in the text format of Prometheus, for the textfile collector of the node exporter.
Source: prometheus.io, "Exposition formats", text-based format 0.0.4. Every sample has the
project's folder as a label, so that one collector can read the files of several projects. Times
are given as timestamps, not as ages: an age would not grow between two passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.ledger.records import RunState
from runner.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runner.errors import Problem
    from runner.reconcile.passes import PassReport
    from runner.views.totals import JobTotals, ProjectTotals


MOST_JOBS: Final = 1000
"""The most jobs that have samples of their own; with more jobs there are only the sums."""

_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

_Samples = list[tuple[dict[str, str], float]]


def render_metrics(
    project_totals: ProjectTotals,
    *,
    project: str,
    version: str,
    ended_at: float,
    seconds: float,
    code: int,
) -> str:
    """Return the gauges of a pass that ended at `ended_at` (Unix seconds) with exit code `code`."""
    lines = []
    for name, about, samples in _gauges(project_totals, version, ended_at, seconds, code):
        if samples:
            lines += [f"# HELP runner_{name} {about}", f"# TYPE runner_{name} gauge"]
        for labels, value in samples:
            lines.append(f"runner_{name}{_labels({'project': project} | labels)} {_number(value)}")
    return "".join(f"{line}\n" for line in lines)


def _gauges(
    project_totals: ProjectTotals, version: str, ended_at: float, seconds: float, code: int
) -> Iterator[tuple[str, str, _Samples]]:
    """Yield the name, the meaning and the samples of each gauge."""
    own = project_totals.jobs if len(project_totals.jobs) <= MOST_JOBS else ()
    states = [job.state for job in project_totals.jobs]
    yield "info", "The version of runner that wrote this.", [({"version": version}, 1)]
    yield "last_pass_timestamp_seconds", "When the last pass ended.", [({}, ended_at)]
    yield "last_pass_duration_seconds", "How long the last pass took.", [({}, seconds)]
    yield "last_pass_exit_code", "The exit code that the last pass came to.", [({}, code)]
    yield (
        "troubles",
        "What could not be done in the last pass.",
        [({}, project_totals.problem_count)],
    )
    yield (
        "jobs",
        "Jobs in the specs, by state.",
        [({"state": state}, states.count(state)) for state in RunState],
    )
    yield (
        "requests",
        "Requests that the specs ask for, by outcome.",
        _outcomes(
            *(sum(part) for part in zip((0, 0, 0), *map(_counts, project_totals.jobs), strict=True))
        ),
    )
    yield (
        "job_requests",
        "Requests of a job, by outcome.",
        [
            ({"job": job.name} | labels, value)
            for job in own
            for labels, value in _outcomes(*_counts(job))
        ],
    )
    yield (
        "job_state",
        "The state that a job is in: 1.",
        [({"job": job.name, "state": job.state}, 1) for job in own],
    )
    yield (
        "job_tokens",
        "Tokens that the batches of a job report, by kind.",
        [
            ({"job": job.name, "kind": kind}, count)
            for job in own
            for kind, count in (("input", job.tokens.input), ("output", job.tokens.output))
            if count is not None
        ],
    )
    yield (
        "batches_in_flight",
        "Batches that a provider has, and whose results are not here, by status.",
        [
            ({"provider": provider, "status": status}, count)
            for (provider, status), count in sorted(project_totals.in_flight.items())
        ],
    )
    yield (
        "oldest_batch_timestamp_seconds",
        "When the oldest batch in flight was submitted.",
        [] if project_totals.oldest is None else [({}, project_totals.oldest)],
    )


def _counts(job: JobTotals) -> tuple[int, int, int]:
    return job.succeeded, job.failed, job.pending


def _outcomes(succeeded: int, failed: int, pending: int) -> _Samples:
    outcomes = {"succeeded": succeeded, "failed": failed, "pending": pending}
    return [({"outcome": outcome}, count) for outcome, count in outcomes.items()]


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return f"{{{pairs}}}"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def pass_lines(report: PassReport, problems: Sequence[Problem]) -> list[str]:
    """Return the summary of a pass for a ping: the jobs by state, then each problem once.

    `problems` are those of the specs, which are not part of the pass.
    """
    states = list(report.states.values())
    counts = [f"{states.count(state):,} {state}" for state in RunState if state in states]
    lines = [plural(len(states), "job") + (f": {', '.join(counts)}" if counts else "")]
    lines += [str(problem) for problem in (*problems, *report.problems)]
    lines += [f"{name}: {reason}" for name, reason in report.unreadable_inputs.items()]
    lines += dict.fromkeys(
        f"{wait.run.job}: {wait.reason}" for wait in report.waits if wait.is_problem
    )
    return [printable(line) for line in lines]
