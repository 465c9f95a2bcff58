from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.local.validation import MOST_REQUESTS, check
from tests.local.support import CHAT, chat_line, jsonl

if TYPE_CHECKING:
    from tests.local.support import Bench

GOOD = chat_line("a", "hi")


def found(content: bytes, endpoint: str = CHAT) -> list[tuple[str | None, int | None, str | None]]:
    verdict = check(io.BytesIO(content), endpoint, lambda: False)
    assert verdict is not None
    return [(error.code, error.line, error.param) for error in verdict.errors]


def without(line: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name != key}


def test_good_lines_pass() -> None:
    content = jsonl([GOOD, chat_line("b", "\u2028", stream=False)]).removesuffix(b"\n")
    verdict = check(io.BytesIO(content), CHAT, lambda: False)
    assert verdict is not None
    assert (verdict.requests, verdict.model, verdict.errors) == (2, "echo", ())


def test_an_empty_file_is_an_error_without_a_line() -> None:
    assert found(b"") == [("empty_file", None, None)]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"   ",
        b"{",
        b"not json",
        b"[]",
        b'"text"',
        b"\xef\xbb\xbf" + jsonl([GOOD]).strip(),
        jsonl([GOOD]).strip().replace(b"hi", b"\xff"),
        jsonl([GOOD]).strip().replace(b"hi", rb"\ud800"),
        jsonl([GOOD]).strip().replace(b'"hi"', b"NaN"),
        jsonl([GOOD]).strip().replace(b'"hi"', b"[" * 100_000 + b"]" * 100_000),
    ],
)
def test_lines_that_are_no_json_object(line: bytes) -> None:
    first = jsonl([chat_line("first", "hi")])
    assert found(first + line + b"\n" + first.replace(b"first", b"last")) == [
        ("invalid_json_line", 2, None)
    ]


@pytest.mark.parametrize(
    ("line", "code", "param"),
    [
        *(
            (without(GOOD, key), "missing_required_parameter", key)
            for key in ("custom_id", "method", "url", "body")
        ),
        (GOOD | {"custom_id": 7}, "invalid_request", "custom_id"),
        (GOOD | {"custom_id": ""}, "invalid_request", "custom_id"),
        (GOOD | {"custom_id": None}, "invalid_request", "custom_id"),
        (GOOD | {"method": "GET"}, "invalid_request", "method"),
        (GOOD | {"method": []}, "invalid_request", "method"),
        (GOOD | {"url": "/v1/embeddings"}, "invalid_url", "url"),
        (GOOD | {"url": {}}, "invalid_url", "url"),
        (GOOD | {"body": []}, "invalid_request", "body"),
        (GOOD | {"body": None}, "invalid_request", "body"),
        (GOOD | {"body": {}}, "invalid_request", "body.model"),
        (GOOD | {"body": {"model": 7}}, "invalid_request", "body.model"),
        (GOOD | {"body": {"model": "gpt-4o"}}, "model_not_found", "body.model"),
        (chat_line("a", "hi", stream=True), "streaming_unsupported", "body.stream"),
        (chat_line("a", "hi", stream=[]), "streaming_unsupported", "body.stream"),
    ],
)
def test_rules_a_line_can_break(line: dict[str, Any], code: str, param: str) -> None:
    assert found(jsonl([line])) == [(code, 1, param)]


def test_rules_between_lines() -> None:
    lines = [GOOD, GOOD, chat_line("b", "hi", model="other"), chat_line("c", "hi")]
    assert found(jsonl(lines)) == [
        ("duplicate_custom_id", 2, "custom_id"),
        ("mismatched_model", 3, "body.model"),
    ]


def test_a_model_belongs_to_its_endpoints() -> None:
    line = GOOD | {"url": "/v1/embeddings"}
    assert found(jsonl([line]), "/v1/embeddings") == [("model_not_found", 1, "body.model")]


def test_the_list_of_errors_is_bounded() -> None:
    assert len(found(b"{\n" * 1000)) == 100


def test_the_number_of_requests_is_bounded() -> None:
    template = json.dumps(GOOD | {"custom_id": "%d"}) + "\n"
    most = "".join(template.replace("%d", str(n)) for n in range(MOST_REQUESTS)).encode()
    assert found(most) == []
    assert found(most + b"{\n{\n") == [("too_many_tasks", MOST_REQUESTS + 1, None)]


def test_a_check_stops_when_asked() -> None:
    assert check(io.BytesIO(jsonl([GOOD])), CHAT, lambda: True) is None


@given(st.binary())
def test_no_bytes_break_the_check(content: bytes) -> None:
    assert found(content)


def test_a_batch_with_errors_fails_with_all_of_them(bench: Bench) -> None:
    batch = bench.run([GOOD, GOOD, without(GOOD, "url") | {"custom_id": "c"}])
    assert batch.status == "failed"
    assert batch.failed_at is not None
    assert batch.in_progress_at is None
    assert batch.output_file_id is None
    assert batch.error_file_id is None
    assert batch.errors is not None
    assert batch.errors.object == "list"
    assert [error.to_dict() for error in batch.errors.data or ()] == [
        {
            "code": "duplicate_custom_id",
            "line": 2,
            "message": "The custom_id 'a' is used by an earlier line.",
            "param": "custom_id",
        },
        {
            "code": "missing_required_parameter",
            "line": 3,
            "message": "Missing required parameter: 'url'.",
            "param": "url",
        },
    ]
