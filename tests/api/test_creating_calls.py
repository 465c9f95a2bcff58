"""Calls that create something: retried only if it is known that they have not acted."""

from __future__ import annotations

import io
import json
import socket
from typing import TYPE_CHECKING

import httpx
import pytest

from runner.api.retry import Timeouts
from runner.batch import BatchStatus
from runner.errors import (
    FileNotVisible,
    MayHaveActed,
    ModelRefused,
    NoRoom,
    NotFound,
    NotOffered,
    OutOfMoney,
    RateLimited,
    Rejected,
    TooLarge,
    Transient,
    Unauthorized,
    Unreachable,
)
from tests.api.scripted import KEY, SERVER_DATE, answer, batch, chunked, drop, file, garbage, stall

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.api.client import Client
    from runner.batch import Batch, File
    from runner.errors import (
        ApiError,
    )
    from tests.api.scripted import Handler, World


def create(client: Client) -> Batch:
    return client.create_batch(
        input_file_id="file-1",
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"runner": "a/b/1/1"},
    )


def upload(client: Client) -> File:
    return client.upload(io.BytesIO(b"{}\n{}"), filename="k.jsonl", size=5)


ACTS = pytest.mark.parametrize(
    ("act", "made"),
    [
        pytest.param(create, batch(), id="create"),
        pytest.param(upload, file(), id="upload"),
    ],
)


@ACTS
@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_2xx_with_the_object_is_a_success(
    world: World, act: Callable[[Client], Batch | File], made: dict[str, object], status: int
) -> None:
    world.server.will(answer(status, made))
    assert act(world.client()).id == made["id"]


def broken_replies() -> list[object]:
    return [
        pytest.param(drop(), id="dropped after reading"),
        pytest.param(drop(before_reading=True), id="dropped before reading"),
        pytest.param(garbage, id="not HTTP"),
        pytest.param(answer(500, {"error": "oops"}), id="500"),
        pytest.param(answer(502, "<html><title>Bad gateway</title>"), id="502"),
        pytest.param(answer(503, {"error": "busy"}, {"Retry-After": "1"}), id="503"),
        pytest.param(answer(504), id="504"),
        pytest.param(answer(408), id="408"),
        pytest.param(answer(200), id="empty"),
        pytest.param(answer(204), id="204"),
        pytest.param(answer(200, "<html>Welcome</html>"), id="HTML"),
        pytest.param(answer(200, {"object": "batch"}), id="no id"),
        pytest.param(answer(200, {"job": {"id": "x", "status": "y"}}), id="another object"),
        pytest.param(answer(200, {"error": {"message": "no"}}), id="an error with 200"),
        pytest.param(answer(200, [batch()]), id="an array"),
        pytest.param(answer(200, b'{"id": "batch_1", "sta'), id="half an object"),
        pytest.param(answer(200, batch(), announced=10_000), id="truncated"),
        pytest.param(chunked([b'{"id": "batch_1", '], finish=False), id="truncated chunks"),
        pytest.param(answer(200, b"no gzip", {"Content-Encoding": "gzip"}), id="bad encoding"),
    ]


@ACTS
@pytest.mark.parametrize("reply", broken_replies())
def test_an_open_outcome_is_reported_at_once_and_never_tried_again(
    world: World,
    act: Callable[[Client], Batch | File],
    made: dict[str, object],
    reply: Callable[[Handler], None],
) -> None:
    world.server.will(reply, answer(200, made))
    with pytest.raises(MayHaveActed) as caught:
        act(world.client())
    assert len(world.server.received) == 1
    assert world.naps == []
    assert caught.value.provider == "lab"
    assert caught.value.call in {"POST /batches", "POST /files"}
    assert "may have been carried out" in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_batch_is_asked_for_exactly_once_after_a_dropped_connection(world: World) -> None:
    world.server.will(drop(), *[answer(200, batch())] * 5)
    with pytest.raises(MayHaveActed):
        create(world.client())
    assert [(one.method, one.path) for one in world.server.received] == [("POST", "/v1/batches")]


@ACTS
def test_a_reply_that_never_comes_leaves_the_outcome_open(
    world: World, act: Callable[[Client], Batch | File], made: dict[str, object]
) -> None:
    world.server.will(stall, answer(200, made))
    with pytest.raises(MayHaveActed):
        act(world.client(timeouts=Timeouts(act=0.05)))
    assert len(world.server.received) == 1


@ACTS
def test_a_creation_is_waited_for_longer_than_a_look(
    world: World, act: Callable[[Client], Batch | File], made: dict[str, object]
) -> None:
    def slowly(handler: Handler) -> None:
        handler.server.over.wait(0.2)
        answer(200, made)(handler)

    world.server.will(slowly)
    assert act(world.client(timeouts=Timeouts(read=0.05, act=5.0))).id == made["id"]


