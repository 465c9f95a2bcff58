"""Fuzz the parser of API replies: every method of `Client`, fed with arbitrary replies.

The first part of an input names the call; each other part is one reply: a line with its status
or a way to fail, header lines, an empty line, the body. The last reply is repeated.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from typing import TYPE_CHECKING, Final

from runner.api.client import Client
from runner.batch import Batch, File
from runner.errors import ApiError, FileNotVisible, MayHaveActed
from runner.spec.project import Provider, Secret
from tests.fuzz.network import HOST, KEY, Network, Reply
from tests.fuzz.target import BETWEEN, Target, assert_readable, assert_told, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runner.api.protocol import BatchListing, FileListing

_PROVIDER: Final = Provider(
    name="lab", base_url=f"http://{HOST.decode()}/v1", api_key_env="LAB_KEY"
)
_CONTENT: Final = b'{"custom_id": "a"}\n'
_NOW: Final = 1_800_000_000.0
_LONGEST_WAITING: Final = 4 * 60.0
_MOST_PAGES: Final = 20


def check(data: bytes, folder: Path) -> str:
    """Make one call and assert that its outcome is one of the promised ones."""
    word, *parts = data.split(BETWEEN, 12)
    method = next((name for name in _METHODS if name in word), b"retrieve")
    network = Network([Reply.read(part) for part in parts or [b""]])
    naps: list[float] = []
    client = Client(
        _PROVIDER,
        Secret(KEY),
        transport=network,
        clock=lambda: _NOW,
        sleep=naps.append,
        random=lambda: 0.5,
    )
    with client:
        try:
            _METHODS[method](client, folder)
        except ApiError as error:
            _assert_error(error)
            outcome = type(error).__name__
            if isinstance(error, MayHaveActed):
                assert method in _ACTING
        else:
            outcome = "accepted"
    assert all(nap >= 0 and math.isfinite(nap) for nap in naps)
    if method in _ACTING:
        assert sum(naps) <= _LONGEST_WAITING
        for reply in network.given[:-1]:
            assert reply.proves_nothing_made, "a call that may have acted was made again"
    return outcome


def _assert_error(error: ApiError) -> None:
    assert_told(error)
    assert_readable(str(error))
    texts = [str(error), repr(error), error.code, error.param, error.request_id, error.call]
    assert not isinstance(error, FileNotVisible) or error.call == "POST /batches"
    assert error.retry_after is None or 0 <= error.retry_after < math.inf
    for text in (error.code, error.param, error.request_id):
        assert text is None or text.isprintable()
    for text in texts:
        assert KEY not in (text or ""), "the key is in a message"


def _assert_batch(batch: Batch) -> None:
    assert batch.id
    assert batch.status
    again = json.dumps(batch.raw, allow_nan=False)
    assert Batch.from_api(json.loads(again)) == batch
    assert not batch.differs(batch)
    assert not batch.behind(batch.status)
    assert batch.terminal in (True, False)
    for error in batch.errors:
        assert str(error)
    times = (batch.created_at, batch.in_progress_at, batch.expires_at, batch.completed_at)
    counts = (batch.request_counts.total, batch.request_counts.completed)
    for number in (*times, *counts):
        assert number is None or -(2**63) <= number < 2**63


def _assert_file(file: File) -> None:
    assert file.id
    assert File.from_api(json.loads(json.dumps(file.raw, allow_nan=False))) == file
    assert file.bytes is None or -(2**63) <= file.bytes < 2**63


def _upload(client: Client, folder: Path) -> None:  # noqa: ARG001
    source = io.BytesIO(_CONTENT)
    _assert_file(client.upload(source, filename="x.jsonl", size=len(_CONTENT)))


def _create(client: Client, folder: Path) -> None:  # noqa: ARG001
    batch = client.create_batch(
        input_file_id="file-1",
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"runner": "x"},
    )
    _assert_batch(batch)


def _retrieve(client: Client, folder: Path) -> None:  # noqa: ARG001
    _assert_batch(client.retrieve_batch("batch_1"))


def _cancel(client: Client, folder: Path) -> None:  # noqa: ARG001
    _assert_batch(client.cancel_batch("batch_1"))


def _file(client: Client, folder: Path) -> None:  # noqa: ARG001
    _assert_file(client.retrieve_file("file-1"))


def _delete(client: Client, folder: Path) -> None:  # noqa: ARG001
    assert client.delete_file("file-1") in (True, False)


class _Pages:
    """Stops a list after a number of pages."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, entries: Sequence[object]) -> bool:
        assert entries
        self.seen += 1
        return self.seen >= _MOST_PAGES


def _list_batches(client: Client, folder: Path) -> None:  # noqa: ARG001
    listing = client.list_batches(enough=_Pages())
    for batch in listing.batches:
        _assert_batch(batch)
    _assert_listing(listing, [batch.id for batch in listing.batches])


def _list_files(client: Client, folder: Path) -> None:  # noqa: ARG001
    listing = client.list_files(enough=_Pages())
    for file in listing.files:
        _assert_file(file)
    _assert_listing(listing, [file.id for file in listing.files])


def _assert_listing(listing: BatchListing | FileListing, names: list[str]) -> None:
    assert len(set(names)) == len(names)
    assert not (listing.complete and listing.invalid)
    assert 0 < listing.requests <= _MOST_PAGES + 1


