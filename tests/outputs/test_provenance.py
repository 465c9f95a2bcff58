"""What made a result: the state of the git repository and the versions of the tools."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

import runner
from runner.outputs.provenance import GitState, git_state, tool_versions, uncommitted

if TYPE_CHECKING:
    from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "größe project"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "work/größe")
    (folder / "spec.yaml").write_text("name: a\n")
    git(folder, "add", "spec.yaml")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


def test_a_clean_repository_gives_commit_and_branch(repository: Path) -> None:
    (repository / "outputs").mkdir()
    (repository / "outputs" / "untracked.txt").write_text("results make nothing dirty")
    commit = git(repository, "rev-parse", "HEAD")
    expected = GitState(commit=commit, branch="work/größe", dirty=False)
    assert git_state(repository) == expected
    assert git_state(repository / "outputs") == expected


@pytest.mark.parametrize("staged", [False, True])
def test_an_edit_of_a_tracked_file_is_dirty(repository: Path, *, staged: bool) -> None:
    (repository / "spec.yaml").write_text("name: b\n")
    if staged:
        git(repository, "add", "spec.yaml")
    state = git_state(repository)
    assert state is not None
    assert state.dirty is True


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    state = git_state(repository)
    assert state is not None
    assert state.branch is None


def test_without_repository_commit_or_folder_there_is_no_state(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: nowhere")  # also ends the search upwards
    assert git_state(tmp_path) is None
    assert git_state(tmp_path / "gone") is None
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "--quiet")
    assert git_state(empty) is None


def test_without_git_there_is_no_state(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(repository) is None


def test_the_repository_of_a_hook_is_not_taken_for_ours(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = git_state(repository)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert git_state(repository) == expected is not None


def test_looking_changes_no_file_and_runs_no_program_of_the_repository(
    repository: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "ran"
    monitor = tmp_path / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch '{trace}'\n")
    monitor.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(monitor))
    (repository / "spec.yaml").touch()  # makes git want to refresh its index
    before = _stamps(repository)
    state = git_state(repository)
    assert state is not None
    assert state.dirty is False
    assert _stamps(repository) == before
    assert not trace.exists()


def _stamps(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_versions_are_those_that_run() -> None:
    versions = tool_versions()
    assert versions.runner == runner.__version__
    assert versions.python.startswith("3.")
    assert versions.platform
    assert set(versions.dependencies) == {
        "httpx",
        "msgspec",
        "pydantic",
        "pyyaml",
        "sqlite-utils",
        "tenacity",
    }


def marking(marker: Path) -> str:
    """Return a filter command that leaves a mark when it runs."""
    return f"touch '{marker}'; cat"


@pytest.mark.parametrize("kind", ["clean", "process"])
@pytest.mark.parametrize("name", ["x", "with=sign", "lfs"])
def test_filters_of_the_repository_are_not_run(
    repository: Path, tmp_path: Path, name: str, kind: str
) -> None:
    marker = tmp_path / "ran"
    (repository / ".gitattributes").write_text(f"* filter={name}\n")
    git(repository, "config", f"filter.{name}.{kind}", marking(marker))
    git(repository, "config", f"filter.{name}.required", "true")
    os.utime(repository / "spec.yaml", (1, 1))

    state = git_state(repository)
    listed = uncommitted(repository, repository)

    assert not marker.exists()
    assert state is not None
    assert state.dirty is (None if "=" in name else False)
    assert listed == (None if "=" in name else (".gitattributes",))
    subprocess.run(["git", "-C", str(repository), "status"], check=False, capture_output=True)
    assert marker.exists()  # so they would have run


def test_filters_of_the_user_are_run(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "gitconfig"
    own.write_text('[filter "swap"]\n\tclean = tr a b\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    own.rename(tmp_path / ".gitconfig")
    (repository / ".gitattributes").write_text("spec.yaml filter=swap\n")
    git(repository, "add", "--renormalize", "spec.yaml", ".gitattributes")
    git(repository, "commit", "--quiet", "--message", "second")
    git(repository, "config", "filter.swap.clean", "false")
    os.utime(repository / "spec.yaml", (1, 1))

    state = git_state(repository)

    assert state is not None
    assert state.dirty is False


def test_files_that_look_like_a_repository_are_none(repository: Path, tmp_path: Path) -> None:
    """A clone may hold the files of a bare repository, with a configuration that runs programs."""
    marker, embedded = tmp_path / "ran", repository / "embedded"
    git(repository, "clone", "--quiet", "--bare", ".", "embedded")
    git(embedded, "config", "core.bare", "false")
    git(embedded, "config", "core.worktree", "..")
    git(embedded, "config", "core.fsmonitor", marking(marker))
    git(embedded, "config", "filter.x.clean", marking(marker))
    (repository / ".gitattributes").write_text("* filter=x\n")

    assert git_state(embedded) is None
    assert uncommitted(embedded, embedded) is None
    assert not marker.exists()