@ACTS
def test_a_refused_connection_is_tried_again_and_then_unreachable(
    world: World, act: Callable[[Client], Batch | File], made: dict[str, object]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = world.provider(base_url=f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
    with pytest.raises(Unreachable, match="cannot be reached at http://127"):
        act(world.client(provider=nobody))
    assert len(world.naps) == 4
    assert made


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]"),
        httpx.ConnectError("[Errno -2] Name or service not known"),
        httpx.ConnectTimeout("timed out"),
        httpx.PoolTimeout(""),
        httpx.ProxyError("403 Forbidden"),
    ],
    ids=repr,
)
@ACTS
def test_a_connection_that_was_never_made_has_not_acted(
    world: World,
    act: Callable[[Client], Batch | File],
    made: dict[str, object],
    error: httpx.RequestError,
) -> None:
    left = [error, error]

    def handle(request: httpx.Request) -> httpx.Response:
        if left:
            raise left.pop()
        request.read()
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(made).encode()))

    assert act(world.client(transport=httpx.MockTransport(handle))).id == made["id"]
    assert len(world.naps) == 2


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadError("reset"),
        httpx.WriteError("broken pipe"),
        httpx.ReadTimeout(""),
        httpx.WriteTimeout(""),
        httpx.CloseError(""),
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
        httpx.LocalProtocolError(""),
        httpx.DecodingError(""),
    ],
    ids=repr,
)
@ACTS
def test_a_connection_that_broke_later_may_have_acted(
    world: World,
    act: Callable[[Client], Batch | File],
    made: dict[str, object],
    error: httpx.RequestError,
) -> None:
    sent: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        raise error

    with pytest.raises(MayHaveActed):
        act(world.client(transport=httpx.MockTransport(handle)))
    assert len(sent) == 1
    assert made


@ACTS
def test_too_many_requests_have_not_acted(
    world: World, act: Callable[[Client], Batch | File], made: dict[str, object]
) -> None:
    world.server.will(
        answer(429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}),
        answer(429, {}, {"Retry-After": "9"}),
        answer(429, {}, {"Retry-After": SERVER_DATE.replace("00:00", "00:20")}),
        answer(200, made),
    )
    assert act(world.client()).id == made["id"]
    assert world.naps == [0.5, 9.0, 20.0]
    bodies = {
        one.body.partition(b"\r\n\r\n")[2].partition(b"\r\n--")[0] for one in world.server.received
    }
    assert len(bodies) == 1


@ACTS
def test_a_wait_of_an_hour_is_left_to_a_later_pass(
    world: World, act: Callable[[Client], Batch | File], made: dict[str, object]
) -> None:
    world.server.will(answer(429, {}, {"Retry-After": "3600"}), answer(200, made))
    with pytest.raises(RateLimited) as caught:
        act(world.client())
    assert caught.value.retry_after == 3600
    assert world.naps == []


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (301, {}, Rejected),
        (302, {}, Rejected),
        (303, {}, Rejected),
        (307, {}, Rejected),
        (308, {}, Rejected),
        (400, {"error": {"message": "bad", "param": "endpoint"}}, Rejected),
        (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}, Unauthorized),
        (402, {}, OutOfMoney),
        (403, {}, Unauthorized),
        (401, {"error": {"message": "Missing scopes: model.request"}}, Unauthorized),
        (403, {"error": {"message": "No.", "type": "key_model_access_denied"}}, ModelRefused),
        (403, {"error": {"message": "No.", "param": "model"}}, ModelRefused),
        (403, {"error": {"message": "You may not use this model."}}, ModelRefused),
        (400, {"error": {"message": "The storage limit of 100 GB is reached."}}, NoRoom),
        (403, {"error": {"message": "File storage quota exceeded"}}, NoRoom),
        (409, {"detail": "Too many files"}, NoRoom),
        (429, {"error": {"message": "storage full"}}, NoRoom),
        (404, {}, NotOffered),
        (405, {}, NotOffered),
        (409, {}, Rejected),
        (422, {"detail": [{"msg": "bad"}]}, Rejected),
        (429, {"error": {"message": "quota", "type": "insufficient_quota"}}, OutOfMoney),
        (501, {}, NotOffered),
    ],
)
@ACTS
def test_a_refusal_is_reported_once(
    *,
    world: World,
    act: Callable[[Client], Batch | File],
    made: dict[str, object],
    status: int,
    body: object,
    expected: type[ApiError],
) -> None:
    place = {"Location": f"{world.server.origin}/v2/batches"} if status < 400 else {}
    world.server.will(answer(status, body, place), answer(200, made))
    with pytest.raises(expected) as caught:
        act(world.client())
    assert type(caught.value) is expected
    assert len(world.server.received) == 1
    assert KEY not in str(caught.value)
    if place:
        assert f"base_url redirects to {world.server.origin}/v2/batches" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (413, "<html><title>413</title>"),
        (400, {"error": {"message": "File is too large."}}),
    ],
)
def test_an_upload_may_be_too_large(world: World, status: int, body: object) -> None:
    world.server.will(answer(status, body))
    with pytest.raises(TooLarge, match="max_bytes_per_batch"):
        upload(world.client())
    assert len(world.server.received) == 1


