from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from runner.local.rows import read_rows
from tests.local.support import chat_line, jsonl

TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=60), min_size=1, max_size=20)


@given(texts=TEXTS, most=st.integers(1, 7), size=st.integers(1, 1000), newline=st.booleans())
def test_however_it_is_cut_each_row_comes_once(
    texts: list[str], most: int, size: int, *, newline: bool
) -> None:
    content = jsonl(chat_line(f"{place}:{text}", text) for place, text in enumerate(texts))
    content = content if newline else content[:-1]
    source, offset, ids = io.BytesIO(content), 0, []
    while offset < len(content):
        rows = list(read_rows(source, offset, most=most, size=size))
        assert 1 <= len(rows) <= most
        assert rows[0].offset == offset
        assert rows[-1].offset - offset < size
        offset = rows[-1].end
        ids += [row.custom_id for row in rows]
    assert ids == [f"{place}:{text}" for place, text in enumerate(texts)]
