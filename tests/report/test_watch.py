"""The output of `runner watch`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.ledger.records import RunState, SubmissionState
from runner.report.text_width import columns
from runner.report.watch import WatchState
from runner.views.jobs import Blocked, JobProgress
from tests.report.golden_files import WIDTHS, check_rendering
from tests.report.scenes import NOW, batch, raw_batch, run, submission, view
from tests.report.stories import event, running_story
from tests.report.test_golden import usual_jobs

if TYPE_CHECKING:
    from runner.report.colour import Colours


def watched(*, done: int = 1540, status: str = "in_progress", looks: int = 3) -> WatchState:
    """Return jobs in every state; one is running and was observed `looks` times."""
    counts = {"total": 3080, "completed": done, "failed": 2}
    of = run()
    at_work = submission(
        of,
        state=SubmissionState.SUBMITTED,
        submitted_at=NOW - 400,
        batch=batch(1, status, request_counts=counts, in_progress_at=int(NOW) - 300),
    )
    of = run(submissions=(at_work,))
    progress = JobProgress(succeeded=done, failed=2, source="provider")
    at_work_now = view(of.job, "running", progress=progress)
    jobs = [job if job.name != of.job else at_work_now for job in usual_jobs()]
    again = [
        event(7000 + look, "batch_changed", batch=batch(1).id, status="in_progress", completed=look)
        for look in range(looks)
    ]
    return WatchState.of(jobs, [of], [*running_story().events[:5], *again], now=NOW)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_view(width: int) -> None:
    def render(colours: Colours) -> str:
        return "\n".join([*watched().lines(unix=NOW, most=23, width=width, colours=colours), ""])

    check_rendering("watch", width, render)


@given(most=st.integers(1, 40), width=st.integers(20, 200))
def test_the_view_fits_and_shows_who_is_at_work(most: int, width: int) -> None:
    lines = watched().lines(unix=NOW, most=most, width=width)

    assert len(lines) <= most
    assert max(map(columns, lines)) <= width
    if most >= 4:
        assert [line for line in lines if line.startswith("  sent")]


def test_of_many_looks_that_saw_the_same_the_last_is_shown() -> None:
    lines = watched(looks=50).lines(unix=NOW, most=30, width=100)

    [line] = [line for line in lines if "batch_changed" in line]
    assert "49 of" in line


def test_all_jobs_are_left_on_the_screen_in_the_end() -> None:
    table = watched().table(unix=NOW, width=80).splitlines()

    assert [line.split()[:2] for line in table] == [
        [job.name, str(job.state)] for job in usual_jobs()
    ]


def test_a_blocked_job_says_so_and_why() -> None:
    blocked = Blocked(reason="LAB_KEY is not set", since=NOW - 60, provider="lab")
    state = WatchState.of([view("sent", "pending", blocked=blocked)], [], [], now=NOW)

    [line] = state.changes(None, unix=NOW)
    assert line.endswith("sent: pending (blocked), 0 of 3,080 requests; LAB_KEY is not set")
    shown = "\n".join(state.lines(unix=NOW, most=23, width=100))
    assert "1 job: 1 pending (blocked)" in shown
    assert "LAB_KEY is not set" in shown


def test_only_changes_are_told() -> None:
    before, same = watched(), watched(looks=9)
    after = watched(done=2000, status="finalizing")

    assert len([*before.changes(None, unix=NOW)]) == len(before.views)
    assert [*same.changes(before, unix=NOW + 60)] == []
    assert [*after.changes(before, unix=NOW)] == [
        "2023-11-14 22:13:20  sentiment: running, 2,000 of 3,080 requests, 2 failed; 1 finalizing"
    ]


def test_a_change_is_one_line_whatever_the_note_says() -> None:
    odd = WatchState.of([view(note="two\nlines\x1b[2J")], [], [], now=NOW)

    [line] = odd.changes(None, unix=NOW)
    assert line.isprintable()


@pytest.mark.parametrize(
    ("states", "settled"),
    [(["succeeded", "failed"], True), (["succeeded", "pending"], False), (["running"], False)],
)
def test_it_is_over_when_every_job_is_final(states: list[str], *, settled: bool) -> None:
    jobs = [view(f"job-{number}", RunState(state)) for number, state in enumerate(states)]

    assert WatchState.of(jobs, [], [], now=NOW).all_final is settled


def test_it_says_that_nobody_has_reconciled_for_long() -> None:
    state = replace(watched(), last_pass=NOW - 3 * 3600)

    words = "no pass was made for 3 h: `runner reconcile` makes a pass"
    assert (state.silence(NOW) or "").startswith(words)
    assert state.lines(unix=NOW, most=23, width=100)[1].startswith(words)
    assert state.silence(NOW - 2 * 3600 - 1) is None
    assert replace(state, last_pass=None).silence(NOW) is None
    over = WatchState.of([view()], [], [], now=NOW)
    assert replace(over, last_pass=NOW - 9 * 3600).silence(NOW) is None


def test_several_jobs_have_a_bar_and_the_time_of_the_end() -> None:
    batches = (raw_batch(1, "in_progress"),)
    jobs = [view("one", "running", batches=batches), view("two")]
    state = WatchState.of(jobs, [], [], now=NOW, durations={"openai": (9000.0, 9200.0)})

    lines = state.lines(unix=NOW, most=12, width=100)
    assert lines[1].endswith(" 50 %  3,080 of 6,160 requests succeeded, 0 failed")
    assert lines[2] == (
        "1 batch in flight; the last should end in about 31 min 40 s, as 2 earlier batches did"
    )
    assert not any("in flight" in line for line in state.lines(unix=NOW, most=11, width=100))
    alone = WatchState.of(jobs[:1], [], [], now=NOW)
    assert not any("%" in line for line in alone.lines(unix=NOW, most=30, width=100))
