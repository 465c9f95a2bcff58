"""Colour: it adds nothing but colour."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from runner.ledger.records import RunState
from runner.report.colour import Colours
from runner.report.history import render_events
from runner.report.job import render_history
from runner.report.plan import render_plan
from runner.report.status import render_status
from tests.report.scenes import NOW, every_step, preview, view
from tests.report.stories import partial_story

if TYPE_CHECKING:
    from collections.abc import Callable


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