@ACTS
def test_a_refusal_whose_body_breaks_off_is_still_that_refusal(
    world: World, act: Callable[[Client], Batch | File], made: dict[str, object]
) -> None:
    world.server.will(answer(400, {"error": "no"}, announced=500), answer(200, made))
    with pytest.raises(Rejected):
        act(world.client())
    assert len(world.server.received) == 1


def test_a_file_not_visible_yet_is_waited_for_with_the_same_id(world: World) -> None:
    hidden = {"error": {"message": "Cannot find file file-1", "param": "input_file_id"}}
    world.server.will(answer(400, hidden), answer(404, hidden), answer(200, batch()))
    assert create(world.client()).id == "batch_1"
    assert world.naps == [0.5, 1.0]
    assert {one.json["input_file_id"] for one in world.server.received} == {"file-1"}


def test_a_file_that_stays_invisible_is_given_up(world: World) -> None:
    world.server.will(*[answer(400, {"error": {"message": "File file-1 not found"}})] * 9)
    with pytest.raises(FileNotVisible):
        create(world.client())
    assert len(world.server.received) == 5


@pytest.mark.parametrize("metadata", [{}, {"runner": "k", "né": "\u2028"}])
def test_a_batch_is_asked_for_in_the_words_of_the_reference(
    world: World, metadata: dict[str, str]
) -> None:
    world.server.will(answer(200, batch(metadata=metadata)))
    made = world.client().create_batch(
        input_file_id="file-1",
        endpoint="/v1/embeddings",
        completion_window="24h",
        metadata=metadata,
    )
    assert made.known_status is BatchStatus.VALIDATING
    assert made.metadata == metadata
    request = world.server.received[0]
    assert request.headers["content-type"] == "application/json"
    assert request.json == {
        "input_file_id": "file-1",
        "endpoint": "/v1/embeddings",
        "completion_window": "24h",
        **({"metadata": metadata} if metadata else {}),
    }


def test_what_acts_never_goes_out_on_a_connection_that_has_been_idle(world: World) -> None:
    # The server may hang up in the very moment in which an idle connection is used again.
    world.server.will(
        answer(200, batch()),
        answer(200, batch()),
        answer(200, batch(), then_close=True),
        answer(200, batch()),
        answer(200, file()),
    )
    client = world.client()
    client.retrieve_batch("batch_1")
    client.retrieve_batch("batch_1")
    create(client)
    create(client)
    upload(client)
    assert [one.connection for one in world.server.received] == [0, 0, 1, 2, 3]


# Cancelling is idempotent.


def test_a_cancelled_batch_is_returned_as_it_stands(world: World) -> None:
    world.server.will(answer(200, batch(status="cancelling")))
    assert world.client().cancel_batch("batch_1").status == "cancelling"
    assert [(one.method, one.path) for one in world.server.received] == [
        ("POST", "/v1/batches/batch_1/cancel")
    ]


def test_a_cancel_is_tried_again_whatever_happened_to_it(world: World) -> None:
    world.server.will(
        drop(), answer(503), answer(200, "<html>"), answer(200, batch(status="cancelling"))
    )
    assert world.client().cancel_batch("batch_1").status == "cancelling"
    assert len(world.server.received) == 4


@pytest.mark.parametrize("status", ["completed", "failed", "expired", "cancelled", "cancelling"])
@pytest.mark.parametrize("refusal", [400, 409])
def test_a_batch_that_has_ended_already_is_as_good_as_cancelled(
    world: World, refusal: int, status: str
) -> None:
    world.server.will(answer(refusal, {"error": "too late"}), answer(200, batch(status=status)))
    assert world.client().cancel_batch("batch_1").status == status


def test_a_batch_that_goes_on_was_not_cancelled(world: World) -> None:
    world.server.will(answer(409, {"error": "no"}), answer(200, batch(status="in_progress")))
    with pytest.raises(
        Rejected, match="answered POST /batches/batch_1/cancel with 409 Conflict: no"
    ):
        world.client().cancel_batch("batch_1")


@pytest.mark.parametrize("reply", [{}, {"message": "cancellation initiated"}])
def test_a_cancel_answered_without_a_batch_is_looked_up(world: World, reply: object) -> None:
    world.server.will(answer(202, reply), answer(200, batch(status="cancelling")))
    assert world.client().cancel_batch("batch_1").status == "cancelling"


@pytest.mark.parametrize(
    ("status", "expected"), [(404, NotFound), (403, Unauthorized), (413, Rejected)]
)
def test_a_cancel_that_cannot_be_is_an_error(
    world: World, status: int, expected: type[ApiError]
) -> None:
    world.server.will(answer(status, {}))
    with pytest.raises(expected):
        world.client().cancel_batch("batch_1")


def test_a_cancel_never_leaves_its_outcome_open(world: World) -> None:
    world.server.will(*[drop()] * 9)
    with pytest.raises(Transient):
        world.client().cancel_batch("batch_1")
