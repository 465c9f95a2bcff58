"""The output of the commands in a narrow and in a wide terminal."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

import pytest

from runner.ledger.records import RunState
from runner.report.history import render_events
from runner.report.hooks import render_hooks
from runner.report.job import render_history
from runner.report.orphans import render_orphans
from runner.report.plan import render_plan
from runner.report.status import render_status
from runner.report.verify import render_verification
from runner.views.jobs import Blocked, JobHistory, JobProgress
from tests.report import findings
from tests.report.golden_files import WIDTHS, check_rendering
from tests.report.plans import PLANS
from tests.report.scenes import NOW, raw_batch, view
from tests.report.stories import event, long_story, partial_story, running_story

if TYPE_CHECKING:
    from runner.ledger.records import Event
    from runner.views.jobs import JobView


def usual_jobs() -> list[JobView]:
    """Return jobs of usual names and sizes, one in each state."""
    return [
        view(
            "banking77-embeddings",
            batches=(raw_batch(),),
        ),
        view(
            "sentiment",
            "running",
            succeeded=1200,
            failed=3,
            batches=(
                *(raw_batch(n) for n in range(2)),
                *(raw_batch(n, "in_progress") for n in range(2, 5)),
            ),
        ),
        view("summaries", "partial", succeeded=3077, failed=3, batches=(raw_batch(),), note=(
            "3 of 3080 requests ended without a successful response"
        )),
        view("judge", "failed", failed=3080, batches=(raw_batch(status="failed"),), note=(
            "batch_68f0c3a1d4b88190a7000001 failed: line 1: The provided model 'gpt-0' is not "
            "supported by the Batch API. (model_not_found)"
        )),
        view("stopped", "cancelled", succeeded=12, failed=3068, batches=(
            raw_batch(status="cancelled"),
        ), note="cancelled on request"),
        view("hello", "pending", revision=None, note="not reconciled yet", total=3),
        view("hello-again", "pending", revision=None, note="not reconciled yet", total=3),
    ]  # fmt: skip


def unusual_jobs() -> list[JobView]:
    """Return jobs that need more room than there is."""
    many = (
        *(raw_batch(n) for n in range(118)),
        *(raw_batch(n, "in_progress") for n in range(118, 200)),
        *(raw_batch(n, "validating") for n in range(200, 207)),
    )
    return [
        view(
            "every-answer-of-the-model-about-the-whole-of-wikipedia-2025.v2",
            "running",
            total=10_000_000,
            succeeded=5_900_000,
            batches=many,
        ),
        view("x", "succeeded", total=1, succeeded=1, batches=(raw_batch(),)),
    ]


def every_event() -> list[Event]:
    """Return events of several jobs, one of each kind that looks different."""
    job_history = partial_story()
    key = "sentiment/9f86d081884c/0001/1"
    return [
        *job_history.events,
        event(800, "outcome_unknown", submission=key, problem="the answer was lost on the way"),
        event(900, "batch_not_found", submission=key, batch="batch_1"),
        event(1000, "lost", submission=key, problem="the provider does not know it any more"),
        dataclasses.replace(
            event(
                1100, "run_moved", was_job="feelings", was_folder="outputs/feelings/9f86d081884c"
            ),
            job="a-name-that-is-as-long-as-names-of-jobs-are-ever-allowed-to-be.v2",
        ),
    ]


def many_jobs() -> list[JobView]:
    """Return 200 jobs: some need attention, and most are like others."""
    reason = "LAB_KEY is not set, and provider lab needs an API key; nothing was sent to it"
    blocked = Blocked(reason=reason, since=NOW - 7200, provider="lab")
    at_work = raw_batch(1, "in_progress", created_at=int(NOW) - 3600)
    half = JobProgress(succeeded=1540, failed=0, source="provider")
    kinds: list[dict[str, Any]] = [
        {"state": "succeeded", "batches": (raw_batch(2),)},
        {"state": "pending"},
        {"state": "pending", "blocked": blocked},
        {"state": "running", "batches": (at_work,), "progress": half},
        {"state": "succeeded", "batches": (raw_batch(3),)},
    ]
    jobs = [view(f"sweep-{number:03}", **kinds[number % 5]) for number in range(199)]
    note = "3 of 3080 requests ended without a successful response"
    return [*jobs, view("last", "partial", succeeded=3077, failed=3, note=note)]


JOBS: Final = {"usual": usual_jobs(), "unusual": unusual_jobs(), "many": many_jobs()}

STORIES: Final[dict[str, JobHistory]] = {
    "partial": partial_story(),
    "running": running_story(),
    "long": long_story(),
    "not-begun": JobHistory(
        view=view(state="pending", revision=None, note="not reconciled yet"), runs=(), events=()
    ),
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("wide", [False, True], ids=["table", "wide"])
@pytest.mark.parametrize("name", JOBS)
def test_status(name: str, wide: bool, width: int) -> None:  # noqa: FBT001 -- of a table
    check_rendering(
        f"status-{name}{'-wide' if wide else ''}",
        width,
        lambda colours: render_status(
            JOBS[name],
            now=NOW,
            wide=wide,
            durations={"openai": (7200.0, 7000.0, 9000.0)},
            width=width,
            colours=colours,
        ),
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PLANS)
def test_plan(name: str, width: int) -> None:
    check_rendering(
        f"plan-{name}",
        width,
        lambda colours: render_plan(PLANS[name], width=width, colours=colours),
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", STORIES)
def test_show(name: str, width: int) -> None:
    check_rendering(
        f"show-{name}",
        width,
        lambda colours: render_history(
            STORIES[name],
            folder="outputs/sentiment/9f86d081884c",
            now=NOW,
            width=width,
            colours=colours,
        ),
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_show_the_whole(width: int) -> None:
    job_history = partial_story()
    first = job_history.view.batches[0]
    before = dataclasses.replace(job_history.runs[0], batches=(first,), attempts=1)
    job_history = dataclasses.replace(job_history, runs=(before, job_history.view))

    check_rendering(
        "show-whole",
        width,
        lambda colours: render_history(
            job_history, folder="outputs/x", now=NOW, whole=True, width=width, colours=colours
        ),
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_events(width: int) -> None:
    check_rendering(
        "events", width, lambda colours: render_events(every_event(), width=width, colours=colours)
    )


def test_a_long_story_is_a_screen_or_two_and_has_no_end_if_asked() -> None:
    job_history = long_story()

    text = render_history(job_history, folder="outputs/x", now=NOW, width=80)
    whole = render_history(job_history, folder="outputs/x", now=NOW, width=80, whole=True)

    assert len(text.splitlines()) < 80
    assert "`runner show sentiment --all`" in text
    assert "`runner events sentiment`" in text
    assert whole.count("\n  shard ") == 1000


def test_usual_names_and_states_are_shown_whole_in_eighty_columns() -> None:
    table = render_status(usual_jobs(), now=NOW, width=80).partition("\n\n")[0].splitlines()[1:]

    assert [line.split()[:2] for line in table] == [
        [job.name, str(job.state)] for job in usual_jobs()
    ]


@pytest.mark.parametrize("wide", [False, True], ids=["table", "wide"])
@pytest.mark.parametrize("name", JOBS)
def test_nothing_is_shortened_where_there_is_no_terminal(name: str, wide: bool) -> None:  # noqa: FBT001
    assert "…" not in render_status(JOBS[name], now=NOW, wide=wide, width=None)


@pytest.mark.parametrize("name", JOBS)
def test_a_pipe_gets_the_same_columns_whatever_is_under_way(name: str) -> None:
    head = render_status(JOBS[name], now=NOW, width=None).splitlines()[0]

    assert head.split() == ["JOB", "STATE", "SUCCEEDED", "FAILED", "TOTAL", "BATCHES", "REVISION"]


def test_of_very_many_jobs_the_notes_end_and_a_sum_is_drawn() -> None:
    jobs = [
        view(f"job-{number:03}", "partial", failed=number, note=f"{number} of 3080 have no answer")
        for number in range(1, 101)
    ]

    lines = render_status(jobs, now=NOW, width=80).splitlines()

    assert lines[0] == "100 jobs: 100 partial"
    assert "80 more notes: `runner show JOB` has each" in lines
    assert lines[-2].startswith("80 more jobs partial, 0 of 246,400 requests succeeded: job-021,")
    each = render_status(jobs, now=NOW, width=80, each=True).splitlines()
    assert len([line for line in each if line.startswith("job-")]) >= 100
    assert len(render_status(jobs, now=NOW).splitlines()) == 1 + 100 + 1 + 100


@pytest.mark.parametrize("state", RunState)
def test_show_says_what_to_do_next(state: RunState) -> None:
    job_history = dataclasses.replace(partial_story(), view=view(state=state))

    text = render_history(job_history, folder="outputs/x", now=NOW)

    [advice] = [line for line in text.splitlines() if line.startswith("  next")]
    wanted = {
        RunState.PENDING: "`runner reconcile sentiment`",
        RunState.RUNNING: "`runner reconcile --wait sentiment`",
        RunState.SUCCEEDED: "outputs/x/output.jsonl",
        RunState.PARTIAL: "`runner retry sentiment`",
        RunState.FAILED: "fix the cause in the spec or its input",
        RunState.CANCELLED: "`runner retry sentiment`",
    }[state]
    assert wanted in advice


def test_a_job_without_a_spec_is_told_to_have_none() -> None:
    job_history = partial_story()
    job_history = dataclasses.replace(
        job_history, view=dataclasses.replace(job_history.view, spec=None)
    )

    text = render_history(job_history, folder="outputs/x", now=NOW)

    assert "no spec defines the job any more; restore the spec to continue" in text
    assert "runner retry" not in text


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["whole", "doubtful"])
def test_verify(name: str, width: int) -> None:
    found = {"whole": findings.WHOLE, "doubtful": findings.DOUBTFUL}[name]
    check_rendering(
        f"verify-{name}",
        width,
        lambda colours: render_verification(found, width=width, colours=colours),
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_orphans(width: int) -> None:
    check_rendering(
        "orphans",
        width,
        lambda colours: render_orphans(findings.ORPHANS, width=width, colours=colours),
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_notify(width: int) -> None:
    check_rendering(
        "notify",
        width,
        lambda colours: render_hooks(findings.HOOKS, width=width, colours=colours),
    )
