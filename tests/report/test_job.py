"""`runner show`: many attempts are summed up, and batches have a duration."""

from __future__ import annotations

from typing import Any

import pytest

from runner.report.job import render_history
from runner.views.jobs import JobHistory
from tests.report.scenes import NOW, raw_batch, view
from tests.report.stories import attempt_events, event

REVISION = "9f86d081884c"


def test_of_very_many_attempts_only_those_with_trouble_are_told() -> None:
    events = []
    for number in range(1, 31):
        key = f"sentiment/{REVISION}/{number:04}/1"
        missing = 3 if number == 17 else 0
        events += attempt_events(number, 1, number, batch_number=number, requests=10)
        events.append(
            event(
                number + 300, "collected", submission=key, transient=missing, permanent=0,
                outcome={"succeeded": 10 - missing, "missing": missing},
            )
        )  # fmt: skip
    job_history = JobHistory(view=view(), runs=(), events=tuple(events))

    text = render_history(job_history, folder="outputs/x", now=NOW).partition("\n\nHistory")[0]

    assert text.partition("Attempts\n")[2].splitlines() == [
        "  30 attempts of 30 shards: 30 collected",
        "  shard 17, attempt 1: 10 requests, 7 succeeded, 3 failed",
        "    3 requests in neither file",
    ]


COUNTS = ", 3,080 of 3,080 requests, 0 failed"


UNCOUNTED: dict[str, Any] = {"request_counts": None, "expires_at": None}


@pytest.mark.parametrize(
    ("batch", "line"),
    [
        ({"created_at": None}, f"completed{COUNTS}"),
        ({"completed_at": None}, f"completed{COUNTS}"),
        ({"completed_at": int(NOW)}, f"completed{COUNTS}, took 2 h"),
        ({"status": "expired", "expired_at": int(NOW)}, f"expired{COUNTS}, took 2 h"),
        ({"status": "failed", "failed_at": int(NOW) - 7100}, f"failed{COUNTS}, took 1 min 40 s"),
        ({"status": "cancelled", "cancelled_at": int(NOW)}, f"cancelled{COUNTS}, took 2 h"),
        ({"status": "validating"} | UNCOUNTED, "validating, created 2 h ago"),
        ({"status": "of_tomorrow"} | UNCOUNTED, "of_tomorrow, created 2 h ago"),
    ],
    ids=str,
)
def test_a_batch_says_how_long_it_took(batch: dict[str, Any], line: str) -> None:
    key = f"sentiment/{REVISION}/0001/1"
    shown = raw_batch(**batch)
    events = (event(0, "submitted", submission=key, batch=shown["id"], status="validating"),)

    text = render_history(
        JobHistory(view=view(batches=(shown,)), runs=(), events=events), folder="x", now=NOW
    )

    assert f"    {shown['id']}  {line}" in text.splitlines()