def _download(client: Client, folder: Path) -> None:
    destination = folder / "content"
    destination.unlink(missing_ok=True)
    try:
        done = client.download("file-1", destination, expected_bytes=None)
    except ApiError:
        assert not destination.exists()
        raise
    content = destination.read_bytes()
    assert (done.bytes, done.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    destination.unlink()


_METHODS: Final[dict[bytes, Callable[[Client, Path], None]]] = {
    b"upload": _upload,
    b"create": _create,
    b"retrieve": _retrieve,
    b"cancel": _cancel,
    b"file": _file,
    b"delete": _delete,
    b"batches": _list_batches,
    b"objects": _list_files,
    b"download": _download,
}
_ACTING: Final = (b"upload", b"create")

_BATCH: Final = (
    b'200\nx-request-id: req_1\n\n{"id": "batch_1", "object": "batch", "status": "in_progress",'
    b' "created_at": 1714508499, "expires_at": 1714536634.5, "request_counts": {"total": 100,'
    b' "completed": 95, "failed": 5}, "errors": {"object": "list", "data": [{"code": "invalid",'
    b' "message": "bad", "param": null, "line": 3}]}, "metadata": {"runner": "x", "n": 1},'
    b' "output_file_id": "", "usage": {"total_tokens": 1}}'
)
_OBJECT: Final = (
    b'200\n\n{"id": "file-1", "object": "file", "bytes": 19, "created_at": 1, "filename": "x",'
    b' "purpose": "batch", "status": "processed", "deleted": true}'
)
_PAGE: Final = (
    b'200\n\n{"object": "list", "data": [{"id": "b2", "status": "completed", "created_at": 2},'
    b' {"id": "b1", "status": "failed", "created_at": 1}], "last_id": "b1", "has_more": true}'
)
_ERROR: Final = (
    b"429\nretry-after: 7\nx-request-id: req_2\n\n"
    b'{"error": {"message": "slow down sk-fuzz-0123456789abcdef", "type": "requests",'
    b' "param": null, "code": "rate_limit_exceeded"}}'
)
_DATED: Final = (
    b"503\nretry-after: Fri, 15 Jan 2027 08:00:30 GMT\ndate: Fri, 15 Jan 2027 08:00:00 GMT\n\n"
    b"<html><title>Bad gateway</title></html>"
)
_MOVED: Final = b"307\nlocation: https://cdn.example/a?sig=sk-fuzz-0123456789abcdef#x\n\n"

SEEDS: Final = (
    joined(b"retrieve", _ERROR, _DATED, b"short 200\n\n{", _BATCH),
    joined(b"create", _ERROR, b'400\n\n{"error": {"param": "input_file_id"}}', _BATCH),
    joined(b"create", b"refused", b"timeout"),
    joined(b"upload", b'401\n\n{"detail": "who?"}'),
    joined(b"upload", b"proxy", _OBJECT),
    joined(b"cancel", b'409\n\n{"error": "ended", "code": 5}', _BATCH),
    joined(b"cancel", b"200\n\n", _BATCH),
    joined(b"file", b"broken", _OBJECT),
    joined(b"delete", _DATED, b"204\n\n"),
    joined(b"delete", b"404\n\n"),
    joined(b"batches", _PAGE, _PAGE.replace(b"b", b"c"), b'200\n\n{"data": [], "has_more": false}'),
    joined(b"batches", b'200\n\n[{"id": "b"}, 3, null]', b'200\n\n{"value": null}'),
    joined(b"objects", b'422\n\n{"error": {"error": "x"}}', _OBJECT.replace(b"{", b"[{") + b"]"),
    joined(b"download", _MOVED, _MOVED, b"200\ncontent-length: 5\n\n{}\n{}"),
    joined(b"download", b"gzipped 200\ncontent-encoding: gzip\n\n{}\n{}", b"200\n\n{}\n"),
    joined(b"download", b"206\ncontent-type: text/html\n\nx", b"200\ncontent-encoding: br\n\nx"),
    joined(b"batches", b"gzipped 200\ncontent-encoding: gzip\n\n[]"),
    joined(b"retrieve", b'402\nset-cookie: a=b; expires=x\n\n{"message": "pay", "type": "t"}'),
)

WORDS: Final = (
    *_METHODS,
    *(b"200 201 202 204 300 301 302 303 307 308 400 401 402 403 404 405 408 409 410".split(b" ")),
    *(b"413 422 429 451 499 500 501 502 503 504 520 599 999".split(b" ")),
    *(b"refused timeout broken proxy short gzipped".split(b" ")),
    *(b"retry-after: date: location: content-type: content-encoding: content-length:".split(b" ")),
    *(b"x-request-id: set-cookie: transfer-encoding: gzip deflate br zstd identity".split(b" ")),
    *(b'"id" "status" "data" "value" "last_id" "has_more" "error" "message" "code"'.split(b" ")),
    *(b'"type" "param" "detail" "errors" "line" "metadata" "request_counts" "total"'.split(b" ")),
    *(b'"created_at" "bytes" "deleted" "completed" "cancelled" "input_file_id"'.split(b" ")),
    *(b'"insufficient_quota" "cannot find file" : , { } [ ] " \\'.split(b" ")),
    *(b"http:// http://127.0.0.1:9/v1/ // /\\ @ ? # [::1 xn--a %00 :99999".split(b" ")),
    KEY.encode(),
    b"<title>",
    b"</title>",
    b"<html>",
    b"Fri, 15 Jan 2027 08:00:30 GMT",
    b"Fri, 31 Feb 0000 99:99:99 -9999",
    b"\n",
    b"\n\n",
    b"\n\n{",
    _BATCH,
    _PAGE,
    _ERROR,
    BETWEEN,
)

TARGET: Final = Target(name="replies", check=check, seeds=SEEDS, words=WORDS)
