"""SIGINT and SIGTERM at every commit and every file operation: a clean end, and nothing lost.

`test_signals.py` interrupts what takes long; here no moment is left out: also reading, extracting,
publishing and cleaning up.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Literal

import pytest

from tests.faults.launching import Step
from tests.faults.project import WAITING, Project, ids
from tests.faults.sweeping import check_words
from tests.faults.worlds import check_all_asked_once, stepping_world
from tests.simulation.http import serve

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.faults.sweeping import Sweep

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
SOON = 5.0


@pytest.mark.parametrize("kind", ["commit", "disk"])
def test_an_interruption_at_any_step(
    launcher: Launcher, memory_path: Path, sweep: Sweep, kind: Literal["commit", "disk"]
) -> None:
    def interrupt_at(number: int) -> bool:
        sent = signal.SIGTERM if number % 2 else signal.SIGINT
        world = stepping_world()
        with serve(world) as server:
            project = Project.small(memory_path / str(number), server)
            begun = time.monotonic()
            step = Step(kind=kind, number=number, does=sent.name)
            end = launcher.run(project, *WAITING, step=step)
            if end.code != 0:
                assert time.monotonic() - begun < SOON
                check_words(end, code=CODES[sent])
                assert "interrupted" in end.err, end
                if project.ledger.exists():
                    project.check_ledger()
            launcher.finish(project)
            check_all_asked_once(world, ids(6), batches=2)
            launcher.check_idle(project, world)
            project.check_results(ids(6))
            assert project.litter() == []
        return end.code != 0

    with serve(stepping_world()) as server:
        clean = Project.small(memory_path / "clean", server)
        points = launcher.steps(clean, Step(kind=kind, number=0), *WAITING)
    sweep(points, interrupt_at)
