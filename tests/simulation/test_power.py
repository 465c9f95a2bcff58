from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from runner.ledger import connection
from runner.ledger.connection import connect
from tests.simulation.faults import Death
from tests.simulation.power import Disk

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """Give a disk that is never disturbed but by the test."""
    (tmp_path / "aside").mkdir()
    (tmp_path / "project" / "outputs").mkdir(parents=True)
    return Disk(
        root=tmp_path / "project",
        ledger=tmp_path / "project" / ".runner" / "ledger.db",
        aside=tmp_path / "aside",
        pulse=lambda _what: None,
    )


def write(path: Path, content: str, *, synced: bool) -> None:
    with path.open("w") as file:
        file.write(content)
        file.flush()
        if synced:
            os.fsync(file.fileno())


def sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def remember(disk: Disk, *names: str, synchronous: str = "FULL") -> None:
    with closing(connect(disk.ledger)) as ledger:
        ledger.execute(f"PRAGMA synchronous = {synchronous}")
        for name in names:
            ledger.execute("BEGIN IMMEDIATE")
            ledger.execute("INSERT INTO providers (name, listed_at) VALUES (?, 0)", (name,))
            connection.commit(ledger)
    if disk.dead:
        raise Death


def remembered(disk: Disk) -> set[str]:
    with closing(connect(disk.ledger)) as ledger:
        return {row["name"] for row in ledger.execute("SELECT name FROM providers")}


def test_what_was_committed_in_full_is_there_after_a_power_cut(disk: Disk) -> None:
    with disk.process():
        remember(disk, "first")
    with disk.process():
        remember(disk, "second", "third")
        disk.die(power_cut=True)
    disk.restart(0)

    assert remembered(disk) == {"first", "second", "third"}


def test_a_commit_that_was_not_synced_is_lost(disk: Disk) -> None:
    with disk.process():
        remember(disk, "first")
    with disk.process():
        remember(disk, "second", synchronous="NORMAL")
        disk.die(power_cut=True)
    disk.restart(0)

    assert remembered(disk) == {"first"}


def test_what_was_not_synced_when_the_file_was_closed_is_lost_too(disk: Disk) -> None:
    with disk.process():
        remember(disk, "first")
    with disk.process():
        remember(disk, "second", synchronous="OFF")
    with disk.process():
        disk.die(power_cut=True)
    disk.restart(0)

    assert remembered(disk) == {"first"}


def test_a_death_alone_loses_nothing(disk: Disk) -> None:
    with disk.process():
        remember(disk, "first", synchronous="OFF")
        disk.die(power_cut=False)
    disk.restart(0)

    assert remembered(disk) == {"first"}


def test_a_process_ends_at_the_commit_at_which_it_dies(disk: Disk) -> None:
    moments = iter((False, False, True))

    def pulse(what: str) -> None:
        if what == "commit" and next(moments):
            disk.die(power_cut=False)

    disk.pulse = pulse
    with disk.process():
        remember(disk, "first", "second")

    assert disk.dead
    assert remembered(disk) == {"first"}


def cut_after(disk: Disk, *, content: bool, name: bool, lot: int) -> str | None:
    """Write a file as programs do, cut the power, and return what the file then holds."""
    new, old = disk.root / "outputs" / "final", disk.root / "outputs" / "temporary"
    with disk.process():
        write(old, "whole", synced=content)
        os.replace(old, new)  # noqa: PTH105
        if name:
            sync(new.parent)
        disk.die(power_cut=True)
    disk.restart(lot)
    return new.read_text() if new.exists() else None


def test_content_and_name_that_were_synced_stay(disk: Disk) -> None:
    for lot in range(20):
        assert cut_after(disk, content=True, name=True, lot=lot) == "whole"


def test_a_name_that_was_not_synced_may_be_undone(disk: Disk) -> None:
    found = set()
    for lot in range(20):
        found.add(cut_after(disk, content=True, name=False, lot=lot))
        (disk.root / "outputs" / "final").unlink(missing_ok=True)
    assert found == {"whole", None}


def test_content_that_was_not_synced_is_cut_short(disk: Disk) -> None:
    assert {cut_after(disk, content=False, name=True, lot=lot) for lot in range(20)} == {"", "wh"}


def test_what_a_lost_renaming_had_replaced_is_back(disk: Disk) -> None:
    new, old = disk.root / "outputs" / "final", disk.root / "outputs" / "temporary"
    found = set()
    for lot in range(20):
        with disk.process():
            write(new, "before", synced=True)
            write(old, "after", synced=True)
            os.replace(old, new)  # noqa: PTH105
            disk.die(power_cut=True)
        disk.restart(lot)
        found.add(new.read_text())
    assert found == {"before", "after"}


def test_the_dead_tidy_nothing_away(disk: Disk) -> None:
    path = disk.root / "outputs" / "temporary"
    with disk.process():
        write(path, "left", synced=True)
        disk.die(power_cut=False)
        path.unlink()

    assert path.read_text() == "left"
