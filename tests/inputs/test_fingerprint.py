from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import InputChanged, InvalidInput, LocalFileError
from runner.inputs.reading import Fingerprint, open_unchanged, read

SECOND = 1_000_000_000
NOON = 1_800_000_000 * SECOND
FINE = NOON + 123_456_789


def taken(*, mtime_ns: int, ctime_ns: int) -> Fingerprint:
    return Fingerprint(path="x", size=1, mtime_ns=mtime_ns, ctime_ns=ctime_ns, inode=1)


@pytest.mark.parametrize(
    ("time_ns", "now_ns", "settled"),
    [
        pytest.param(FINE, FINE, False, id="just-now"),
        pytest.param(FINE, FINE + 19_999_999, False, id="within-a-tick"),
        pytest.param(FINE, FINE + 20_000_000, True, id="a-tick-later"),
        pytest.param(NOON, NOON + 2 * SECOND - 1, False, id="coarse-clock"),
        pytest.param(NOON, NOON + 2 * SECOND, True, id="coarse-clock-later"),
        pytest.param(FINE, FINE - 1, False, id="a-moment-ahead"),
        pytest.param(FINE, FINE - SECOND, True, id="dated-ahead"),
    ],
)
def test_settled(time_ns: int, now_ns: int, settled: bool) -> None:  # noqa: FBT001
    assert taken(mtime_ns=time_ns, ctime_ns=1).is_reliable(now_ns) is settled
    assert taken(mtime_ns=1, ctime_ns=time_ns).is_reliable(now_ns) is settled


def test_it_tells_a_file_that_was_written_to(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    before = Fingerprint.of(path)
    assert Fingerprint.of(path) == before
    assert before.path == str(path)
    path.write_bytes(b"three")
    assert Fingerprint.of(path) != before


def test_a_missing_file_is_a_problem_of_the_path_as_shown(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        Fingerprint.of(tmp_path / "nowhere", shown="data/nowhere")
    assert str(caught.value) == "data/nowhere: no such file: write it there or correct the path"


def refusal(path: Path) -> str:
    with pytest.raises(InvalidInput) as caught, open_unchanged(path, shown="data"):
        pytest.fail("it was opened")
    return str(caught.value)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "data: is a folder: name the JSONL file in it"


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe").startswith("data: is not a regular file")


def test_a_path_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    # Python 3.13 puts it in other words than those before it.
    said = refusal(tmp_path / "a\0b")
    assert said.startswith("data: cannot be opened: ")
    assert "embedded null" in said
    assert refusal(tmp_path / ("x" * 300)) == "data: cannot be opened: File name too long"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0)
    assert refusal(path).startswith("data: permission denied")


def test_an_unchanged_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    with open_unchanged(path, shown="a", expected=Fingerprint.of(path)) as (file, identity):
        assert file.read() == b"one"
    assert identity == Fingerprint.of(path)


def test_another_file_than_expected_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    other = replace(Fingerprint.of(path), inode=0)
    with (
        pytest.raises(InputChanged, match="data was changed since it was validated"),
        open_unchanged(path, shown="data", expected=other),
    ):
        pytest.fail("it was opened")


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def rewrite_with_its_times(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns - 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_rename(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    other.rename(path)


@pytest.mark.parametrize(
    "change",
    [grow, rewrite_with_its_times, replace_by_rename, Path.unlink],
    ids=lambda f: f.__name__,
)
def test_a_change_while_reading_is_seen(tmp_path: Path, change: object) -> None:
    assert callable(change)
    path = tmp_path / "a"
    path.write_bytes(b"one")
    os.utime(path, ns=(0, FINE))
    opened = open_unchanged(path, shown="data")
    file, _ = opened.__enter__()
    assert file.read() == b"one"
    change(path)
    with pytest.raises(InputChanged, match="data was changed while it was read"):
        opened.__exit__(None, None, None)
    assert file.closed


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="only Linux has it")
def test_a_failing_disk() -> None:
    # A process's own memory is a regular file whose first page cannot be read.
    with (
        Path("/proc/self/mem").open("rb", buffering=0) as file,
        pytest.raises(LocalFileError, match="data: cannot be read: Input/output error"),
    ):
        read(file, 1, shown="data")
