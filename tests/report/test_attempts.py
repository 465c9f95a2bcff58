"""Attempts, read from their events, and the JSON that scripts rely on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runner.errors import Problem
from runner.ledger.records import SubmissionState
from runner.planning.actions import Wait
from runner.report.history import describe_event
from runner.report.job import render_history
from runner.report.json_output import history_json, job_json, to_json
from runner.report.plan import render_plan
from runner.report.plan_json import plan_json
from runner.views.attempts import Failure, read_attempts
from runner.views.jobs import JobHistory
from tests.report.scenes import NOW, every_step, preview, raw_batch, run, submission, submit, view
from tests.report.stories import attempt_events, event, partial_story

if TYPE_CHECKING:
    from runner.planning.actions import Action

REVISION = "9f86d081884c"


def test_attempts_are_told_in_order_with_all_that_is_known() -> None:
    job_history = partial_story("Slow down.")

    first, again, second = read_attempts(job_history.events, job_history.view.batches, REVISION)

    assert (first.key.shard, first.key.attempt) == (1, 1)
    assert (first.requests, first.answered, first.unanswered) == (3080, 3060, 20)
    assert first.failures == (
        Failure(
            code="rate_limit_exceeded",
            count=13,
            examples=("Slow down.", "Another message of the same kind."),
        ),
        Failure(
            code="invalid_request",
            count=1,
            examples=("Invalid 'messages[0].content': the string is too long.",),
        ),
    )
    assert first.oddities["in neither file"] == 4
    assert first.batch is not None
    assert first.batch.status == "completed"
    assert again.clean
    assert not first.clean
    assert (second.state, second.unanswered) == (SubmissionState.FAILED, 3080)


def test_another_revision_is_another_story() -> None:
    job_history = partial_story()

    assert read_attempts(job_history.events, (), "2c26b46b68ff") == ()
    assert read_attempts(job_history.events, (), None) == ()


def test_a_run_that_was_restored_has_its_batches() -> None:
    tag = {"runner": f"sentiment/{REVISION}/0007/2 rows=12 sha256=abc"}

    [attempt] = read_attempts(
        [event(0, "run_restored", state="succeeded")],
        [raw_batch(metadata=tag), raw_batch(2), {"no": "batch"}],
        REVISION,
    )

    assert (attempt.key.shard, attempt.key.attempt, attempt.requests) == (7, 2, 12)
    assert attempt.state is None


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("prepared", "prepared"),
        ("uploading", "uploading"),
        ("uploaded", "uploaded"),
        ("file_adopted", "uploaded"),
        ("creating", "creating"),
        ("submitted", "submitted"),
        ("batch_adopted", "submitted"),
        ("collected", "collected"),
        ("failed", "failed"),
        ("lost", "lost"),
        ("abandoned", "abandoned"),
    ],
)
def test_each_event_leaves_its_attempt_somewhere(kind: str, state: str) -> None:
    key = f"sentiment/{REVISION}/0001/1"

    [attempt] = read_attempts([event(0, kind, submission=key, outcome={})], (), REVISION)

    assert attempt.state == state


@pytest.mark.parametrize("detail", [{}, {"outcome": None}, {"outcome": {}}, {"outcome": 3}])
def test_an_event_of_an_older_version_may_say_less(detail: dict[str, object]) -> None:
    key = f"sentiment/{REVISION}/0001/1"
    events = (event(0, "collected", submission=key, **detail),)

    [attempt] = read_attempts(events, (), REVISION)

    assert attempt.failures == ()
    assert render_history(
        JobHistory(view=view(), runs=(), events=events), folder="outputs/x", now=NOW
    )


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


@pytest.mark.parametrize(
    ("kind", "detail", "words"),
    [
        ("run_started", {"requests": 3, "input": "x"}, "9f86d081884c: 3 requests from x"),
        ("run_restored", {"state": "failed"}, "9f86d081884c, failed, from its record on the disk"),
        ("run_moved", {"was_job": "a", "was_folder": "b"}, "9f86d081884c, from job a in b"),
        ("run_reopened", {"asked": True}, "9f86d081884c, to retry the failed requests"),
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


def test_status_json_has_what_the_contract_says() -> None:
    batch = raw_batch(a_field_of_tomorrow={"x": [1]})

    shape = json.loads(to_json([job_json(view(state="partial", failed=80, batches=(batch,)))]))

    assert shape[0] | {"provider": "openai", "endpoint": "/v1/chat/completions"} == shape[0]
    assert {
        name: shape[0][name]
        for name in ("name", "revision", "state", "requests", "output_dir", "batches")
    } == {
        "name": "sentiment",
        "revision": "9f86d081884c",
        "state": "partial",
        "requests": {"total": 3080, "succeeded": 0, "failed": 80, "pending": 3000},
        "output_dir": "/project/outputs/sentiment",
        "batches": [batch],
    }


def test_show_json_has_the_runs_and_the_events() -> None:
    shape = history_json(partial_story(), folder="outputs/x", now=NOW)

    assert shape["name"] == "sentiment"
    assert [run["revision"] for run in shape["runs"]] == ["2c26b46b68ff", REVISION]
    assert {"at", "kind", "revision", "submission", "batch", "detail"} <= shape["events"][0].keys()


def test_plan_json_names_every_step() -> None:
    shape = json.loads(to_json(plan_json(preview(*every_step(), submit(run())), ())))

    assert shape["format_version"] == 1
    assert shape["changes"] is True
    assert [action["action"] for action in shape["actions"]] == [
        "start", "restore", "move", "reopen", "note", "submit", "adopt", "adopt_file", "doubt",
        "retract", "observe", "missing", "lose", "collect", "close", "cancel", "abandon",
        "publish", "point_latest", "submit",
    ]  # fmt: skip
    submitted = shape["actions"][-1]
    assert submitted["submission"] == "sentiment/9f86d081884c/0001/1"
    assert (submitted["requests"], submitted["bytes"], submitted["attempt"]) == (3080, 1_232_000, 1)
    assert shape["actions"][13]["batch"] == "batch_68f0c3a1d4b88190a7000001"


@pytest.mark.parametrize("action", every_step(), ids=lambda action: action.verb)
def test_every_step_has_a_sign(action: Action) -> None:
    assert action.sign in "+<~? !-="
    assert action.bookkeeping is (action.verb in ("observe", "doubt", "missing", "note"))


TOKENS = "about 352,000 prompt tokens at 3.5 bytes each"


@pytest.mark.parametrize(
    ("words", "summary"),
    [
        (["point_latest"], "Plan: clean up."),
        (["adopt_file"], "Plan: resolve uncertain submissions."),
        (["retract"], "Plan: resolve uncertain submissions."),
        (
            ["submit", "collect"],
            f"Plan: submit 1 batch (3,080 requests, 1.2 MB, {TOKENS}), collect 1 batch.",
        ),
        (["observe"], "Nothing to do: 1 job up to date."),
        (["stuck"], "Nothing to do now: 1 stuck."),
        (["publish", "wait", "stuck"], "Plan: publish 1 run; 1 shard waiting; 1 stuck."),
    ],
    ids=str,
)
def test_a_plan_is_summed_up_in_a_line(words: list[str], summary: str) -> None:
    steps: list[Action | Wait] = [step for step in every_step() if step.verb in words]
    if "wait" in words:
        steps.append(Wait(run=run(), key=submission(run()).key, reason="in flight"))
    if "stuck" in words:
        steps.append(Wait(run=run(), key=None, reason="the disk is full", is_problem=True))

    assert render_plan(preview(*steps)).splitlines()[-1] == summary


def test_a_plan_of_nothing_valid_says_so() -> None:
    nothing = preview(desired_runs=(), problems=(Problem(path="x", message="y"),))

    assert render_plan(nothing) == "Nothing to do: no valid job.\n"


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
