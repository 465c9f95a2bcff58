"""Servers that mean harm: each call ends within its time and its memory, with words."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import socket
import tracemalloc
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from runner.api import client as client_module
from runner.api import transfers
from runner.api.network import MOST_BEFORE_A_REPLY, Frontier, Reach, reach_of
from runner.api.responses import LONGEST_REPLY, LONGEST_SMALL_REPLY, memory_to_decode
from runner.api.retry import RetryPolicy, Timeouts
from runner.api.transfers import ROOM_LEFT
from runner.api.webhook import WebhookTimeouts, post
from runner.errors import (
    LocalFileError,
    MayHaveActed,
    NotDelivered,
    Rejected,
    Transient,
    Unauthorized,
    UnexpectedReply,
)
from runner.spec.project import Secret
from tests.api.scripted import KEY, answer, batch, chunked, file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from runner.api.client import Client
    from runner.errors import ApiError
    from tests.api.scripted import Handler, Server, World

MEGABYTE = 1024 * 1024

HASTY = Timeouts(reply=0.15, act_reply=0.15, least_rate=100_000.0, window=0.15)
"""Seconds without any progress are those of a real run: none of these servers is ever silent."""

ONCE = RetryPolicy(tries=1)

PATIENCE = 250
"""Times that a server here does the same before it turns honest, so that nothing hangs."""

PAUSE = 0.02


def never(_: Sequence[object]) -> bool:
    return False


@contextmanager
def memory(most: int) -> Iterator[None]:
    """Assert that no more memory is used."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak:,} bytes"


class Called(NamedTuple):
    """A kind of call, and what it is when its reply does not come."""

    make: Callable[[Client], object]
    failure: type[ApiError]


CALLS = {
    "list": Called(lambda client: client.list_batches(enough=never), Transient),
    "files": Called(lambda client: client.list_files(enough=never), Transient),
    "retrieve": Called(lambda client: client.retrieve_batch("b"), Transient),
    "file": Called(lambda client: client.retrieve_file("f"), Transient),
    "delete": Called(lambda client: client.delete_file("f"), Transient),
    "cancel": Called(lambda client: client.cancel_batch("b"), Transient),
    "create": Called(
        lambda client: client.create_batch(
            input_file_id="f", endpoint="/v1/embeddings", completion_window="24h", metadata={}
        ),
        MayHaveActed,
    ),
    "upload": Called(
        lambda client: client.upload(io.BytesIO(b"{}"), filename="x.jsonl", size=2), MayHaveActed
    ),
}
HONEST = json.dumps({**batch(), **file("batch_1"), "data": [], "has_more": False}).encode()
"""What each of these calls takes for its reply."""

LARGE = [CALLS[name] for name in ("list", "files", "retrieve", "cancel")]
"""Those with a reply of which there is never more than one at a time."""

each_call = pytest.mark.parametrize("called", CALLS.values(), ids=CALLS)


# Compression.


def zipped(pieces: Iterable[bytes]) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return b"".join([*map(packer.compress, pieces), packer.flush()])


@each_call
@pytest.mark.parametrize("encodings", [["gzip, gzip"], ["gzip", "gzip"], ["x-gzip,identity,gzip"]])
def test_a_second_layer_of_compression_is_not_undone(
    world: World, called: Called, encodings: list[str]
) -> None:
    body = gzip.compress(gzip.compress(HONEST))

    def twice(handler: Handler) -> None:
        handler.send_response(200)
        for encoding in encodings:
            handler.send_header("Content-Encoding", encoding)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    world.server.will(*[twice] * 2)
    with pytest.raises((UnexpectedReply, MayHaveActed), match="more than one layer of compression"):
        called.make(world.client(policy=ONCE))


@each_call
def test_what_was_packed_is_not_unpacked_beyond_what_is_read(world: World, called: Called) -> None:
    bomb = zipped([b" " * MEGABYTE] * 200)
    assert len(bomb) < MEGABYTE
    world.server.will(*[answer(200, bomb, {"Content-Encoding": "gzip"})] * 2)
    with (
        memory(4 * LONGEST_REPLY),
        pytest.raises((UnexpectedReply, MayHaveActed), match="too long to be read"),
    ):
        called.make(world.client(policy=ONCE))


