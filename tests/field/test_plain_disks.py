"""A disk that has less than a Unix disk has: no hard links, and folders that cannot be synced.

Network shares, mounted cloud drives and user-space file systems refuse one or the other, with the
error that their author found fitting. Results must not depend on such a convenience.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NoReturn

import pytest

from runner.errors import LocalFileError
from runner.files import sync_folder
from runner.ledger.records import RunState
from runner.reconcile.lock import locked
from tests.failures.scene import (
    REMOTE,
    asked,
    final_files,
    ids,
    refuse_hard_links,
    refuse_to_sync_folders,
    told,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.failures.conftest import MakeSite

REFUSALS = [errno.EINVAL, errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EBADF]


def check_results(make_site: MakeSite) -> str:
    """See a job to its end, and three idle passes; return what was said."""
    site = make_site(base_url=REMOTE)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids())
    for _ in range(3):
        report = site.reconcile()
        assert not report.has_problem
        assert not report.changed
    assert asked(site) == [tuple(ids())]
    assert [name.rpartition("/")[2] for name in final_files(site)] == [
        "errors.jsonl",
        "output.jsonl",
        "0001-1.output.jsonl",
    ]
    return told(site)


@pytest.mark.parametrize("number", REFUSALS)
def test_folders_that_cannot_be_synced_are_worth_one_remark(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refused = refuse_to_sync_folders(monkeypatch, number)
    assert check_results(make_site).count("cannot be synced") == 1
    assert refused


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.EMLINK])
def test_no_hard_link_is_needed(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse_hard_links(monkeypatch, number)
    assert "link" not in check_results(make_site)


def test_a_disk_that_fails_while_a_folder_is_synced_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refuse_to_sync_folders(monkeypatch, errno.EIO)
    with pytest.raises(LocalFileError, match="input/output error"):
        sync_folder(tmp_path)


def test_a_folder_that_cannot_be_opened_is_not_synced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On some shares a folder can be written and not opened for reading."""

    def refuse(path: object, *_arguments: object, **_options: object) -> NoReturn:
        raise OSError(errno.EACCES, "no folders here", str(path))

    monkeypatch.setattr(os, "open", refuse)
    assert not sync_folder(tmp_path)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP])
def test_a_disk_without_permissions_is_as_good(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Its mount decides who may read: each file has the same mode, and none can be changed."""
    refused = 0

    def refuse(*_: object, **__: object) -> NoReturn:
        nonlocal refused
        refused += 1
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fchmod", refuse)
    monkeypatch.setattr(os, "chmod", refuse)
    site = make_site(base_url=REMOTE)
    site.ledger.parent.mkdir(exist_ok=True)
    site.ledger.touch(0o644)
    lock = site.ledger.with_name(f"{site.ledger.name}.lock")
    lock.touch(0o644)

    with locked(site.ledger):
        assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids())
    assert refused > 1
