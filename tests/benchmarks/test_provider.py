"""The provider of the benchmarks, their requests, and a quick run of all cases."""

from __future__ import annotations

import io
import json
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.__main__ import main
from benchmarks.form import Form
from benchmarks.rows import Rows

if TYPE_CHECKING:
    from pathlib import Path


class InPieces(io.BytesIO):
    """A socket that gives so many bytes at a time."""

    def __init__(self, content: bytes, piece: int) -> None:
        super().__init__(content)
        self._piece = piece

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        return super().read(min(size, self._piece))


@given(
    content=st.lists(st.sampled_from([b"\r\n--mar", b"\r\n", b"--", b"row"])).map(b"".join),
    piece=st.integers(min_value=1, max_value=300),
    late=st.booleans(),
)
def test_a_form_is_read_whole_however_it_arrives(content: bytes, piece: int, late: bool) -> None:  # noqa: FBT001
    field = b'--mark\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    file = (
        b'--mark\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n'
        b"Content-Type: application/jsonl\r\n\r\n" + content + b"\r\n"
    )
    body = (file + field if late else field + file) + b"--mark--\r\n"
    stored = io.BytesIO()
    form = Form(InPieces(body, piece), len(body), b"mark")

    form.read(stored)

    assert stored.getvalue() == content
    assert form.fields == {"purpose": "batch"}
    assert form.filename == "a.jsonl"


def test_a_form_that_breaks_off_is_no_form() -> None:
    body = b'--mark\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbat'

    with pytest.raises(ConnectionResetError):
        Form(io.BytesIO(body), len(body) + 20, b"mark").read(io.BytesIO())


@pytest.mark.parametrize(
    "rows",
    [
        Rows(count=50, request_bytes=4_000, answer_bytes=1_000),
        Rows(count=50, request_bytes=450),
        Rows(count=50),
        Rows(count=50, tiny=True),
    ],
)
def test_rows_are_what_they_are_said_to_be(rows: Rows, tmp_path: Path) -> None:
    rows.write_requests(tmp_path / "input")
    rows.write_answers(tmp_path)
    lines = (tmp_path / "input").read_bytes().splitlines(keepends=True)
    answers = (tmp_path / "request-00000000.jsonl").read_bytes().splitlines(keepends=True)

    asked = [json.loads(line)["custom_id"] for line in lines]
    answered = [json.loads(line)["custom_id"] for line in answers]
    assert len(set(asked)) == rows.count
    assert answered != asked
    assert sorted(answered) == asked
    if rows.request_bytes is not None:
        assert {len(line) for line in lines} == {rows.request_bytes}
    if rows.answer_bytes is not None:
        assert {len(line) for line in answers} == {rows.answer_bytes}


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the floor is curl")


@needs_curl
@pytest.mark.parametrize(
    ("case", "shown"),
    [
        ("ten-thousand", ["| runner |", "| floor |", "| floor, no hash |", "| SDK |"]),
        (
            "cron-small",
            [
                "| runner |",
                "| floor |",
                "| runner: validating |",
                "| runner: submitting |",
                "| runner: collecting |",
                "| floor: submitting |",
                "| floor: collecting |",
            ],
        ),
        ("scan", ["| sha256sum |", "| hashlib |", "| scan |"]),
        ("polling", ["≤ 21"]),
    ],
)
def test_a_quick_look_shows_that_it_all_works(
    case: str, shown: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["--quick", "--case", case, "--scratch", str(tmp_path)])

    told = capsys.readouterr()
    assert code == 0, told.err
    assert [words for words in shown if words not in told.out] == []
    assert list(tmp_path.iterdir()) == []
