"""Damaged or missing ledgers: an error that names the way out, and nothing submitted."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Literal

import pytest

from tests.faults.launching import Step
from tests.faults.project import WAITING, Project, ids, sent
from tests.faults.sweeping import check_words
from tests.faults.worlds import check_all_asked_once, stepping_world
from tests.simulation.http import serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.faults.sweeping import Sweep
    from tests.simulation.http import Server
    from tests.simulation.world import World

LOOKING = [("status",), ("plan",), ("show", "job")]
ACTING = [("reconcile",), WAITING, ("cancel", "job"), ("retry", "job")]
PAGE = 4096
WAY_OUT = "runner rebuild"


def garbage(project: Project) -> None:
    project.ledger.write_bytes(b"\0garbage" * 4000)


def header(project: Project) -> None:
    overwrite(project.ledger, 0, b"\xff" * 100)


def magic(project: Project) -> None:
    overwrite(project.ledger, 0, b"JSON format 9\0\0\0")


def all_but_the_header(project: Project) -> None:
    whole = project.ledger.read_bytes()
    project.ledger.write_bytes(whole[:PAGE] + bytes(255 - byte for byte in whole[PAGE:]))


def truncated(project: Project) -> None:
    os.truncate(project.ledger, project.ledger.stat().st_size // 2)


def truncated_within_a_page(project: Project) -> None:
    os.truncate(project.ledger, PAGE + 100)


def a_folder(project: Project) -> None:
    project.ledger.unlink()
    project.ledger.mkdir()


def of_tomorrow(project: Project) -> None:
    alter(project, "PRAGMA user_version = 999")


def without_a_table(project: Project) -> None:
    alter(project, "PRAGMA foreign_keys = OFF; DROP TABLE runs")


def of_another_program(project: Project) -> None:
    project.ledger.unlink()
    alter(project, "CREATE TABLE recipes (name TEXT); PRAGMA user_version = 1")


def alter(project: Project, script: str) -> None:
    with closing(sqlite3.connect(project.ledger)) as database:
        database.executescript(script)


def overwrite(path: Path, start: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


DAMAGES = [
    (garbage, ("damaged",)),
    (header, ("damaged",)),
    (magic, ("damaged",)),
    (all_but_the_header, ("damaged",)),
    (truncated, ("damaged",)),
    (truncated_within_a_page, ("damaged",)),
]
OTHERS = [
    (a_folder, ("it is a folder", "nothing was submitted")),
    (of_tomorrow, ("later version", "999", "upgrade runner")),
    (without_a_table, ("runs",)),
    (of_another_program, ("another program",)),
]


@pytest.mark.parametrize(("spoil", "words"), [*DAMAGES, *OTHERS])
def test_a_ledger_that_cannot_be_used_is_left_as_it_is_and_nobody_is_asked(
    launcher: Launcher,
    project: Project,
    world: World,
    spoil: Callable[[Project], None],
    words: tuple[str, ...],
) -> None:
    assert launcher.run(project, "reconcile").code == 0
    shutil.copytree(project.ledger.parent, project.root / "kept")
    spoil(project)
    asked, before = len(sent(world)), project.picture()
    for command in (*LOOKING, *ACTING):
        end = launcher.run(project, *command)
        check_words(end)
        for word in ("ledger", str(project.ledger), *words):
            assert word in end.err, end.err
    assert len(sent(world)) == asked
    assert [name for name, seen in project.picture().items() if before.get(name) != seen] == []
    # A backup mends it, and so does none at all.
    shutil.rmtree(project.ledger.parent)
    shutil.rmtree(project.root / "kept") if spoil is garbage else (project.root / "kept").rename(
        project.ledger.parent
    )
    check_ends_well(launcher, project, world)


@pytest.mark.parametrize("spoil", [spoil for spoil, _words in DAMAGES])
@pytest.mark.parametrize("passes", [1, 3])
def test_the_way_out_of_a_damaged_ledger_is_named_and_leads_out(
    launcher: Launcher,
    project: Project,
    world: World,
    spoil: Callable[[Project], None],
    passes: int,
) -> None:
    for _ in range(passes):
        assert launcher.run(project, "reconcile").code == 0
    spoil(project)
    damaged = project.ledger.read_bytes()
    for command in (("status",), ("reconcile",)):
        end = launcher.run(project, *command)
        assert "nothing was submitted" in end.err, end.err
        assert WAY_OUT in end.err, end.err
    asked = len(sent(world))
    rebuilt = launcher.run(project, *WAY_OUT.split()[1:])
    assert (rebuilt.code, rebuilt.out) == (0, ""), rebuilt
    assert len(sent(world)) == asked
    beside = [path.read_bytes() for path in project.ledger.parent.iterdir() if path.is_file()]
    assert damaged in beside
    project.check_ledger()
    check_ends_well(launcher, project, world)


@pytest.mark.parametrize("kind", ["commit", "disk"])
def test_a_death_at_any_step_of_the_way_out(
    launcher: Launcher, memory_path: Path, sweep: Sweep, kind: Literal["commit", "disk"]
) -> None:
    def begin(name: str, server: Server) -> Project:
        project = Project.at(memory_path / name, server)
        assert launcher.run(project, "reconcile").code == 0
        garbage(project)
        return project

    def die_at(number: int) -> bool:
        world = stepping_world()
        with serve(world) as server:
            project = begin(str(number), server)
            killed = launcher.run(project, "rebuild", step=Step(kind=kind, number=number))
            assert killed.code in (0, -signal.SIGKILL), killed
            if launcher.run(project, "status").code != 0:
                again = launcher.run(project, "rebuild")
                assert again.code == 0, again
            check_ends_well(launcher, project, world)
        return killed.code != 0

    with serve(stepping_world()) as server:
        points = launcher.steps(begin("clean", server), Step(kind=kind, number=0), "rebuild")
    sweep(points, die_at)


def check_ends_well(launcher: Launcher, project: Project, world: World) -> None:
    launcher.finish(project)
    project.check_results(ids(12))
    check_all_asked_once(world, ids(12), batches=4)
    launcher.check_idle(project, world)


def test_a_single_page_of_garbage_anywhere(
    launcher: Launcher, memory_path: Path, sweep: Sweep
) -> None:
    """Either the pass can do without that page, or it says what is wrong and where."""

    def begin(name: str, server: Server) -> Project:
        project = Project.at(memory_path / name, server)
        assert launcher.run(project, "reconcile").code == 0
        return project

    def spoil_at(number: int) -> bool:
        world = stepping_world()
        with serve(world) as server:
            project = begin(str(number), server)
            shutil.copytree(project.ledger.parent, project.root / "kept")
            hit = number * PAGE < project.ledger.stat().st_size
            if hit:
                overwrite(project.ledger, number * PAGE, b"\xa5" * PAGE)
            asked = len(sent(world))
            end = launcher.run(project, *WAITING)
            assert "Traceback" not in end.err, end.err
            if end.code != 0:
                check_words(end)
                assert str(project.ledger) in end.err, end.err
                assert len(sent(world)) == asked or "nothing was submitted" not in end.err, end.err
                shutil.rmtree(project.ledger.parent)
                (project.root / "kept").rename(project.ledger.parent)
                launcher.finish(project)
            project.check_results(ids(12))
            check_all_asked_once(world, ids(12), batches=4)
        return hit

    with serve(stepping_world()) as server:
        pages = begin("clean", server).ledger.stat().st_size // PAGE
    sweep(pages, spoil_at)


@pytest.mark.parametrize("spoiled", ["-wal", "-shm"])
@pytest.mark.parametrize("lost", ["garbage", "half", "empty"])
def test_a_log_of_a_dead_process_is_spoilt(
    launcher: Launcher, memory_path: Path, lost: str, spoiled: str
) -> None:
    """What was only in the log is lost, as in a ledger from a backup; nothing is paid twice."""
    for number in range(4, 40, 9):
        world = stepping_world()
        with serve(world) as server:
            project = Project.at(memory_path / str(number), server)
            step = Step(kind="commit", moment="after", number=number)
            assert launcher.run(project, *WAITING, step=step).code == -signal.SIGKILL
            log = project.ledger.with_name(project.ledger.name + spoiled)
            whole = log.read_bytes()
            assert whole
            log.write_bytes(
                {
                    "garbage": b"\xa5" * len(whole),
                    "half": whole[: len(whole) // 2],
                    "empty": b"",
                }[lost]
            )
            launcher.finish(project)
            # A file whose upload was only in the log goes up once more: a copy costs nothing.
            world.check_exactly_once()
            world.check_nothing_lost(ids(12))
            assert len(world.submissions()) == 4
            project.check_results(ids(12))
            project.check_ledger()
