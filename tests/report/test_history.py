"""Events in words."""

from __future__ import annotations

import pytest

from runner.report.history import describe_event
from tests.report.stories import event


@pytest.mark.parametrize(
    ("kind", "detail", "words"),
    [
        ("run_started", {"requests": 3, "input": "x"}, "9f86d081884c: 3 requests from x"),
        ("run_restored", {"state": "failed"}, "9f86d081884c, failed, from its record on the disk"),
        ("run_moved", {"was_job": "a", "was_folder": "b"}, "9f86d081884c, from job a in b"),
        ("run_reopened", {"asked": True}, "9f86d081884c, to retry the failed requests"),
        (
            "matched_by_order",
            {"problem": "6 lines", "permanent": 1, "outcome": {"succeeded": 5}},
            "6 lines; 5 succeeded, 1 failed (permanent)",
        ),
        ("run_reopened", {"asked": False}, "9f86d081884c, its spec is back"),
        ("spec_gone", {}, "no spec defines the job any more"),
        ("cancel_requested", {}, "of 9f86d081884c"),
        ("outcome_unknown", {"problem": "timed out"}, "timed out"),
        ("not_sent", {"problem": "refused"}, "refused"),
        ("something_of_tomorrow", {"a": 1, "b": None, "c": "x"}, "a 1, c x"),
        ("something_of_tomorrow", {}, ""),
    ],
)  # fmt: skip
def test_each_event_has_words(kind: str, detail: dict[str, object], words: str) -> None:
    assert describe_event(event(0, kind, **detail)) == words
