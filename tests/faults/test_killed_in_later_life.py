"""SIGKILL at each step on the way of a finished job: renamed, moved, restored, fetched again.

Nothing of this asks a provider for anything new, so all deaths of a test share one provider, and
each gets a copy of one finished project.
"""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING, Literal

import pytest

from tests.faults.launching import Step
from tests.faults.project import SPEC, WAITING, Project, ids, lines_of, sent, sweep

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.simulation.world import World


def rename(project: Project) -> Path:
    (project.root / "specs" / "job.yaml").unlink()
    project.write("specs/new.yaml", SPEC.replace("name: job", "name: new"))
    return project.root / "outputs" / "new"


def move(project: Project) -> Path:
    config = project.root / "runner.yaml"
    config.write_text(config.read_text(encoding="utf-8") + "outputs: elsewhere\n", encoding="utf-8")
    return project.root / "elsewhere" / "job"


def lose_the_ledger(project: Project) -> Path:
    shutil.rmtree(project.ledger.parent)
    return project.root / "outputs" / "job"


def lose_the_outputs(project: Project) -> Path:
    shutil.rmtree(project.root / "outputs")
    return project.root / "outputs" / "job"


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("change", "kind", "fewest"),
    [
        (rename, "commit", 1),
        (rename, "disk", 3),
        (move, "commit", 1),
        (move, "disk", 3),
        (lose_the_ledger, "commit", 2),
        (lose_the_ledger, "disk", 2),
        (lose_the_outputs, "disk", 20),
    ],
)
def test_a_death_changes_nothing_of_what_comes_in_the_end(
    launcher: Launcher,
    project: Project,
    world: World,
    memory_path: Path,
    change: Callable[[Project], Path],
    kind: Literal["commit", "disk"],
    fewest: int,
    moment: Literal["before", "after"],
) -> None:
    assert launcher.run(project, *WAITING).code == 0
    asked = sent(world)
    litter: list[str] = []

    def die_at(number: int) -> bool:
        copy = Project(root=memory_path / str(number), environment=project.environment)
        shutil.copytree(project.root, copy.root, symlinks=True)
        place = change(copy)
        step = Step(kind=kind, moment=moment, number=number)
        killed = launcher.run(copy, "reconcile", step=step)
        assert killed.code in (0, -signal.SIGKILL), killed
        mended = launcher.run(copy, *WAITING)
        assert mended.code == 0, mended
        assert sent(world) == asked
        assert lines_of(place / "latest" / "output.jsonl") == ids(12)
        assert lines_of(place / "latest" / "errors.jsonl") == []
        launcher.check_idle(copy, world)
        left = [path.name for path in place.parent.iterdir() if path != place]
        if left:
            litter.append(f"death {number}: {left} beside {place.name}")
        return killed.code != 0

    assert sweep(die_at) >= fewest
    assert not litter, "\n".join(litter)
