"""What people read, whole, in a narrow and in a wide terminal."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from runner.ledger.records import RunState
from runner.reconcile.overview import JobStory
from runner.report.paint import Paint
from runner.report.plain import columns
from runner.report.plan import render_plan
from runner.report.status import render_status
from runner.report.story import render_story
from tests.report.golden_files import check_golden
from tests.report.plans import PLANS
from tests.report.scenes import NOW, raw_batch, view
from tests.report.stories import partial_story, running_story

if TYPE_CHECKING:
    from runner.reconcile.overview import JobView

GOLDEN: Final = Path(__file__).parent / "golden"
WIDTHS: Final = (80, 200)


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


STORIES: Final[dict[str, JobStory]] = {
    "partial": partial_story(),
    "running": running_story(),
    "not-begun": JobStory(
        view=view(state="pending", revision=None, note="not reconciled yet"), runs=(), events=()
    ),
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["usual", "unusual"])
def test_status(name: str, width: int) -> None:
    text = render_status(usual_jobs() if name == "usual" else unusual_jobs(), width=width)

    check_golden(GOLDEN / f"status-{name}-{width}.txt", text)
    assert max(map(columns, text.splitlines())) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PLANS)
def test_plan(name: str, width: int) -> None:
    text = render_plan(PLANS[name], width=width)

    check_golden(GOLDEN / f"plan-{name}-{width}.txt", text)
    assert max(map(columns, text.splitlines())) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PLANS)
def test_plan_in_colour(name: str, width: int) -> None:
    text = render_plan(PLANS[name], width=width, paint=Paint(on=True))

    check_golden(GOLDEN / f"plan-{name}-{width}-colour.txt", text)
    assert re.sub(r"\x1b\[\d+m", "", text) == render_plan(PLANS[name], width=width)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", STORIES)
def test_show(name: str, width: int) -> None:
    text = render_story(
        STORIES[name], folder="outputs/sentiment/9f86d081884c", now=NOW, width=width
    )

    check_golden(GOLDEN / f"show-{name}-{width}.txt", text)
    assert max(map(columns, text.splitlines())) <= width


def test_usual_names_and_states_are_shown_whole_in_eighty_columns() -> None:
    table = render_status(usual_jobs(), width=80).partition("\n\n")[0].splitlines()[1:]

    assert [line.split()[:2] for line in table] == [
        [job.name, str(job.state)] for job in usual_jobs()
    ]


@pytest.mark.parametrize("jobs", [usual_jobs(), unusual_jobs()], ids=["usual", "unusual"])
def test_nothing_is_shortened_where_there_is_room_or_no_terminal(jobs: list[JobView]) -> None:
    assert "…" not in render_status(jobs, width=None)
    assert render_status(jobs, width=200) == render_status(jobs, width=None)


@pytest.mark.parametrize("state", RunState)
def test_show_says_what_to_do_next(state: RunState) -> None:
    story = dataclasses.replace(partial_story(), view=view(state=state))

    text = render_story(story, folder="outputs/x", now=NOW)

    [advice] = [line for line in text.splitlines() if line.startswith("  next")]
    wanted = {
        RunState.PENDING: "`runner reconcile sentiment`",
        RunState.RUNNING: "`runner reconcile --wait sentiment`",
        RunState.SUCCEEDED: "outputs/x/output.jsonl",
        RunState.PARTIAL: "`runner retry sentiment`",
        RunState.FAILED: "mend what the note says",
        RunState.CANCELLED: "`runner retry sentiment`",
    }[state]
    assert wanted in advice


def test_a_job_without_a_spec_is_told_to_have_none() -> None:
    text = render_story(partial_story(), folder="outputs/x", now=NOW, spec_gone=True)

    assert "no spec asks for the job any more; put it back to go on" in text
    assert "runner retry" not in text
