"""An error with status 200, as the reply to any call, is the error that its code says."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from runner.errors import (
    ApiError,
    FileNotVisible,
    MayHaveActed,
    NoRoom,
    NotFound,
    Rejected,
    Transient,
    Unauthorized,
    UnexpectedReply,
)
from tests.api.scripted import KEY, answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.api.client import Client
    from tests.api.scripted import World

READING: Final[dict[str, Callable[[Client, Path], object]]] = {
    "retrieve": lambda client, _folder: client.retrieve_batch("batch_1"),
    "retrieve file": lambda client, _folder: client.retrieve_file("file-1"),
    "cancel": lambda client, _folder: client.cancel_batch("batch_1"),
    "list": lambda client, _folder: client.list_batches(enough=lambda _batches: False),
    "list files": lambda client, _folder: client.list_files(enough=lambda _files: False),
    "content": lambda client, folder: client.download(
        "file-1", folder / "part", expected_bytes=None
    ),
    "delete": lambda client, _folder: client.delete_file("file-1"),
}
ACTING: Final[dict[str, Callable[[Client, Path], object]]] = {
    "upload": lambda client, _folder: client.upload(io.BytesIO(b"{}"), filename="a.jsonl", size=2),
    "create": lambda client, _folder: client.create_batch(
        input_file_id="file-1", endpoint="/v1/embeddings", completion_window="24h", metadata={}
    ),
}
CALLS: Final = READING | ACTING


def stated(**members: object) -> dict[str, Any]:
    return {"error": {"message": "It was refused, they say.", "type": None, "code": None} | members}


ERRORS: Final[dict[str, tuple[int, dict[str, Any]]]] = {
    "rate limit": (429, stated(code="rate_limit_exceeded")),
    "money": (429, stated(code="insufficient_quota")),
    "no balance": (402, stated(code="insufficient_user_quota")),
    "key": (401, stated(code="invalid_api_key")),
    "right": (403, stated(type="permission_error")),
    "model": (403, stated(code="model_not_allowed", param="model")),
    "request": (400, stated(code="invalid_value", param="endpoint")),
    "server": (500, stated(type="server_error")),
    "overloaded": (503, stated(type="overloaded_error")),
    "not there": (404, stated(code="not_found")),
    "a number": (503, stated(code=503)),
    "a number beside it": (401, stated() | {"status": 401}),
    "a number in words": (502, stated(message="upstream: HTTP 502")),
    "words": (429, {"error": "litellm.RateLimitError: slow down"}),
    "vLLM": (404, {"object": "error", "message": "No.", "type": "NotFoundError", "code": 404}),
    "Anthropic": (
        429,
        {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down."}},
    ),
    "a gateway": (401, {"success": False, "message": "No.", "code": "unauthorized"}),
    "a code beside a message": (503, {"code": 503, "msg": "No."}),
    "a list with an error": (500, stated(code="server_error") | {"object": "list", "data": []}),
    "a null list": (500, stated(code="server_error") | {"data": None}),
}


def outcome(world: World, call: str, folder: Path, status: int, body: object) -> ApiError:
    """Return the error of a call that always gets this reply."""
    world.server.steps[:] = [answer(status, body)] * 20
    world.server.received.clear()
    with pytest.raises(ApiError) as caught:
        CALLS[call](world.client(), folder)
    return caught.value


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_with_status_200_is_that_of_its_status(
    world: World, tmp_path: Path, call: str, name: str
) -> None:
    status, body = ERRORS[name]
    if call == "delete" and status == 404:
        world.server.will(answer(200, body))
        assert world.client().delete_file("file-1")
        return
    proper = outcome(world, call, tmp_path, status, body)
    tries = len(world.server.received)
    found = outcome(world, call, tmp_path, 200, body)
    if call in ACTING and isinstance(proper, Transient):
        # The status says that it was done, so the list decides and not another call.
        assert type(found) is MayHaveActed
        assert len(world.server.received) == 1
        return
    assert type(found) is type(proper)
    assert (found.status, found.code, found.param) == (status, proper.code, proper.param)
    assert (found.in_body, proper.in_body) == (True, False)
    assert len(world.server.received) == tries
    assert "with 200 and an error: " in str(found)
    words = body["error"] if isinstance(body.get("error"), str) else None
    assert (words or json.dumps(body).partition('message": "')[2][:3]) in str(found)
    assert not (tmp_path / "part").exists()


UNKNOWN: Final = {
    "a code of no known meaning": stated(code="early"),
    "a bare text": {"error": "They did not like it."},
    "true": {"error": True, "message": "They did not like it."},
    "not a success": {"success": False, "message": "They did not like it."},
    "an id of its own": stated(code="early") | {"id": "err_1"},
    "a list of them": {"error": [{"message": "They did not like it."}]},
}


@pytest.mark.parametrize("call", sorted(CALLS.keys() - {"content", "cancel"}))
@pytest.mark.parametrize("name", UNKNOWN)
def test_an_error_of_unknown_meaning_keeps_its_words_and_proves_nothing(
    world: World, tmp_path: Path, call: str, name: str
) -> None:
    found = outcome(world, call, tmp_path, 200, UNKNOWN[name])
    assert type(found) is (MayHaveActed if call in ACTING else UnexpectedReply)
    assert found.in_body
    assert "They did not like it." in str(found) or "It was refused, they say." in str(found)
    assert len(world.server.received) == 1


def test_a_cancel_that_is_refused_in_unknown_words_says_them(world: World) -> None:
    going = {"id": "batch_1", "status": "in_progress"}
    world.server.will(answer(200, UNKNOWN["a bare text"]), answer(200, going))
    with pytest.raises(UnexpectedReply, match="They did not like it"):
        world.client().cancel_batch("batch_1")
    world.server.will(
        answer(200, UNKNOWN["a bare text"]), answer(200, going | {"status": "cancelling"})
    )
    assert world.client().cancel_batch("batch_1").status == "cancelling"


def test_words_count_where_the_code_says_nothing(world: World, tmp_path: Path) -> None:
    generic = {"type": "invalid_request_error"}
    for call, kind, body in (
        ("retrieve", NotFound, stated(message="No batch found with id 'batch_1'.", **generic)),
        ("retrieve file", NotFound, stated(message="No such File object: file-1", **generic)),
        ("create", FileNotVisible, stated(message="Cannot find file file-1", **generic)),
        ("create", FileNotVisible, {"error": "Cannot find file file-1"}),
        ("upload", NoRoom, {"error": "File storage quota exceeded."}),
        ("create", Rejected, stated(param="completion_window")),
    ):
        assert type(outcome(world, call, tmp_path, 200, body)) is kind, body


@pytest.mark.parametrize(
    "reply",
    [
        {"id": "batch_1", "status": "failed", "error": "No GPU."},
        {"id": "batch_1", "object": "batch", "status": "failed", "error": {"code": "x"}},
        {"id": "batch_1", "status": "completed", "error": None},
    ],
)
def test_a_batch_with_an_error_of_its_own_is_a_batch(
    world: World, reply: dict[str, object]
) -> None:
    world.server.will(answer(200, reply))
    assert world.client().retrieve_batch("batch_1").raw == reply


@pytest.mark.parametrize(
    "content",
    [
        b'{"id":"r","custom_id":"a","response":null,"error":{"code":"server_error"}}\n',
        b'{"id":"r","response":{},"error":{"code":"server_error"}}\n',
        b'{"error":{"code":"early"}}',
        b'{"error":{"code":"server_error"}}\n' * 2,
        b'{"error":{"code":"server_error","message":"' + b"x" * 70_000 + b'"}}',
        b"",
        b"null",
    ],
)
def test_what_may_be_the_content_of_a_file_is_kept(
    world: World, tmp_path: Path, content: bytes
) -> None:
    world.server.will(answer(200, content))
    world.client().download("file-1", tmp_path / "part", expected_bytes=None)
    assert (tmp_path / "part").read_bytes() == content


def test_an_error_in_place_of_a_content_is_told_before_its_length(
    world: World, tmp_path: Path
) -> None:
    world.server.will(*[answer(200, stated(code="invalid_api_key", message=f"Not {KEY}!"))] * 9)
    with pytest.raises(Unauthorized, match=r"Not \*\*\*!"):
        world.client().download("file-1", tmp_path / "part", expected_bytes=1880)


@pytest.mark.parametrize("levels", [1_000, 10_000])
@pytest.mark.parametrize("call", sorted(CALLS.keys() - {"content", "cancel", "delete"}))
def test_a_reply_that_is_nested_too_deeply_is_an_unusable_one(
    world: World, tmp_path: Path, call: str, levels: int
) -> None:
    body = b'{"id":"batch_1","status":"completed","data":' + b"[" * levels + b"]" * levels + b"}"
    found = outcome(world, call, tmp_path, 200, body)
    assert type(found) is (MayHaveActed if call in ACTING else UnexpectedReply)
    assert "nested more than 200 levels deep" in str(found)
    refused = outcome(world, call, tmp_path, 400, b'{"error":' + body + b"}")
    assert isinstance(refused, Rejected)
