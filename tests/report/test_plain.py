"""Text from outside in a terminal: made safe, cut and wrapped."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.errors import Problem
from runner.inputs.row_diff import RowChanges
from runner.ledger.records import RunState
from runner.planning.actions import Finish, Wait
from runner.report.colour import Colours
from runner.report.history import events_csv, render_events
from runner.report.job import render_history
from runner.report.json_output import event_json, history_json, job_json, to_json, to_json_line
from runner.report.log import Entry
from runner.report.plan import render_plan
from runner.report.plan_json import plan_json
from runner.report.progress import Transfer, run_progress, run_progress_lines, transfer_lines
from runner.report.status import render_status, status_csv
from runner.report.text_width import columns, fit, pad, wrap
from runner.text import printable
from runner.views.manual_steps import ManualStep, ManualStepKind
from tests.report.plans import edit, since
from tests.report.scenes import HOSTILE, NOW, every_step, job, preview, raw_batch, run, view
from tests.report.stories import event, partial_story

if TYPE_CHECKING:
    from collections.abc import Callable

DANGEROUS = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)
"""Controls (but for the line feeds that a rendering is made of) and changes of direction."""


@given(st.text())
@example(HOSTILE)
def test_plain_text_is_one_line_of_visible_characters(text: str) -> None:
    shown = printable(text)

    assert len(shown) == len(text)
    assert not DANGEROUS.search(shown)
    assert "\n" not in shown
    assert all(
        unicodedata.category(character)[0] != "C" or character in "\u200c\u200d"
        for character in shown
    )


@pytest.mark.parametrize(
    "text", ["grün, 日本語, עברית, हिन्दी, ☂", "👩\u200d🔬", "ﻡ\u200cﻙ", "e\u0301"]
)
def test_every_language_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tand a tab\r", "two lines and a tab "),
        ("\x1b[31mred", "�[31mred"),
        ("\u202eabc\u2069", "�abc�"),
        ("no\u00a0break", "no break"),
        ("\ud800", "�"),
    ],
)
def test_what_is_not_to_be_seen_is_replaced(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "width"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("", 0), ("👍", 2)]
)
def test_columns_are_counted_as_a_terminal_does(text: str, width: int) -> None:
    assert columns(text) == width
    assert columns(pad(text, 9)) == 9


@given(st.text().map(printable), st.integers(1, 30))
def test_what_is_fitted_fits_and_says_that_it_was_cut(text: str, width: int) -> None:
    fitted = fit(text, width)

    assert columns(fitted) <= width
    assert fitted == text or fitted.endswith("…")
    assert text.startswith(fitted.removesuffix("…"))
    assert fit(text, None) == text


@given(st.text(), st.integers(10, 60), st.integers(0, 6))
def test_wrapping_loses_nothing_but_spaces(text: str, width: int, indent: int) -> None:
    text = printable(text)

    wrapped = wrap(text, width, indent=indent)

    assert "".join(wrapped.split()) == "".join(text.split())
    for line in wrapped.split("\n"):
        assert columns(line) <= width or " " not in line.strip()
    assert wrap(text, None, indent=indent) == text


def test_wrapped_lines_hang() -> None:
    assert wrap("  + one two three", 11, indent=4) == "  + one two\n    three"


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


def test_colour_adds_nothing_but_colour() -> None:
    colours = Colours(on=True)
    renderings: list[Callable[[Colours], str]] = [
        (lambda ink: render_status([view(state="failed", note="why")], now=NOW, colours=ink)),
        (lambda ink: render_events(partial_story().events, colours=ink)),
        (lambda ink: render_plan(preview(*every_step()), colours=ink)),
        (lambda ink: render_history(partial_story(), folder="x", now=NOW, colours=ink)),
    ]
    for render in renderings:
        coloured = render(colours)

        assert "\x1b[" in coloured
        assert re.sub(r"\x1b\[\d+m", "", coloured) == render(Colours())


@pytest.mark.parametrize("state", RunState)
def test_every_state_can_be_painted(state: RunState) -> None:
    coloured = Colours(on=True).state(state, str(state))

    assert re.sub(r"\x1b\[\d+m", "", coloured) == str(state)
