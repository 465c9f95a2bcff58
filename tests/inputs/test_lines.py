from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.inputs import reading
from runner.inputs.reading import Block, OversizedLine, canonical_row, read_blocks

if TYPE_CHECKING:
    from pathlib import Path


def parts(path: Path, data: bytes, *, longest: int, start: int = 0) -> list[Block | OversizedLine]:
    path.write_bytes(data)
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        return list(read_blocks(file, longest=longest, shown="x"))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", 4)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lines") / "input"


alphabet = st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\xe2\x80\xa8", b"{}"]), max_size=40)


@pytest.mark.usefixtures("small_blocks")
class TestSmallBlocks:
    @given(data=alphabet.map(b"".join))
    def test_every_line_comes_once_in_order_and_in_its_place(self, path: Path, data: bytes) -> None:
        seen: list[bytes] = []
        for part in parts(path, data, longest=1000):
            assert isinstance(part, Block)
            assert part.number == len(seen) + 1
            assert data[part.offset :].startswith(part.data)
            assert b"\n".join(part.lines) + b"\n" * part.ended == part.data
            seen += part.lines
        expected = data.split(b"\n")
        if not expected[-1]:
            expected.pop()
        assert seen == expected

    @given(data=alphabet.map(b"".join), longest=st.integers(1, 12))
    def test_long_lines_are_counted_not_held(self, path: Path, data: bytes, longest: int) -> None:
        sizes: list[int] = []
        for part in parts(path, data, longest=longest):
            assert part.number == len(sizes) + 1
            if isinstance(part, OversizedLine):
                assert part.size > longest
                sizes.append(part.size)
            else:
                assert len(part.data) <= longest + 2 * reading.BLOCK_BYTES
                sizes += map(len, part.lines)
        expected = data.split(b"\n")
        if not expected[-1]:
            expected.pop()
        assert sizes == list(map(len, expected))

    def test_offsets_go_on_after_a_long_line(self, path: Path) -> None:
        data = b"a" * 30 + b"\nbb\n"
        *_, last = parts(path, data, longest=8)
        assert isinstance(last, Block)
        assert (last.lines, last.offset, last.number) == ([b"bb"], 31, 2)

    def test_a_byte_order_mark_fills_the_first_block(self, path: Path) -> None:
        (block,) = parts(path, reading.BYTE_ORDER_MARK + b"\n", longest=8)
        assert isinstance(block, Block)
        assert (block.lines, block.offset) == ([b""], 3)


def test_a_byte_order_mark_is_skipped_at_the_start_only(path: Path) -> None:
    mark = reading.BYTE_ORDER_MARK
    (block,) = parts(path, mark + b"a\n" + mark + b"b\n", longest=8)
    assert isinstance(block, Block)
    assert (block.lines, block.offset) == ([b"a", mark + b"b"], 3)
    (block,) = parts(path, b"a\n" + mark + b"b\n", longest=8, start=2)
    assert isinstance(block, Block)
    assert block.lines == [mark + b"b"]


def test_nothing_but_a_byte_order_mark_is_no_line(path: Path) -> None:
    assert parts(path, reading.BYTE_ORDER_MARK, longest=8) == []


@pytest.mark.parametrize(
    ("line", "row"),
    [
        (b"{}", b"{}"),
        (b"{}\r", b"{}"),
        (b"{}\r\r", b"{}\r"),
        (b" {} ", b" {} "),
        (b"", b""),
        (b" \t\r", b""),
        (b"\xc2\xa0", b"\xc2\xa0"),
    ],
)
def test_canonical(line: bytes, row: bytes) -> None:
    assert canonical_row(line) == row
