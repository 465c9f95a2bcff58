"""Plans: the sign and the JSON of each action, and the summary."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING

import pytest

from runner.errors import Problem
from runner.planning.actions import StartRun, Wait
from runner.report.json_output import to_json
from runner.report.plan import render_plan
from runner.report.plan_json import plan_json
from tests.report.scenes import every_step, preview, record, run, submission, submit

if TYPE_CHECKING:
    from runner.planning.actions import Action
    from runner.views.preview import Preview


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
        (["point_latest"], "In total: clean up."),
        (["adopt_file"], "In total: resolve uncertain submissions."),
        (["retract"], "In total: resolve uncertain submissions."),
        (
            ["submit", "collect"],
            f"In total: submit 1 batch (3,080 requests, 1.2 MB, {TOKENS}), collect 1 batch.",
        ),
        (["observe"], "Nothing to do: 1 job up to date."),
        (["stuck"], "Nothing to do now: 1 blocked."),
        (["publish", "wait", "stuck"], "In total: publish 1 run; 1 shard waiting; 1 blocked."),
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


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["point_latest"], "Plan: 0 to submit, 0 to collect, 1 to change."),
        (["submit", "collect"], "Plan: 1 to submit, 1 to collect, 0 to change."),
        (["stuck"], "Plan: 0 to submit, 0 to collect, 0 to change; 1 blocked."),
        (["publish", "wait"], "Plan: 0 to submit, 0 to collect, 1 to change; 1 waiting."),
    ],
    ids=str,
)
def test_the_counts_come_first(words: list[str], first: str) -> None:
    steps: list[Action | Wait] = [step for step in every_step() if step.verb in words]
    if "wait" in words:
        steps.append(Wait(run=run(), key=submission(run()).key, reason="in flight"))
    if "stuck" in words:
        steps.append(Wait(run=run(), key=None, reason="the disk is full", is_problem=True))

    assert render_plan(preview(*steps)).splitlines()[0] == first


REASON = "its requests have not been submitted yet"


def many_jobs() -> Preview:
    """Return the plan for 40 new jobs and 3 in flight."""
    steps: list[Action | Wait] = []
    for number in range(43):
        of = dataclasses.replace(run(), id=number + 1, job=f"sweep-{number:02}")
        key = dataclasses.replace(submission(of).key, job=of.job)
        sent = dataclasses.replace(submission(of), key=key)
        if number < 40:
            steps.append(StartRun(run=of, reason="a new job", job=record()))
            steps.append(dataclasses.replace(submit(of), submission=sent, reason=REASON))
        else:
            steps.append(Wait(run=of, key=key, reason="in flight, in_progress"))
    return preview(*steps)


def test_of_many_jobs_those_with_the_same_steps_share_their_lines() -> None:
    text = render_plan(many_jobs(), width=200)
    load = "123,200 requests, 49.3 MB"

    assert text.splitlines()[2:-1] == [
        "sweep-00, sweep-01, sweep-02 and 37 more  /v1/chat/completions on openai, gpt-4.1-mini",
        f"  + start    40 jobs: {load} — a new job",
        f"  + submit   40 shards: {load}, about 14,100,000 prompt tokens — {REASON}",
        "",
        "sweep-40, sweep-41, sweep-42  /v1/chat/completions on openai, gpt-4.1-mini",
        "  . wait     3 shards — in flight, in_progress",
        "",
    ]
    for whole in (render_plan(many_jobs(), width=200, each=True), render_plan(many_jobs())):
        assert len(re.findall(r"^sweep-\d\d  ", whole, re.MULTILINE)) == 43


def test_a_plan_of_nothing_valid_says_so() -> None:
    nothing = preview(desired_runs=(), problems=(Problem(path="x", message="y"),))

    assert render_plan(nothing) == "Nothing to do: no valid job.\n"
