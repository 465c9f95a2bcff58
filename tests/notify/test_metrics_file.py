"""A file that is whole whenever somebody reads it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from runner.errors import LocalFileError
from runner.notify.metrics_file import write

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_takes_the_place_of_another_in_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "node" / "runner.prom"
    write(path, "old\n", within=tmp_path)
    replace = os.replace
    seen = []

    def watch(part: Path, target: Path) -> None:
        seen.append((part.parent, part.suffix, part.read_text(), target.read_text()))
        replace(part, target)

    monkeypatch.setattr(os, "replace", watch)
    write(path, "new\n", within=tmp_path)

    [(folder, suffix, new, old)] = seen
    assert (folder, new, old) == (path.parent, "new\n", "old\n")
    assert suffix != ".prom"
    assert path.read_text() == "new\n"
    assert os.listdir(path.parent) == ["runner.prom"]  # noqa: PTH208 -- names alone


def test_a_file_can_be_read_by_another_user_whatever_the_mask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write(tmp_path / "runner.prom", "x\n", within=tmp_path)
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "runner.prom").stat().st_mode) == 0o644


def test_a_name_that_is_no_utf_8_does_no_harm(tmp_path: Path) -> None:
    write(tmp_path / "runner.prom", "caf\udce9 größe\n", within=tmp_path)

    assert (tmp_path / "runner.prom").read_text("utf-8") == "caf? größe\n"


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "runner.prom").mkdir()
    (tmp_path / "runner.prom" / "x").touch()

    with pytest.raises(LocalFileError, match="cannot be written"):
        write(tmp_path / "runner.prom", "x\n", within=tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["runner.prom"]


def test_only_a_file_is_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(LocalFileError, match="pipe cannot be written: it is not a regular file"):
        write(tmp_path / "pipe", "x\n", within=tmp_path)

    assert (tmp_path / "pipe").is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
