"""Whole command lines on a disk without hard links, whose folders cannot be synced."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING

from tests.cli.conftest import FINISH, states
from tests.failures.scene import refuse_hard_links, refuse_to_sync_folders

if TYPE_CHECKING:
    import pytest

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder


def check(run: Run, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = refuse_to_sync_folders(monkeypatch, errno.EINVAL)
    refuse_hard_links(monkeypatch, errno.EPERM)
    folder.job()

    done = run(*FINISH)

    assert (done.code, done.out) == (0, "")
    assert done.err.count("cannot be synced") == 1
    assert states(run) == {"hello": "succeeded"}
    lines = (folder.root / "outputs/hello/latest/output.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["custom_id"] for line in lines] == ["hello-0", "hello-1", "hello-2"]
    assert refused
    assert "cannot be synced" not in run("reconcile").err
    assert run("verify").code == 0


def test_at_a_provider(run: Run, lab: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    check(run, lab, monkeypatch)


def test_at_home(run: Run, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded provider keeps its files on the same disk."""
    check(run, folder, monkeypatch)
