"""Parse large unusual texts: time and memory must be proportional to their size.

Each text is so large that one loop over it takes a tenth of the allowed time, and a loop for each
of its words or lines ten times that.
"""

from __future__ import annotations

import time
import tracemalloc
from contextlib import contextmanager, suppress
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
    from collections.abc import Iterator
    from pathlib import Path

SIZE: Final = 128 * 1024


def _filled(piece: bytes, *, head: bytes = b"", tail: bytes = b"", most: int = 10**9) -> bytes:
    """Repeat `piece` between `head` and `tail`, up to `SIZE` or `most` times."""
    times = (SIZE - len(head) - len(tail)) // len(piece)
    return head + piece * min(times, most) + tail


def _numbered(piece: bytes, *, head: bytes = b"", tail: bytes = b"", count: int = 19_000) -> bytes:
    return head + b"".join(piece % number for number in range(count)) + tail


LONG_KEY: Final = b'? "' + b"x" * 60_000 + b'"\n: '
SPECS: Final = {
    "empty documents": _filled(b"---\n", most=8_000),
    "keys of nothing": _filled(b"?\n"),
    "keys of nothing, in a line": _filled(b"?,", head=b"{", tail=b"}"),
    "values of nothing": _numbered(b"k%d:\n", count=15_000),
    "items of nothing": _filled(b"-\n"),
    "one key": _filled(b"a: 1\n"),
    "unknown keys": _numbered(b"key%dabcdefghijklmnopqrst: x\n", count=7_000),
    "tags": _filled(b"!!x 1,\n", head=b"a: [", tail=b"]", most=19_000),
    "a list below a long key": _filled(b"1,", head=LONG_KEY + b"[", tail=b"]", most=19_000),
    "tags below a long key": _filled(b"!x 1,", head=LONG_KEY + b"[", tail=b"]", most=19_000),
    "keys below a long key": _numbered(b"k%d: 1,", head=LONG_KEY + b"{", tail=b"}", count=9_000),
    "keys below long keys": _numbered(
        b"k%d: 1,",
        head=b"".join(b" " * n + b"x" * 900 + b":\n" for n in range(19)) + b" " * 19 + b"{",
        tail=b"}",
        count=4_000,
    ),
    "metadata": _numbered(b"k%d: 1,", head=b"metadata: {", tail=b"}", count=9_000),
    "anchors": _filled(b"&a 1,", head=b"[", tail=b"]"),
    "aliases": _filled(b"*a,", head=b"a: &a 1\nb: [", tail=b"]"),
    "aliases of nothing": _filled(b"*a,", head=b"[", tail=b"]"),
    "aliases of aliases": b"a0: &a0 [x]\n"
    + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b"*a%d," % (n - 1) * 10) for n in range(1, 12)),
    "brackets": _filled(b"["),
    "braces": _filled(b"{a: "),
    "dashes": _filled(b"- "),
    "jobs of one name": _filled(b"---\nname: x\nendpoint: /v1/embeddings\ninput: x\n", most=1_000),
    "comments before a directive": _filled(b"# x\n", tail=b"%"),
    "a quote that never ends": _filled(b"\n", head=b'a: "'),
    "a number": _filled(b"1_", head=b"a: "),
    "a long path": _filled(b"y/", head=b"endpoint: /v1/embeddings\ninput: "),
    "a byte that is no UTF-8": _filled(b"a", tail=b"\xff"),
}
LINE: Final = b'{"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": '
RESULT: Final = b'{"custom_id": "a", "response": '
JSON: Final = {
    "brackets": _filled(b"["),
    "pairs of brackets": b"[" * 60_000 + b"]" * 60_000,
    "objects": _filled(b'{"a":'),
    "quotes": _filled(b'"'),
    "escapes": _filled(b"\\u0041", head=b'"', tail=b'"'),
    "half pairs": _filled(b"\\ud800", head=b'"', tail=b'"'),
    "backslashes": _filled(b"\\", head=b'"', tail=b'"'),
    "a number": _filled(b"1"),
    "a fraction": _filled(b"1", head=b"0."),
    "one key": _filled(b'"a":NaN,', head=b"{", tail=b'"a":1}'),
    "ids": _filled(b'"custom_id": "', head=b"{"),
    "spaces": _filled(b" ", head=b'{"custom_id"', tail=b":1}"),
    "short lines": _filled(b"{\n", most=20_000),
    "carriage returns": _filled(b"\r"),
    "no UTF-8": _filled(b"\xff"),
}
PAGES: Final = {
    "titles": _filled(b"<title>"),
    "titles that do not end": _filled(b"<title "),
    "tags": _filled(b"<"),
}


@contextmanager
def seconds(most: float) -> Iterator[None]:
    """Assert that the block takes at most this much CPU time of the process."""
    began = time.process_time()
    yield
    spent = time.process_time() - began
    assert spent < most, f"{spent:.1f} s"


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


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_takes_time_in_step_with_its_size(name: str, tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/a.yaml").write_bytes(SPECS[name])
    with seconds(2.5):
        load_specs(find_project(tmp_path, {}), (), start=tmp_path)


@pytest.mark.parametrize("name", [name for name in SPECS if "below" in name])
def test_a_spec_takes_memory_in_step_with_its_size(name: str, tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/a.yaml").write_bytes(SPECS[name])
    with megabytes(40):
        load_specs(find_project(tmp_path, {}), (), start=tmp_path)


@pytest.mark.parametrize("head", [b"", LINE])
@pytest.mark.parametrize("name", JSON)
def test_an_input_takes_time_in_step_with_its_size(name: str, head: bytes, tmp_path: Path) -> None:
    path = tmp_path / "input.jsonl"
    path.write_bytes(head + JSON[name] + (b"}" if head else b""))
    with seconds(2), suppress(RunnerError):
        scan(path, shown="input.jsonl", endpoint="/v1/embeddings", limits=Limits())


@pytest.mark.parametrize("head", [b"", RESULT])
@pytest.mark.parametrize("name", JSON)
def test_a_result_takes_time_in_step_with_its_size(name: str, head: bytes, tmp_path: Path) -> None:
    path = tmp_path / "output.jsonl"
    path.write_bytes(head + JSON[name] + (b"}" if head else b""))
    with seconds(2):
        assert len(AnswerIndex([(0, "a")], [path]).results.succeeded) <= 1
        verify_download(path)


@pytest.mark.parametrize("head", [b"", b'{"error": ', b'{"error": {"code": ', b"<title>"])
@pytest.mark.parametrize("name", [*JSON, *PAGES])
def test_a_reply_takes_time_in_step_with_its_size(name: str, head: bytes) -> None:
    body = head + {**JSON, **PAGES}[name] + b"}" * head.count(b"{")
    with seconds(1):
        assert len(read_error_message(body, Secret("sk-1")).text) <= 500
        with suppress(ValueError):
            decode_json(body)
