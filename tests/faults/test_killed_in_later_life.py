"""SIGKILL at each step after a job has finished: renamed, moved, restored, downloaded again.

Nothing here makes the provider do anything new, so all crashes of a test share one provider, and
each gets a copy of one finished project.
"""

from __future__ import annotations

import shutil
import signal
import time
from typing import TYPE_CHECKING, Literal

import pytest

from tests.failures.scene import Gateway, each_line
from tests.faults.launching import Step
from tests.faults.project import PATIENCE, SPEC, WAITING, Project, ids, lines_of, sent
from tests.simulation.behaviour import Behaviour

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.faults.sweeping import Sweep
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


@pytest.mark.parametrize(("kind", "fewest"), [("commit", 3), ("disk", 15)])
def test_a_death_while_lines_are_matched_by_order(
    launcher: Launcher,
    project: Project,
    world: World,
    memory_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Literal["commit", "disk"],
    fewest: int,
    sweep: Sweep,
) -> None:
    lose = Gateway(each_line(lambda line: line.pop("custom_id")))
    handle = world.handle
    monkeypatch.setattr(world, "handle", lambda request: lose(request, handle(request)))
    world.behaviour = Behaviour(shuffled=False)
    last = time.monotonic() + PATIENCE
    while launcher.run(project, "status", "--json").json()[0]["state"] != "partial":
        # Its files are looked at again for a while, and waiting ends before that.
        assert time.monotonic() < last
        assert launcher.run(project, *WAITING).code == 1
    asked = sent(world)
    matching = ("retry", "job", "--by-order")

    def copied(name: str) -> Project:
        copy = Project(root=memory_path / name, environment=project.environment)
        shutil.rmtree(copy.root, ignore_errors=True)
        shutil.copytree(project.root, copy.root, symlinks=True)
        return copy

    def die_at(number: int) -> bool:
        copy = copied(str(number))
        killed = launcher.run(copy, *matching, step=Step(kind=kind, number=number))
        assert killed.code in (0, -signal.SIGKILL), killed
        for mending in (matching, WAITING):
            mended = launcher.run(copy, *mending)
            assert mended.code == 0, mended
        assert sent(world) == asked
        place = copy.root / "outputs" / "job" / "latest"
        assert lines_of(place / "output.jsonl") == ids(12)
        assert lines_of(place / "errors.jsonl") == []
        assert launcher.run(copy, "verify").code == 0
        launcher.check_idle(copy, None)
        return killed.code != 0

    points = launcher.steps(copied("clean"), Step(kind=kind, number=0), *matching)
    assert points >= fewest
    sweep(points, die_at)


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
    sweep: Sweep,
) -> None:
    assert launcher.run(project, *WAITING).code == 0
    asked = sent(world)

    def changed(name: str) -> tuple[Project, Path]:
        copy = Project(root=memory_path / name, environment=project.environment)
        shutil.rmtree(copy.root, ignore_errors=True)
        shutil.copytree(project.root, copy.root, symlinks=True)
        return copy, change(copy)

    def die_at(number: int) -> bool:
        copy, place = changed(str(number))
        killed = launcher.run(copy, "reconcile", step=Step(kind=kind, number=number))
        assert killed.code in (0, -signal.SIGKILL), killed
        mended = launcher.run(copy, *WAITING)
        assert mended.code == 0, mended
        assert sent(world) == asked
        assert lines_of(place / "latest" / "output.jsonl") == ids(12)
        assert lines_of(place / "latest" / "errors.jsonl") == []
        launcher.check_idle(copy, None)
        assert [path.name for path in place.parent.iterdir()] == [place.name]
        return killed.code != 0

    points = launcher.steps(changed("clean")[0], Step(kind=kind, number=0), "reconcile")
    assert points >= fewest
    sweep(points, die_at)
