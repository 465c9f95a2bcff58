from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.api.responses import (
    LONGEST_TEXT,
    Call,
    CallKind,
    Reply,
    decode_json,
    decode_reply,
    public_url,
    read_error_message,
    retry_after,
    shown,
    status_error,
    unusable_reply_error,
)
from runner.batch import MONEY_CODES
from runner.errors import (
    ApiError,
    FileNotVisible,
    MayHaveActed,
    NotFound,
    NotOffered,
    OutOfMoney,
    RateLimited,
    Rejected,
    TooLarge,
    Transient,
    Unauthorized,
    UnexpectedReply,
)
from runner.spec.project import Provider, Secret
from tests.api.scripted import KEY, NOW

PROVIDER = Provider(name="lab", base_url="https://lab.example/v1", api_key_env="LAB_KEY")


def call_of(kind: CallKind) -> Call:
    method, path = {
        CallKind.LISTING: ("GET", "/batches"),
        CallKind.OBJECT: ("GET", "/batches/batch_1"),
        CallKind.UPLOAD: ("POST", "/files"),
        CallKind.CREATION: ("POST", "/batches"),
    }[kind]
    return Call(provider=PROVIDER, secret=Secret(KEY), kind=kind, method=method, path=path)


def refused(kind: CallKind, status: int, body: object = b"", **headers: str) -> ApiError:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return status_error(call_of(kind), Reply(status=status, headers=headers, body=content), now=NOW)


def fault(message: str = "no", **more: object) -> dict[str, object]:
    return {"error": {"message": message, "type": None, "param": None, "code": None, **more}}


ACTING = (CallKind.UPLOAD, CallKind.CREATION)
COLLECTION = (*ACTING, CallKind.LISTING)
OPEN = (408, 500, 502, 503, 504, 520, 599)


@pytest.mark.parametrize("kind", CallKind)
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, Rejected),
        (307, Rejected),
        (400, Rejected),
        (401, Unauthorized),
        (402, OutOfMoney),
        (403, Unauthorized),
        (405, NotOffered),
        (409, Rejected),
        (415, Rejected),
        (422, Rejected),
        (429, RateLimited),
        (499, Rejected),
        (501, NotOffered),
    ],
)
def test_what_a_status_means_for_every_call(
    kind: CallKind, status: int, expected: type[ApiError]
) -> None:
    assert type(refused(kind, status, fault())) is expected


@pytest.mark.parametrize("kind", CallKind)
def test_only_an_upload_can_be_too_large(kind: CallKind) -> None:
    expected = TooLarge if kind is CallKind.UPLOAD else Rejected
    assert type(refused(kind, 413)) is expected


@pytest.mark.parametrize("status", OPEN)
@pytest.mark.parametrize("kind", CallKind)
def test_an_open_outcome_is_transient_only_where_nothing_can_have_been_made(
    kind: CallKind, status: int
) -> None:
    assert type(refused(kind, status)) is (MayHaveActed if kind in ACTING else Transient)


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("kind", CallKind)
def test_what_is_not_there_is_the_call_or_the_object(kind: CallKind, status: int) -> None:
    assert type(refused(kind, status)) is (NotOffered if kind in COLLECTION else NotFound)


@pytest.mark.parametrize("place", ["code", "type"])
@pytest.mark.parametrize("status", [400, 403, 429])
@pytest.mark.parametrize("word", sorted(MONEY_CODES))
def test_money_is_told_from_patience(word: str, status: int, place: str) -> None:
    body = fault(**{place: word})
    assert type(refused(CallKind.CREATION, status, body, **{"retry-after": "1"})) is OutOfMoney


@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize(
    "body",
    [
        fault(param="file_id"),
        fault(param="input_file_id"),
        fault("Cannot find file file-abc, or organization org-1 does not have access to it."),
        fault("File file-abc not found"),
        fault("The file 'file-abc' is not processed"),
        fault("The file is not yet processed."),
        fault("Input file file-abc does not exist"),
        {"detail": "No such File: file-abc"},
    ],
)
def test_a_file_not_visible_yet_is_known_by_its_many_names(body: object, status: int) -> None:
    assert type(refused(CallKind.CREATION, status, body)) is FileNotVisible
    assert type(refused(CallKind.UPLOAD, status, body)) is not FileNotVisible


