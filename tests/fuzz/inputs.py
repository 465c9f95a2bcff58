"""Fuzz the reader of inputs: scan, validation, extraction and the ids file.

The first part of an input contains the settings of the scan, the second is the file.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from typing import TYPE_CHECKING, Final

from runner.errors import MAX_PROBLEMS, InvalidInput
from runner.inputs import reading
from runner.inputs.custom_ids import read_custom_ids
from runner.inputs.extract import write_rows
from runner.inputs.requests import RequestReader
from runner.inputs.row_set import RowSet
from runner.inputs.scan import scan
from runner.inputs.validation import check_line
from runner.spec.project import Limits
from tests.fuzz.target import BETWEEN, Target, assert_placed, assert_told, joined

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Never

    from runner.inputs.scan import Scan
    from runner.inputs.sharding import Shard

ENDPOINTS: Final = {
    b"chat": "/v1/chat/completions",
    b"completions": "/v1/completions",
    b"responses": "/v1/responses",
    b"embeddings": "/v1/embeddings",
    b"moderations": "/v1/moderations",
    b"videos": "/v1/videos",
}
_MARK: Final = b"\xef\xbb\xbf"


def check(data: bytes, folder: Path) -> str:
    """Scan a file; extract and read again an accepted one, and check the problems of others."""
    settings, _, content = data.partition(BETWEEN)
    endpoint = next((path for word, path in ENDPOINTS.items() if word in settings), "/v1/videos")
    limits = _limits([int(number[:6]) for number in re.findall(rb"\d+", settings)])
    _agree(content, endpoint)
    path = folder / "input.jsonl"
    path.write_bytes(content)
    whole_blocks = reading.BLOCK_BYTES
    if b"small" in settings:
        reading.BLOCK_BYTES = 7  # type: ignore[misc]
    ids = io.BytesIO()
    try:
        found = scan(path, shown="input.jsonl", endpoint=endpoint, limits=limits, ids=ids)
        _assert_sound(found, path, endpoint=endpoint, limits=limits, ids=ids)
    except InvalidInput as error:
        _assert_refused(error, content)
        return assert_told(error)  # and none but InvalidInput: the file is there and stays
    finally:
        reading.BLOCK_BYTES = whole_blocks  # type: ignore[misc]
    return "accepted"


def _assert_refused(error: InvalidInput, content: bytes) -> None:
    assert 0 < len(error.problems) <= MAX_PROBLEMS + 1
    for problem in error.problems:
        assert_placed(problem, content)


def _limits(numbers: list[int]) -> Limits:
    requests, size, line, inputs, *_ = [*numbers, 0, 0, 0, 0]
    return Limits(
        max_requests=requests or 50_000,
        max_bytes=size or 200_000_000,
        max_line_bytes=line or None,
        max_embedding_inputs=inputs or 50_000,
    )


def _rows(content: bytes) -> list[bytes]:
    """Split a file into its rows in the simplest way."""
    split = content.removeprefix(_MARK).split(b"\n")
    return [line.removesuffix(b"\r") for line in split if line and not line.isspace()]


def _agree(content: bytes, endpoint: str) -> None:
    """Assert that the fast and the slow check give the same result."""
    reader = RequestReader(endpoint)
    for row in _rows(content)[:50]:
        slow = check_line(row, endpoint)
        assert (slow.request is None) == bool(slow.problems), row
        try:
            row.decode()
        except UnicodeDecodeError:
            continue
        quick = reader.read(row)
        assert quick is None or quick == slow.request, row


def _refuse(constant: str) -> Never:
    raise AssertionError(f"accepted {constant}")


def _assert_sound(
    found: Scan, path: Path, *, endpoint: str, limits: Limits, ids: io.BytesIO
) -> None:
    """Assert every promise about an accepted file."""
    content = path.read_bytes()
    rows = _rows(content)
    assert found.requests == len(rows) > 0
    canonical = b"".join(row + b"\n" for row in rows)
    assert found.bytes == len(canonical)
    assert found.digest == hashlib.sha256(canonical).hexdigest()
    requests = [
        json.loads(row, parse_constant=_refuse, parse_int=float, parse_float=float) for row in rows
    ]
    names = [request["custom_id"] for request in requests]
    assert len(set(names)) == len(names)
    assert all(request["method"] == "POST" for request in requests)
    assert all(request["url"] == endpoint for request in requests)
    written = [json.loads(line) for line in ids.getvalue().splitlines()]
    assert written == names
    everything = RowSet()
    for number, shard in enumerate(found.shards, 1):
        assert shard.number == number
        assert not everything.intersection(shard.rows)
        everything = everything.union(shard.rows)
        models = {requests[row]["body"].get("model") for row in shard.rows}
        assert models == {shard.model}
        _assert_shard(shard, path, rows=rows, limits=limits)
        again = list(
            read_custom_ids(ids, shard_offset=shard.ids_offset, rows=shard.rows, wanted=shard.rows)
        )
        assert again == [(row, names[row]) for row in shard.rows]
        if not any(rows[row].endswith(b"\r") for row in shard.rows):
            # Only one carriage return is the line's: a row with another ends in CR LF.
            _assert_read_back(shard, path, endpoint=endpoint, limits=limits)
    assert everything == RowSet.span(0, len(rows))


def _assert_shard(shard: Shard, path: Path, *, rows: list[bytes], limits: Limits) -> None:
    expected = b"".join(rows[row] + b"\n" for row in shard.rows)
    destination = io.BytesIO()
    done = write_rows(path, shard=shard, rows=shard.rows, destination=destination)
    assert destination.getvalue() == expected
    assert (done.requests, done.bytes, done.sha256) == (shard.requests, shard.bytes, shard.sha256)
    assert shard.sha256 == hashlib.sha256(expected).hexdigest()
    assert shard.requests == len(shard.rows) <= limits.max_requests
    assert shard.bytes == len(expected) <= limits.max_bytes
    assert max(len(rows[row]) for row in shard.rows) <= (limits.max_line_bytes or len(expected))
    if shard.whole:
        assert path.read_bytes() == expected
    some = RowSet.from_iterable(list(shard.rows)[::2])
    destination = io.BytesIO()
    write_rows(path, shard=shard, rows=some, destination=destination)
    assert destination.getvalue() == b"".join(rows[row] + b"\n" for row in some)


def _assert_read_back(shard: Shard, path: Path, *, endpoint: str, limits: Limits) -> None:
    """Assert that what is uploaded is, read again, one whole shard of the same rows."""
    copy = path.with_name("copy.jsonl")
    with copy.open("wb") as destination:
        write_rows(path, shard=shard, rows=shard.rows, destination=destination)
    again = scan(copy, shown="copy.jsonl", endpoint=endpoint, limits=limits)
    (only,) = again.shards
    assert only.whole
    assert again.digest == only.sha256 == shard.sha256
    assert (only.requests, only.model) == (shard.requests, shard.model)


def _line(custom_id: str, endpoint: str, body: str, *, after: str = "") -> bytes:
    head = f'{{"custom_id": "{custom_id}", "method": "POST", "url": "{endpoint}"'
    return f'{head}, "body": {body}{after}}}\n'.encode()


_CHAT = '{"model": "m", "messages": [{"role": "user", "content": "é \\u2028 \\ud83d\\ude00"}]}'

SEEDS: Final = (
    joined(b"chat", b"".join(_line(f"r-{n}", ENDPOINTS[b"chat"], _CHAT) for n in range(3))),
    joined(
        b"chat small 2 400",
        b"".join(
            _line(f"r-{n}", ENDPOINTS[b"chat"], _CHAT.replace('"m"', f'"m{n % 2}"'))
            for n in range(5)
        ),
    ),
    joined(
        b"embeddings small 3 0 200 4",
        _line("a", ENDPOINTS[b"embeddings"], '{"model": "e", "input": "x"}')
        + _line("b", ENDPOINTS[b"embeddings"], '{"model": "e", "input": ["x", "y"]}')
        + b"\n \r\n"
        + _line("c", ENDPOINTS[b"embeddings"], '{"input": [1, 2], "model": "e", "dimensions": 1e2}')
        + _line("d", ENDPOINTS[b"embeddings"], '{"input": [[1], [2]], "model": "e"}').strip(),
    ),
    joined(
        b"responses 1",
        _line("a", ENDPOINTS[b"responses"], '{"model": "m", "input": [], "stream": false}')
        + _line("b", ENDPOINTS[b"responses"], '{"model": "m", "prompt": {"id": "p"}}'),
    ),
    joined(
        b"completions",
        _MARK
        + _line("a", ENDPOINTS[b"completions"], '{"model": "m", "prompt": null}', after=', "x": 1'),
    ),
    joined(b"moderations", _line("\\u00e9", ENDPOINTS[b"moderations"], '{"input": ["x"]}')),
    joined(b"videos small", _line("a", ENDPOINTS[b"videos"], "{}") + b"\r\n\t\n"),
)

WORDS: Final = (
    *(
        b'"custom_id" "method" "url" "body" "model" "messages" "input" "prompt" "stream"'.split(
            b" "
        )
    ),
    *(b'"POST" "GET" "a" "b" "r-1" : , { } [ ] { " \\ \\u \\ud800'.split(b" ")),
    *(f'"{endpoint}"'.encode() for endpoint in ENDPOINTS.values()),
    *(b"chat embeddings small 1 2 100 300".split(b" ")),
    *(b"\xff\xfe \xfe\xff \x1f\x8b PAR1 PK\x03\x04 \x1c".split(b" ")),
    b"\n",
    b'"custom_id": "a", ',
    b', "custom_id": "z"',
    b', "body": {}',
    _line("w", ENDPOINTS[b"chat"], _CHAT),
)

TARGET: Final = Target(name="inputs", check=check, seeds=SEEDS, words=WORDS)
