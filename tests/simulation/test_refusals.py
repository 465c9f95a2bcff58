from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.simulation.behaviour import Conditions
from tests.simulation.exchange import Form, Request
from tests.simulation.scene import (
    create,
    get,
    request_line,
    request_lines,
    submit,
    upload,
    world_of,
)
from tests.simulation.world import VirtualClock, World

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize("status", [409, 400])
def test_a_batch_that_is_over_cannot_be_cancelled(status: int) -> None:
    world = world_of(conditions=Conditions(conflict_status=status))
    reply = world.handle(Request.json("POST", f"/batches/{submit(world, request_lines(1))}/cancel"))
    assert reply.status == status
    assert "Cannot cancel a batch with status 'completed'" in reply.document()["error"]["message"]


BAD_INPUTS = [
    (request_line("a") + b"{nope\n", "invalid_json_line", 2),
    (request_line("a") + b"\n" + request_line("b"), "invalid_json_line", 2),
    (b'{"custom_id": "a"}\n', "missing_required_parameter", 1),
    (request_line("a") + request_line("a"), "duplicate_custom_id", 2),
    (request_line("a", url="/v1/embeddings"), "invalid_url", 1),
    (request_line("a") + request_line("b", model="other"), "mismatched_model", 2),
    (request_line("a").replace(b'"model"', b'"stream": true, "model"'), "streaming_unsupported", 1),
    (request_line("a") + b"\xef\xbb\xbf" + request_line("b"), "invalid_json_line", 2),
    (request_line("a") + b'{"custom_id": NaN}\n', "invalid_json_line", 2),
    (request_line("a") + b"[]", "invalid_json_line", 2),
    (request_lines(4), "too_many_tasks", None),
]


@pytest.mark.parametrize(("lines", "code", "number"), BAD_INPUTS)
def test_a_bad_input_fails_the_batch(lines: bytes, code: str, number: int | None) -> None:
    world = world_of(conditions=Conditions(max_requests=3))
    batch = get(world, f"/batches/{submit(world, lines)}")
    (error,) = batch["errors"]["data"]
    assert (batch["status"], error["code"], error["line"]) == ("failed", code, number)


BAD_CREATIONS: Sequence[tuple[dict[str, Any], str | None, str | None]] = [
    ({"input_file_id": None}, "input_file_id", "missing_required_parameter"),
    ({"input_file_id": 7}, "input_file_id", "invalid_type"),
    ({"input_file_id": "file-unknown"}, "file_id", "invalid_request"),
    ({"endpoint": "/v1/nothing"}, "endpoint", "invalid_value"),
    ({"completion_window": "25h"}, "completion_window", "invalid_value"),
    ({"metadata": {"a": 1}}, "metadata.a", "invalid_type"),
    ({"metadata": []}, "metadata", "invalid_type"),
    ({"metadata": {str(n): "" for n in range(17)}}, "metadata", "object_above_max_properties"),
    ({"metadata": {"a": "x" * 513}}, "metadata.a", "string_above_max_length"),
    ({"idempotency_key": "a"}, "idempotency_key", "unknown_parameter"),
    ({"output_expires_after": {"anchor": "now"}}, "expires_after", "invalid_value"),
]


@pytest.mark.parametrize(("change", "param", "code"), BAD_CREATIONS)
def test_a_bad_creation_is_refused(
    change: dict[str, Any], param: str | None, code: str | None
) -> None:
    world = world_of()
    reply = create(world, upload(world, request_lines(1)), **change)
    error = reply.document()["error"]
    assert (reply.status, error["param"], error["code"]) == (400, param, code)
    assert set(error) == {"message", "type", "param", "code"}
    assert world.submissions() == ()


def test_a_bad_upload_is_refused() -> None:
    world = world_of(conditions=Conditions(max_bytes=300))
    cases = [
        Request.upload("notes.txt", request_lines(1)),
        Request.upload("a.jsonl", request_lines(1), purpose="nothing"),
        Request.upload("a.jsonl", b"not json\n"),
        Request.upload("a.jsonl", b""),
        Request.upload("", request_lines(1)),
        Request(method="POST", path="/files", form=Form(fields={})),
        Request.upload("a.jsonl", request_lines(3)),
        Request.json("POST", "/files", {}),
    ]
    assert [world.handle(case).status for case in cases] == [400] * 6 + [413, 400]
    assert world.files() == ()


def test_unknown_things_are_404() -> None:
    world = world_of()
    paths = ["/batches/x", "/files/x", "/files/x/content", "/nothing", "/batches/x/y", "/files/x/y"]
    replies = [world.handle(Request.json("GET", path)) for path in paths]
    assert [reply.status for reply in replies] == [404] * 6
    assert all(reply.document()["error"]["message"] for reply in replies)
    assert world.handle(Request.json("DELETE", "/files/x")).status == 404


def test_a_key_is_asked_for() -> None:
    world = World(VirtualClock(), key="sk-right")
    request = Request.json("GET", "/batches")

    def ask(key: str) -> tuple[int, str]:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        reply = world.exchange(replace(request, headers=headers)).reply
        assert reply is not None
        return reply.status, reply.body.whole().decode()

    assert ask("sk-right")[0] == 200
    status, shown = ask("sk-wrong-key")
    assert (status, "sk-wrong-key" in shown) == (401, False)
    world.conditions = Conditions(echoes_key=True)
    assert "sk-wrong-key" in ask("sk-wrong-key")[1]
    assert ask("")[0] == 401


def test_a_file_of_another_purpose_is_no_input() -> None:
    world = world_of()
    batch = get(world, f"/batches/{submit(world, request_lines(1))}")
    error = create(world, batch["output_file_id"]).document()["error"]
    assert (error["param"], error["code"]) == ("input_file_id", "invalid_purpose")


def test_a_body_that_is_no_object_is_refused() -> None:
    world = world_of()
    for document in (7, "text"):
        assert world.handle(Request.json("POST", "/batches", document)).status == 400
    assert world.handle(Request(method="POST", path="/batches", body=b"{")).status == 400
