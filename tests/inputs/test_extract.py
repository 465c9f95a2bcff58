from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from runner.errors import InputChanged, InvalidInput, LocalFileError
from runner.inputs.custom_ids import read_custom_ids
from runner.inputs.extract import write_rows
from runner.inputs.row_set import RowSet
from runner.inputs.scan import scan
from tests.inputs.writing import CHAT, ROOMY, chat, line, read, write

if TYPE_CHECKING:
    from pathlib import Path

    from runner.inputs.scan import Scan


def test_nothing_is_cut_from_a_shard(tmp_path: Path) -> None:
    path = write(tmp_path, line("a"))
    (shard,) = read(path).shards
    out = io.BytesIO()
    done = write_rows(path, shard=shard, rows=RowSet(), destination=out)
    assert (done.requests, done.bytes, out.getvalue()) == (0, 0, b"")


def test_a_row_of_another_shard_cannot_be_cut(tmp_path: Path) -> None:
    path = write(tmp_path, chat("a", "x"), chat("b", "y"))
    first, _ = read(path).shards
    with pytest.raises(ValueError, match="some rows are not in the shard"):
        write_rows(path, shard=first, rows=RowSet.span(0, 2), destination=io.BytesIO())


def test_rows_that_run_out(tmp_path: Path) -> None:
    path = write(tmp_path, line("a"), line("b"))
    (shard,) = read(path).shards
    write(tmp_path, line("a"))
    with pytest.raises(InputChanged, match="fewer rows"):
        write_rows(path, shard=shard, rows=shard.rows, destination=io.BytesIO())


def test_another_file_than_was_validated(tmp_path: Path) -> None:
    path = write(tmp_path, line("a"))
    scanned = read(path)
    path.rename(tmp_path / "old")
    write(tmp_path, line("b"))
    out = io.BytesIO()
    with pytest.raises(InputChanged, match="data/x was changed since it was validated"):
        write_rows(
            path,
            shard=scanned.shards[0],
            rows=RowSet.span(0, 1),
            destination=out,
            shown="data/x",
            expected=scanned.fingerprint,
        )
    assert out.getvalue() == b""


def test_a_missing_input(tmp_path: Path) -> None:
    path = write(tmp_path, line("a"))
    (shard,) = read(path).shards
    path.unlink()
    with pytest.raises(InvalidInput, match="no such file"):
        write_rows(path, shard=shard, rows=shard.rows, destination=io.BytesIO())


def test_a_full_disk(tmp_path: Path) -> None:
    path = write(tmp_path, line("a"))
    (shard,) = read(path).shards
    with (
        open("/dev/full", "wb", buffering=0) as full,  # noqa: PTH123
        pytest.raises(LocalFileError, match="a shard cannot be written"),
    ):
        write_rows(path, shard=shard, rows=shard.rows, destination=full)


NAMES = ["a", "line\nend", "\u2028", "é", "b", "c"]


@pytest.fixture
def ids() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
def scanned(tmp_path: Path, ids: io.BytesIO) -> Scan:
    rows = (chat(name, "xy"[row in (1, 2, 4)]) for row, name in enumerate(NAMES))
    path = write(tmp_path, *rows)
    return scan(path, shown="x", endpoint=CHAT, limits=ROOMY, ids=ids)


def test_ids_of_a_shard(scanned: Scan, ids: io.BytesIO) -> None:
    for shard in scanned.shards:
        found = read_custom_ids(ids, shard_offset=shard.ids_offset, rows=shard.rows, wanted=None)
        assert list(found) == [(row, NAMES[row]) for row in shard.rows]


@pytest.mark.parametrize("wanted", ["", "2", "4", "1,4", "0-3"])
def test_ids_of_some_rows(scanned: Scan, ids: io.BytesIO, wanted: str) -> None:
    shard = scanned.shards[1]
    rows = RowSet.parse(wanted)
    found = read_custom_ids(ids, shard_offset=shard.ids_offset, rows=shard.rows, wanted=rows)
    assert list(found) == [(row, NAMES[row]) for row in (1, 2, 4) if row in rows]


def test_ids_that_run_out(scanned: Scan, ids: io.BytesIO) -> None:
    shard = replace(scanned.shards[0], rows=RowSet.span(0, 9))
    with pytest.raises(LocalFileError, match="file of ids ends at row 6, before row 8"):
        list(read_custom_ids(ids, shard_offset=0, rows=shard.rows, wanted=None))


def test_a_file_that_holds_no_ids() -> None:
    with pytest.raises(LocalFileError, match="file of ids cannot be read"):
        list(
            read_custom_ids(io.BytesIO(b"7\n"), shard_offset=0, rows=RowSet.span(0, 1), wanted=None)
        )
