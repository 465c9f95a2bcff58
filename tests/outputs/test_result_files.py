"""Reading result files: where lines begin and end, and that nothing in them stops the reading."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.errors import LocalFileError
from runner.outputs.result_files import Outcome, ResultLine, read_results, verify_download

MARK = b"\xef\xbb\xbf"


def success(custom_id: str, text: str = "hello") -> bytes:
    body = {"id": "x", "text": text}
    line = {"custom_id": custom_id, "response": {"status_code": 200, "body": body}}
    return json.dumps(line, ensure_ascii=False).encode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "output.jsonl"


def test_lines_end_at_line_feeds_alone(file: Path) -> None:
    lines = [success("a", "one\u2028two\u2029three\u0085four\x1c"), success("b", "five")]
    file.write_bytes(b"\n".join(lines) + b"\n")
    assert [line.custom_id for line in read_results(file)] == ["a", "b"]
    assert {line.outcome for line in read_results(file)} == {Outcome.SUCCEEDED}


def test_the_last_line_may_lack_its_end(file: Path) -> None:
    file.write_bytes(success("a") + b"\n" + success("b"))
    assert [line.custom_id for line in read_results(file)] == ["a", "b"]


def test_marks_blank_lines_and_carriage_returns_are_not_part_of_a_line(file: Path) -> None:
    first, second = success("a"), success("b")
    content = MARK + first + b"\r\n\n \t\r\n" + MARK + b"\n" + MARK + second
    file.write_bytes(content)
    read = list(read_results(file))
    assert [content[line.offset :][: line.length] for line in read] == [first, second]
    assert [line.outcome for line in read] == [Outcome.SUCCEEDED] * 2


def test_an_empty_file_has_no_results(file: Path) -> None:
    file.write_bytes(b"")
    assert list(read_results(file)) == []


def test_a_broken_line_is_one_lines_affair(file: Path) -> None:
    file.write_bytes(success("a")[:-5] + b"\n\xff\xfe\n" + success("b") + b"\n")
    assert [(line.custom_id, line.outcome, line.code) for line in read_results(file)] == [
        ("a", Outcome.TRANSIENT, "malformed_line"),
        (None, Outcome.TRANSIENT, "malformed_line"),
        ("b", Outcome.SUCCEEDED, None),
    ]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r" * 5 + b"\n", b"\r" * 2_000_000 + b"\n"])
@pytest.mark.parametrize("extra", [0, 1, 2, 3, 1024 * 1024, 3 * 1024 * 1024])
def test_an_endless_line_is_passed_over(file: Path, end: bytes, extra: int) -> None:
    longest = 200
    long = success("long")
    long += b" " * (longest - len(long)) + b"x" * extra
    content = success("a") + b"\n" + long + end
    if end:
        content += success("b") + b"\n"
    file.write_bytes(content)
    _, second, *rest = read_results(file, longest=longest)
    too_long = len(long + end.removesuffix(b"\n")) > longest
    assert second.custom_id == "long"
    assert (second.outcome is Outcome.SUCCEEDED) is not too_long
    assert content[second.offset :][: second.length] == long
    if too_long:
        assert second.message == "the line is longer than 200 bytes"
    assert [line.custom_id for line in rest] == (["b"] if end else [])


@pytest.mark.parametrize("mark", [b"", MARK])
@pytest.mark.parametrize("spaces", [300, 3 * 1024 * 1024])
def test_an_endless_line_is_blank_only_as_a_whole(file: Path, mark: bytes, spaces: int) -> None:
    blank = mark + b" " * spaces
    file.write_bytes(blank + b"\n" + blank + success("a") + b"\n" + blank)
    (only,) = read_results(file, longest=200)
    assert only.code == "malformed_line"


def test_a_missing_file_is_said_in_words(file: Path) -> None:
    with pytest.raises(LocalFileError, match=r"output\.jsonl cannot be read: there is no such"):
        list(read_results(file))


pieces = st.sampled_from(
    [b"\n", b"\r", b" ", MARK, success("a"), success("b")[:-3], b'"custom_id":"c"', b"\xff", b"{"]
)


@settings(deadline=None)  # the disk has its own ideas of time
@given(content=st.binary() | st.lists(pieces).map(b"".join))
@example(content=b"\r\n")
@example(content=MARK + MARK)
@example(content=b'{"custom_id":"\\ud800"')
def test_any_bytes_give_lines_at_their_true_places(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "output.jsonl"
        file.write_bytes(content)
        read = list(read_results(file))
        verify_download(file)
    assert all(isinstance(line, ResultLine) for line in read)
    expected = [part.rstrip(b"\r").removeprefix(MARK) for part in re.split(rb"\n", content)]
    assert [content[line.offset : line.offset + line.length] for line in read] == [
        part for part in expected if part.strip()
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n \n",
        success("a"),
        success("a") + b"\r\n\n",
        MARK + success("a"),
        b"cut{\n" + success("a"),
        success("a", "x" * 3_000_000),
        success("a", "\u2028" * 10),
        b'{"v":NaN}\n',
        b'{"v":"\xff"}\n',
        b'{"v":1%s}\n' % (b"0" * 5000),
    ],
    ids=range(11),
)
def test_a_whole_download_passes(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert verify_download(file) is None


@pytest.mark.parametrize(
    "content",
    [
        success("a")[:-1],
        success("a") + b"\n" + success("b", "x" * 3_000_000)[:-1],
        b"<html>\n</html>\n",
        success("a") + b"\n" + b"[" * 100_000,
    ],
    ids=range(4),
)
def test_a_download_cut_short_is_told(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert "cut short" in (verify_download(file) or "")


def test_a_download_without_line_ends_is_not_read_into_memory(file: Path) -> None:
    file.write_bytes(b"{" * 5_000_000)
    assert verify_download(file, longest=1000) == "the last line is longer than 1000 bytes"


BLOCK = 1024 * 1024
LONG = b'"' + b"x" * (BLOCK - 2) + b'"'
"""A line of JSON that is as long as what is read at once."""


@pytest.mark.parametrize("content", [b"{", b"\n{", b"1\n{"])
def test_a_download_of_one_byte_is_looked_at(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert "the last line (1 bytes) is not whole JSON" in (verify_download(file) or "")


@pytest.mark.parametrize(("longest", "fits"), [(BLOCK, True), (BLOCK - 1, False)])
def test_a_last_line_as_long_as_allowed_is_read(file: Path, longest: int, *, fits: bool) -> None:
    file.write_bytes(b"{}\n" + LONG)
    said = verify_download(file, longest=longest)
    assert said == (None if fits else f"the last line is longer than {longest} bytes")


def test_a_line_that_begins_where_the_reading_begins_is_whole(file: Path) -> None:
    file.write_bytes(b"{}\n" + b"1" * (BLOCK - 1))
    assert verify_download(file, longest=BLOCK - 1) is None


def test_a_download_that_cannot_be_read_is_no_verdict(file: Path) -> None:
    with pytest.raises(LocalFileError) as raised:
        verify_download(file)
    assert str(raised.value).startswith(f"{file} cannot be read: ")
