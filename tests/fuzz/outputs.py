"""Fuzzing the reader of results: lines, verdicts, results rows, and the final files.

The first part of an input holds the custom_ids that were asked, the others are the files that
came back.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import partial
from typing import TYPE_CHECKING, Final

from runner.inputs.row_set import RowSet
from runner.outputs.answer_index import AnswerIndex
from runner.outputs.files import ERRORS, OUTPUT
from runner.outputs.publish import AttemptFiles, ShardAnswers, prepare
from runner.outputs.result_files import (
    Outcome,
    _classify_slowly,
    classify,
    read_results,
    verify_download,
)
from tests.fuzz.target import BETWEEN, Target, assert_readable, joined

if TYPE_CHECKING:
    from pathlib import Path

    from runner.outputs.answer_index import SubmissionResults
    from runner.outputs.publish import Published

_MARK: Final = b"\xef\xbb\xbf"
_MOST_FILES: Final = 4
_SHORT_LINE: Final = 40


def check(data: bytes, folder: Path) -> str:
    """Index and publish result files, and compare the two with each other."""
    asking, *contents = data.split(BETWEEN, _MOST_FILES)
    words = asking.decode(errors="replace").split()
    names = list(dict.fromkeys(word[:600] for word in words))[:50]
    files = [folder / f"{number}.jsonl" for number in range(len(contents))]
    for path, content in zip(files, contents, strict=True):
        path.write_bytes(content)
    for path, content in zip(files, contents, strict=True):
        _assert_lines(path, content)
    results = AnswerIndex(enumerate(names), files).results
    _assert_results(results, names)
    answers = _answers(contents)
    assert [names[row] for row in results.succeeded] == [name for name in names if name in answers]
    _assert_published(folder, files, names, results)
    published = (folder / "made" / OUTPUT).read_bytes().removesuffix(b"\n")
    expected = [answers[name] for name in names if name in answers]
    assert published.split(b"\n") == (expected or [b""])
    shutil.rmtree(folder / "made")
    kinds = {
        "succeeded": results.succeeded,
        "transient": results.transient,
        "permanent": results.permanent,
    }
    return "+".join(kind for kind, rows in kinds.items() if rows) or "nothing asked"


def _answers(contents: list[bytes]) -> dict[str, bytes]:
    """Find the first success of each custom_id in the plainest way there is."""
    answers: dict[str, bytes] = {}
    for content in contents:
        for line in content.split(b"\n"):
            row = line.rstrip(b"\r").removeprefix(_MARK)
            verdict = classify(row)
            if verdict.outcome is Outcome.SUCCEEDED and verdict.custom_id is not None:
                answers.setdefault(verdict.custom_id, row)
    return answers


def _assert_lines(path: Path, content: bytes) -> None:
    lines = list(read_results(path))
    last = -1
    for line in lines:
        assert line.offset > last
        last = line.offset + line.length
        there = content[line.offset : last]
        assert len(there) == line.length > 0
        assert b"\n" not in there
        assert not there.isspace()
        assert content[last : last + 2].lstrip(b"\r")[:1] in (b"\n", b"")
        _assert_verdict(there)
    plain = [each.rstrip(b"\r").removeprefix(_MARK) for each in content.split(b"\n")]
    assert len(lines) == sum(1 for each in plain if each and not each.isspace())
    short = list(read_results(path, longest=_SHORT_LINE))
    assert [(each.offset, each.length) for each in short] == [
        (each.offset, each.length) for each in lines
    ]
    for longest in (_SHORT_LINE, 1_000_000):
        reason = verify_download(path, longest=longest)
        if reason is not None:
            assert_readable(reason)


def _assert_verdict(line: bytes) -> None:
    verdict = classify(line)
    failed = verdict.outcome is not Outcome.SUCCEEDED
    assert (verdict.code is not None) == failed
    for text in (verdict.code, verdict.message):
        if text is not None:
            assert_readable(text)
            assert len(text) <= 300
    if not failed:
        value = json.loads(line.decode(), parse_int=float)
        assert value["custom_id"] == verdict.custom_id
        assert value.get("error") is None
        assert value["response"]["body"]
    assert _classify_slowly(line) == verdict, "the quick and the slow reading differ"


def _assert_results(results: SubmissionResults, names: list[str]) -> None:
    kinds = (results.succeeded, results.transient, results.permanent)
    assert sum(map(len, kinds)) == len(names)
    assert kinds[0].union(kinds[1]).union(kinds[2]) == RowSet.span(0, len(names))
    assert not results.missing.difference(results.transient)
    answered = len(names) - len(results.missing)
    assert sum(results.codes.values()) == answered - len(results.succeeded)
    assert min(results.unknown, results.malformed, results.duplicates) >= 0
    for code, examples in results.examples.items():
        assert results.codes[code]
        assert len(examples) <= 3


def _assert_published(
    folder: Path, files: list[Path], names: list[str], results: SubmissionResults
) -> None:
    parts = 1 + len(names) % 3
    answers = tuple(
        AttemptFiles(attempt=1 + number // 2, files=tuple(files[number : number + 2]))
        for number in range(0, len(files), 2)
    )
    shards = []
    for part in range(parts):
        ids = [(row, name) for row, name in enumerate(names) if row % parts == part]
        rows = RowSet.from_iterable([row for row, _ in ids])
        shards.append(ShardAnswers(rows=rows, ids=partial(iter, ids), answers=answers))
    made = folder / "made"
    publication = prepare(made, shards)
    publication.commit(b"{}\n")
    published = publication.published
    assert published.succeeded == len(results.succeeded)
    assert published.failed == len(names) - published.succeeded
    assert sum(published.codes.values()) == published.failed
    output, errors = (made / OUTPUT).read_bytes(), (made / ERRORS).read_bytes()
    _assert_digests(published, output, errors)
    failed = RowSet.span(0, len(names)).difference(results.succeeded)
    assert _custom_ids(output) == [names[row] for row in results.succeeded]
    assert _custom_ids(errors) == [names[row] for row in failed]
    again = AnswerIndex(enumerate(names), [made / OUTPUT, made / ERRORS]).results
    assert again.succeeded == results.succeeded
    assert not again.missing
    assert not again.malformed + again.unknown + again.duplicates


def _custom_ids(content: bytes) -> list[str]:
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    return [json.loads(line, parse_int=float)["custom_id"] for line in lines]


def _assert_digests(published: Published, output: bytes, errors: bytes) -> None:
    for digest, content in ((published.output, output), (published.errors, errors)):
        assert digest.bytes == len(content)
        assert digest.lines == content.count(b"\n")
        assert digest.sha256 == hashlib.sha256(content).hexdigest()


_SUCCESS: Final = (
    b'{"id": "batch_req_1", "custom_id": "a", "response": {"status_code": 200, "request_id": "q",'
    b' "body": {"id": "c", "object": "chat.completion", "choices": [{"n": 1}]}}, "error": null}\n'
)
_FAILURE: Final = (
    b'{"id": "batch_req_2", "custom_id": "b", "response": {"status_code": 429, "body": {"error":'
    b' {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}},'
    b' "error": null}\n'
)
_EXPIRED: Final = (
    b'{"id": "batch_req_3", "custom_id": "c", "response": null, "error": {"code": "batch_expired",'
    b' "message": "This request could not be executed."}}\n'
)
_ODD: Final = (
    b'{"custom_id": "d", "response": {"status_code": "400", "body": {"detail": "no"}}}\n'
    b'{"custom_id": "a", "response": {"status_code": 200.0, "body": {"x": 1}}, "error": null}\n'
    b'{"custom_id": "b", "error": {"error": {"error_code": 503, "detail": "busy"}}}\n'
    b'{"custom_id": "c", "response": {"status_code": 200, "body": {}}, "error": ""}\n'
    b'{"custom_id": "e", "response": {"status_code": 200, "body": {"id": 1, "error": "bad"}}}\n'
    b'{"custom_id": "f", "response": {}, "error": "rate_limit"}\n'
)

SEEDS: Final = (
    joined(b"a b c", _SUCCESS + _EXPIRED, _FAILURE),
    joined(b"a b c d e f g", _ODD, _SUCCESS.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + _FAILURE),
    joined(b"a b", _SUCCESS + _SUCCESS, b"", b"\n \n", _FAILURE[:90]),
    joined(b"a c", _EXPIRED + _SUCCESS.replace(b'"c"', b'"\xe2\x80\xa8\\ud83d\\ude00"').strip()),
    joined("é \u200b x".encode(), _SUCCESS.replace(b'"a"', '"é"'.encode())),
)

WORDS: Final = (
    *(b'"custom_id" "response" "error" "status_code" "body" "code" "message" "type"'.split(b" ")),
    *(b'"id" "object" "detail" "error_code" "error_message" "a" "b" "c" "d"'.split(b" ")),
    *(b"200 299 300 400 404 408 409 429 499 500 503 599 600 999 1000 -1 200.0 2e2".split(b" ")),
    *(b'"200" "429" "server_error" "batch_expired" "malformed_line" "Throttling.Rate"'.split(b" ")),
    *(b': , { } [ ] " \\ \\u0000 \\ud800 \\udc00 \x1c'.split(b" ")),
    b"\n",
    b'"custom_id": "a", ',
    b', "custom_id": "b"',
    b', "error": {"code": "x", "message": "y"}',
    b'"message": "\\u001b[2J\\u0007"',
    _SUCCESS,
    _FAILURE,
)

TARGET: Final = Target(name="outputs", check=check, seeds=SEEDS, words=WORDS)
