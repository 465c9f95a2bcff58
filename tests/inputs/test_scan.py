from __future__ import annotations

import bz2
import hashlib
import io
import json
import lzma
import re
from typing import TYPE_CHECKING

import pytest

from runner.errors import InputChanged, LocalFileError
from runner.inputs import reading
from runner.inputs.reading import Fingerprint
from runner.inputs.row_set import RowSet
from runner.inputs.scan import scan
from tests.inputs.writing import CHAT, ROOMY, chat, line, problems, read, write

if TYPE_CHECKING:
    from pathlib import Path


def test_a_plain_input_is_one_whole_shard(tmp_path: Path) -> None:
    path = write(tmp_path, chat("a", "m"), chat("b", "m"))
    scanned = read(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (scanned.requests, scanned.bytes) == (2, path.stat().st_size)
    assert scanned.digest == digest
    assert scanned.fingerprint == Fingerprint.of(path)
    (shard,) = scanned.shards
    assert (shard.number, shard.model, shard.rows) == (1, "m", RowSet.span(0, 2))
    assert (shard.requests, shard.bytes, shard.sha256) == (2, scanned.bytes, digest)
    assert (shard.offset, shard.ids_offset, shard.whole) == (0, 0, True)


A, B = line("a"), line("b")
PLAIN = A + b"\n" + B + b"\n"


@pytest.mark.parametrize(
    ("data", "offset", "whole"),
    [
        pytest.param(PLAIN, 0, True, id="plain"),
        pytest.param(PLAIN[:-1], 0, False, id="no-line-feed-at-the-end"),
        pytest.param(PLAIN.replace(b"\n", b"\r\n"), 0, False, id="windows"),
        pytest.param(A + b"\r\n" + B, 0, False, id="one-byte-more-one-byte-less"),
        pytest.param(A + b"\n" + B + b"\r", 0, False, id="carriage-return-at-the-end"),
        pytest.param(b"\xef\xbb\xbf" + PLAIN, 3, False, id="byte-order-mark"),
        pytest.param(b"\n \t\r\n" + A + b"\n\n" + B + b"\n\n", 5, False, id="blank-lines"),
        pytest.param(PLAIN + b" ", 0, False, id="a-blank-line-without-a-line-feed"),
    ],
)
def test_what_is_sent_does_not_hang_on_how_lines_are_set(
    tmp_path: Path,
    data: bytes,
    offset: int,
    whole: bool,  # noqa: FBT001
) -> None:
    path = tmp_path / "input.jsonl"
    path.write_bytes(data)
    scanned = read(path)
    (shard,) = scanned.shards
    assert scanned.digest == shard.sha256 == hashlib.sha256(PLAIN).hexdigest()
    assert scanned.bytes == shard.bytes == len(PLAIN)
    assert (shard.rows, shard.offset, shard.whole) == (RowSet.span(0, 2), offset, whole)


def test_two_shards_are_never_the_whole_file(tmp_path: Path) -> None:
    scanned = read(write(tmp_path, chat("a", "x"), chat("b", "y")))
    assert [shard.whole for shard in scanned.shards] == [False, False]


def test_rows_with_unusual_line_ends_inside_stay_one_row(tmp_path: Path) -> None:
    odd = chat("a", "m", "one\u2028two\u2029three\u0085four\x0bfive")
    assert odd.decode().splitlines() != [odd.decode()]
    path = write(tmp_path, odd, chat("b", "m"))
    assert read(path).requests == 2
    assert read(path).shards[0].whole


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_an_input_without_requests(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "input.jsonl"
    path.write_bytes(data)
    assert problems(path) == [
        "input.jsonl: contains no requests: write one JSON object a line (empty_file)"
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("{}\n".encode("utf-16"), "is UTF-16 or UTF-32 text: save it as UTF-8"),
        (b"\xfe\xff\0{", "is UTF-16 text: save it as UTF-8"),
        ("{}\n".encode("utf-32"), "is UTF-16 or UTF-32 text: save it as UTF-8"),
        (b"\0\0\xfe\xff\0\0\0{", "is UTF-32 text: save it as UTF-8"),
        (b"\x1f\x8b\x08\0", "is compressed with gzip: decompress it"),
        (b"\x28\xb5\x2f\xfd\0", "is compressed with zstd: decompress it"),
        (b"PK\x03\x04\0", "is a zip archive: unpack it"),
        (b"PAR1\0", "is a Parquet file: export it as JSON lines"),
    ],
)
def test_what_is_no_text_is_one_problem(tmp_path: Path, data: bytes, problem: str) -> None:
    path = tmp_path / "input.jsonl"
    path.write_bytes(data + b"\n" * 5000)
    assert problems(path) == [f"input.jsonl:1: {problem}"]


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0f1e\nsize 73114\n"
BODIES = [b'{"model": "m", "messages": [{"role": "user", "content": "%d"}]}' % n for n in range(30)]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(LFS, "Git LFS pointer.*`git lfs pull`", id="git-lfs"),
        pytest.param(b"\xef\xbb\xbf" + LFS, "Git LFS pointer", id="git-lfs-marked"),
        pytest.param(b"/annex/objects/SHA256E-s1--0\n", "`git annex get`", id="git-annex"),
        pytest.param(b"<!DOCTYPE html>\n<html>\n", "is an HTML page", id="html"),
        pytest.param(b"\n\n<html lang='en'>\n", "is an HTML page", id="html-without-type"),
        pytest.param(b'<?xml version="1.0"?>\n<Error>\n', "is XML", id="xml"),
        pytest.param(b"id,prompt\n1,hi\n", r"is a table \(CSV\)", id="csv"),
        pytest.param(b'"id","a prompt"\r\n1,hi\r\n', r"is a table \(CSV\)", id="csv-quoted"),
        pytest.param(b"id;prompt\n1;hi\n", "is a table .*semicolons", id="csv-semicolons"),
        pytest.param(b"id\tprompt\n1\thi\n", r"is a table \(TSV\)", id="tsv"),
        pytest.param(json.dumps([{"a": 1}] * 9, indent=2).encode(), r"array.*\.\[\]", id="array"),
        pytest.param(b'[{"a": 1},\n{"a": 2}]', "array over many lines", id="array-of-lines"),
        pytest.param(
            b'[{"a": 1}' + b', {"a": 2}' * 99_999 + b"]", r"array.*\.\[\]", id="array-in-one-line"
        ),
        pytest.param(json.dumps({"a": 1}, indent=2).encode(), "`jq -c .`", id="object"),
        pytest.param(b'{"a": 1,\n "b": 2}\n', "`jq -c .`", id="object-of-lines"),
        pytest.param(b"\n".join(BODIES), "only bodies.*/v1/chat/completions", id="bodies"),
        pytest.param(b'{"input": "x"}', "only bodies of requests", id="one-body"),
        pytest.param(
            b'{"id": "b", "custom_id": "a", "response": {}}\n', "results of a batch", id="results"
        ),
        pytest.param("{}\n".encode("utf-16-le"), "is UTF-16", id="utf-16-unmarked"),
        pytest.param(bz2.compress(b"{}"), "bzip2", id="bzip2"),
        pytest.param(lzma.compress(b"{}"), "xz", id="xz"),
    ],
)
def test_what_is_plainly_something_else_is_one_problem(
    tmp_path: Path, data: bytes, problem: str
) -> None:
    path = tmp_path / "input.jsonl"
    path.write_bytes(data)
    (only,) = problems(path)
    assert re.match(f"input.jsonl:1: .*{problem}", only)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([b"Hello, world", b"More, text"], id="prose"),
        pytest.param([b"id,prompt", line("a")], id="one-line-of-a-table"),
        pytest.param([b"{", line("a")], id="no-object"),
        pytest.param([BODIES[0], line("a")], id="one-body"),
        pytest.param([b"<", line("a")], id="no-page"),
        pytest.param([b"[1, 2]", b"[3]"], id="arrays"),
    ],
)
def test_what_may_be_a_slip_is_checked_line_by_line(tmp_path: Path, lines: list[bytes]) -> None:
    path = write(tmp_path, *lines, b"?")
    assert problems(path)[-1].startswith("input.jsonl:3:1: not valid JSON")