def test_packing_that_stands_for_nothing_is_not_read_without_end(world: World) -> None:
    empty = gzip.compress(b"") * 3000
    pieces = (empty for _ in range(2 * LONGEST_REPLY // len(empty)))
    world.server.will(chunked(pieces, {"Content-Encoding": "gzip"}))
    with suppress(OSError), pytest.raises(MayHaveActed, match="too long to be read"):
        CALLS["create"].make(world.client())


@pytest.mark.parametrize("encoding", ["deflate", "br", "zstd", "gzip, br", "compress"])
def test_no_other_compression_is_asked_for_or_taken(world: World, encoding: str) -> None:
    world.server.will(*[answer(200, HONEST, {"Content-Encoding": encoding})] * 9)
    with pytest.raises(UnexpectedReply, match=r"compression|not requested"):
        world.client().retrieve_batch("b")
    assert {one.headers["accept-encoding"] for one in world.server.received} == {"gzip"}


@pytest.mark.parametrize("status", [400, 503])
def test_an_error_counts_by_its_status_whatever_was_done_to_its_body(
    world: World, status: int
) -> None:
    world.server.will(*[answer(status, b"x", {"Content-Encoding": "gzip, gzip"})] * 9)
    with pytest.raises(Transient, match=str(status)):
        world.client().retrieve_batch("b")


# Memory.


PIECES = [b"{},", b"[0],", b'{"":0},', b'"",']


@pytest.mark.parametrize(
    ("called", "piece"),
    [(called, PIECES[0]) for called in CALLS.values()]
    + [(CALLS["list"], piece) for piece in PIECES[1:]],
)
def test_json_that_would_fill_the_memory_is_refused_before_it_is_decoded(
    world: World, called: Called, piece: bytes
) -> None:
    longest = LONGEST_REPLY if called in LARGE else LONGEST_SMALL_REPLY
    filled = piece * (longest // len(piece) - 20) + b"0"
    body = b'{"data": [%s]}' % filled
    assert len(body) < longest
    world.server.will(*[answer(200, body)] * 2)
    with (
        memory(4 * LONGEST_REPLY),
        pytest.raises((UnexpectedReply, MayHaveActed), match=r"would take [\d,]+ bytes of memory"),
    ):
        called.make(world.client(policy=ONCE))


def test_the_largest_honest_replies_are_read(world: World) -> None:
    error = {"code": "invalid", "line": 1, "message": "no such model: " + "x" * 80, "param": None}
    errors = {"object": "list", "data": [error] * 50_000}
    world.server.will(answer(200, batch(errors=errors)))
    assert len(world.client().retrieve_batch("b").errors) > 0

    name = "a-job-with-a-long-name-0123456789ab-0001-1.jsonl"
    listed = [
        file(f"file-{number:024}", filename=name, purpose="batch", status="processed", expires_at=1)
        for number in range(10_000)
    ]
    world.server.will(answer(200, json.dumps({"data": listed, "has_more": False}, indent=4)))
    assert len(world.client().list_files(enough=never).files) == 10_000

    pairs = {f"key-{number:060}": "\\u00e9" * 512 for number in range(16)}
    world.server.will(answer(200, {"data": [batch(metadata=pairs)], "has_more": False}))
    assert len(world.client().list_batches(enough=never).batches) == 1


@pytest.mark.parametrize("piece", [b"{},", b"[0],", b'{"":0},', b'"ab",', b"1.5,", b'{"a":{}},'])
def test_the_memory_of_json_is_not_underrated(piece: bytes) -> None:
    import msgspec

    body = b"[%s0]" % (piece * 20_000)
    tracemalloc.start()
    kept = msgspec.json.decode(body)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 20_001
    assert used < 1.2 * memory_to_decode(body)


def test_entries_that_are_none_are_counted_and_not_kept(world: World) -> None:
    page = {"data": [{}] * 5000 + [batch("last")], "has_more": True}
    world.server.will(answer(200, page), answer(200, {"data": [], "has_more": False}))
    listing = world.client().list_batches(enough=never)
    assert (listing.complete, listing.invalid) == (False, 5000)
    assert len(listing.unreadable) == 4
    assert listing.unreadable[-1] == "4,997 more"


def endless(world: World, pages: int) -> None:
    """Have the list of batches go on and on, with entries that are new."""
    for number in range(pages):
        page = {"data": [batch(f"b{number}", padding=[{}] * 100)], "has_more": True}
        world.server.will(answer(200, page))


def test_a_list_ends_once_it_takes_too_much_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "LARGEST_LIST", 100_000)
    endless(world, 30)
    listing = world.client().list_batches(enough=never)
    assert not listing.complete
    assert listing.requests == 4


def test_a_list_ends_once_it_takes_too_much_time(world: World) -> None:
    endless(world, 30)
    listing = world.client(timeouts=Timeouts(listing=0.0)).list_batches(enough=never)
    assert (listing.complete, listing.requests) == (False, 1)


def test_no_cookie_is_kept(world: World) -> None:
    cookie = {"Set-Cookie": "session=1; Path=/"}
    world.server.will(answer(200, batch(), cookie), answer(200, batch(), cookie))
    client = world.client()
    client.retrieve_batch("b")
    client.retrieve_batch("b")
    assert ["cookie" in one.headers for one in world.server.received] == [False, False]


# Time.


def trickle(
    before: bytes, piece: bytes, after: bytes, *, times: int = PATIENCE
) -> Callable[[Handler], None]:
    """Write a piece again and again, with a pause; then what makes it an honest reply."""

    def step(handler: Handler) -> None:
        handler.wfile.write(before)
        with suppress(OSError):
            for _ in range(times):
                handler.wfile.write(piece)
                if handler.server.over.wait(PAUSE):
                    break
            handler.wfile.write(after)
        handler.close_connection = True

    return step


OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: %d\r\n\r\n" % len(HONEST)
SLOW = {
    "status": trickle(b"HTTP/1.1 200 ", b"O", b"\r\n" + LENGTH + HONEST),
    "interim replies": trickle(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", OK + LENGTH + HONEST),
    "continues": trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n", OK + LENGTH + HONEST),
    "headers": trickle(OK, b"X-Y: z\r\n", LENGTH + HONEST),
    "a header": trickle(OK + b"X-Y: ", b"z", b"\r\n" + LENGTH + HONEST),
    "body": trickle(OK + b"Content-Length: %d\r\n\r\n" % (PATIENCE + len(HONEST)), b" ", HONEST),
    "chunks": trickle(
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        b"1\r\n \r\n",
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(HONEST), HONEST),
    ),
    "trailers": trickle(
        OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n" % (len(HONEST), HONEST),
        b"X-Y: z\r\n",
        b"\r\n",
    ),
}


@pytest.mark.parametrize(
    ("called", "reply"),
    [(called, SLOW["interim replies"]) for called in CALLS.values()]
    + [(CALLS[name], reply) for name in ("list", "create") for reply in SLOW.values()],
)
def test_a_reply_that_comes_too_slowly_is_not_waited_for(
    world: World, called: Called, reply: Callable[[Handler], None]
) -> None:
    world.server.will(reply)
    with pytest.raises(
        called.failure, match=r"the reply was not there whole after 0\.15 s"
    ) as caught:
        called.make(world.client(timeouts=HASTY, policy=ONCE))
    assert type(caught.value) is called.failure


@pytest.mark.parametrize("reply", ["interim replies", "body"])
def test_what_took_too_long_is_left_to_the_next_pass(world: World, reply: str) -> None:
    """Five tries of five minutes each would be half an hour for one call of many."""
    world.server.will(*[SLOW[reply]] * 5)
    with pytest.raises(Transient, match="the next pass tries again"):
        world.client(timeouts=HASTY).retrieve_batch("b")
    assert (len(world.server.received), world.naps) == (1, [])


def test_an_error_that_comes_too_slowly_counts_by_its_status(world: World) -> None:
    world.server.will(trickle(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9999\r\n\r\n", b"n", b""))
    with pytest.raises(Unauthorized, match="403 Forbidden: n"):
        world.client(timeouts=HASTY).retrieve_batch("b")
    assert len(world.server.received) == 1


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
@pytest.mark.parametrize("called", [CALLS["list"], CALLS["create"]])
def test_interim_replies_without_end_are_left(world: World, called: Called, status: bytes) -> None:
    def flood(handler: Handler) -> None:
        interim = b"HTTP/1.1 %s\r\n\r\n" % status * 1000
        with suppress(OSError):
            for _ in range(3 * MOST_BEFORE_A_REPLY // len(interim)):
                handler.wfile.write(interim)
            handler.wfile.write(OK + LENGTH + HONEST)
        handler.close_connection = True

    world.server.will(*[flood] * 5)
    with pytest.raises(called.failure, match="of interim replies and headers, and no end of them"):
        called.make(world.client())
    assert len(world.server.received) == 1


def test_an_interim_reply_is_no_harm(world: World) -> None:
    def step(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9 + OK + LENGTH + HONEST)

    world.server.will(step, step)
    client = world.client()
    assert client.retrieve_batch("b").id == client.retrieve_batch("b").id == "batch_1"


SLOW_CONTENT = {
    "bytes": trickle(OK + b"Content-Length: %d\r\n\r\n" % (PATIENCE + 3), b" ", b"{}\n"),
    "what carries them": trickle(
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        b"1;%s\r\n \r\n" % (b"x" * 50_000),
        b"3\r\n{}\n\r\n0\r\n\r\n",
    ),
    "packing of nothing": trickle(
        OK + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n",
        gzip.compress(b"") * 1000,
        gzip.compress(b"{}\n"),
    ),
}


@pytest.mark.parametrize("reply", SLOW_CONTENT.values(), ids=SLOW_CONTENT)
def test_content_has_to_move(
    world: World, tmp_path: Path, reply: Callable[[Handler], None]
) -> None:
    world.server.will(reply)
    client = world.client(timeouts=HASTY)
    with pytest.raises(Transient, match=r"it sends fewer than 100,000 bytes a second over 0\.15"):
        client.download("f", tmp_path / "x", expected_bytes=None)
    assert list(tmp_path.iterdir()) == []


def test_content_on_a_slow_line_arrives(world: World, tmp_path: Path) -> None:
    """As long as it moves, it may take many times as long as a reply, and any window."""
    pieces = 30
    world.server.will(trickle(OK + b"Connection: close\r\n\r\n", b"x" * 20_000, b"", times=pieces))
    slow = Timeouts(reply=0.1, least_rate=10_000.0, window=0.1)
    done = world.client(timeouts=slow).download("f", tmp_path / "x", expected_bytes=None)
    assert done.bytes == pieces * 20_000


def reading(piece: int, times: int) -> Callable[[Handler], None]:
    """Read a body in pieces, with a pause after each of the first ones."""

    def step(handler: Handler) -> None:
        left = int(handler.headers["content-length"])
        with suppress(OSError):
            while left:
                got = len(handler.rfile.read(min(piece, left)))
                left -= got
                times_left.append(got)
                if not got or (len(times_left) < times and handler.server.over.wait(PAUSE)):
                    break
            answer(200, file())(handler)
        handler.close_connection = True

    times_left: list[int] = []
    step.before_reading = True  # type: ignore[attr-defined]
    return step


def test_an_upload_has_to_move(world: World) -> None:
    size = 32 * MEGABYTE
    world.server.will(reading(4096, PATIENCE))
    rushed = Timeouts(least_rate=100.0 * MEGABYTE, window=0.2)
    with pytest.raises(MayHaveActed, match="it takes fewer than 104,857,600 bytes a second"):
        world.client(timeouts=rushed).upload(io.BytesIO(bytes(size)), filename="x", size=size)


def test_an_upload_on_a_slow_line_arrives(world: World) -> None:
    """It may take longer than any window, and the reply has its time after it."""
    size = 16 * MEGABYTE
    world.server.will(reading(200_000, 20))
    slow = Timeouts(act_reply=5.0, least_rate=100_000.0, window=0.1)
    stored = world.client(timeouts=slow).upload(io.BytesIO(bytes(size)), filename="x", size=size)
    assert stored.id == "file-1"


def test_a_message_is_not_held_up(world: World) -> None:
    floods = [SLOW["interim replies"], SLOW["headers"], SLOW["status"]]
    for reply in floods:
        world.server.will(reply)
        with pytest.raises(NotDelivered, match="did not accept it: ReadTimeout"):
            post(
                Secret(f"{world.server.origin}/5ecre7"),
                b"{}",
                content_type="application/json",
                timeouts=WebhookTimeouts(connect=5, answer=0.3),
            )


# The disk.


def stream(size: int) -> Callable[[Handler], None]:
    """Send content until the other side has enough, or `size` bytes have gone."""

    def step(handler: Handler) -> None:
        with suppress(OSError):
            chunked(b"x" * 65536 for _ in range(size // 65536))(handler)

    return step


@pytest.mark.parametrize("expected", [None, 300])
def test_content_ends_where_it_is_longer_than_it_may_be(
    world: World, tmp_path: Path, expected: int | None
) -> None:
    told: list[int] = []
    world.server.will(*[stream(20 * MEGABYTE)] * 9)
    with pytest.raises(UnexpectedReply, match=r"more than 1,000,000 bytes, which are all that is"):
        world.client().download(
            "f", tmp_path / "x", expected_bytes=expected, at_most=1_000_000, progress=told.append
        )
    assert max(told) <= 1_000_000
    assert len(world.server.received) == 1, "it is not downloaded again"
    assert list(tmp_path.iterdir()) == []


def test_packed_content_ends_where_it_is_longer_than_it_may_be(
    world: World, tmp_path: Path
) -> None:
    bomb = zipped([bytes(MEGABYTE)] * 50)
    world.server.will(answer(200, bomb, {"Content-Encoding": "gzip"}))
    told: list[int] = []
    with pytest.raises(UnexpectedReply, match="more than 1,000,000 bytes"):
        world.client().download(
            "f", tmp_path / "x", expected_bytes=None, at_most=1_000_000, progress=told.append
        )
    assert max(told) <= 1_000_000


def only_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = shutil._ntuple_diskusage(10**12, 10**12 - free, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def test_a_disk_is_not_filled_with_what_was_announced(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_free(monkeypatch, 1000 * MEGABYTE)
    world.server.will(answer(200, b"{}\n", announced=10**9))
    with pytest.raises(LocalFileError, match=r"x cannot be written: its disk has 1,048,576,000 by"):
        world.client().download("f", tmp_path / "x", expected_bytes=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("expected", [None, -(10**18), 10**18])
def test_a_disk_is_not_filled_with_what_was_not_announced(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: int | None
) -> None:
    monkeypatch.setattr(transfers, "_WRITTEN_UNSEEN", MEGABYTE)
    only_free(monkeypatch, ROOM_LEFT - 1)
    world.server.will(stream(20 * MEGABYTE))
    told: list[int] = []
    with pytest.raises(LocalFileError, match="the next pass downloads it again"):
        world.client().download("f", tmp_path / "x", expected_bytes=expected, progress=told.append)
    assert max(told) < 2 * MEGABYTE
    assert list(tmp_path.iterdir()) == []


def test_a_small_file_fits_on_a_disk_that_is_nearly_full(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_free(monkeypatch, MEGABYTE)
    world.server.will(answer(200, b"{}\n"))
    assert world.client().download("f", tmp_path / "x", expected_bytes=3).bytes == 3


def test_an_absurd_size_of_a_small_file_is_only_a_wrong_one(world: World, tmp_path: Path) -> None:
    world.server.will(*[answer(200, b"{}\n")] * 2)
    with pytest.raises(UnexpectedReply, match="3 bytes, but says that the file has 1,000,000,000"):
        world.client().download("f", tmp_path / "x", expected_bytes=10**18)


# Redirects.


@pytest.fixture
def proxied(world: World, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Give a client of a server in the internet, which a proxy reaches; other hosts it must not."""
    monkeypatch.setenv("http_proxy", world.server.origin)
    provider = world.provider(base_url="http://api.invalid/v1", allow_key_over_http=True)
    return world.client(provider=provider)


def go(place: str) -> Callable[[Handler], None]:
    return answer(302, None, {"Location": place})


THIS_MACHINE = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0.0.0.0",
    "localhost",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
]


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("host", [*THIS_MACHINE, "169.254.169.254", "10.0.0.1", "[fe80::1]"])
def test_no_redirect_leads_to_where_only_this_machine_can_go(
    world: World,
    proxied: Client,
    elsewhere: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    *,
    direct: bool,
) -> None:
    if direct:
        monkeypatch.setenv("no_proxy", host.strip("[]"))
    port = elsewhere.server_address[1]
    world.server.will(go(f"http://{host}:{port}/latest/meta-data"))
    elsewhere.will(answer(200, b"{}\n"))
    world.server.will(answer(200, b"{}\n"))
    with pytest.raises(Rejected, match=r"which is not followed: .* is an address of") as caught:
        proxied.download("f", tmp_path / "x", expected_bytes=None)
    assert host.strip("[]") in str(caught.value)
    assert (len(world.server.received), elsewhere.received) == (1, [])
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_leads_to_this_machine_is_no_way_either(
    world: World,
    proxied: Client,
    elsewhere: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "bucket.invalid"
    look_up = socket.getaddrinfo
    asked: list[object] = []

    def resolver(host: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        asked.append(host)
        return look_up("127.0.0.1" if host == name else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    monkeypatch.setenv("no_proxy", name)
    world.server.will(go(f"http://{name}:{elsewhere.server_address[1]}/"))
    elsewhere.will(answer(200, b"{}\n"))
    with pytest.raises(Rejected, match=r"127\.0\.0\.1 is an address of this machine"):
        proxied.download("f", tmp_path / "x", expected_bytes=None)
    assert elsewhere.received == []
    assert asked.count(name) == 1


def test_what_was_checked_is_what_is_connected_to(
    world: World, elsewhere: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads to another place with each look is looked up once."""
    name = "bucket.invalid"
    look_up = socket.getaddrinfo
    asked: list[object] = []

    def resolver(host: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        if host != name:
            return look_up(host, *arguments, **options)
        asked.append(host)
        return look_up("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    world.server.will(go(f"http://{name}:{elsewhere.server_address[1]}/"))
    elsewhere.will(answer(200, b"{}\n"))
    assert world.client().download("f", tmp_path / "x", expected_bytes=3).bytes == 3
    assert len(asked) == 1
    assert elsewhere.received[0].headers["host"].startswith(name)
    assert KEY not in str(elsewhere.received[0])


@pytest.mark.parametrize("place", ["http://api.example/v1/x", "http://bucket.example/x"])
def test_no_redirect_gives_up_encryption(world: World, tmp_path: Path, place: str) -> None:
    seen: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(302, headers={"Location": place}, stream=httpx.ByteStream(b""))

    client = world.client(
        provider=world.provider(base_url="https://api.example/v1"),
        transport=httpx.MockTransport(handle),
    )
    with pytest.raises(Rejected, match="others could read the results on their way over http"):
        client.download("f", tmp_path / "x", expected_bytes=None)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("8.8.8.8", Reach.WORLD),
        ("2606:4700::1111", Reach.WORLD),
        ("64:ff9b::808:808", Reach.WORLD),
        ("::ffff:8.8.8.8", Reach.WORLD),
        ("10.1.2.3", Reach.PRIVATE),
        ("172.16.0.1", Reach.PRIVATE),
        ("192.168.1.1", Reach.PRIVATE),
        ("100.64.0.1", Reach.PRIVATE),
        ("224.0.0.1", Reach.PRIVATE),
        ("fd00::1", Reach.PRIVATE),
        ("::ffff:10.0.0.1", Reach.PRIVATE),
        ("64:ff9b::a00:1", Reach.PRIVATE),
        ("2002:a00:1::", Reach.PRIVATE),
        ("169.254.169.254", Reach.LINK),
        ("::ffff:169.254.169.254", Reach.LINK),
        ("fe80::1%eth0", Reach.LINK),
        ("127.9.9.9", Reach.MACHINE),
        ("::1", Reach.MACHINE),
        ("0.0.0.0", Reach.MACHINE),
        ("::", Reach.MACHINE),
    ],
)
def test_the_reach_of_an_address(address: str, reach: Reach) -> None:
    assert reach_of(address) is reach


@pytest.mark.parametrize(
    ("home", "allowed"),
    [
        ("8.8.8.8", set()),
        ("10.0.0.1", {"192.168.0.1"}),
        ("127.0.0.1", {"192.168.0.1", "::1"}),
        ("169.254.1.1", {"169.254.169.254"}),
        ("no.such.host.invalid", set()),
    ],
)
def test_a_server_may_lead_to_its_own_neighbours(home: str, allowed: set[str]) -> None:
    from runner.api.network import AddressRefused

    frontier = Frontier(home)
    frontier.check("8.8.8.8")
    for address in ("192.168.0.1", "::1", "169.254.169.254"):
        if address in allowed:
            frontier.check(address)
        else:
            with pytest.raises(AddressRefused, match="is an address of"):
                frontier.check(address)