@pytest.mark.parametrize(
    "body",
    [fault("Invalid value for 'endpoint'", param="endpoint"), fault("model not found"), b""],
)
def test_other_wrong_requests_are_not_blamed_on_the_file(body: object) -> None:
    assert type(refused(CallKind.CREATION, 400, body)) is Rejected


@pytest.mark.parametrize(
    ("body", "text", "code", "param"),
    [
        (fault("slow", code="slow_down", param="p"), "slow", "slow_down", "p"),
        (fault("slow", type="t"), "slow", "t", None),
        (fault("slow", code=5), "slow", "5", None),
        (fault("slow", code=True), "slow", None, None),
        ({"error": "plain words"}, "plain words", None, None),
        ({"error": "plain", "code": "c"}, "plain", "c", None),
        ({"error": {"no": "message"}}, '{"no":"message"}', None, None),
        ({"error": {"message": None}}, "null", None, None),
        ({"detail": "Not Found"}, "Not Found", None, None),
        ({"detail": [{"loc": ["body"], "msg": "m"}]}, '[{"loc":["body"],"msg":"m"}]', None, None),
        ({"message": "gateway"}, "gateway", None, None),
        ({}, "{}", None, None),
        ([1], "[1]", None, None),
        (b"", "", None, None),
        (b"upstream error", "upstream error", None, None),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}" * 2, None, None),
        (b"\xef\xbb\xbf" + b'{"error":"marked"}', "marked", None, None),
        (b"<title><title>a</title>", "an HTML page titled ''", None, None),
        (b"<html><TITLE >502\n Bad</TITLE>", "an HTML page titled '502\\n Bad'", None, None),
        (b"<p>hm</p>", "a page: <p>hm</p>", None, None),
    ],
)
def test_every_envelope_is_read(
    body: object, text: str, code: str | None, param: str | None
) -> None:
    error = refused(CallKind.OBJECT, 429, body, **{"x-request-id": "req_1"})
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    assert read_error_message(content, None).text == text
    assert text in str(error)
    assert (error.code, error.param, error.request_id) == (code, param, "req_1")
    assert (error.provider, error.call, error.status) == ("lab", "GET /batches/batch_1", 429)
    assert "[request req_1]" in str(error)


@pytest.mark.parametrize("body", [fault(KEY), {"error": KEY}, {"detail": KEY}, KEY.encode()])
def test_a_key_echoed_by_the_provider_is_not_shown(body: object) -> None:
    error = refused(CallKind.OBJECT, 401, body, **{"x-request-id": KEY})
    assert KEY not in f"{error} {error!r} {error.request_id}"
    assert "***" in str(error)
    for place in ("code", "type", "param"):
        named = refused(CallKind.OBJECT, 401, fault(**{place: KEY}))
        assert KEY not in f"{named} {named.code} {named.param}"


def test_a_key_at_the_cut_is_not_shown_in_part() -> None:
    text = "x" * (LONGEST_TEXT - 5) + KEY
    assert KEY[:4] not in shown(text, Secret(KEY))


def test_text_from_outside_cannot_drive_a_terminal() -> None:
    error = refused(CallKind.OBJECT, 400, fault("a\x1b[2Jb\r\n\tc\u202ed\x00\x85e"))
    assert "a [2Jb c d e" in str(error)
    assert str(error).isprintable()


def test_long_text_is_cut() -> None:
    assert len(shown("word " * 10_000, None)) == LONGEST_TEXT
    assert len(str(refused(CallKind.OBJECT, 400, fault("x" * 10**6)))) < LONGEST_TEXT + 200


@pytest.mark.parametrize(
    ("location", "words"),
    [
        (
            "https://u:p@new.example/v1/batches?signature=s#f",
            "base_url redirects to https://new.example/v1/batches; set base_url to",
        ),
        ("http://[bad", "an address that is no URL"),
        ("", "the redirect has no target"),
    ],
)
def test_a_redirect_says_where_to_without_what_is_secret(location: str, words: str) -> None:
    assert words in str(refused(CallKind.CREATION, 308, location=location))


