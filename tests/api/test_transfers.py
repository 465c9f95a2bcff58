"""Uploading and downloading the content of files."""

from __future__ import annotations

import email
import email.policy
import gzip
import hashlib
import io
import os
import resource
import tracemalloc
from typing import TYPE_CHECKING

import httpx
import pytest

from runner.api.transfers import CHUNK_BYTES
from runner.errors import (
    LocalFileError,
    NotFound,
    Rejected,
    Transient,
    Unauthorized,
    UnexpectedReply,
)
from tests.api.scripted import KEY, answer, chunked, drop, file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.api.scripted import Handler, Received, Server, World

LINES = b'{"custom_id": "a"}\n{"custom_id": "b\xe2\x80\xa8"}\n'


def parts(request: Received) -> list[tuple[str, str | None, str | None, object]]:
    """Read a form as another program would: name, file name, content type, bytes."""
    head = b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
    message = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    return [
        (
            str(part.get_param("name", header="content-disposition")),
            part.get_filename(),
            part["content-type"],
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    ]


def test_the_form_is_the_one_every_dialect_accepts(world: World) -> None:
    world.server.will(answer(200, file(bytes=len(LINES))))
    stored = world.client().upload(io.BytesIO(LINES), filename="a/b/1/1.jsonl", size=len(LINES))
    assert stored.bytes == len(LINES)
    request = world.server.received[0]
    assert (request.method, request.path) == ("POST", "/v1/files")
    assert request.headers["content-length"] == str(len(request.body))
    assert "transfer-encoding" not in request.headers
    assert parts(request) == [
        ("purpose", None, None, b"batch"),
        ("file", "a/b/1/1.jsonl", "application/jsonl", LINES),
    ]


def test_a_file_name_cannot_break_out_of_its_header(world: World) -> None:
    world.server.will(answer(200, file()))
    world.client().upload(io.BytesIO(b"x"), filename='a"\r\nX: y.jsonl', size=1)
    assert parts(world.server.received[0])[1][1] == "a%22%0D%0AX: y.jsonl"


def test_a_source_is_read_from_where_it_stands(world: World, tmp_path: Path) -> None:
    path = tmp_path / "input.jsonl"
    path.write_bytes(b"not this\n" + LINES)
    world.server.will(answer(429), answer(200, file()))
    with path.open("rb") as source:
        source.seek(9)
        world.client().upload(source, filename="k.jsonl", size=len(LINES))
    assert [parts(one)[1][3] for one in world.server.received] == [LINES, LINES]


def test_an_empty_source_makes_an_empty_part(world: World) -> None:
    world.server.will(answer(200, file()))
    world.client().upload(io.BytesIO(), filename="k.jsonl", size=0)
    assert parts(world.server.received[0])[1][3] == b""


@pytest.mark.parametrize(
    ("size", "words"), [(len(LINES) + 1, "1 bytes short"), (len(LINES) - 1, "longer than")]
)
def test_a_source_of_another_size_is_never_a_whole_upload(
    world: World, size: int, words: str
) -> None:
    world.server.will(answer(200, file()))
    with pytest.raises(LocalFileError, match=words):
        world.client().upload(io.BytesIO(LINES), filename="k.jsonl", size=size)
    world.server.over.wait(0.1)
    for request in world.server.received:
        assert len(request.body) < int(request.headers["content-length"])


def test_a_source_that_cannot_be_read_is_a_local_error(world: World) -> None:
    class Bad(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(LocalFileError, match=r"k\.jsonl cannot be read for upload"):
        world.client().upload(Bad(b"x"), filename="k.jsonl", size=1)


def test_a_source_that_cannot_be_gone_back_to_is_refused(world: World) -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as source, os.fdopen(write, "wb"), pytest.raises(LocalFileError):
        world.client().upload(source, filename="k.jsonl", size=1)
    with pytest.raises(LocalFileError):
        world.client().upload(source, filename="k.jsonl", size=1)
    assert world.server.received == []


def test_progress_counts_bytes_and_starts_over_with_a_new_try(world: World) -> None:
    size = 2 * CHUNK_BYTES + 1
    told: list[int] = []
    world.server.will(answer(429), answer(200, file()))
    world.client().upload(io.BytesIO(bytes(size)), filename="k", size=size, progress=told.append)
    assert told == [CHUNK_BYTES, 2 * CHUNK_BYTES, size] * 2


def test_a_refusal_before_the_body_is_read_is_heard_where_the_connection_lets_it(
    world: World,
) -> None:
    def early(handler: Handler) -> None:
        answer(413, {"error": {"message": "too large"}}, then_close=True)(handler)

    world.server.will(early)
    with pytest.raises(Rejected, match="too large"):
        world.client().upload(io.BytesIO(LINES), filename="k.jsonl", size=len(LINES))


def test_an_upload_holds_a_piece_of_the_file_at_a_time(world: World, tmp_path: Path) -> None:
    size = 16 * 1024 * 1024
    path = tmp_path / "input.jsonl"
    with path.open("wb") as source:
        source.truncate(size)

    def sink(handler: Handler) -> None:
        left = int(handler.headers["content-length"])
        while left:
            left -= len(handler.rfile.read(min(65536, left)))
        answer(200, file())(handler)

    sink.before_reading = True  # type: ignore[attr-defined]
    world.server.will(sink)
    with path.open("rb") as upload:
        tracemalloc.start()
        world.client().upload(upload, filename="k.jsonl", size=size)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


# Downloads.


def fetch(world: World, path: Path, expected: int | None = len(LINES)) -> str:
    return world.client().download("file-1", path, expected_bytes=expected).sha256


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, LINES),
        answer(200, LINES, {"Content-Type": "application/octet-stream"}),
        chunked([LINES[:7], LINES[7:]]),
        answer(200, gzip.compress(LINES), {"Content-Encoding": "gzip"}),
        answer(
            200, gzip.compress(LINES[:5]) + gzip.compress(LINES[5:]), {"Content-Encoding": "gzip"}
        ),
        chunked([bytes([one]) for one in gzip.compress(LINES)], {"Content-Encoding": "x-gzip"}),
    ],
)
def test_a_file_arrives_byte_for_byte(
    world: World, tmp_path: Path, reply: Callable[[Handler], None]
) -> None:
    world.server.will(reply)
    told: list[int] = []
    path = tmp_path / "part"
    done = world.client().download("file-1", path, expected_bytes=len(LINES), progress=told.append)
    assert path.read_bytes() == LINES
    assert (done.bytes, done.sha256) == (len(LINES), hashlib.sha256(LINES).hexdigest())
    assert told[-1] == len(LINES)
    assert world.server.received[0].path == "/v1/files/file-1/content"
    assert world.server.received[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("expected", [0, None])
@pytest.mark.parametrize(
    "reply", [answer(200), chunked([]), answer(200, b"", {"Content-Encoding": "gzip"})]
)
def test_an_empty_file_is_a_file(
    world: World, tmp_path: Path, reply: Callable[[Handler], None], expected: int | None
) -> None:
    world.server.will(reply)
    assert world.client().download("f", tmp_path / "part", expected_bytes=expected).bytes == 0
    assert (tmp_path / "part").read_bytes() == b""


def test_a_large_gzip_body_is_unpacked_whole(world: World, tmp_path: Path) -> None:
    content = os.urandom(1000) * 5000
    world.server.will(answer(200, gzip.compress(content), {"Content-Encoding": "gzip"}))
    done = world.client().download("f", tmp_path / "part", expected_bytes=None)
    assert (done.bytes, done.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(drop(), id="dropped"),
        pytest.param(answer(500), id="500"),
        pytest.param(answer(200, LINES[:9], announced=len(LINES)), id="truncated"),
        pytest.param(chunked([LINES[:9]], finish=False), id="truncated chunks"),
        pytest.param(chunked([LINES[:9]]), id="an early end that looks clean"),
        pytest.param(answer(200, LINES + b"\n"), id="too long"),
        pytest.param(
            answer(200, gzip.compress(LINES)[:-9], {"Content-Encoding": "gzip"}), id="half a gzip"
        ),
        pytest.param(answer(200, LINES, {"Content-Encoding": "gzip"}), id="no gzip"),
        pytest.param(answer(200, LINES, {"Content-Encoding": "br"}), id="unknown encoding"),
        pytest.param(answer(200, LINES, {"Content-Type": "text/html; x"}), id="HTML"),
    ],
)
def test_a_download_that_fails_is_made_again_whole(
    world: World, tmp_path: Path, reply: Callable[[Handler], None]
) -> None:
    world.server.will(reply, answer(200, LINES))
    assert fetch(world, tmp_path / "part") == hashlib.sha256(LINES).hexdigest()
    assert (tmp_path / "part").read_bytes() == LINES
    assert len(world.server.received) == 2


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer(200, LINES[:9], announced=len(LINES)), Transient),
        (answer(200, gzip.compress(LINES)[:-1], {"Content-Encoding": "gzip"}), UnexpectedReply),
        (answer(200, "<html>", {"Content-Type": "text/html"}), UnexpectedReply),
    ],
)
def test_a_download_that_keeps_failing_leaves_nothing(
    world: World,
    tmp_path: Path,
    reply: Callable[[Handler], None],
    expected: type[Exception],
) -> None:
    world.server.will(*[reply] * 9)
    with pytest.raises(expected):
        world.client().download("file-1", tmp_path / "part", expected_bytes=None)
    assert list(tmp_path.iterdir()) == []
    assert len(world.server.received) == 5


