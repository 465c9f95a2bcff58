"""Lines that name no request, with the custom_ids of the requests at their places."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from runner.files import part_of
from runner.outputs.by_order import (
    by_order_name,
    is_made_of,
    match_by_order,
    unknown_names,
    write_by_order,
)
from runner.outputs.files import FileRejected
from runner.outputs.result_files import Outcome, classify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

IDS = ("a", "b", "c")
BODY = '"response": {"status_code":200 , "body": {"id":"\\u00e9", "x":[1.0, 12345678901234567890]}}'
PLAIN = f"{{{BODY}}}"


def named(custom_id: object) -> str:
    return f'{{"id": "l", "custom_id": {json.dumps(custom_id)}, {BODY}, "error": null}}'


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "0001-1.output.jsonl"


def written(source: Path, lines: Sequence[str]) -> Path:
    source.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return source


def test_the_name_is_that_of_the_output_file() -> None:
    assert by_order_name("raw/0012-3.output.jsonl") == "raw/0012-3.by-order.jsonl"


def test_every_member_but_the_id_keeps_its_bytes(source: Path) -> None:
    lines = list(match_by_order(written(source, [PLAIN, named(None), named("gw-c")]), IDS))

    value = BODY.partition(": ")[2].encode()
    assert lines == [
        b'{"response":' + value + b',"custom_id":"a"}',
        b'{"id":"l","custom_id":"b","response":' + value + b',"error":null}',
        b'{"id":"l","custom_id":"c","response":' + value + b',"error":null}',
    ]
    assert {classify(line).outcome for line in lines} == {Outcome.SUCCEEDED}


def test_lines_that_name_their_request_stay_out(source: Path) -> None:
    lines = list(match_by_order(written(source, [named("a"), PLAIN, "", named("c")]), IDS))
    assert [classify(line).custom_id for line in lines] == ["b"]


def test_an_id_of_any_characters_is_written(source: Path) -> None:
    strange = ('"\\\n', "é\u2028", "\ud800")
    lines = list(match_by_order(written(source, [PLAIN] * 3), strange))
    assert [classify(line).custom_id for line in lines] == list(strange)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([PLAIN] * 2, "has 2 lines for 3 requests"),
        ([PLAIN] * 4, "has 4 lines for 3 requests"),
        ([], "has 0 lines for 3 requests"),
        ([PLAIN, named("a"), PLAIN], "contradicts the order: its line 2 is of a, which is req"),
        ([named("a"), PLAIN, named("a")], "its line 3 is of a, which is request 1"),
        ([PLAIN, "<html>", PLAIN], "has no JSON object in line 2"),
        ([PLAIN, PLAIN, "[1]"], "has no JSON object in line 3"),
        ([PLAIN, PLAIN, '{"error": {"message": "no"}}'], "has no result of a request in line 3"),
        ([PLAIN, PLAIN, '{"response": null}'], "has no result of a request in line 3"),
    ],
)
def test_a_file_that_cannot_be_in_order_is_rejected(
    source: Path, lines: Sequence[str], words: str
) -> None:
    with pytest.raises(FileRejected, match=words):
        list(match_by_order(written(source, lines), IDS))


def test_a_line_that_is_no_utf8_is_rejected(source: Path) -> None:
    source.write_bytes(PLAIN.replace("\\u00e9", "X").encode().replace(b"X", b"\xff") + b"\n")
    with pytest.raises(FileRejected, match="has no result of a request in line 1"):
        list(match_by_order(source, ["a"]))


def test_the_file_is_written_whole_or_not_at_all(source: Path) -> None:
    target = source.with_name("matched")
    digest = write_by_order(written(source, [PLAIN, named("b"), PLAIN]), target, IDS)
    content = target.read_bytes()
    assert (digest.bytes, digest.lines) == (len(content), 2)
    assert digest.sha256 == hashlib.sha256(content).hexdigest()

    part_of(target).write_bytes(b"of an earlier process")
    with pytest.raises(FileRejected):
        write_by_order(written(source, [PLAIN, "x", PLAIN]), target, IDS)
    assert target.read_bytes() == content
    assert sorted(path.name for path in source.parent.iterdir()) == [source.name, "matched"]


def test_names_of_other_requests_are_found(source: Path) -> None:
    written(source, [named("a"), named("z"), PLAIN, named(None), "{broken"])
    assert unknown_names(source, IDS) == {"z"}


def test_what_is_made_of_a_file_keeps_its_lines_and_their_order(source: Path) -> None:
    other = '{"response":{"status_code":200,"body":{"id":"other"}}}'
    target = source.with_name("matched")
    write_by_order(written(source, [PLAIN, named("b"), other]), target, IDS)
    assert is_made_of(target, source)
    first, second = target.read_bytes().splitlines(keepends=True)
    for content in (second + first, first + first, first + second.replace(b"other", b"OTHER")):
        target.write_bytes(content)
        assert not is_made_of(target, source)
    target.write_bytes(first.replace(b'"a"', b'"z"'))
    assert is_made_of(target, source)
