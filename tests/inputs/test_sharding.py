"""The properties of sharding, for any rows and limits."""

from __future__ import annotations

import hashlib
import io
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.inputs import reading
from runner.inputs.extract import write_rows
from runner.inputs.row_set import RowSet
from runner.spec.project import Limits
from tests.inputs.writing import EMBEDDINGS, chat, line, read, write

if TYPE_CHECKING:
    from pathlib import Path

    from runner.inputs.scan import Scan


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shards")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", 300)


def shapes(scanned: Scan) -> list[tuple[str | None, str]]:
    return [(shard.model, str(shard.rows)) for shard in scanned.shards]


def models(folder: Path, names: str, limits: Limits) -> list[tuple[str | None, str]]:
    rows = (chat(str(number), name) for number, name in enumerate(names))
    return shapes(read(write(folder, *rows), limits=limits))


@pytest.mark.parametrize(
    ("names", "most", "expected"),
    [
        pytest.param("xxxxx", 5, [("x", "0-4")], id="full"),
        pytest.param("xxxxx", 2, [("x", "0-1"), ("x", "2-3"), ("x", "4")], id="by-count"),
        pytest.param("xyxyx", 9, [("x", "0,2,4"), ("y", "1,3")], id="by-model"),
        pytest.param("xyyxx", 2, [("x", "0,3"), ("y", "1-2"), ("x", "4")], id="numbered-by-row"),
    ],
)
def test_who_goes_where(
    folder: Path, names: str, most: int, expected: list[tuple[str, str]]
) -> None:
    assert models(folder, names, Limits(max_requests=most)) == expected


def test_by_bytes(folder: Path) -> None:
    row = chat("0", "x")
    limits = Limits(max_bytes=2 * (len(row) + 1))
    assert models(folder, "xxx", limits) == [("x", "0-1"), ("x", "2")]


def test_by_embedding_inputs(folder: Path) -> None:
    rows = [
        line(str(number), EMBEDDINGS, model="m", input=["t"] * count)
        for number, count in enumerate([2, 2, 3, 1, 1])
    ]
    scanned = read(write(folder, *rows), EMBEDDINGS, Limits(max_embedding_inputs=4))
    assert shapes(scanned) == [("m", "0-1"), ("m", "2-3"), ("m", "4")]


def test_rows_without_a_model_go_together(folder: Path) -> None:
    url = "/v1/moderations"
    rows = [
        line("a", url, input="t"),
        line("b", url, input="t", model="m"),
        line("c", url, input=""),
    ]
    assert shapes(read(write(folder, *rows), url)) == [(None, "0,2"), ("m", "1")]


some_rows = st.lists(
    st.tuples(
        st.sampled_from("xyz"), st.integers(0, 400), st.sampled_from([b"\n", b"\r\n", b"\n \n"])
    ),
    min_size=1,
    max_size=40,
)
some_limits = st.builds(
    Limits,
    max_requests=st.integers(1, 12),
    max_bytes=st.integers(700, 3000),
)


@given(some_rows, some_limits, st.booleans())
def test_the_laws(
    folder: Path,
    rows: list[tuple[str, int, bytes]],
    limits: Limits,
    marked: bool,  # noqa: FBT001
) -> None:
    canonical = [chat(str(row), name, "t" * size) for row, (name, size, _) in enumerate(rows)]
    path = folder / "laws.jsonl"
    path.write_bytes(
        b"\xef\xbb\xbf" * marked
        + b"".join(row + end for row, (*_, end) in zip(canonical, rows, strict=True))
    )
    scanned = read(path, limits=limits)

    # The digest is that of the rows, whatever the limits.
    everything = b"".join(row + b"\n" for row in canonical)
    assert scanned.digest == hashlib.sha256(everything).hexdigest()
    assert (scanned.requests, scanned.bytes) == (len(rows), len(everything))

    # Every row is in exactly one shard, with its own model, and shards are numbered by first row.
    assert sorted(row for shard in scanned.shards for row in shard.rows) == list(range(len(rows)))
    assert all(rows[row][0] == shard.model for shard in scanned.shards for row in shard.rows)
    assert [shard.number for shard in scanned.shards] == list(range(1, len(scanned.shards) + 1))
    firsts = [shard.rows.first for shard in scanned.shards]
    assert firsts == sorted(firsts)

    for shard in scanned.shards:
        # Cutting a shard gives exactly what was promised, within the limits.
        out = io.BytesIO()
        done = write_rows(path, shard=shard, rows=shard.rows, destination=out)
        assert out.getvalue() == b"".join(canonical[row] + b"\n" for row in shard.rows)
        assert done.requests == shard.requests == len(shard.rows) <= limits.max_requests
        assert done.bytes == shard.bytes == len(out.getvalue()) <= limits.max_bytes
        assert done.sha256 == shard.sha256 == hashlib.sha256(out.getvalue()).hexdigest()
        assert not shard.whole or out.getvalue() == path.read_bytes()

    # No shard is begun while the one before it of the same model has room.
    for name in "xyz":
        mine = [shard for shard in scanned.shards if shard.model == name]
        for shard, following in pairwise(mine):
            size = len(canonical[following.rows.first]) + 1
            assert shard.requests == limits.max_requests or shard.bytes + size > limits.max_bytes

    assert read(path, limits=limits) == scanned
    whole = len(scanned.shards) == 1 and path.read_bytes() == everything
    assert [shard.whole for shard in scanned.shards] == [whole] * len(scanned.shards)


@given(some_rows, some_limits, st.data())
def test_some_rows_of_a_shard(
    folder: Path, rows: list[tuple[str, int, bytes]], limits: Limits, data: st.DataObject
) -> None:
    canonical = [chat(str(row), name, "t" * size) for row, (name, size, _) in enumerate(rows)]
    path = write(folder, *canonical)
    shard = data.draw(st.sampled_from(read(path, limits=limits).shards))
    wanted = RowSet.from_iterable(data.draw(st.sets(st.sampled_from(list(shard.rows)))))
    out = io.BytesIO()
    done = write_rows(path, shard=shard, rows=wanted, destination=out)
    assert out.getvalue() == b"".join(canonical[row] + b"\n" for row in wanted)
    assert done.requests == len(wanted)
    assert done.sha256 == hashlib.sha256(out.getvalue()).hexdigest()


def test_every_row_may_ask_another_model(folder: Path) -> None:
    names = [str(number) for number in range(500)]
    path = write(folder, *(chat(name, name) for name in names))
    shards = read(path).shards
    assert [(shard.model, str(shard.rows)) for shard in shards] == [(each, each) for each in names]
    data = path.read_bytes()
    for shard in shards:
        row = data[shard.offset : shard.offset + shard.bytes]
        assert shard.sha256 == hashlib.sha256(row).hexdigest()
