from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.inputs import scan
from runner.inputs.scan import SeenIds
from tests.inputs.writing import line, problems, read, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def weak(custom_id: str) -> int:
    """Return a hash that collides for nearly all ids."""
    return len(custom_id) - 2


def repeated(ids: list[str], hashed: Callable[[str], int]) -> dict[int, int]:
    seen = SeenIds(hashed)
    for each in ids:
        seen.add(each)
    repeated_ids, left_out = seen.repeated_ids(len(ids) + 1)
    assert left_out == 0
    found = (
        (place, repeated_ids.earlier_line(each, place)) for place, each in enumerate(ids, start=1)
    )
    return {place: earlier_line for place, earlier_line in found if earlier_line is not None}


@pytest.mark.parametrize("hashed", [hash, weak])
@given(ids=st.lists(st.text(alphabet="ab\n", max_size=3), max_size=30))
def test_it_is_exact_whatever_the_hashes(hashed: Callable[[str], int], ids: list[str]) -> None:
    expected = {
        place: ids.index(each) + 1
        for place, each in enumerate(ids, start=1)
        if ids.index(each) + 1 < place
    }
    assert repeated(ids, hashed) == expected


def test_most_inputs_need_no_second_look() -> None:
    seen = SeenIds()
    assert not seen
    for number in range(1000):
        seen.add(str(number))
    repeated_ids, left_out = seen.repeated_ids(10)
    assert seen
    assert not repeated_ids
    assert left_out == 0


def test_what_is_left_out_is_counted() -> None:
    seen = SeenIds(int)
    for number in range(100):
        seen.add(str(number))
        seen.add(str(number))
    repeated_ids, left_out = seen.repeated_ids(10)
    assert all(repeated_ids.earlier_line(str(each), 1) is None for each in range(100))
    assert sum(repeated_ids.earlier_line(str(each), 2) == 1 for each in range(100)) == 10
    assert left_out == 90


def test_the_first_use_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, line("a"), b"", line("b"), line("a"), line("a"))
    assert problems(path) == [
        f"input.jsonl:{number}: custom_id 'a' is already used in line 1: give every request an id"
        " of its own (duplicate_custom_id)"
        for number in (4, 5)
    ]


def test_an_id_is_the_same_however_it_is_escaped(tmp_path: Path) -> None:
    path = write(tmp_path, line("é"), line("?").replace(b"?", rb"\u00e9"))
    assert len(problems(path)) == 1


def test_ids_of_faulty_rows_count(tmp_path: Path) -> None:
    faulty = line("a", model="")
    messages = problems(write(tmp_path, faulty, line("a"), faulty))
    assert sum("duplicate_custom_id" in each for each in messages) == 2


def test_colliding_ids_are_not_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "SeenIds", lambda: SeenIds(weak))
    assert read(write(tmp_path, line("aa"), line("bb"), line("cc"))).requests == 3


def test_a_file_pasted_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_MAX_REPEATED", 1200)
    rows = [line(str(number)) for number in range(3000)]
    messages = problems(write(tmp_path, *rows, *rows))
    assert len(messages) == 21
    assert messages[-1].endswith(": and 2,980 more problems in this file")
