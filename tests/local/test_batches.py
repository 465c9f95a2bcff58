from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from openai import BadRequestError, ConflictError, NotFoundError

from runner.batch import CLASSIC_FIELDS, NEWER_FIELDS
from tests.local.support import CHAT, EMBEDDINGS, START, chat_line, chat_lines, jsonl, request

if TYPE_CHECKING:
    from tests.local.support import Bench

DAY = 24 * 3600


def test_a_new_batch_has_every_field(bench: Bench) -> None:
    bench.clock.hold_at = 1
    batch = bench.client.batches.create(
        input_file_id=bench.upload(jsonl(chat_lines(1))),
        endpoint=CHAT,
        completion_window="24h",
        metadata={"project": "acl"},
    )
    fields = batch.to_dict()
    assert set(fields) == {*CLASSIC_FIELDS, *NEWER_FIELDS}
    unset = dict.fromkeys(fields)
    assert fields == unset | {
        "id": batch.id,
        "object": "batch",
        "endpoint": CHAT,
        "input_file_id": batch.input_file_id,
        "completion_window": "24h",
        "status": "validating",
        "created_at": START,
        "expires_at": START + DAY,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": {"project": "acl"},
    }
    bench.clock.released.set()
    done = bench.finished(batch).to_dict()
    assert done == fields | {
        "status": "completed",
        "model": "echo",
        "in_progress_at": START,
        "finalizing_at": START,
        "completed_at": START,
        "output_file_id": done["output_file_id"],
        "request_counts": {"total": 1, "completed": 1, "failed": 0},
        "usage": {
            "input_tokens": 3,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 6,
        },
    }


def test_rows_that_fail_go_to_the_error_file(bench: Bench) -> None:
    good, bad = chat_line("good", "hi"), chat_line("bad", "", messages="none")
    batch = bench.run([good, bad])
    assert batch.status == "completed"
    assert batch.request_counts is not None
    assert batch.request_counts.to_dict() == {"total": 2, "completed": 1, "failed": 1}
    [answer] = bench.answers(batch)
    assert answer["custom_id"] == "good"
    assert answer["error"] is None
    assert answer["response"]["status_code"] == 200
    [failure] = bench.failures(batch)
    assert failure["custom_id"] == "bad"
    assert failure["error"] is None
    assert failure["response"]["status_code"] == 400
    error = failure["response"]["body"]["error"]
    assert error["type"] == "invalid_request_error"
    assert "$.messages" in error["message"]
    ids = {line["id"] for line in (answer, failure)}
    assert len(ids) == 2
    assert all(identifier.startswith("batch_req_") for identifier in ids)
    files = {file.id: file for file in bench.client.files.list(purpose="batch_output")}
    assert set(files) == {batch.output_file_id, batch.error_file_id}
    assert files[batch.output_file_id or ""].filename == f"{batch.id}_output.jsonl"
    assert files[batch.output_file_id or ""].expires_at is None


def test_without_a_success_there_is_no_output_file(bench: Bench) -> None:
    batch = bench.run([chat_line("bad", "", messages=[])])
    assert batch.status == "completed"
    assert batch.output_file_id is None
    assert [line["custom_id"] for line in bench.failures(batch)] == ["bad"]


def test_without_a_failure_there_is_no_error_file(bench: Bench) -> None:
    batch = bench.run(chat_lines(600))
    assert batch.error_file_id is None
    assert [line["custom_id"] for line in bench.answers(batch)] == [
        f"row-{number}" for number in range(600)
    ]


