"""Earlier contents of a file, out of real repositories."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from runner.outputs.git_history import blobs, content

if TYPE_CHECKING:
    from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a repository with a project in a folder of it, and three commits."""
    git(tmp_path, "init", "-q")
    folder = tmp_path / "my project"
    (folder / "data").mkdir(parents=True)
    for text in ("one\n", "one\ntwo\n", "one\n"):
        (folder / "data" / "[a] b.jsonl").write_text(text)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", text)
    return folder


def test_each_content_is_named_once_and_can_be_read(project: Path) -> None:
    found = blobs(project, "data/[a] b.jsonl", commit=None)

    assert [blob.size for blob in found] == [4, 8]
    assert found[0].commit == git(project, "rev-parse", "HEAD")
    for blob, text in zip(found, (b"one\n", b"one\ntwo\n"), strict=True):
        with content(project, blob) as stream:
            assert stream.read() == text


def test_the_commit_that_is_named_comes_first(project: Path) -> None:
    commit = git(project, "rev-parse", "HEAD~1")

    found = blobs(project, "data/[a] b.jsonl", commit=commit)

    assert [(blob.commit == commit, blob.size) for blob in found] == [(True, 8), (False, 4)]


@pytest.mark.parametrize("path", ["data/none.jsonl", "data", "x\ny", "../outside", "data/*"])
def test_what_is_no_file_of_the_repository_has_no_contents(project: Path, path: str) -> None:
    assert blobs(project, path, commit="0" * 40) == ()


def test_no_repository_has_no_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_text("one\n")

    assert blobs(tmp_path, "x", commit=None) == ()

    monkeypatch.setenv("PATH", str(tmp_path))
    assert blobs(tmp_path, "x", commit=None) == ()


def test_a_stream_may_be_left_before_its_end(project: Path) -> None:
    (project / "large").write_bytes(b"x" * 5_000_000)
    git(project, "add", ".")
    git(project, "commit", "-qm", "large")
    [blob] = blobs(project, "large", commit=None)

    with content(project, blob) as stream:
        assert stream.read(3) == b"xxx"