@pytest.mark.parametrize(
    ("provider", "secret", "words"),
    [
        (PROVIDER, Secret(KEY), "check that the API key in LAB_KEY"),
        (PROVIDER, None, "set LAB_KEY"),
        (Provider(name="lab", base_url="https://lab.example"), None, "no api_key_env"),
    ],
)
def test_a_refused_key_is_named_by_its_variable(
    provider: Provider, secret: Secret | None, words: str
) -> None:
    call = Call(provider=provider, secret=secret, kind=CallKind.OBJECT, method="GET", path="/x")
    error = status_error(call, Reply(status=401, headers={}, body=b""), now=NOW)
    assert words in str(error)


DATE = "Fri, 15 Jan 2027 08:00:00 GMT"  # the moment NOW
LATER = "Fri, 15 Jan 2027 08:00:30 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after": LATER}, 30.0),
        ({"retry-after": LATER, "date": "Fri, 15 Jan 2027 08:00:20 GMT"}, 10.0),
        ({"retry-after": LATER, "date": "yesterday"}, 30.0),
        ({"retry-after": LATER.replace("GMT", "-0000")}, 30.0),
        ({"retry-after": DATE, "date": LATER}, 0.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Fri, 99 Jan 2027 08:00:30 GMT"}, None),
        ({"retry-after": f"Fri, 15 Jan {'9' * 20} 08:00:30 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=NOW) == seconds


def test_the_wait_asked_for_stays_with_the_error() -> None:
    error = refused(CallKind.CREATION, 429, fault(), **{"retry-after": "3600"})
    assert error.retry_after == 3600.0


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"id": "b', b'{"id": "\xff"}', b"[" * 100_000, b"{} {}", b"1e999", b"NaN"],
)
@pytest.mark.parametrize("kind", CallKind)
def test_a_success_that_is_not_json_is_no_success(kind: CallKind, body: bytes) -> None:
    reply = Reply(status=200, headers={"x-request-id": "req_9"}, body=body)
    with pytest.raises(MayHaveActed if kind in ACTING else UnexpectedReply) as caught:
        decode_reply(call_of(kind), reply, now=NOW)
    assert (caught.value.status, caught.value.request_id) == (200, "req_9")


def test_a_reply_cut_off_is_no_success() -> None:
    reply = Reply(status=200, headers={}, body=b"{}", whole=False)
    with pytest.raises(UnexpectedReply, match="too long"):
        decode_reply(call_of(CallKind.OBJECT), reply, now=NOW)


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_any_2xx_is_a_success(status: int) -> None:
    reply = Reply(status=status, headers={}, body=b'\xef\xbb\xbf{"id": 1}')
    assert decode_reply(call_of(CallKind.CREATION), reply, now=NOW) == {"id": 1}


def test_an_unusable_reply_to_a_creation_says_what_to_do() -> None:
    reply = Reply(status=200, headers={}, body=b"")
    assert "checks the provider before it sends it again" in str(
        unusable_reply_error(call_of(CallKind.CREATION), "hm", reply)
    )


@pytest.mark.parametrize(
    "url", ["https://host.example/v1", "http://[::1]:8000/v1", "http://127.0.0.1"]
)
def test_a_plain_address_is_shown_as_it_is(url: str) -> None:
    assert public_url(url) == url


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just(KEY),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "detail", "message", "code", "type", "param", "x"]), inner
        )
    ),
    max_leaves=10,
)


@settings(deadline=None)
@given(
    kind=st.sampled_from(CallKind),
    status=st.integers(300, 999),
    body=st.binary(max_size=200) | JSON.map(msgspec.json.encode),
    header=st.text(max_size=40) | st.just(KEY),
)
def test_any_refusal_is_one_printable_error_of_the_tree_without_the_key(
    kind: CallKind, status: int, body: bytes, header: str
) -> None:
    headers = dict.fromkeys(("retry-after", "date", "location", "x-request-id"), header)
    error = status_error(call_of(kind), Reply(status=status, headers=headers, body=body), now=NOW)
    assert isinstance(error, ApiError)
    assert str(error).isprintable()
    assert KEY not in f"{error} {error.code} {error.param} {error.request_id}"
    assert error.retry_after is None or error.retry_after >= 0
    # 4xx and 3xx never leave the outcome open, but for 408.
    if status < 500 and status != 408:
        assert not isinstance(error, MayHaveActed)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_decoding_gives_a_value_or_says_why_not(body: bytes) -> None:
    reason = "decoded"
    try:
        decode_json(body)
    except ValueError as error:
        reason = str(error)
    assert reason