def test_output_files_expire_if_the_batch_says_so(bench: Bench) -> None:
    batch = bench.client.batches.create(
        input_file_id=bench.upload(jsonl(chat_lines(1))),
        endpoint=CHAT,
        completion_window="24h",
        output_expires_after={"anchor": "created_at", "seconds": 7200},
    )
    output = bench.finished(batch).output_file_id
    assert output is not None
    assert bench.client.files.retrieve(output).expires_at == START + 7200


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"endpoint": "/v1/chat"}, "endpoint", "invalid_value"),
        ({"endpoint": 7}, "endpoint", "invalid_type"),
        ({"endpoint": None}, "endpoint", "missing_required_parameter"),
        ({"completion_window": "48h"}, "completion_window", "invalid_value"),
        ({"input_file_id": None}, "input_file_id", "missing_required_parameter"),
        ({"input_file_id": "file-none"}, "file_id", "invalid_request"),
        ({"metadata": "text"}, "metadata", "invalid_type"),
        ({"metadata": {"tags": ["a"]}}, "metadata.tags", "invalid_type"),
        ({"metadata": {"k" * 65: ""}}, "metadata", "string_above_max_length"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k", "string_above_max_length"),
        (
            {"metadata": {str(number): "" for number in range(17)}},
            "metadata",
            "object_above_max_properties",
        ),
        ({"output_expires_after": 3600}, "output_expires_after", "invalid_type"),
        (
            {"output_expires_after": {"anchor": "created_at", "seconds": True}},
            "output_expires_after[seconds]",
            "invalid_type",
        ),
    ],
)
def test_orders_that_are_refused(
    shared: Bench, change: dict[str, Any], param: str, code: str
) -> None:
    before = shared.client.batches.list().data
    body = {
        "input_file_id": shared.upload(b"{}\n"),
        "endpoint": CHAT,
        "completion_window": "24h",
    } | change
    with pytest.raises(BadRequestError) as caught:
        shared.client.post("/batches", body=body, cast_to=object)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert caught.value.type == "invalid_request_error"
    assert shared.client.batches.list().data == before


def test_the_longest_metadata_there_may_be_comes_back(shared: Bench) -> None:
    metadata = {f"{number:02d}" + "ü" * 62: "é" * 512 for number in range(16)}
    batch = shared.client.batches.create(
        input_file_id=shared.upload(jsonl(chat_lines(1))),
        endpoint=CHAT,
        completion_window="24h",
        metadata=metadata,
    )
    assert shared.finished(batch).metadata == metadata


@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 100_000])
def test_bodies_that_are_no_order(shared: Bench, body: bytes) -> None:
    reply = shared.http.post("/batches", content=body)
    assert reply.status_code == 400
    assert "could not parse the JSON body" in reply.json()["error"]["message"]


def test_a_result_file_is_no_input(shared: Bench) -> None:
    output = shared.run(chat_lines(1)).output_file_id
    assert output is not None
    with pytest.raises(BadRequestError) as caught:
        shared.client.batches.create(input_file_id=output, endpoint=CHAT, completion_window="24h")
    assert caught.value.param == "input_file_id"


def test_what_is_not_there_is_not_found(shared: Bench) -> None:
    for call in (shared.client.batches.retrieve, shared.client.batches.cancel):
        with pytest.raises(NotFoundError) as caught:
            call("batch_none")
        assert caught.value.body == {
            "message": "No batch found with id 'batch_none'.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    with pytest.raises(NotFoundError) as caught:
        shared.client.models.list()
    assert "Invalid URL (GET /v1/models)" in caught.value.message
    assert shared.http.delete("/batches").status_code == 405


def test_listing_pages_newest_first(bench: Bench) -> None:
    file = bench.upload(jsonl(chat_lines(1)))
    ids = [
        bench.client.batches.create(input_file_id=file, endpoint=CHAT, completion_window="24h").id
        for _ in range(23)
    ][::-1]
    first = bench.client.batches.list()
    assert [batch.id for batch in first.data] == ids[:20]
    reply = bench.http.get(f"/batches?limit=5&after={ids[1]}").json()
    assert [batch["id"] for batch in reply.pop("data")] == ids[2:7]
    assert reply == {
        "object": "list",
        "first_id": ids[2],
        "last_id": ids[6],
        "has_more": True,
    }
    last = bench.http.get(f"/batches?after={ids[-1]}").json()
    assert last == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    assert [batch.id for batch in bench.client.batches.list(limit=7)] == ids
    for query in ("limit=101", "limit=0", "after=batch_none"):
        assert bench.http.get(f"/batches?{query}").status_code == 400


def test_cancelling_what_has_ended(bench: Bench) -> None:
    completed = bench.run(chat_lines(1))
    failed = bench.run([request("a", EMBEDDINGS, model="none")], EMBEDDINGS)
    for batch in (completed, failed):
        with pytest.raises(ConflictError) as caught:
            bench.client.batches.cancel(batch.id)
        assert f"Cannot cancel a batch with status '{batch.status}'." in caught.value.message
        assert bench.client.batches.retrieve(batch.id) == batch


def test_an_input_deleted_under_way_is_still_answered(bench: Bench) -> None:
    bench.clock.hold_at = 1
    batch = bench.create(chat_lines(300))
    assert bench.clock.held.wait(20)
    bench.client.files.delete(batch.input_file_id)
    bench.clock.released.set()
    assert bench.finished(batch).status == "completed"
    assert len(bench.answers(bench.client.batches.retrieve(batch.id))) == 300
