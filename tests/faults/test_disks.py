"""Disks that are full, read-only or spoilt: a sentence on stderr, exit 1, and nothing submitted."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.project import WAITING, Project, ids, sent, sweep
from tests.faults.worlds import check_all_asked_once, stepping_world
from tests.simulation.behaviour import Behaviour, Succeed
from tests.simulation.http import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.launching import Launcher
    from tests.faults.project import Ended
    from tests.simulation.world import World

HERE = Path(__file__).parent
HUMBLE = (sys.executable, "-P", str(HERE / "humble.py"))
LIMITED = (sys.executable, "-P", str(HERE / "limited.py"))
LOOKING = [("status",), ("plan",), ("show", "job")]
ACTING = [("reconcile",), ("cancel", "job"), ("retry", "job")]


def check_refused(end: Ended, *words: str) -> None:
    """Assert that the command ended with one sentence about the ledger, and with 1."""
    assert (end.code, end.out) == (1, ""), end
    assert "Traceback" not in end.err
    for word in ("ledger", *words):
        assert word in end.err, end.err


# Ledgers that are none ------------------------------------------------------------------------


def garbage(project: Project) -> None:
    project.ledger.write_bytes(b"\0garbage" * 4000)


def garbled(project: Project) -> None:
    """Spoil all but the first page, which says what kind of file it is."""
    whole = project.ledger.read_bytes()
    project.ledger.write_bytes(whole[:4096] + bytes(255 - byte for byte in whole[4096:]))


def truncated(project: Project) -> None:
    whole = project.ledger.read_bytes()
    project.ledger.write_bytes(whole[: len(whole) // 2])


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


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (garbage, ("damaged", "nothing was submitted", "Move the file away")),
        (garbled, ("damaged", "nothing was submitted", "Move the file away")),
        (truncated, ("damaged", "nothing was submitted", "Move the file away")),
        (a_folder, ("cannot be opened", "nothing was submitted")),
        (of_tomorrow, ("later version", "999", "upgrade runner")),
        (without_a_table, ("runs",)),
        (of_another_program, ("another program",)),
    ],
)
def test_a_ledger_that_cannot_be_used(
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
        check_refused(launcher.run(project, *command), *words)
    assert len(sent(world)) == asked
    assert [name for name, seen in project.picture().items() if before.get(name) != seen] == []
    # What the sentence advises, or a backup, mends it.
    shutil.rmtree(project.ledger.parent)
    shutil.rmtree(project.root / "kept") if spoil is garbage else (project.root / "kept").rename(
        project.ledger.parent
    )
    assert launcher.run(project, *WAITING).code == 0
    project.check_results(ids(12))
    check_all_asked_once(world, ids(12), batches=4)


# Permissions ----------------------------------------------------------------------------------


@contextmanager
def permitted(path: Path, mode: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)


def test_a_folder_in_which_no_ledger_can_be_made(project: Project, world: World) -> None:
    with permitted(project.root, 0o555):
        check_refused(project.run("reconcile", command=HUMBLE), "nothing was submitted")
    project.ledger.parent.mkdir()
    with permitted(project.ledger.parent, 0o555):
        check_refused(project.run("reconcile", command=HUMBLE), "nothing was submitted")
    assert sent(world) == []


@pytest.mark.parametrize("mode", [0o444, 0o000], ids=["read-only", "unreadable"])
@pytest.mark.parametrize("command", [*LOOKING, *ACTING], ids=lambda command: command[0])
def test_a_ledger_that_may_not_be_written(
    launcher: Launcher, project: Project, world: World, mode: int, command: tuple[str, ...]
) -> None:
    assert launcher.run(project, "reconcile").code == 0
    asked = len(sent(world))
    with permitted(project.ledger, mode):
        end = project.run(*command, command=HUMBLE)
    if command in ACTING or mode == 0:
        assert end.code == 1
        assert "ledger" in end.err
        assert "nothing was submitted" in end.err
    else:
        assert end.code == 0, end.err
        assert "job" in end.out
    assert "Traceback" not in end.err
    assert len(sent(world)) == asked


def test_outputs_that_may_not_be_written(
    launcher: Launcher, project: Project, world: World
) -> None:
    world.behaviour = Behaviour()
    assert launcher.run(project, "reconcile").code == 0
    (project.root / "outputs").mkdir()
    with permitted(project.root / "outputs", 0o555):
        end = project.run("reconcile", command=HUMBLE)
    check_held_up(end, project, "outputs", "ermission denied")
    check_goes_on(launcher, project, world)


def test_waiting_does_not_wait_for_a_disk(
    launcher: Launcher, project: Project, world: World
) -> None:
    (project.root / "outputs").mkdir()
    with permitted(project.root / "outputs", 0o555):
        end = project.run(*WAITING, command=HUMBLE)
    check_held_up(end, project, "outputs", "ermission denied")
    check_goes_on(launcher, project, world, batches=4)


def check_held_up(end: Ended, project: Project, *words: str) -> None:
    assert (end.code, end.out) == (1, ""), end
    assert "Traceback" not in end.err
    for word in words:
        assert word in end.err, end.err
    assert not project.finished()


def check_goes_on(launcher: Launcher, project: Project, world: World, *, batches: int = 3) -> None:
    last = launcher.run(project, *WAITING)
    assert last.code == 0, last
    project.check_results(ids(12))
    check_all_asked_once(world, ids(12), batches=batches)


# Full disks -----------------------------------------------------------------------------------


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Callable[[], object]]:
    """Mount a disk of this size on a folder; yields what makes it large."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root only, and not everywhere")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=16m", folder], check=True)
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_full_sooner_or_later(launcher: Launcher, tmp_path: Path) -> None:
    def fill(number: int) -> bool:
        world = stepping_world()
        folder = tmp_path / str(number)
        with small_disk(folder, 40 * (number + 1)) as enlarge, serve(world) as server:
            project = Project.at(folder, server)
            full = launcher.run(project, *WAITING)
            if full.code != 0:
                check_held_up(full, project)
            enlarge()
            check_goes_on(launcher, project, world, batches=4)
        return full.code != 0

    assert sweep(fill) > 5


@pytest.mark.parametrize(
    ("limit", "what"),
    [(0, "ledger"), (50_000, "ledger"), (600_000, "raw"), (1_500_000, "output.jsonl")],
)
def test_files_that_may_not_grow(
    launcher: Launcher, project: Project, world: World, limit: int, what: str
) -> None:
    world.behaviour = Behaviour(answer=lambda _row: Succeed(text="x" * 200_000))
    ends = [project.run(str(limit), "reconcile", command=LIMITED) for _ in range(2)]
    check_held_up(ends[1], project, what)
    check_goes_on(launcher, project, world)
