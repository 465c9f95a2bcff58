"""Parse large unusual texts: time and memory must be proportional to their size.

A text is read whole and at a quarter of its size, and the two times are compared, so that neither a
slow machine nor a busy one fails what is right.
"""

from __future__ import annotations

import time
import tracemalloc
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import TYPE_CHECKING, Final

import pytest

from runner.api.responses import decode_json, read_error_message
from runner.errors import RunnerError
from runner.inputs.scan import scan
from runner.outputs.answer_index import AnswerIndex
from runner.outputs.result_files import verify_download
from runner.spec.load import load_specs
from runner.spec.project import Limits, Secret, find_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

SIZE: Final = 128 * 1024
SMALLER: Final = 4
"""A text is compared with one that is smaller by this factor: 4 times the time is in step with the
size, 16 times is a loop within a loop."""
FACTOR: Final = 2 * SMALLER
NOTHING: Final = 0.1
"""Seconds of CPU time that say nothing: starting a parser, collecting garbage."""
TRIES: Final = 6
"""A machine that is busy with other things may spoil a measurement; never each of three."""


@cache
def _specs(smaller: int = 1) -> Mapping[str, bytes]:
    """Return specs of an unusual text by a name; `smaller` divides their size."""
    filled, numbered = partial(_filled, smaller), partial(_numbered, smaller)
    long_key = b'? "' + b"x" * (60_000 // smaller) + b'"\n: '
    return {
        "empty documents": filled(b"---\n", most=8_000),
        "keys of nothing": filled(b"?\n"),
        "keys of nothing, in a line": filled(b"?,", head=b"{", tail=b"}"),
        "values of nothing": numbered(b"k%d:\n", count=15_000),
        "items of nothing": filled(b"-\n"),
        "one key": filled(b"a: 1\n"),
        "unknown keys": numbered(b"key%dabcdefghijklmnopqrst: x\n", count=7_000),
        "tags": filled(b"!!x 1,\n", head=b"a: [", tail=b"]", most=19_000),
        "a list below a long key": filled(b"1,", head=long_key + b"[", tail=b"]", most=19_000),
        "tags below a long key": filled(b"!x 1,", head=long_key + b"[", tail=b"]", most=19_000),
        "keys below a long key": numbered(b"k%d: 1,", head=long_key + b"{", tail=b"}", count=9_000),
        "keys below long keys": numbered(
            b"k%d: 1,",
            head=b"".join(b" " * n + b"x" * (900 // smaller) + b":\n" for n in range(19))
            + b" " * 19
            + b"{",
            tail=b"}",
            count=4_000,
        ),
        "metadata": numbered(b"k%d: 1,", head=b"metadata: {", tail=b"}", count=9_000),
        "anchors": filled(b"&a 1,", head=b"[", tail=b"]"),
        "aliases": filled(b"*a,", head=b"a: &a 1\nb: [", tail=b"]"),
        "aliases of nothing": filled(b"*a,", head=b"[", tail=b"]"),
        "aliases of aliases": b"a0: &a0 [x]\n"
        + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b"*a%d," % (n - 1) * 10) for n in range(1, 12)),
        "brackets": filled(b"["),
        "braces": filled(b"{a: "),
        "dashes": filled(b"- "),
        "jobs of one name": filled(
            b"---\nname: x\nendpoint: /v1/embeddings\ninput: x\n", most=1_000
        ),
        "comments before a directive": filled(b"# x\n", tail=b"%"),
        "a quote that never ends": filled(b"\n", head=b'a: "'),
        "a number": filled(b"1_", head=b"a: "),
        "a long path": filled(b"y/", head=b"endpoint: /v1/embeddings\ninput: "),
        "a byte that is no UTF-8": filled(b"a", tail=b"\xff"),
    }


@cache
def _json(smaller: int = 1) -> Mapping[str, bytes]:
    """Return unusual JSON, and what is none, by a name; `smaller` divides its size."""
    filled = partial(_filled, smaller)
    return {
        "brackets": filled(b"["),
        "pairs of brackets": b"[" * (60_000 // smaller) + b"]" * (60_000 // smaller),
        "objects": filled(b'{"a":'),
        "quotes": filled(b'"'),
        "escapes": filled(b"\\u0041", head=b'"', tail=b'"'),
        "half pairs": filled(b"\\ud800", head=b'"', tail=b'"'),
        "backslashes": filled(b"\\", head=b'"', tail=b'"'),
        "a number": filled(b"1"),
        "a fraction": filled(b"1", head=b"0."),
        "one key": filled(b'"a":NaN,', head=b"{", tail=b'"a":1}'),
        "ids": filled(b'"custom_id": "', head=b"{"),
        "spaces": filled(b" ", head=b'{"custom_id"', tail=b":1}"),
        "short lines": filled(b"{\n", most=20_000),
        "carriage returns": filled(b"\r"),
        "no UTF-8": filled(b"\xff"),
    }


@cache
def _pages(smaller: int = 1) -> Mapping[str, bytes]:
    filled = partial(_filled, smaller)
    return {
        "titles": filled(b"<title>"),
        "titles that do not end": filled(b"<title "),
        "tags": filled(b"<"),
    }


def _filled(
    smaller: int, piece: bytes, *, head: bytes = b"", tail: bytes = b"", most: int = 10**9
) -> bytes:
    """Repeat `piece` between `head` and `tail`, up to `SIZE` or `most` times."""
    times = (SIZE // smaller - len(head) - len(tail)) // len(piece)
    return head + piece * min(times, most // smaller) + tail


def _numbered(
    smaller: int, piece: bytes, *, head: bytes = b"", tail: bytes = b"", count: int = 19_000
) -> bytes:
    return head + b"".join(piece % number for number in range(count // smaller)) + tail


LINE: Final = b'{"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": '
RESULT: Final = b'{"custom_id": "a", "response": '


def check_in_step(read: Callable[[int], object]) -> None:
    """Assert that the CPU time of `read` grows no faster than its text.

    `read` is given by what the size of its text is divided.
    """
    for tried in range(1, TRIES + 1):
        small, whole = _seconds(read, SMALLER), _seconds(read, 1)
        if whole <= FACTOR * small + NOTHING:
            return
        assert tried < TRIES, f"{whole:.2f} s, and {small:.2f} s for a {SMALLER}th of the text"


def _seconds(read: Callable[[int], object], smaller: int) -> float:
    began = time.process_time()
    read(smaller)
    return time.process_time() - began


@contextmanager
def megabytes(most: int) -> Iterator[None]:
    """Assert that the block never needs more memory."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most * 10**6, f"{peak / 10**6:.0f} MB"


@pytest.mark.parametrize("name", _specs())
def test_a_spec_takes_time_in_step_with_its_size(name: str, tmp_path: Path) -> None:
    def read(smaller: int) -> None:
        (tmp_path / "specs/a.yaml").write_bytes(_specs(smaller)[name])
        load_specs(find_project(tmp_path, {}), (), start=tmp_path)

    (tmp_path / "specs").mkdir()
    check_in_step(read)


@pytest.mark.parametrize("name", [name for name in _specs() if "below" in name])
def test_a_spec_takes_memory_in_step_with_its_size(name: str, tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/a.yaml").write_bytes(_specs()[name])
    with megabytes(40):
        load_specs(find_project(tmp_path, {}), (), start=tmp_path)


@pytest.mark.parametrize("head", [b"", LINE])
@pytest.mark.parametrize("name", _json())
def test_an_input_takes_time_in_step_with_its_size(name: str, head: bytes, tmp_path: Path) -> None:
    path = tmp_path / "input.jsonl"

    def read(smaller: int) -> None:
        path.write_bytes(head + _json(smaller)[name] + (b"}" if head else b""))
        with suppress(RunnerError):
            scan(path, shown="input.jsonl", endpoint="/v1/embeddings", limits=Limits())

    check_in_step(read)


@pytest.mark.parametrize("head", [b"", RESULT])
@pytest.mark.parametrize("name", _json())
def test_a_result_takes_time_in_step_with_its_size(name: str, head: bytes, tmp_path: Path) -> None:
    path = tmp_path / "output.jsonl"

    def read(smaller: int) -> None:
        path.write_bytes(head + _json(smaller)[name] + (b"}" if head else b""))
        assert len(AnswerIndex([(0, "a")], [path]).results.succeeded) <= 1
        verify_download(path)

    check_in_step(read)


@pytest.mark.parametrize("head", [b"", b'{"error": ', b'{"error": {"code": ', b"<title>"])
@pytest.mark.parametrize("name", [*_json(), *_pages()])
def test_a_reply_takes_time_in_step_with_its_size(name: str, head: bytes) -> None:
    def read(smaller: int) -> None:
        texts = {**_json(smaller), **_pages(smaller)}
        body = head + texts[name] + b"}" * head.count(b"{")
        assert len(read_error_message(body, Secret("sk-1")).text) <= 500
        with suppress(ValueError):
            decode_json(body)

    check_in_step(read)