def test_a_length_that_stays_wrong_is_believed_after_the_same_content_came_twice(
    world: World, tmp_path: Path
) -> None:
    world.server.will(answer(200, LINES), answer(200, LINES[:3]), *[answer(200, LINES)] * 9)
    with pytest.raises(UnexpectedReply, match=r"41 bytes, but says that the file has 1,000"):
        fetch(world, tmp_path / "part", 1000)
    assert len(world.server.received) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_transport_that_does_not_count_is_counted_after(world: World, tmp_path: Path) -> None:
    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Length": "50"}, stream=httpx.ByteStream(LINES))

    client = world.client(transport=httpx.MockTransport(handle))
    with pytest.raises(UnexpectedReply, match="41 bytes of 50 announced"):
        client.download("file-1", tmp_path / "part", expected_bytes=None)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_download_leaves_nothing(world: World, tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    world.server.will(answer(200, LINES))
    with pytest.raises(KeyboardInterrupt):
        world.client().download(
            "file-1", tmp_path / "part", expected_bytes=None, progress=interrupt
        )
    assert list(tmp_path.iterdir()) == []


def test_a_download_holds_a_piece_of_the_file_at_a_time(world: World, tmp_path: Path) -> None:
    piece = bytes(64 * 1024)
    world.server.will(chunked(piece for _ in range(256)))
    tracemalloc.start()
    done = world.client().download("file-1", tmp_path / "part", expected_bytes=256 * len(piece))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert done.bytes == 16 * 1024 * 1024
    assert peak < 8 * 1024 * 1024


@pytest.mark.parametrize("status", [404, 410])
def test_content_that_is_gone_is_not_found(world: World, tmp_path: Path, status: int) -> None:
    world.server.will(answer(status, {"error": "expired"}))
    with pytest.raises(NotFound, match="expired"):
        fetch(world, tmp_path / "part")
    assert len(world.server.received) == 1


def test_a_place_that_cannot_be_written_is_a_local_error(world: World, tmp_path: Path) -> None:
    world.server.will(answer(200, LINES), answer(200, LINES))
    with pytest.raises(LocalFileError, match="No such file or directory"):
        fetch(world, tmp_path / "no folder" / "part")
    assert len(world.server.received) == 1


def test_a_disk_that_takes_no_more_is_a_local_error_with_the_path(
    world: World, tmp_path: Path
) -> None:
    world.server.will(answer(200, LINES))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(LINES) - 1, before[1]))
    try:
        with pytest.raises(LocalFileError, match=r"part cannot be written: File too large"):
            fetch(world, tmp_path / "part")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(world.server.received) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_already_is_neither_followed_nor_overwritten(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "part").symlink_to("mine")
    world.server.will(answer(200, LINES), answer(200, LINES))
    for name in ("part", "mine"):
        with pytest.raises(LocalFileError, match=f"{name} cannot be written: File exists"):
            fetch(world, tmp_path / name)
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "part").is_symlink()


