"""The memory of a scan does not grow with the bytes of its input, and little with its rows."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from runner.errors import InvalidInput
from runner.inputs.reading import BLOCK_BYTES
from tests.inputs.writing import chat, read

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runner.inputs.scan import Scan


def peak(path: Path, rows: Iterable[bytes]) -> tuple[int, Scan | InvalidInput]:
    """Scan these rows; return the peak of memory in bytes, and the outcome."""
    with path.open("wb") as file:
        file.writelines(row + b"\n" for row in rows)
    tracemalloc.start()
    try:
        outcome = attempt(path)
        return tracemalloc.get_traced_memory()[1], outcome
    finally:
        tracemalloc.stop()


def attempt(path: Path) -> Scan | InvalidInput:
    try:
        return read(path)
    except InvalidInput as error:
        return error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "input.jsonl"


def test_twenty_megabytes_take_a_few_blocks(path: Path) -> None:
    held, _ = peak(path, (chat(str(row), "m", "t" * 4000) for row in range(5000)))
    assert path.stat().st_size > 20_000_000
    assert held < 8 * BLOCK_BYTES


def test_a_row_takes_eight_bytes_and_a_range_sixteen(path: Path) -> None:
    rows = 40_000
    few, _ = peak(path, (chat(str(row), "x") for row in range(rows // 4)))
    plain, _ = peak(path, (chat(str(row), "x") for row in range(rows)))
    mixed, _ = peak(path, (chat(str(row), "xy"[row % 2]) for row in range(rows)))
    assert plain - few < 16 * rows
    # Each row is a range of its own here, once in the making and once made.
    assert mixed - plain < 3 * 16 * rows


def test_problems_are_not_piled_up(path: Path) -> None:
    held, outcome = peak(path, (b"{" for _ in range(15_000)))
    assert isinstance(outcome, InvalidInput)
    assert len(outcome.problems) == 21
    assert held < 15_000 * 150
