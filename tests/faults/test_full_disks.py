"""Full or read-only disks: an error that names the place, exit 1, nothing lost.

Twice: with small disks in memory where they can be mounted, and with the error of a full disk at
each commit and each file operation, one after the other.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest

from tests.faults.launching import Step
from tests.faults.project import WAITING, Project, ids, sent
from tests.faults.sweeping import check_words
from tests.faults.worlds import check_all_asked_once, stepping_world
from tests.simulation.http import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.launching import Launcher
    from tests.faults.sweeping import Sweep
    from tests.simulation.world import World

PAGE = 4096
FULL = (" is full", "No space left on device")


class SmallDisk:
    """A file system in memory, mounted on a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def remount(self, *options: str) -> None:
        """Change its size, or whether it may be written."""
        together = ",".join(("remount", *options))
        subprocess.run(["mount", "-o", together, self.folder], check=True)

    def room(self) -> int:
        """Return the bytes that are free."""
        about = os.statvfs(self.folder)
        return about.f_bavail * about.f_frsize


@contextmanager
def small_disk(folder: Path, size: int = 16 * 1024 * 1024) -> Iterator[SmallDisk]:
    """Mount a disk of so many bytes on a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root only, and not everywhere")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", folder], check=True)


def check_goes_on(
    launcher: Launcher, project: Project, world: World, *, rows: int = 12, batches: int = 4
) -> None:
    """Assert that the next pass, with room, goes on as if nothing had been."""
    if project.ledger.exists():
        project.check_ledger()
    launcher.finish(project)
    project.check_results(ids(rows))
    check_all_asked_once(world, ids(rows), batches=batches)
    launcher.check_idle(project, world)
    assert project.litter() == []


@pytest.mark.parametrize(
    ("place", "pages"),
    [("", 14), (".runner", 14), ("outputs", 2)],
    ids=["all", "ledger", "outputs"],
)
def test_a_disk_that_is_full_sooner_or_later(
    launcher: Launcher, tmp_path: Path, place: str, pages: int
) -> None:
    full = 0
    for size in range(2 * PAGE, 400 * PAGE, pages * PAGE):
        world = stepping_world(text="x" * 1000)
        root = tmp_path / str(size)
        with small_disk(root / place, size) as disk, serve(world) as server:
            try:
                project = Project.at(root, server)
            except OSError:  # not even room for the project itself
                continue
            end = launcher.run(project, *WAITING)
            if end.code == 0:
                assert project.finished()
                break
            full += 1
            check_words(end)
            assert str(root / place) in end.err, end
            assert "full" in end.err, end
            assert not project.finished()
            disk.remount("size=16m")
            check_goes_on(launcher, project, world)
    else:
        pytest.fail("no disk was large enough")
    assert full > 5


@pytest.mark.parametrize("kind", ["commit", "disk"])
def test_no_room_from_any_step_on(
    launcher: Launcher,
    memory_path: Path,
    sweep: Sweep,
    kind: Literal["commit", "disk"],
) -> None:
    step = Step(kind=kind, number=0, does="ENOSPC")

    def fill_at(number: int) -> bool:
        world = stepping_world()
        with serve(world) as server:
            project = Project.small(memory_path / str(number), server)
            end = launcher.run(project, *WAITING, step=replace(step, number=number))
            told = any(words in end.err for words in FULL)
            if end.code != 0:
                check_words(end)
            assert (str(project.root) in end.err) == told, end
            # The last step of all makes the results last; they are there without it.
            assert told == (end.code != 0) or project.finished()
            check_goes_on(launcher, project, world, rows=6, batches=2)
        return told

    with serve(stepping_world()) as server:
        clean = Project.small(memory_path / "clean", server)
        points = launcher.steps(clean, step, *WAITING)
    sweep(points, fill_at)


def test_a_disk_that_has_become_read_only(launcher: Launcher, tmp_path: Path) -> None:
    """At each pass of a job's life, whatever is left to be done."""
    for passes in range(5):
        world = stepping_world()
        with small_disk(tmp_path / str(passes)) as disk, serve(world) as server:
            project = Project.at(disk.folder, server)
            for _ in range(passes):
                assert launcher.run(project, "reconcile").code == 0
            disk.remount("ro")
            asked = sent(world)
            for command in (("reconcile",), WAITING):
                end = launcher.run(project, *command)
                check_words(end)
                assert "nothing was submitted" in end.err, end
            for command in (("status",), ("plan",), ("validate",)):
                look = launcher.run(project, *command)
                assert (look.code, "Traceback" in look.err) == (0, False), look
            assert sent(world) == asked
            disk.remount("rw")
            launcher.finish(project)
            check_goes_on(launcher, project, world)


def test_outputs_on_a_disk_that_has_become_read_only(launcher: Launcher, tmp_path: Path) -> None:
    world = stepping_world()
    with small_disk(tmp_path / "outputs") as disk, serve(world) as server:
        project = Project.at(tmp_path, server)
        assert launcher.run(project, "reconcile").code == 0
        disk.remount("ro")
        end = launcher.run(project, *WAITING)
        check_words(end)
        assert f"{disk.folder}/" in end.err, end
        assert "ead-only" in end.err, end
        disk.remount("rw")
        check_goes_on(launcher, project, world)
