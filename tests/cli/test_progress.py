"""Progress on a real terminal while something takes long, and what is left of it afterwards."""

from __future__ import annotations

import io
import re
import threading
import time
from typing import TYPE_CHECKING

from runner.cli.live import Display
from tests.cli.shell import PATIENCE
from tests.cli.terminal import CTRL_C, on_screen, terminal
from tests.simulation.behaviour import Behaviour
from tests.simulation.faults import Delay

if TYPE_CHECKING:
    from runner.report.colour import Colours
    from tests.cli.shell import Folder
    from tests.simulation.world import World

TOLD = "error: interrupted; all completed steps are in the ledger, and the next pass continues"
WAIT = ("reconcile", "--wait", "--poll-interval", "119")
COLOUR = r"\x1b\[[0-9;]*m"


def test_progress_is_shown_while_it_lasts_and_leaves_no_trace(lab: Folder, world: World) -> None:
    lab.job("one", rows=4)
    world._ground.clock = world.clock = time.time
    world.behaviour = Behaviour(working=1.8)

    with terminal(lab, "reconcile", "--wait") as screen:
        screen.until(r"^. waiting for 1 job, \d s$")
        hidden = screen.glass.cursor_hidden
        screen.until(r"^  one  [━─]{8}  \d of 4  in_progress \d s, expires in 23 h")
        assert screen.end() == 0

    assert (hidden, screen.glass.cursor_hidden) == (True, False)
    assert re.search(COLOUR, screen.received)
    assert [line.partition(";")[0] for line in screen.glass.lines] == [
        "one: submitted 4 requests as batch_8f23f32f7ec97b9acb16f266",
        "one: collected 4 of 4 responses of batch_8f23f32f7ec97b9acb16f266 (completed)",
        "one: succeeded: 4 of 4 requests succeeded",
    ]


def test_a_resized_terminal_is_drawn_on_and_cleared_when_interrupted(
    lab: Folder, world: World
) -> None:
    world._ground.clock = world.clock = time.time
    world.behaviour = Behaviour(working=1_000)
    lab.job("one", rows=4)
    lab.env["NO_COLOR"] = "1"

    with terminal(lab, *WAIT, columns=120, rows=30) as screen:
        screen.until(r"^. waiting for 1 job, \d s; next pass in 1 min \d+ s$")
        screen.until(r"^  one  [━─]{16}  0 of 4  validating \d s, expires in 23 h 59 min$")
        screen.resize(50, 30)
        screen.until(r"^  one  0 of 4  validating \d s, expires in 23 h$")
        began = time.monotonic()
        screen.press(CTRL_C)
        assert screen.end() == 130

    assert time.monotonic() - began < 5
    assert not screen.glass.cursor_hidden
    assert not re.search(COLOUR, screen.received)
    first, *rest = screen.glass.lines
    assert first.startswith("one: submitted 4 requests")
    assert "".join(rest).removeprefix("^C") == TOLD  # the terminal itself shows the key


def test_whatever_takes_longer_than_a_second_is_seen(lab: Folder, world: World) -> None:
    slow = {("GET", "/batches"), ("POST", "/files")}
    world.faults = lambda request, _number: (
        Delay(seconds=1.4) if (request.method, request.path) in slow else None
    )
    lab.job("one", rows=100)

    with terminal(lab, "reconcile") as screen:
        screen.until(r"^. lab: querying \d s$")
        screen.until(r"^. one: uploading [\d.]+ kB of [\d.]+ kB")
        assert screen.end() == 0

    [line] = screen.glass.lines
    assert line.startswith("one: submitted 100 requests")


def test_a_terminal_that_cannot_show_it_gets_sentences_alone(lab: Folder, world: World) -> None:
    lab.job("one", rows=4)
    lab.env["TERM"] = "dumb"
    world._ground.clock = world.clock = time.time
    world.behaviour = Behaviour(working=1.3)

    with terminal(lab, "reconcile", "--wait") as screen:
        assert screen.end() == 0

    assert "\x1b" not in screen.received
    assert "waiting" not in screen.received


def test_a_sentence_stays_above_what_is_drawn() -> None:
    """The cursor rests on the first drawn line: what is said there takes its place."""
    drawn, shown = threading.Event(), io.StringIO()

    def lines(_width: int, _height: int, _paint: Colours) -> list[str]:
        drawn.set()
        return ["one", "  two"]

    display = Display(shown, lines)
    assert drawn.wait(PATIENCE)
    display.print_above("first")
    display.print_above("a sentence that is longer than the terminal is wide")
    live = on_screen(shown.getvalue(), columns=40)
    display.close()

    said = ["first", "a sentence that is longer than the termi", "nal is wide"]
    assert live[:3] == said
    assert live[4:] in ([], ["  two"]), "nothing is drawn yet, or both lines are"
    assert on_screen(shown.getvalue(), columns=40) == said