def test_a_file_that_cannot_be_forced_to_disk_is_not_trusted(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    world.server.will(answer(200, LINES))
    with pytest.raises(LocalFileError, match="Input/output error"):
        fetch(world, tmp_path / "part")
    assert list(tmp_path.iterdir()) == []


# Redirects: followed only for content, and without the API key beyond the provider's origin.


def go(place: str, status: int = 302) -> Callable[[Handler], None]:
    return answer(status, None, {"Location": place})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_does_not_leave_the_origin(
    world: World, elsewhere: Server, tmp_path: Path, status: int
) -> None:
    world.server.will(go(f"{elsewhere.origin}/signed?signature=s", status))
    elsewhere.will(answer(200, LINES))
    assert fetch(world, tmp_path / "part") == hashlib.sha256(LINES).hexdigest()
    assert world.server.received[0].headers["authorization"] == f"Bearer {KEY}"
    assert "authorization" not in elsewhere.received[0].headers
    assert KEY not in str(elsewhere.received[0])
    assert elsewhere.received[0].query == {"signature": "s"}


def test_another_name_of_the_same_host_is_another_origin(world: World, tmp_path: Path) -> None:
    port = world.server.server_address[1]
    world.server.will(go(f"http://localhost:{port}/x"), answer(200, LINES))
    fetch(world, tmp_path / "part")
    assert "authorization" not in world.server.received[1].headers


def test_the_key_stays_at_home_after_a_way_round(
    world: World, elsewhere: Server, tmp_path: Path
) -> None:
    world.server.will(go(f"{elsewhere.origin}/x"), answer(200, LINES))
    elsewhere.will(go(f"{world.server.origin}/v1/organization/keys"))
    fetch(world, tmp_path / "part")
    assert "authorization" not in world.server.received[1].headers


def test_within_the_origin_the_key_is_needed_and_sent(world: World, tmp_path: Path) -> None:
    world.server.will(go("/v1/real"), go("../v1/final"), answer(200, LINES))
    fetch(world, tmp_path / "part")
    assert [one.path for one in world.server.received[1:]] == ["/v1/real", "/v1/final"]
    assert {one.headers["authorization"] for one in world.server.received} == {f"Bearer {KEY}"}


def test_redirects_in_a_circle_end(world: World, tmp_path: Path) -> None:
    world.server.will(*[go("/v1/x")] * 9)
    with pytest.raises(Rejected, match="more than 5 times, last to http://127"):
        fetch(world, tmp_path / "part")
    assert len(world.server.received) == 6


def test_five_redirects_are_followed(world: World, tmp_path: Path) -> None:
    world.server.will(*[go("/v1/x")] * 5, answer(200, LINES))
    fetch(world, tmp_path / "part")
    assert len(world.server.received) == 6


@pytest.mark.parametrize("place", ["ftp://127.0.0.1/x", "http://[bad/x", "file:///etc/passwd"])
def test_a_redirect_to_nowhere_is_an_error_of_the_tree(
    world: World, tmp_path: Path, place: str
) -> None:
    world.server.will(*[go(place)] * 9)
    with pytest.raises((Rejected, Transient)):
        fetch(world, tmp_path / "part")


def test_a_redirect_that_does_not_say_where_to_is_rejected(world: World, tmp_path: Path) -> None:
    world.server.will(answer(302))
    with pytest.raises(Rejected, match="the redirect has no target"):
        fetch(world, tmp_path / "part")


def test_a_signed_address_that_has_run_out_is_asked_for_anew(
    world: World, elsewhere: Server, tmp_path: Path
) -> None:
    world.server.will(go(f"{elsewhere.origin}/old?s=1"), go(f"{elsewhere.origin}/new?s=2"))
    elsewhere.will(answer(403, "<Error>expired</Error>"), answer(200, LINES))
    assert fetch(world, tmp_path / "part") == hashlib.sha256(LINES).hexdigest()


def test_a_refused_key_is_not_confused_with_it(world: World, tmp_path: Path) -> None:
    world.server.will(answer(403, {"error": "no"}))
    with pytest.raises(Unauthorized):
        fetch(world, tmp_path / "part")
