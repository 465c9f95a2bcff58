"""The live progress of transfers and runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.inputs.row_set import RowSet
from runner.ledger.records import SubmissionState
from runner.planning.actions import Wait
from runner.report.progress import (
    Activity,
    RunProgress,
    StatusCount,
    Transfer,
    run_progress,
    run_progress_lines,
    transfer_lines,
)
from runner.report.text_width import columns
from tests.report.golden_files import WIDTHS, check_rendering
from tests.report.scenes import NOW, batch, run, submission

if TYPE_CHECKING:
    from runner.report.colour import Colours


def transfer(
    *steps: tuple[float, int],
    total: int = 10_000_000,
    what: str = "uploading",
    job: str = "hello",
    began: float = 0,
) -> Transfer:
    """Return a transfer after steps of (second, bytes done)."""
    latest = Transfer.begin(job=job, what=what, total=total, now=began)
    for now, done in steps:
        latest = latest.moved(done, now)
    return latest


@pytest.mark.parametrize(
    ("steps", "total", "now", "told"),
    [
        ([], 10_000_000, 0, "0 B of 10.0 MB"),
        ([], 0, 3, "3 s"),
        ([(0.1, 65_536)], 0, 0.1, "65.5 kB"),
        ([(1, 4_000_000)], 10_000_000, 1, "4.0 MB of 10.0 MB, 4.0 MB/s"),
        ([(2, 4_000_000)], 10_000_000, 2, "4.0 MB of 10.0 MB, 2.0 MB/s, 3 s left"),
        ([(2, 4_000_000)], 0, 2, "4.0 MB, 2.0 MB/s"),
        ([(5, 10_000_000)], 10_000_000, 5, "10.0 MB of 10.0 MB, 2.0 MB/s"),
        ([(5, 10_000_000)], 10_000_000, 9, "10.0 MB of 10.0 MB, working for 4 s"),
        ([(1, 5)], 10_000_000, 61, "5 B of 10.0 MB, stalled for 1 min"),
    ],
)
def test_a_transfer_says_how_far_and_how_fast(
    steps: list[tuple[float, int]], total: int, now: float, told: str
) -> None:
    assert transfer(*steps, total=total).describe(now) == told


def test_the_rate_is_that_of_late() -> None:
    """Bytes that the network buffers took immediately soon have no effect on the rate."""
    burst = [(0.1, 5_000_000)]
    steady = [(second / 2, 5_000_000 + second * 50_000) for second in range(1, 61)]

    moving = transfer(*burst, *steady, total=20_000_000)

    assert moving.rate == pytest.approx(100_000, rel=0.01)
    assert moving.seconds_left == pytest.approx(120, rel=0.01)
    assert len(moving.marks) < 30


def test_a_try_that_starts_over_is_timed_anew() -> None:
    again = transfer((4, 8_000_000), (5, 0), (6, 1_000_000))

    assert again.began == 0
    assert again.describe(6) == "1.0 MB of 10.0 MB, 1.0 MB/s"


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 10**15)), max_size=30).map(sorted),
    st.integers(0, 10**15),
)
def test_whatever_is_moved_can_be_told(steps: list[tuple[float, int]], total: int) -> None:
    moving = transfer(*steps, total=total)

    assert moving.rate is None or moving.rate > 0
    assert moving.seconds_left is None or moving.seconds_left >= 0
    assert moving.describe(moving.now)


def uploads(count: int) -> list[Transfer]:
    """Return files on their way side by side, the last of unknown length."""
    return [
        *(
            transfer(
                (10, 2_000_000 * n),
                (19.5, 3_000_000 * n),
                total=12_000_000,
                job="sentiment",
                what=f"uploading shard {n}",
            )
            for n in range(1, count)
        ),
        transfer((19, 70_000), job="every-answer-about-wikipedia", what="downloading", total=0),
    ]


def waits() -> list[Wait]:
    """Return what is left of three runs: one in three states, one held back, one that is stuck."""
    three, held, stuck = run(shards=3), run("summaries"), run("banking77-intents")
    counts = {"total": 3080, "completed": 1000, "failed": 2}
    closed = submission(
        three,
        1,
        state=SubmissionState.COLLECTED,
        transient=RowSet.parse("0-9"),
        permanent=RowSet.parse("10"),
        submitted_at=NOW - 500,
    )
    again = submission(three, 1, 2, requests=10, state=SubmissionState.CREATING, intent_at=NOW - 4)
    opened = [
        submission(
            three,
            number,
            state=SubmissionState.SUBMITTED,
            submitted_at=NOW - 100 * number,
            batch=batch(
                number, "in_progress", request_counts=counts, in_progress_at=int(NOW) - 90 * number
            ),
        )
        for number in (2, 3)
    ]
    three = run(shards=3, submissions=(closed, again, *opened))
    lost = "the answer to its creation was lost, and the provider's list may lag behind"
    return [
        Wait(run=three, key=again.key, reason=lost),
        *(Wait(run=three, key=one.key, reason="in flight, in_progress") for one in opened),
        Wait(run=held, key=None, reason="the provider's limit was reached", until=NOW + 45),
        Wait(run=stuck, key=None, reason="the disk is full", is_problem=True),
    ]


def test_runs_are_summed_up() -> None:
    first, held, stuck = run_progress(waits(), NOW)

    assert first == RunProgress(
        job="sentiment",
        succeeded=3069 + 1000 + 1000,
        failed=1 + 2 + 2,
        total=9240,
        phases=(
            StatusCount(name="creating", count=1, since=NOW - 4),
            StatusCount(name="in_progress", count=2, since=NOW - 270),
        ),
        expires=NOW + 79200,
    )
    assert held.reasons == (("the provider's limit was reached", NOW + 45),)
    assert (stuck.succeeded, stuck.total, stuck.reasons) == (0, 3080, (("the disk is full", 0.0),))


ACTIVITIES: Final[dict[str, Activity]] = {
    "one-upload": Activity(
        transfers=[transfer((1, 10_000_000), (20, 124_000_000), total=200_000_000)], began=0
    ),
    "uploads": Activity(transfers=uploads(5), began=0),
    "waiting": Activity(runs=run_progress(waits(), NOW), began=-285, next_pass=27),
    "waiting-and-moving": Activity(
        runs=run_progress(waits(), NOW), transfers=uploads(3), began=-285, next_pass=2
    ),
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ACTIVITIES)
def test_what_is_going_on(name: str, width: int) -> None:
    def render(colours: Colours) -> str:
        lines = ACTIVITIES[name].lines(now=20, unix=NOW, most=12, width=width, colours=colours)
        return "\n".join([*lines, ""])

    check_rendering(f"progress-{name}", width, render)


def test_what_has_only_just_begun_is_not_shown() -> None:
    both = [
        transfer((20, 70_000), began=19.5, job="new"),
        transfer((20, 8_500_000), began=3, job="old"),
    ]

    lines = Activity(transfers=both, began=0).lines(now=20, unix=NOW, most=9, width=80)

    assert lines == ["old: uploading 8.5 MB of 10.0 MB, 500.0 kB/s, 3 s left"]


def test_where_nothing_is_going_on_nothing_is_drawn() -> None:
    assert Activity(began=0).lines(now=20, unix=NOW, most=9, width=80) == []


@given(
    most=st.integers(1, 12),
    width=st.integers(18, 120),
    jobs=st.integers(0, 9),
    files=st.integers(0, 9),
)
def test_what_is_drawn_never_takes_more_room_than_there_is(
    most: int, width: int, jobs: int, files: int
) -> None:
    standing = [
        RunProgress(
            job=f"job-{n}-whose-name-is-long",
            succeeded=n,
            failed=n,
            total=10**9,
            phases=(StatusCount(name="validating", count=3, since=NOW - 9),),
            expires=NOW + 80_000,
        )
        for n in range(jobs)
    ]
    activity = Activity(
        transfers=[transfer((5, 10 * n), job=f"日本-{n}") for n in range(files)],
        runs=standing,
        began=0,
        next_pass=15,
    )

    lines = activity.lines(now=9, unix=NOW, most=most, width=width)

    assert len(lines) <= most
    assert max(map(columns, lines), default=0) <= width
    shown = sum(line.startswith("  job") for line in lines)
    if shown < jobs and most >= 2:
        assert f"  and {jobs - shown} more" in lines


def test_a_count_that_lies_does_not_break_the_bar() -> None:
    liar = batch(1, "in_progress", request_counts={"total": 1, "completed": 10**9, "failed": -3})
    of = run()
    open_one = submission(of, state=SubmissionState.SUBMITTED, batch=liar)
    of = run(submissions=(open_one,))

    waiting = run_progress([Wait(run=of, key=open_one.key, reason="in flight")], NOW)
    [line] = run_progress_lines(waiting, unix=NOW, most=5, width=80)

    assert "3,080 of 3,080  in_progress" in line
    assert columns(line) <= 80


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"expires_at": 10**17}, "in_progress"),
        ({"expires_at": int(NOW) - 5}, "in_progress, past its window"),
        ({"expires_at": None}, "in_progress"),
        ({"in_progress_at": int(NOW) + 500, "expires_at": None}, "in_progress 0 s"),
    ],
    ids=str,
)
def test_times_that_make_no_sense_do_no_harm(fields: dict[str, Any], told: str) -> None:
    of = run()
    one = submission(of, state=SubmissionState.SUBMITTED, batch=batch(1, "in_progress", **fields))
    of = run(submissions=(one,))

    [line] = run_progress_lines([RunProgress.of(of, now=NOW)], unix=NOW, most=5, width=80)

    assert line.endswith(f"  {told}")


def test_no_line_is_drawn_where_there_is_no_room() -> None:
    assert transfer_lines(uploads(4), now=20, most=0, width=80) == []