def test_places_count_blank_lines_and_characters(tmp_path: Path) -> None:
    path = write(tmp_path, b"", line("a"), b"\r", '{"é": x}'.encode())
    assert problems(path) == [
        (
            "input.jsonl:4:7: not valid JSON: expecting value; each line is one JSON object"
            " (invalid_json_line)"
        )
    ]


def test_one_bad_row_does_not_spoil_its_block(tmp_path: Path) -> None:
    # The whole block is not UTF-8: each of its rows is checked on its own.
    path = write(tmp_path, line("a"), b'"\xff"', line("b"), line("a"))
    assert [each[:14] for each in problems(path)] == ["input.jsonl:2:", "input.jsonl:4:"]


def test_a_first_row_whose_key_is_not_utf_8(tmp_path: Path) -> None:
    path = write(tmp_path, b'{"custom_id": "\xff"}', line("a"))
    assert [each[:15] for each in problems(path)] == ["input.jsonl:1:1"]


def test_twenty_problems_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    messages = problems(write(tmp_path, *[b"{"] * 2500))
    assert len(messages) == 21
    assert messages[19].startswith("input.jsonl:20:2: not valid JSON")
    assert messages[20] == "input.jsonl:21: and 2,480 more problems in this file"


def test_twenty_one_problems(tmp_path: Path) -> None:
    messages = problems(write(tmp_path, *[b"{"] * 21))
    assert messages[20] == "input.jsonl:21: and 1 more problem in this file"


