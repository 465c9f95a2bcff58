"""The file for Prometheus: the rules of the format, and the values of the gauges."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.ledger.records import RunState
from runner.report.metrics import MOST_JOBS, render_metrics
from runner.views.token_usage import TokenUsage
from runner.views.totals import JobTotals, ProjectTotals
from tests.report.exposition import read

if TYPE_CHECKING:
    from tests.report.exposition import Labels

FIGURES: Final = ProjectTotals(
    jobs=(
        JobTotals(
            name="hello",
            state=RunState.RUNNING,
            succeeded=3,
            failed=1,
            pending=6,
            tokens=TokenUsage(input=40, output=12, total=52),
        ),
        JobTotals(name="acl.2", state=RunState.PENDING),
    ),
    in_flight={("lab", "in_progress"): 2, ("lab", "finalizing"): 1},
    oldest=1_769_860_000.5,
    problem_count=1,
)
NAMES: Final = {
    "runner_info",
    "runner_last_pass_timestamp_seconds",
    "runner_last_pass_duration_seconds",
    "runner_last_pass_exit_code",
    "runner_troubles",
    "runner_jobs",
    "runner_requests",
    "runner_job_requests",
    "runner_job_state",
    "runner_job_tokens",
    "runner_batches_in_flight",
    "runner_oldest_batch_timestamp_seconds",
}


def written(
    project_totals: ProjectTotals = FIGURES, project: str = "/p"
) -> dict[str, dict[Labels, float]]:
    text = render_metrics(
        project_totals,
        project=project,
        version="1.2",
        ended_at=1_769_860_800.25,
        seconds=1.5,
        code=1,
    )
    families = read(text)
    assert {family.type for family in families.values()} == {"gauge"}
    return {name: family.samples for name, family in families.items()}


def labels(**pairs: str) -> Labels:
    return frozenset({"project": "/p", **pairs}.items())


def test_the_names_are_stable() -> None:
    assert written().keys() == NAMES


def test_what_the_gauges_say() -> None:
    gauges = written()

    assert gauges["runner_info"] == {labels(version="1.2"): 1}
    assert gauges["runner_last_pass_timestamp_seconds"] == {labels(): 1_769_860_800.25}
    assert gauges["runner_last_pass_duration_seconds"] == {labels(): 1.5}
    assert gauges["runner_last_pass_exit_code"] == {labels(): 1}
    assert gauges["runner_troubles"] == {labels(): 1}
    assert gauges["runner_jobs"] == {
        labels(state=str(state)): float(state in (RunState.RUNNING, RunState.PENDING))
        for state in RunState
    }
    assert gauges["runner_requests"] == {
        labels(outcome="succeeded"): 3,
        labels(outcome="failed"): 1,
        labels(outcome="pending"): 6,
    }
    assert gauges["runner_job_requests"][labels(job="hello", outcome="pending")] == 6
    assert gauges["runner_job_state"] == {
        labels(job="hello", state="running"): 1,
        labels(job="acl.2", state="pending"): 1,
    }
    assert gauges["runner_job_tokens"] == {
        labels(job="hello", kind="input"): 40,
        labels(job="hello", kind="output"): 12,
    }
    assert gauges["runner_batches_in_flight"] == {
        labels(provider="lab", status="in_progress"): 2,
        labels(provider="lab", status="finalizing"): 1,
    }
    assert gauges["runner_oldest_batch_timestamp_seconds"] == {labels(): 1_769_860_000.5}


def test_what_there_is_none_of_has_no_sample() -> None:
    empty = ProjectTotals(jobs=(), in_flight={}, oldest=None, problem_count=0)

    gauges = written(empty)

    assert gauges["runner_requests"][labels(outcome="pending")] == 0
    assert gauges.keys() == NAMES - {
        "runner_job_requests",
        "runner_job_state",
        "runner_job_tokens",
        "runner_batches_in_flight",
        "runner_oldest_batch_timestamp_seconds",
    }


@pytest.mark.parametrize("more", [0, 1])
def test_the_number_of_samples_is_bounded(more: int) -> None:
    job = FIGURES.jobs[0]
    jobs = tuple(replace(job, name=f"job-{number}") for number in range(MOST_JOBS + more))

    gauges = written(replace(FIGURES, jobs=jobs))

    assert len(gauges.get("runner_job_state", ())) == (0 if more else MOST_JOBS)
    assert gauges["runner_requests"][labels(outcome="pending")] == 6 * len(jobs)


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
)
def test_any_name_is_written_so_that_it_reads_back(project: str, status: str) -> None:
    gauges = written(replace(FIGURES, in_flight={("lab", status): 2}), project)

    expected = {"project": project, "provider": "lab", "status": status}
    assert gauges["runner_batches_in_flight"] == {frozenset(expected.items()): 2}


@pytest.mark.parametrize(
    "text",
    [
        "runner_a 1\n",
        "# HELP a b\na 1\n",
        "# HELP a b\n# TYPE a gauge\na 1",
        "# HELP a b\n# TYPE a gauge\na 1\na 2\n",
        '# HELP a b\n# TYPE a gauge\na{b="c\\d"} 1\n',
        "# HELP a b\n# TYPE a gauge\n",
    ],
)
def test_the_reader_sees_what_is_wrong(text: str) -> None:
    with pytest.raises(AssertionError):
        read(text)
