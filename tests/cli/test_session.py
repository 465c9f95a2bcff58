"""The project that a command works in: found from below, fresh, empty or gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_looking_makes_nothing_in_a_fresh_project(run: Run, folder: Folder) -> None:
    folder.job()
    before = snapshot(folder.root)

    for command in (("validate",), ("plan",), ("status",), ("show", "hello")):
        assert run(*command).code == 0, command

    assert snapshot(folder.root) == before


def test_a_folder_without_specs_says_how_to_begin(run: Run, folder: Folder) -> None:
    (folder.root / "specs").rmdir()

    for command in (("validate",), ("plan",), ("status",), ("reconcile",)):
        done = run(*command)
        assert (done.code, done.out) == (2, ""), command
        assert "`runner init` creates a project" in done.err


def test_a_folder_that_is_not_there_is_an_error(run: Run, folder: Folder) -> None:
    assert folder.root.is_dir()
    done = run("-C", "nowhere", "status")

    assert (done.code, done.out) == (2, "")
    assert "nowhere" in done.err


def test_a_current_folder_that_is_gone_is_an_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    for command in (("status",), ("plan",), ("reconcile",), ("init", "x"), ("validate",)):
        done = run(*command)
        assert (done.code, done.out) == (2, ""), command
        assert done.err.startswith("error: the current folder does not exist any more"), command


def test_the_project_is_found_from_below(run: Run, folder: Folder) -> None:
    folder.job("one")
    (folder.root / "specs" / "deep").mkdir()

    assert run("-C", "specs/deep", "status", "--json").out == run("status", "--json").out