def test_lines_are_shown_whole_before_the_note(tmp_path: Path) -> None:
    messages = problems(write(tmp_path, *[b'{"body": 1}'] * 600))  # four problems each
    assert len(messages) == 21
    assert messages[-1] == "input.jsonl:6: and 2,380 more problems in this file"
    messages = problems(write(tmp_path, b'{"method": "POST"}', *[b'{"body": 1}'] * 600))
    assert len(messages) == 20
    assert messages[-1] == "input.jsonl:6: and 2,384 more problems in this file"


def test_repeated_ids_are_reported_among_the_other_problems(tmp_path: Path) -> None:
    messages = problems(write(tmp_path, line("a"), b"{", line("a"), b"{", *[line("b")] * 1500))
    assert messages[0].startswith("input.jsonl:2:2: ")
    assert messages[1].startswith("input.jsonl:3: custom_id 'a' is already used in line 1")
    assert messages[2].startswith("input.jsonl:4:2: ")
    assert messages[3].startswith("input.jsonl:6: custom_id 'b' is already used in line 5")
    assert (len(messages), messages[-1]) == (
        21,
        "input.jsonl:23: and 1,482 more problems in this file",
    )


def test_a_missing_input(tmp_path: Path) -> None:
    assert problems(tmp_path / "nowhere.jsonl") == [
        "nowhere.jsonl: no such file: write it there or correct the path"
    ]


def test_ids_are_written_in_order(tmp_path: Path) -> None:
    names = ["a", 'quote"', "line\nend", "\u2028", "é", "b"]
    ids = io.BytesIO()
    path = write(tmp_path, *(chat(name, "xy"[row % 2]) for row, name in enumerate(names)))
    scanned = scan(path, shown="x", endpoint=CHAT, limits=ROOMY, ids=ids)
    written = ids.getvalue()
    assert [json.loads(each) for each in written.split(b"\n")[:-1]] == names
    for shard in scanned.shards:
        first = written[shard.ids_offset :].split(b"\n", 1)[0]
        assert json.loads(first) == names[shard.rows.first]
    assert read(path) == scanned  # whether ids are written changes nothing


def test_a_full_disk_for_ids(tmp_path: Path) -> None:
    path = write(tmp_path, line())
    with (
        open("/dev/full", "wb", buffering=0) as full,  # noqa: PTH123
        pytest.raises(LocalFileError, match="file of ids cannot be written"),
    ):
        scan(path, shown="x", endpoint=CHAT, limits=ROOMY, ids=full)


def test_progress_is_reported_in_bytes_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", 100)
    path = write(tmp_path, *(line(str(number)) for number in range(10)))
    messages: list[int] = []
    scan(path, shown="x", endpoint=CHAT, limits=ROOMY, progress=messages.append)
    assert messages == sorted(set(messages))
    assert len(messages) > 5
    assert messages[-1] == path.stat().st_size


@pytest.mark.parametrize("last", [line("b"), b"no request"], ids=["sound", "not-sound"])
def test_an_input_that_grows_while_it_is_read(tmp_path: Path, last: bytes) -> None:
    path = write(tmp_path, line("a"))

    def write_on(_: int) -> None:
        with path.open("ab") as file:
            file.write(last)

    with pytest.raises(InputChanged, match="data/x was changed while it was read"):
        scan(path, shown="data/x", endpoint=CHAT, limits=ROOMY, progress=write_on)
