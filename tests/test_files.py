"""Failures of the file system, as errors that a user understands."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from runner.errors import LocalFileError
from runner.files import explained, sync_folder


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "your quota on this disk is used up"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "permission denied"),
        (errno.ELOOP, os.strerror(errno.ELOOP)),
    ],
)
def test_refusals_of_the_disk_are_said_in_words(number: int, words: str) -> None:
    with (
        pytest.raises(LocalFileError, match=f"^a/b cannot be written: {words}$") as caught,
        explained(Path("a/b"), doing="written"),
    ):
        raise OSError(number, os.strerror(number))
    assert isinstance(caught.value.__cause__, OSError)


def test_a_folder_that_cannot_be_synced_is_no_failure_but_a_missing_one_is(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    if sys.platform == "linux":
        sync_folder(Path("/proc"))  # refuses with EINVAL, as network file systems do
    with pytest.raises(LocalFileError, match="gone cannot be written"):
        sync_folder(tmp_path / "gone")
