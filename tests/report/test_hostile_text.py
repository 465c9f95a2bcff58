"""Text from outside in every rendering: no control character and no change of direction."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.errors import Problem
from runner.inputs.row_diff import RowChanges
from runner.ledger.records import RunState
from runner.planning.actions import Finish, Wait
from runner.report.history import events_csv, render_events
from runner.report.job import render_history
from runner.report.json_output import event_json, history_json, job_json, to_json, to_json_line
from runner.report.log import Entry
from runner.report.plan import render_plan
from runner.report.plan_json import plan_json
from runner.report.progress import Transfer, run_progress, run_progress_lines, transfer_lines
from runner.report.status import render_status, status_csv
from runner.views.manual_steps import ManualStep, ManualStepKind
from tests.report.plans import edit, since
from tests.report.scenes import (
    DANGEROUS,
    HOSTILE,
    NOW,
    every_step,
    job,
    preview,
    raw_batch,
    run,
    view,
)
from tests.report.stories import event, partial_story


def hostile_renderings() -> dict[str, str]:
    """Return every rendering, with the text of a server in each place that can have it."""
    job_history = partial_story(HOSTILE)
    events = [*job_history.events, event(9, "failed", submission=HOSTILE, problem=HOSTILE)]
    bad = view(
        note=HOSTILE,
        endpoint=HOSTILE,
        provider=HOSTILE,
        batches=(raw_batch(status=HOSTILE, id=HOSTILE),),
    )
    rows = RowChanges(added=1, removed=1, kept=1, changed=1)
    plan = preview(
        *every_step(run(endpoint=HOSTILE, input_path=HOSTILE)),
        Finish(run=run(), reason=HOSTILE, job=job(), state=RunState.FAILED, superseded=False),
        Wait(run=run(), key=None, reason=HOSTILE, is_problem=True),
        notes=(HOSTILE,),
        not_queried={HOSTILE: HOSTILE},
        changes={
            "sentiment": since(edit(HOSTILE, HOSTILE, HOSTILE), rows=rows, source=HOSTILE),
        },
        manual_steps=(
            ManualStep(
                kind=ManualStepKind.FOREIGN,
                provider=HOSTILE,
                job=HOSTILE,
                what=HOSTILE,
                command=HOSTILE,
            ),
        ),
    )
    waits = [Wait(run=run(job="sentiment"), key=None, reason=HOSTILE, is_problem=True)]
    lines = run_progress_lines(run_progress(waits, NOW), unix=NOW, most=9, width=80)
    moving = [Transfer.begin(job=HOSTILE, what=HOSTILE, total=9, now=0) for _ in range(2)]
    return {
        "status": render_status([bad], now=NOW),
        "status -o wide": render_status([bad], now=NOW, wide=True, width=400),
        "status -o csv": status_csv([bad]).replace("\r\n", "\n"),
        "show": render_history(job_history, folder=HOSTILE, now=NOW),
        "show --all": render_history(job_history, folder=HOSTILE, now=NOW, whole=True),
        "events": render_events(events),
        "events -o csv": events_csv(events).replace("\r\n", "\n"),
        "events -o jsonl": "".join(to_json_line(event_json(one)) for one in events),
        "plan": render_plan(plan),
        "progress": "\n".join(lines),
        "transfers": "\n".join(transfer_lines(moving, now=0, most=9, width=200)),
        "log": Entry(message=HOSTILE, job=HOSTILE, facts={"status": HOSTILE}).line(at=NOW),
        "status --json": to_json([job_json(bad)]),
        "show --json": to_json(history_json(job_history, folder=HOSTILE, now=NOW)),
        "plan --json": to_json(plan_json(plan, (Problem(path="x", message=HOSTILE),))),
    }


@pytest.mark.parametrize("name", hostile_renderings())
def test_a_server_cannot_command_a_terminal(name: str) -> None:
    text = hostile_renderings()[name]

    assert "right to left" in text
    assert not DANGEROUS.search(text)


@given(st.text())
@example(HOSTILE)
@example("\U000e0041 \ud83d")
def test_json_that_is_safe_is_the_same_json(text: str) -> None:
    for ascii_only in (False, True):
        written = to_json({"text": text}, ascii_only=ascii_only)

        assert json.loads(written) == json.loads(json.dumps({"text": text}))
        assert not DANGEROUS.search(written)
        assert written.isascii() or not ascii_only
        written.encode("utf-8")
