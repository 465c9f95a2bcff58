"""What Batch objects and errors say in every dialect: usage, reasons, codes, depth."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.batch import (
    DEEPEST,
    Batch,
    split_at_depth,
    status_named_in,
    status_of_code,
    sum_usage,
)

values: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


def test_usage_is_summed_at_every_depth() -> None:
    batches: list[dict[str, object]] = [
        {"usage": {"input": 3, "details": {"cached": 1}, "model": "m", "odd": float("nan")}},
        {"usage": None},
        {},
        {"usage": {"input": 4.5, "details": {"cached": 2, "audio": 10**400}, "flag": True}},
        {"usage": {"details": None, "input": "many"}},
    ]
    assert sum_usage(batches) == {"input": 7.5, "details": {"cached": 3, "audio": 10**400}}
    assert sum_usage([{"usage": None}, {}]) is None
    assert sum_usage([]) is None


@given(usages=st.lists(st.dictionaries(st.text(max_size=2), values, max_size=3), max_size=3))
def test_no_usage_breaks_the_sum(usages: list[dict[str, object]]) -> None:
    batches: list[dict[str, object]] = [{"usage": usage} for usage in usages]
    total = sum_usage(batches)
    assert (total is None) is (not usages)


WORDS = {
    "Error code: 500 - {'error': {'message': 'see HTTP 400', 'code': 400}}": 500,
    "Error code: 400 - {'error': {'message': 'no', 'code': 500}}": 400,
    "upstream replied status=503": 503,
    "response_status=502, giving up": 502,
    "status_code: 429": 429,
    "statusCode=504": 504,
    "HTTP 429": 429,
    "HTTP/1.1 502 Bad Gateway": 502,
    "HTTP Error 404: Not Found": 404,
    "HTTPStatusError: 503": 503,
    'it said {"error": {"code": 401, "message": "no"}}': 401,
    'it said {\\"status\\": 500}': 500,
    "Server error '503 Service Unavailable' for url 'http://127.0.0.1'": 503,
    "429 Client Error: Too Many Requests for url": 429,
    "it failed with 404 Not Found": 404,
    "litellm.RateLimitError: RateLimitError: OpenAIException - slow": 429,
    "litellm.InternalServerError: Error code: 400": 500,
    "litellm.BadRequestError: OpenAIException - Error code: 500": 400,
    "openai.APITimeoutError": 408,
    "httpx.ReadTimeout": 408,
    "APIConnectionError: no route": 500,
    "ServiceUnavailableError": 503,
    "NotFoundError: no model": 404,
    "Request timed out.": 408,
    "Connection error.": 500,
    "it did not work": None,
    "This model's maximum context length is 512 tokens": None,
    "error: 500 tokens are too many": None,
    "status 200": None,
    "code 5000": None,
    "HTTP 503.5": None,
    "room 404": None,
    "the zipcode5000": None,
    "RateLimitErrors": None,
    "the timeout is 500": None,
}


@pytest.mark.parametrize("words", WORDS)
def test_a_status_is_read_from_the_words_of_a_message(words: str) -> None:
    assert status_named_in(words) == WORDS[words]


CODES = {
    "rate_limit_exceeded": 429,
    "Throttling.RateQuota": 429,
    "insufficient_quota": 429,
    "billing_hard_limit_reached": 429,
    "insufficient_user_quota": 402,
    "server_error": 500,
    "InternalServerError": 500,
    "APIConnectionError": 500,
    "overloaded_error": 503,
    "request_timeout": 408,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "method_not_allowed": 405,
    "model_not_found": 404,
    "NotFoundError": 404,
    "request_too_large": 413,
    "invalid_request_error": 400,
    "missing_required_parameter": 400,
    "503": 503,
    "404": 404,
    "5": None,
    "200": None,
    "early": None,
}


@pytest.mark.parametrize("code", CODES)
def test_a_code_stands_for_a_status(code: str) -> None:
    assert status_of_code(code) == CODES[code]


ERRORS: dict[str, tuple[object, list[str]]] = {
    "the documented form": (
        {"object": "list", "data": [{"code": "bad", "message": "no", "line": 3, "param": None}]},
        ["line 3: no (bad)"],
    ),
    "a bare object": ({"code": "bad", "message": "no"}, ["no (bad)"]),
    "a bare object in data": ({"data": {"message": "no"}}, ["no"]),
    "an object with an error": ({"error": {"code": "bad", "message": "no"}}, ["no (bad)"]),
    "a bare list": ([{"code": "bad", "message": "no"}, "and more"], ["no (bad)", "and more"]),
    "a text": ("no", ["no"]),
    "a number for a code": ({"code": 500, "message": "no"}, ["no (500)"]),
    "other names": ({"error_code": "bad", "error_message": "no"}, ["no (bad)"]),
    "a code alone": ([{"code": "bad"}], ["bad"]),
    "nothing": (None, []),
    "an empty list": ({"object": "list", "data": []}, []),
    "a null list": ({"object": "list", "data": None}, []),
    "an empty object": ({}, []),
    "an empty text": ("", []),
    "nonsense": ([7, None, [], {"code": True}], []),
}


@pytest.mark.parametrize("name", ["errors", "error"])
@pytest.mark.parametrize(("value", "shown"), ERRORS.values(), ids=ERRORS.keys())
def test_the_reasons_of_a_batch_are_read_in_every_form(
    name: str, value: object, shown: list[str]
) -> None:
    batch = Batch.from_api({"id": "batch_1", "status": "failed", name: value})
    assert [str(error) for error in batch.errors] == shown


json_texts = st.recursive(
    st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
).map(json.dumps)


def depth_of(text: bytes) -> int:
    """Return how deep a text of at most 900 levels is nested."""
    level, depth = [json.loads(text)], 0
    while level := [each for each in level if isinstance(each, list | dict)]:
        depth += 1
        level = [
            member
            for each in level
            for member in (each if isinstance(each, list) else each.values())
        ]
    return depth


@given(text=json_texts, more=st.integers(0, 700))
@example(text='"[[[\\\\\\"]"', more=600)
def test_parts_of_json_are_shallow_and_are_all_of_it(text: str, more: int) -> None:
    whole = b"[" * more + text.encode() + b"]" * more
    parts = split_at_depth(whole)
    assert max(map(depth_of, parts)) <= DEEPEST
    assert (len(parts) == 1) is (depth_of(whole) <= DEEPEST)
    together = sum(map(len, parts)) - len(b"null") * (len(parts) - 1)
    assert together == len(whole)


@given(text=st.binary())
@example(text=b"]" * 500 + b"[" * 500)
@example(text=b"[" * 300 + b'"\\')
def test_what_is_no_json_is_split_without_a_loss(text: bytes) -> None:
    parts = split_at_depth(text * 300)
    assert sum(len(part) - part.count(b"null") * 4 for part in parts) <= len(text) * 300
