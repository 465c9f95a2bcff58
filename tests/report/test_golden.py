"""What people read, whole, in a narrow and in a wide terminal."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from runner.ledger.records import RunState
from runner.reconcile.actions import Collect, Observe, Wait
from runner.reconcile.overview import JobStory
from runner.report.plain import columns
from runner.report.plan import render_plan
from runner.report.status import render_status
from runner.report.story import render_story
from tests.report.golden_files import check_golden
from tests.report.scenes import (
    NOW,
    batch,
    every_step,
    preview,
    raw_batch,
    run,
    submission,
    submit,
    view,
)
from tests.report.stories import partial_story, running_story

if TYPE_CHECKING:
    from runner.reconcile.overview import JobView
    from runner.reconcile.preview import Preview

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


PLANS: Final[dict[str, Preview]] = {
    "nothing": preview(),
    "new": preview(*every_step()[:1], submit(run())),
    "every-step": preview(
        *every_step(),
        Wait(run=run("banking77-intents"), key=None, why="the disk is full", trouble=True),
        notes=("sentiment: the spec's edit changes no answer; no new batch",),
        unasked={"openai": "OPENAI_API_KEY is not set, and provider openai needs a key"},
    ),
    "many-shards": preview(
        *(submit(run(shards=12), number) for number in range(1, 9)),
        *(
            Observe(
                run=run(shards=12),
                why="validating → in_progress",
                key=submission(run(shards=12), number).key,
                batch=batch(number),
            )
            for number in range(9, 13)
        ),
    ),
    "second-attempt": preview(
        Collect(
            run=run(shards=2),
            why="the batch is expired",
            shard=run(shards=2).shards[0],
            submission=submission(run(shards=2), batch_id="batch_1"),
            batch=batch(1, "expired"),
        ),
        submit(run(shards=2), 2, 2, requests=19, bytes=0),
    ),
    "waiting": preview(
        *(
            Wait(
                run=run(shards=6),
                key=submission(run(shards=6), number).key,
                why="in flight, in_progress",
            )
            for number in range(1, 6)
        ),
        Wait(
            run=run(shards=6),
            key=submission(run(shards=6), 6).key,
            why="the provider's limit was reached",
            until=NOW + 60,
        ),
    ),
}

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
