"""The verdict on one line: a table of what providers send, and laws over what they might."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.outputs.result_files import MALFORMED, Outcome, classify

if TYPE_CHECKING:
    from collections.abc import Callable

OK, AGAIN, NEVER = Outcome.SUCCEEDED, Outcome.TRANSIENT, Outcome.PERMANENT
CHAT = {"id": "chatcmpl-1", "object": "chat.completion", "choices": []}


def row(response: object, error: object = None) -> bytes:
    line = {"id": "batch_req_1", "custom_id": "a", "response": response, "error": error}
    return json.dumps(line).encode()


def answered(status: object, body: object) -> bytes:
    return row({"status_code": status, "request_id": "r", "body": body})


def opaque(body: object, status: object = 200) -> bytes:
    """Write a body as a JSON text, as OGX does."""
    return answered(status, json.dumps(body))


def unfinished(status: str, **more: object) -> bytes:
    body = {"id": "resp_1", "object": "response", "status": status, "error": None}
    return answered(200, {**body, "output": [], **more})


def deep(levels: int) -> bytes:
    """Write a success whose body is nested so many levels deeper than that of any other."""
    return (
        b'{"custom_id":"a","response":{"status_code":200,"body":{"id":"x","v":'
        + b"[" * levels
        + b"]" * levels
        + b'}},"error":null}'
    )


TABLE = {
    "documented success": (answered(200, CHAT), OK, None),
    "created": (answered(201, CHAT), OK, None),
    "status as text": (answered("200", CHAT), OK, None),
    "status as a float": (answered(200.0, CHAT), OK, None),
    "a body of other names": (answered(200, {"score": 0.5}), OK, None),
    "a responses body with error null": (answered(200, {"id": "resp", "error": None}), OK, None),
    "no error key at all": (
        b'{"custom_id":"a","response":{"status_code":200,"body":{"id":"x"}}}',
        OK,
        None,
    ),
    "a lone surrogate in the answer": (answered(200, {"id": "x", "text": "\ud83d"}), OK, None),
    "half a character": (
        b'{"custom_id":"a","response":{"status_code":200,"body":{"id":"\xe6\xb1"}}}',
        AGAIN,
        MALFORMED,
    ),
    "NaN": (
        b'{"custom_id":"a","response":{"status_code":200,"body":{"id":"x","v":NaN}}}',
        AGAIN,
        MALFORMED,
    ),
    "error beside an answer": (
        row({"status_code": 200, "body": CHAT}, {"code": "content_filter", "message": "no"}),
        NEVER,
        "content_filter",
    ),
    "error in a body of status 200": (
        answered(200, {**CHAT, "error": {"message": "bad", "code": "invalid_prompt"}}),
        NEVER,
        "invalid_prompt",
    ),
    "gateway error in a body of status 200": (
        answered(200, {"error": {"message": "upstream", "code": 502}}),
        AGAIN,
        "http_502",
    ),
    "HTTP 400": (
        answered(400, {"error": {"type": "invalid_request_error", "code": "too_long"}}),
        NEVER,
        "too_long",
    ),
    "HTTP 404 without words": (answered(404, None), NEVER, "http_404"),
    "HTTP 422 of a web framework": (answered(422, {"detail": "field x"}), NEVER, "http_422"),
    "HTTP 408": (answered(408, {}), AGAIN, "http_408"),
    "HTTP 409": (answered(409, {}), AGAIN, "http_409"),
    "HTTP 429": (
        answered(429, {"error": {"type": "tokens", "code": "rate_limit_exceeded"}}),
        AGAIN,
        "rate_limit_exceeded",
    ),
    "quota used up": (
        answered(429, {"error": {"type": "insufficient_quota", "code": None}}),
        AGAIN,
        "insufficient_quota",
    ),
    "quota used up, no status": (row(None, {"code": "insufficient_quota"}), AGAIN, None),
    "HTTP 500": (answered(500, CHAT), AGAIN, "http_500"),
    "HTTP 599 as text": (answered("599", CHAT), AGAIN, "http_599"),
    "HTTP 302": (answered(302, CHAT), NEVER, "http_302"),
    "status 0": (answered(0, {}), AGAIN, "http_0"),
    "expired": (row(None, {"code": "batch_expired", "message": "late"}), AGAIN, "batch_expired"),
    "cancelled": (row(None, {"code": "batch_cancelled"}), AGAIN, "batch_cancelled"),
    "cancelled with a status": (
        row({"status_code": 400, "body": None}, {"code": "batch_cancelled"}),
        AGAIN,
        "batch_cancelled",
    ),
    "timed out": (row(None, {"code": "request_timeout"}), AGAIN, "request_timeout"),
    "failed as a whole": (row(None, {"code": "batch_failed"}), AGAIN, "batch_failed"),
    "throttled by DashScope": (
        row(None, {"error_code": "Throttling.RateQuota", "error_message": "slow"}),
        AGAIN,
        "Throttling.RateQuota",
    ),
    "refused by DashScope": (
        row(None, {"error_code": "InvalidParameter"}),
        NEVER,
        "InvalidParameter",
    ),
    "vLLM, nested": (
        row(
            {"status_code": 400, "request_id": "r", "body": None},
            {"error": {"message": "long", "type": "BadRequestError", "code": 400}},
        ),
        NEVER,
        "BadRequestError",
    ),
    "vLLM, a sentence": (row({"status_code": 400}, "prompt is too long"), NEVER, "http_400"),
    "a bare code": (row(None, "server_error"), AGAIN, "server_error"),
    "a bare sentence": (row(None, "it did not work"), NEVER, "unnamed_error"),
    "an integer code": (row(None, {"code": 503, "message": "busy"}), AGAIN, "http_503"),
    "an integer code as text": (row(None, {"code": "400"}), NEVER, "http_400"),
    "error true": (row(None, error=True), NEVER, "unnamed_error"),
    "error empty": (row({"status_code": 200, "body": CHAT}, {}), NEVER, "unnamed_error"),
    "an unknown code": (row(None, {"code": "model_not_found"}), NEVER, "model_not_found"),
    "empty body": (answered(200, {}), AGAIN, "empty_body"),
    "no body": (row({"status_code": 200}), AGAIN, "empty_body"),
    "no response": (row(None), AGAIN, "no_response"),
    "the answer in place of the response": (row(CHAT), NEVER, "unrecognised_response"),
    "no status": (row({"body": CHAT}), NEVER, "unrecognised_response"),
    "status true": (answered(True, CHAT), NEVER, "unrecognised_response"),  # noqa: FBT003
    "an impossible status": (answered(10**400, CHAT), NEVER, "unrecognised_response"),
    "a page for a body": (answered(200, "<html>"), NEVER, "unrecognised_response"),
    "a list for a response": (row([1]), NEVER, "unrecognised_response"),
    "not an object": (b"[1]", AGAIN, MALFORMED),
    "a number for a custom_id": (b'{"custom_id":1}', AGAIN, MALFORMED),
    "nothing JSON": (b"<html>", AGAIN, MALFORMED),
    "two values": (b'{"custom_id":"a"}{"custom_id":"b"}', AGAIN, MALFORMED),
    "a very long integer": (
        b'{"custom_id":"a","response":{"status_code":200,"body":{"n":1%s}}}' % (b"0" * 5000),
        OK,
        None,
    ),
    "a body as a text": (opaque(CHAT), OK, None),
    "a body as a text, indented": (answered(200, json.dumps(CHAT, indent=1)), OK, None),
    "a body as a text, with a gateway's error": (
        opaque({"error": {"message": "bad", "code": "invalid_prompt"}}),
        NEVER,
        "invalid_prompt",
    ),
    "a refusal as a text": (
        opaque({"error": {"message": "slow", "code": "rate_limit_exceeded"}}, 429),
        AGAIN,
        "rate_limit_exceeded",
    ),
    "an empty object as a text": (opaque({}), AGAIN, "empty_body"),
    "a list as a text": (opaque([1]), NEVER, "unrecognised_response"),
    "a text of a text": (opaque(json.dumps(CHAT)), NEVER, "unrecognised_response"),
    "half an object as a text": (answered(200, '{"id":'), NEVER, "unrecognised_response"),
    "a response that failed at the server": (
        unfinished("failed", error={"code": "server_error", "message": "m"}),
        AGAIN,
        "server_error",
    ),
    "a response that failed by a limit": (
        unfinished("failed", error={"code": "rate_limit_exceeded", "message": "m"}),
        AGAIN,
        "rate_limit_exceeded",
    ),
    "a response that failed by its prompt": (
        unfinished("failed", error={"code": "invalid_prompt", "message": "m"}),
        NEVER,
        "invalid_prompt",
    ),
    "a response that failed without a reason": (unfinished("failed"), NEVER, "response_failed"),
    "a response that failed, as a text": (
        opaque({"object": "response", "status": "failed", "error": {"code": "server_error"}}),
        AGAIN,
        "server_error",
    ),
    "a response cut at the token limit": (
        unfinished("incomplete", incomplete_details={"reason": "max_output_tokens"}),
        NEVER,
        "truncated",
    ),
    "a response stopped by a filter": (
        unfinished("incomplete", incomplete_details={"reason": "content_filter"}),
        NEVER,
        "content_filter",
    ),
    "an incomplete response without a reason": (
        unfinished("incomplete"),
        NEVER,
        "response_incomplete",
    ),
    "a cancelled response": (unfinished("cancelled"), AGAIN, "response_cancelled"),
    "a response that was not waited for": (unfinished("queued"), NEVER, "response_queued"),
    "a complete response": (unfinished("completed", incomplete_details=None), OK, None),
    "another object with a status": (
        answered(200, {"id": "v", "object": "video", "status": "queued"}),
        OK,
        None,
    ),
    "a chat answer cut at the token limit": (
        answered(200, {**CHAT, "choices": [{"finish_reason": "length"}]}),
        OK,
        None,
    ),
    "OGX, a failure of its own server": (
        row(
            None,
            {
                "type": "request_failed",
                "message": "Error code: 500 - {'error': {'message': 'see HTTP 400', 'code': 400}}",
            },
        ),
        AGAIN,
        "request_failed",
    ),
    "OGX, a refusal": (
        row(None, {"type": "request_failed", "message": "Error code: 404 - {'detail': 'x'}"}),
        NEVER,
        "request_failed",
    ),
    "OGX, no reply in time": (
        row(None, {"type": "request_failed", "message": "Request timed out."}),
        AGAIN,
        "request_failed",
    ),
    "OGX, no connection": (
        row(None, {"type": "request_failed", "message": "Connection error."}),
        AGAIN,
        "request_failed",
    ),
    "a sentence that names a status": (row(None, "upstream: status=503"), AGAIN, "http_503"),
    "a status in an error of status 200": (
        answered(200, {"error": {"message": "HTTP 429", "code": "upstream"}}),
        AGAIN,
        "upstream",
    ),
    "a status in words beside a status": (
        row({"status_code": 400}, "Error code: 500"),
        NEVER,
        "http_400",
    ),
    "a status in words against a code": (
        row(None, {"code": "server_error", "message": "HTTP 400 Bad Request"}),
        NEVER,
        "server_error",
    ),
    "no connection, by its class": (row(None, "APIConnectionError"), AGAIN, None),
    "nested 200 levels deep": (deep(197), OK, None),
    "nested one level deeper": (deep(198), OK, None),
    "nested 1,000 levels deep": (deep(1_000), OK, None),
    "nested 10,000 levels deep": (deep(10_000), OK, None),
    "nested 100,000 levels deep": (deep(100_000), OK, None),
    "broken in the depth": (deep(5_000).replace(b"[]", b"[1 2]"), AGAIN, MALFORMED),
    "not closed in the depth": (deep(5_000).replace(b"[]", b"["), AGAIN, MALFORMED),
    "brackets in a text": (answered(200, {"id": "x", "text": "[" * 5_000}), OK, None),
    "a deep body as a text": (
        answered(200, '{"id":' + "[" * 5_000 + "]" * 5_000 + "}"),
        OK,
        None,
    ),
    "a deep and broken body as a text": (
        answered(200, '{"id":' + "[" * 5_000 + "x" + "]" * 5_000 + "}"),
        NEVER,
        "unrecognised_response",
    ),
    "very deep": (
        b'{"custom_id":"a","response":{"status_code":200,"body":{"id":' + b"[" * 100_000,
        AGAIN,
        MALFORMED,
    ),
}


@pytest.mark.parametrize(("line", "outcome", "code"), TABLE.values(), ids=TABLE.keys())
def test_a_line_is_judged_by_the_table(line: bytes, outcome: Outcome, code: str | None) -> None:
    verdict = classify(line)
    assert verdict.outcome is outcome
    if code is not None:
        assert verdict.code == code
    assert (verdict.code is None) is (outcome is OK)


@pytest.mark.parametrize(
    ("line", "custom_id"),
    [
        (b'{"id":1,"custom_id":"a-1","response":{"status_code":200,"bo', "a-1"),
        (b'{"custom_id" : "a\\u00e9\\"b", ', 'aé"b'),
        (b'{"custom_id":"\xff","response":', None),
        (b'{"custom_id":"cut of', None),
        (b'{"custom_id":17,', None),
        (b'{"text":"say \\"custom_id\\":\\"x\\" aloud', None),
        (b'{"text":"say \\"custom_id\\":\\"x\\"","custom_id":"y"', "y"),
    ],
)
def test_the_custom_id_of_a_broken_line_is_recovered(line: bytes, custom_id: str | None) -> None:
    verdict = classify(line)
    assert verdict.custom_id == custom_id
    assert verdict.code == MALFORMED


def test_words_of_a_server_cannot_steer_a_terminal() -> None:
    verdict = classify(
        answered(400, {"error": {"message": "\x1b[2J\u202egone\n" + "x" * 999, "code": "\x1b]0;c"}})
    )
    assert verdict.message is not None
    assert verdict.message.startswith("[2J gone xxx")
    assert len(verdict.message) == 300
    assert verdict.code == "]0;c"


def test_the_message_comes_from_wherever_the_dialect_puts_it() -> None:
    assert classify(row(None, {"code": "x", "message": "one"})).message == "one"
    assert classify(row(None, {"error": {"message": "two"}})).message == "two"
    assert classify(row(None, {"code": "x", "error_message": "three"})).message == "three"
    assert classify(answered(422, {"detail": "four"})).message == "four"
    assert classify(row(None, "five words of no use")).message == "five words of no use"


LIMIT_REACHED = {
    "chat": {**CHAT, "choices": [{"finish_reason": "stop"}, {"finish_reason": "length"}]},
    "messages": {"id": "msg_1", "type": "message", "stop_reason": "max_tokens"},
    "completions": {"object": "text_completion", "choices": [{"finish_reason": "length"}]},
    "an unknown form": {"score": 1, "stop_reason": "max_tokens"},
    "strange choices": {**CHAT, "choices": [7, {"finish_reason": "length"}]},
}


@pytest.mark.parametrize("body", LIMIT_REACHED.values(), ids=LIMIT_REACHED.keys())
@pytest.mark.parametrize("write", [lambda body: answered(200, body), opaque])
def test_an_answer_cut_at_the_token_limit_is_one_and_is_known(
    write: Callable[[object], bytes], body: object
) -> None:
    verdict = classify(write(body))
    assert (verdict.outcome, verdict.truncated) == (OK, True)
    assert not classify(write({**CHAT, "choices": [{"finish_reason": "stop"}]})).truncated
    assert not classify(write({**CHAT, "note": "length", "max_tokens": None})).truncated


def test_an_incomplete_response_is_truncated_only_by_the_token_limit() -> None:
    by_limit = unfinished("incomplete", incomplete_details={"reason": "max_output_tokens"})
    by_filter = unfinished("incomplete", incomplete_details={"reason": "content_filter"})
    assert classify(by_limit).truncated
    assert classify(by_limit).message == "the response is incomplete: max_output_tokens"
    assert not classify(by_filter).truncated


def test_an_incomplete_response_says_why_in_short_and_plain_words() -> None:
    odd = classify(unfinished("incomplete", incomplete_details={"reason": 5}))
    assert (odd.custom_id, odd.message) == ("a", "the response is incomplete")
    reason = "a\x1b" + "b" * 1000
    long = classify(unfinished("incomplete", incomplete_details={"reason": reason}))
    assert long.message is not None
    assert long.message.startswith("the response is incomplete: a bbb")
    assert len(long.message) <= 300


def test_an_error_around_another_counts_where_it_says_something() -> None:
    inner = {"code": "inner", "message": "of the inner"}
    assert classify(row(None, {"error": inner})).code == "inner"
    assert classify(row(None, {"error": inner, "code": "outer"})).code == "outer"
    outer = classify(row(None, {"error": inner, "message": "of the outer"}))
    assert (outer.code, outer.message) == ("unnamed_error", "of the outer")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (answered(200, {}), "status 200 with an empty body"),
        (row(None), "neither a response nor an error"),
        (
            answered(200, [1]),
            "the response is not one of the Batch API: no status_code with a body",
        ),
    ],
)
def test_what_is_no_answer_names_its_request_and_says_why(line: bytes, message: str) -> None:
    found = classify(line)
    assert (found.custom_id, found.message) == ("a", message)


def test_a_code_is_short_and_a_message_has_words() -> None:
    found = classify(row(None, {"code": "c" * 1000, "message": "\x1b\x07", "detail": "words"}))
    assert found.code is not None
    assert len(found.code) == 100
    assert found.message == "words"


@pytest.mark.parametrize("body", ['{"id": "\ud800"}', ' \n{"id": "x"}'])
def test_a_body_as_text_may_hold_whatever_text_may(body: str) -> None:
    assert classify(answered(200, body)).outcome is OK


def test_a_number_that_json_does_not_have_is_named() -> None:
    found = classify(answered(200, {"id": 1}).replace(b'"id": 1}', b'"id": NaN}'))
    assert found.code == MALFORMED
    assert found.message == "the line is not valid JSON: NaN is no JSON number"


def test_a_status_is_found_behind_what_is_shown() -> None:
    verdict = classify(row(None, "x" * 1_000 + " Error code: 503"))
    assert (verdict.outcome, verdict.code) == (AGAIN, "http_503")
    assert verdict.message == "x" * 299 + "…"


texts = st.text(st.characters(exclude_categories=()))  # lone surrogates too
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
statuses = st.sampled_from([None, 0, 200, 204, 299, 300, 400, 429, 500, "200", True]) | json_values
errors = st.none() | json_values
bodies = json_values | st.fixed_dictionaries(
    {}, optional={"id": st.text(), "object": st.text(), "error": errors, "text": st.text()}
)


@given(status=statuses, body=bodies, error=errors)
@example(status=200, body={"id": "x", "error": ""}, error=None)
@example(status=200, body={"id": "x"}, error=False)
@example(status=299, body={"x": 1}, error=None)
@example(status=200, body='{"id": "x"}', error=None)
def test_success_is_exactly_the_strict_rule(status: object, body: object, error: object) -> None:
    number = int(status) if isinstance(status, str) and status in {"200", "204"} else status
    read = {"id": "x"} if body == '{"id": "x"}' else body
    expected = (
        error is None
        and isinstance(number, int | float)
        and not isinstance(number, bool)
        and 200 <= number < 300
        and number == int(number)
        and isinstance(read, dict)
        and bool(read)
        and read.get("error") is None
    )
    verdict = classify(row({"status_code": status, "body": body}, error))
    assert (verdict.outcome is OK) is expected
    assert verdict.custom_id == "a"


@given(line=st.binary() | st.text().map(str.encode) | json_values.map(lambda v: row(v, v)))
def test_no_line_raises_and_every_failure_has_a_code(line: bytes) -> None:
    verdict = classify(line)
    assert (verdict.code is None) is (verdict.outcome is OK)
    for words in (verdict.code, verdict.message):
        assert words is None or (words.isprintable() and 0 < len(words) <= 300)


@given(
    body=st.dictionaries(texts, json_values, min_size=1),
    ascii_only=st.booleans(),
    spaced=st.booleans(),
)
def test_every_success_is_json_for_any_reader(
    body: dict[str, object], *, ascii_only: bool, spaced: bool
) -> None:
    line = json.dumps(
        {"custom_id": "a", "response": {"status_code": 200, "body": body}},
        ensure_ascii=ascii_only,
        separators=(" , ", " : ") if spaced else (",", ":"),
    ).encode(errors="surrogatepass")
    try:
        line.decode()
        whole = True
    except UnicodeDecodeError:
        whole = False
    assert (classify(line).outcome is OK) is (whole and body.get("error") is None)


@given(cut=st.integers(min_value=0, max_value=200))
def test_a_success_cut_short_is_never_an_answer(cut: int) -> None:
    line = answered(200, CHAT)
    short = line[: cut % len(line)]
    assert classify(short).outcome is AGAIN
