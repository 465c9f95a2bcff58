"""What somebody who watches is shown: bytes that move, requests done."""

from __future__ import annotations

import pytest

from runner.inputs.rows import RowSet
from runner.ledger.records import SubmissionState
from runner.reconcile.actions import Wait
from runner.report.plain import columns
from runner.report.progress import Standing, Transfer, standings, waiting_lines
from tests.report.scenes import NOW, batch, run, submission


def transfer(
    *steps: tuple[float, int], total: int = 10_000_000, what: str = "uploading"
) -> Transfer:
    """Return a transfer after steps of (second, bytes done)."""
    latest: Transfer | None = None
    for now, done in steps:
        latest = Transfer.after(latest, job="hello", what=what, done=done, total=total, now=now)
    assert latest is not None
    return latest


@pytest.mark.parametrize(
    ("steps", "total", "now", "told"),
    [
        ([(0, 0)], 10_000_000, 0, "0 B of 10.0 MB"),
        ([(0, 0), (0.1, 65_536)], 0, 0.1, "65.5 kB"),
        ([(0, 0), (2, 4_000_000)], 10_000_000, 2, "4.0 MB of 10.0 MB, 2.0 MB/s, 3 s left"),
        ([(0, 0), (2, 4_000_000)], 0, 2, "4.0 MB, 2.0 MB/s"),
        ([(0, 0), (5, 10_000_000)], 10_000_000, 5, "10.0 MB of 10.0 MB, 2.0 MB/s"),
        ([(0, 0), (5, 10_000_000)], 10_000_000, 9, "10.0 MB of 10.0 MB, working for 4 s"),
        ([(0, 0), (1, 5)], 10_000_000, 61, "5 B of 10.0 MB, nothing for 1 min"),
    ],
)
def test_a_transfer_says_how_far_and_how_fast(
    steps: list[tuple[float, int]], total: int, now: float, told: str
) -> None:
    assert transfer(*steps, total=total).told(now) == f"hello: uploading {told}"


@pytest.mark.parametrize(
    "following",
    [
        {"what": "downloading", "done": 9},
        {"job": "world", "done": 9},
        {"done": 2},
        {"total": 7, "done": 9},
    ],
    ids=str,
)
def test_another_transfer_begins_anew(following: dict[str, object]) -> None:
    first = transfer((0, 0), (5, 8))

    values = {"job": "hello", "what": "uploading", "total": 10_000_000} | following
    second = Transfer.after(first, now=6.0, **values)  # type: ignore[arg-type]

    assert second.began == 6.0


def waits() -> list[Wait]:
    """Return what is left of two runs: one with three shards in three states, one that is stuck."""
    three, stuck = run(shards=3), run("banking77-intents")
    counts = {"total": 3080, "completed": 1000, "failed": 2}
    closed = submission(
        three,
        1,
        state=SubmissionState.COLLECTED,
        transient=RowSet.parse("0-9"),
        permanent=RowSet.parse("10"),
        submitted_at=NOW - 500,
    )
    again = submission(three, 1, 2, requests=10, state=SubmissionState.CREATING)
    second = submission(
        three,
        2,
        state=SubmissionState.SUBMITTED,
        submitted_at=NOW - 200,
        batch=batch(2, "in_progress", request_counts=counts),
    )
    third = submission(
        three,
        3,
        state=SubmissionState.SUBMITTED,
        submitted_at=NOW - 100,
        batch=batch(3, "in_progress", request_counts=counts),
    )
    three = run(shards=3, submissions=(closed, again, second, third))
    lost = "the answer to its creation was lost, and the provider's list may lag behind"
    return [
        Wait(run=three, key=again.key, why=lost),
        Wait(run=three, key=second.key, why="in flight, in_progress"),
        Wait(run=three, key=third.key, why="in flight, in_progress"),
        Wait(run=stuck, key=None, why="the disk is full", trouble=True),
    ]


def test_runs_are_summed_up() -> None:
    first, second = standings(waits())

    assert first == Standing(
        job="sentiment",
        done=3069 + 1000 + 1000,
        failed=1 + 2 + 2,
        total=9240,
        phases="creating, 2 in_progress",
        since=NOW - 200,
    )
    assert (second.done, second.total, second.phases) == (0, 3080, "the disk is full")


def test_waiting_is_told_a_line_a_job() -> None:
    assert waiting_lines(standings(waits()), now=NOW, began=NOW - 300, most=20, width=100) == [
        "waiting for 2 jobs, 5 min",
        (
            "  sentiment          ━━━━━━━━────────  5,069 of 9,240, 5 failed"
            "  creating, 2 in_progress, 3 min 20 s"
        ),
        "  banking77-intents  ────────────────      0 of 3,080  the disk is full",
    ]


@pytest.mark.parametrize("most", range(1, 12))
def test_waiting_never_takes_more_lines_than_there_are(most: int) -> None:
    many = [
        Standing(job=f"job-{n}", done=n, failed=0, total=9, phases="validating", since=None)
        for n in range(8)
    ]

    lines = waiting_lines(many, now=NOW, began=NOW, most=most, width=80)

    assert len(lines) <= max(most, 2)
    shown = sum(line.startswith("  job-") for line in lines)
    assert shown == 8 or lines[-1] == f"  and {8 - shown} more"


def test_a_count_that_lies_does_not_break_the_bar() -> None:
    liar = batch(1, "in_progress", request_counts={"total": 1, "completed": 10**9, "failed": -3})
    of = run()
    open_one = submission(of, state=SubmissionState.SUBMITTED, batch=liar)
    of = run(submissions=(open_one,))

    waiting = standings([Wait(run=of, key=open_one.key, why="in flight")])
    [_, line] = waiting_lines(waiting, now=NOW, began=NOW, most=5, width=80)

    assert "3,080 of 3,080  in_progress" in line
    assert columns(line) <= 80
