"""Idempotent calls: retried after any transient failure."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from runner.api import responses, transport
from runner.api.retry import Timeouts
from runner.errors import (
    NotFound,
    NotOffered,
    OutOfMoney,
    RateLimited,
    Rejected,
    Transient,
    Unauthorized,
    UnexpectedReply,
    Unreachable,
)
from tests.api.scripted import answer, batch, chunked, drop, file, garbage, stall

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.errors import (
        ApiError,
    )
    from tests.api.scripted import Handler, World


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(drop(), id="dropped"),
        pytest.param(garbage, id="not HTTP"),
        pytest.param(answer(408), id="408"),
        pytest.param(answer(429), id="429"),
        pytest.param(answer(500, {"error": "oops"}), id="500"),
        pytest.param(answer(503, "<html>"), id="503"),
        pytest.param(answer(200, "<html>Maintenance</html>"), id="HTML"),
        pytest.param(answer(200, b'{"id": "batch'), id="half an object"),
        pytest.param(answer(200), id="empty"),
        pytest.param(answer(200, batch(), announced=9999), id="truncated"),
        pytest.param(chunked([b"{"], finish=False), id="truncated chunks"),
        pytest.param(answer(200, b"\x1f\x8b??", {"Content-Encoding": "gzip"}), id="bad gzip"),
    ],
)
def test_a_look_is_repeated_until_it_succeeds(
    world: World, reply: Callable[[Handler], None]
) -> None:
    world.server.will(*[reply] * 4, answer(200, batch(status="in_progress")))
    assert world.client().retrieve_batch("batch_1").status == "in_progress"
    assert world.naps == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (drop(), Transient),
        (answer(500), Transient),
        (answer(429), RateLimited),
        (answer(200, "<html>"), UnexpectedReply),
    ],
)
def test_a_look_is_given_up_after_five_tries(
    world: World, reply: Callable[[Handler], None], expected: type[ApiError]
) -> None:
    world.server.will(*[reply] * 9)
    with pytest.raises(expected) as caught:
        world.client().retrieve_batch("batch_1")
    assert type(caught.value) is expected
    assert len(world.server.received) == 5


def test_a_reply_that_never_comes_is_asked_for_again(world: World) -> None:
    world.server.will(stall, answer(200, batch()))
    client = world.client(timeouts=Timeouts(read=0.05))
    assert client.retrieve_batch("batch_1").id == "batch_1"


def test_an_address_that_cannot_be_is_an_error_of_the_tree(world: World) -> None:
    for host in ("a" * 70 + ".example", "[::1", "host:port"):
        provider = world.provider(base_url=f"https://{host}/v1")
        with pytest.raises((Rejected, Unreachable)):
            world.client(provider=provider).retrieve_batch("b")
    with pytest.raises(Rejected, match="cannot be sent to lab at ftp://127"):
        world.client(None, world.provider(base_url="ftp://127.0.0.1")).retrieve_batch("b")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (302, Rejected),
        (400, Rejected),
        (401, Unauthorized),
        (402, OutOfMoney),
        (403, Unauthorized),
        (404, NotFound),
        (405, NotOffered),
        (410, NotFound),
        (501, NotOffered),
    ],
)
def test_a_refusal_is_reported_once(world: World, status: int, expected: type[ApiError]) -> None:
    world.server.will(answer(status, {}, {"Location": "/v2"} if status == 302 else {}))
    with pytest.raises(expected) as caught:
        world.client().retrieve_file("file-1")
    assert type(caught.value) is expected
    assert len(world.server.received) == 1


@pytest.mark.parametrize("reply", [{}, [], {"id": 5}, {"id": "batch_1"}, {"error": "busy"}])
def test_json_that_is_no_batch_is_not_asked_for_again(world: World, reply: object) -> None:
    world.server.will(answer(200, reply))
    with pytest.raises(UnexpectedReply):
        world.client().retrieve_batch("batch_1")
    assert len(world.server.received) == 1


def test_a_reply_without_end_is_not_read_to_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "LONGEST_REPLY", 1000)
    monkeypatch.setattr(transport, "LONGEST_REFUSAL", 1000)
    world.server.will(*[answer(200, b" " * 5000)] * 5)
    with pytest.raises(UnexpectedReply, match="too long"):
        world.client().retrieve_batch("batch_1")
    world.server.will(answer(400, b"x" * 5000))
    with pytest.raises(Rejected, match="x…"):
        world.client().retrieve_batch("batch_1")


def test_a_compressed_reply_is_read(world: World) -> None:
    content = gzip.compress(json.dumps(file()).encode())
    world.server.will(answer(200, content, {"Content-Encoding": "gzip"}))
    assert world.client().retrieve_file("file-1").bytes == 4


@pytest.mark.parametrize(
    ("identifier", "path"),
    [
        ("batch_1", "/v1/batches/batch_1"),
        ("a/b?c#d e", "/v1/batches/a%2Fb%3Fc%23d%20e"),
        ("é%2F", "/v1/batches/%C3%A9%252F"),
    ],
)
def test_an_id_is_opaque_text(world: World, identifier: str, path: str) -> None:
    world.server.will(answer(200, batch(identifier)))
    assert world.client().retrieve_batch(identifier).id == identifier
    assert world.server.received[0].path == path


def test_every_request_says_who_asks(world: World) -> None:
    from runner import __version__

    world.server.will(answer(200, batch()))
    world.client().retrieve_batch("batch_1")
    assert world.server.received[0].headers["user-agent"] == f"batch-runner/{__version__}"


@pytest.mark.parametrize(
    ("replies", "gone"),
    [
        ([answer(200, {"id": "file-1", "deleted": True})], True),
        ([answer(204)], True),
        ([answer(200)], True),
        ([answer(200, {"id": "file-1", "deleted": False})], False),
        ([answer(200, {})], True),
        ([answer(404)], True),
        ([drop(), answer(404)], True),
        ([answer(503), answer(200, {"deleted": True})], True),
    ],
)
def test_a_deleted_file_is_gone_however_often_it_is_deleted(
    world: World,
    replies: list[Callable[[Handler], None]],
    gone: bool,  # noqa: FBT001
) -> None:
    world.server.will(*replies)
    assert world.client().delete_file("file-1") is gone
    assert {(one.method, one.path) for one in world.server.received} == {
        ("DELETE", "/v1/files/file-1")
    }


def test_a_delete_does_not_follow_a_redirect(world: World) -> None:
    world.server.will(answer(307, None, {"Location": f"{world.server.origin}/v2/files/file-1"}))
    with pytest.raises(Rejected, match="set base_url"):
        world.client().delete_file("file-1")
    assert len(world.server.received) == 1


def test_a_closed_client_opens_again_when_needed(world: World) -> None:
    world.server.will(answer(200, batch()), answer(200, batch()))
    with world.client() as client:
        client.retrieve_batch("batch_1")
    client.retrieve_batch("batch_1")
    assert len({one.connection for one in world.server.received}) == 2
