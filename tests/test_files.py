"""Making files safely, and failures of the file system as errors that a user understands."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from runner.errors import LocalFileError
from runner.files import (
    create,
    explained,
    make_folder,
    name_of_part,
    open_lasting,
    open_regular,
    part_of,
    parts_of,
    require_no_link,
    sweep,
    sync_folder,
    write_whole,
)


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


def test_no_two_files_under_way_have_one_name(tmp_path: Path) -> None:
    path = tmp_path / "a.b"
    parts = {part_of(path) for _ in range(100)}

    assert len(parts) == 100
    for part in parts:
        assert part.parent == tmp_path
        assert name_of_part(part.name) == "a.b"
        assert Path(part.name).match(parts_of("a.b"))
        assert not Path(part.name).match(parts_of("b"))
    assert name_of_part("a.b") is name_of_part(".a.part") is None


def test_a_file_is_made_anew_and_for_this_user_only(tmp_path: Path) -> None:
    with create(tmp_path / "new") as file:
        file.write(b"x")

    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
    (tmp_path / "link").symlink_to("nothing")
    for name in ("new", "link"):
        with pytest.raises(FileExistsError):
            create(tmp_path / name)
    assert not (tmp_path / "nothing").exists()


def test_folders_are_made_through_no_link_but_below_one_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "named").symlink_to("disk")
    make_folder(tmp_path / "named/a/b", within=tmp_path / "named")
    make_folder(tmp_path / "named/a/b", within=tmp_path / "named")

    assert (tmp_path / "disk/a/b").is_dir()
    require_no_link(tmp_path / "named/a/b/not/yet", within=tmp_path / "named")
    for check in (make_folder, require_no_link):
        with pytest.raises(LocalFileError, match="named is a link to disk"):
            check(tmp_path / "named/a/c", within=tmp_path)
    assert not (tmp_path / "disk/a/c").exists()


@pytest.mark.parametrize("path", ["elsewhere", "inside/../elsewhere", "inside/x/../../elsewhere"])
def test_nothing_is_made_outside_of_the_folder_that_is_named(tmp_path: Path, path: str) -> None:
    for check in (make_folder, require_no_link):
        with pytest.raises(LocalFileError, match="nothing is written outside of it"):
            check(tmp_path / path, within=tmp_path / "inside")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_a_folder_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in ("file", "file/deeper"):
        with pytest.raises(LocalFileError, match=f"{path} cannot be written: part of this path is"):
            make_folder(tmp_path / path, within=tmp_path)


def test_only_what_a_crash_of_this_user_has_left_is_swept(tmp_path: Path) -> None:
    ours, other, folder = (part_of(tmp_path / name) for name in ("a", "b", "a"))
    ours.touch()
    other.touch()
    folder.mkdir()
    foreign = part_of(tmp_path / "a")
    foreign.touch()
    if os.geteuid() == 0:
        os.chown(foreign, 65534, 65534)

    sweep(tmp_path, parts_of("a"))
    sweep(tmp_path / "gone", parts_of("a"))

    left = {other, folder, foreign} if os.geteuid() == 0 else {other, folder}
    assert set(tmp_path.iterdir()) == left


def test_a_whole_file_replaces_a_link_and_no_pipe(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "link").symlink_to("mine")
    os.mkfifo(tmp_path / "pipe")

    write_whole(tmp_path / "link", b"new", mode=0o640)

    assert (tmp_path / "link").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "link").lstat().st_mode) == 0o640
    assert (tmp_path / "mine").read_text() == "mine"
    with pytest.raises(LocalFileError, match="not a regular file"):
        write_whole(tmp_path / "pipe", b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "link", "pipe"}


def test_a_lasting_file_has_one_name_and_is_no_link(tmp_path: Path) -> None:
    with open_lasting(tmp_path / "file") as file:
        file.write(b"x")
    with open_lasting(tmp_path / "file") as file:
        assert file.read() == b"x"
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    os.link(tmp_path / "file", tmp_path / "second")
    for name in ("link", "pipe", "second"):
        with pytest.raises(OSError, match=r"symbolic links|not a regular file with one name"):
            open_lasting(tmp_path / name)


def test_only_regular_files_on_a_disk_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")

    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"x"
    for path, what in ((tmp_path, "a folder"), (tmp_path / "pipe", "not a regular file")):
        with pytest.raises(OSError, match=what):
            open_regular(path)
    if sys.platform == "linux":
        with pytest.raises(OSError, match="a file of the kernel"):
            open_regular(Path("/proc/self/environ"))
