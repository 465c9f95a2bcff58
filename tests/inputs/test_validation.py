"""Every rule of the API that can be checked offline, and its message."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.inputs.writing import CHAT, EMBEDDINGS, line, problems, read, write

if TYPE_CHECKING:
    from pathlib import Path

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def envelope(**changes: object) -> bytes:
    """Return a valid chat request with some fields changed; `...` removes one."""
    members = {"custom_id": "a", "method": "POST", "url": CHAT, "body": BODY} | changes
    return json.dumps({key: value for key, value in members.items() if value is not ...}).encode()


def body(**changes: object) -> bytes:
    return envelope(body={k: v for k, v in (BODY | changes).items() if v is not ...})


def raw(text: str) -> bytes:
    """Return a valid request with one more field in its body, whose value is the JSON `text`."""
    return envelope(body=BODY | {"x": 0}).replace(b'"x": 0', b'"x": ' + text.encode())


X = raw("").index(b'"x": ') + 6
"""The column of the text given to `raw`."""


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        pytest.param(
            b"hello",
            "1:1: not valid JSON: expecting value; each line is one JSON object"
            " (invalid_json_line)",
            id="no-json",
        ),
        pytest.param(
            line() + line(),
            f"1:{len(line()) + 1}: not valid JSON: extra data; each line is one JSON object"
            " (invalid_json_line)",
            id="two-values",
        ),
        pytest.param(
            '{"é": "'.encode(),
            "1:7: not valid JSON: unterminated string; each line is one JSON object"
            " (invalid_json_line)",
            id="cut-short",
        ),
        pytest.param(
            raw('"\t"'),
            f"1:{X + 1}: not valid JSON: invalid control character; each line is one JSON object"
            " (invalid_json_line)",
            id="control-character",
        ),
        pytest.param(
            raw(r'"\q"'),
            f"1:{X + 1}: not valid JSON: invalid \\escape; each line is one JSON object"
            " (invalid_json_line)",
            id="unknown-escape",
        ),
        pytest.param(
            "\ufeff".encode() * 2 + line(),
            "1:1: byte order mark (U+FEFF) inside the file: remove it (invalid_json_line)",
            id="second-byte-order-mark",
        ),
        pytest.param(
            raw('"é').replace(b"\xc3\xa9", b"\xc3\xa9\xe9"),
            f"1:{X + 2}: not valid UTF-8: save the file as UTF-8 (invalid_json_line)",
            id="latin-1",
        ),
        pytest.param(
            raw('"?"').replace(b"?", b"\xed\xa0\x80"),
            f"1:{X + 1}: not valid UTF-8: save the file as UTF-8 (invalid_json_line)",
            id="surrogate-in-utf-8",
        ),
        pytest.param(
            raw('["NaN", NaN]'),
            f"1:{X + 8}: NaN is not JSON: write a number or null (invalid_json_line)",
            id="nan",
        ),
        pytest.param(
            raw("-Infinity"),
            f"1:{X}: -Infinity is not JSON: write a number or null (invalid_json_line)",
            id="infinity",
        ),
        pytest.param(
            raw(r'"\\ud800 \ud83d\ude00 \ud800x"'),
            f"1:{X + 22}: \\ud800 is half of a surrogate pair: escape the whole character or write"
            " it as UTF-8 (invalid_json_line)",
            id="high-surrogate",
        ),
        pytest.param(
            raw(r'"\udc00"'),
            f"1:{X + 1}: \\udc00 is half of a surrogate pair: escape the whole character or write"
            " it as UTF-8 (invalid_json_line)",
            id="low-surrogate",
        ),
        pytest.param(
            raw(r'"\ud800\ud800\udc00"'),
            f"1:{X + 1}: \\ud800 is half of a surrogate pair: escape the whole character or write"
            " it as UTF-8 (invalid_json_line)",
            id="two-high-surrogates",
        ),
        pytest.param(
            raw(r'"\uDBFF"'),
            f"1:{X + 1}: \\uDBFF is half of a surrogate pair: escape the whole character or write"
            " it as UTF-8 (invalid_json_line)",
            id="high-surrogate-at-the-end",
        ),
        pytest.param(
            raw("[" * 100_000 + "]" * 100_000),
            "1: nested too deeply to be read (invalid_json_line)",
            id="too-deep",
        ),
        pytest.param(
            b"[" + line() + b"]",
            "1: expected one request object, not an array: each line is a request with custom_id,"
            " method, url and body (invalid_json_line)",
            id="array",
        ),
        pytest.param(
            b"null",
            "1: expected one request object, not null: each line is a request with custom_id,"
            " method, url and body (invalid_json_line)",
            id="null",
        ),
        pytest.param(
            b'{"custom_id": "a", ' + envelope(custom_id="b")[1:],
            "1: 'custom_id' is given more than once: keep one (invalid_json_line)",
            id="two-custom-ids",
        ),
        *(
            pytest.param(
                b"{" + text + envelope()[1:],
                f"1: '{key}' is given more than once: keep one (invalid_json_line)",
                id=f"two-{key}-{number}",
            )
            for number, (key, text) in enumerate(
                [
                    ("method", b'"method": "POST", '),
                    ("url", b'"url": "/v1/chat/completions", '),
                    ("body", b'"body": {}, '),
                    ("body", b'"body": {"model": "m", "messages": [1]}, '),
                    ("body", b'"\\u0062ody": {"temperature": 0}, '),
                ]
            )
        ),
        *(
            pytest.param(
                envelope().replace(b'"body": {', b'"body": {' + text),
                f"1: 'body.{key}' is given more than once: keep one (invalid_json_line)",
                id=f"two-{key}-{number}",
            )
            for number, (key, text) in enumerate(
                [
                    ("model", b'"model": "cheap", '),
                    ("model", b'"\\u006dodel": "cheap", '),
                    ("messages", b'"messages": [1], '),
                    ("temperature", b'"temperature": 0, "temperature": 1, '),
                    ("x", b'"x": {}, "\\u0078": {}, '),
                ]
            )
        ),
        *(
            pytest.param(
                envelope(**{key: ...}),
                f"1: missing '{key}': a request has custom_id, method, url and body"
                " (missing_required_parameter)",
                id=f"no-{key}",
            )
            for key in ("custom_id", "method", "url", "body")
        ),
        pytest.param(
            envelope(custom_id=7),
            "1: 'custom_id' must be a string, not a number (invalid_type)",
            id="custom-id-number",
        ),
        pytest.param(
            envelope(method=None),
            "1: 'method' must be a string, not null (invalid_type)",
            id="method-null",
        ),
        pytest.param(
            envelope(url=True),
            "1: 'url' must be a string, not true or false (invalid_type)",
            id="url-boolean",
        ),
        pytest.param(
            envelope(body="{}"),
            "1: 'body' must be an object, not a string (invalid_type)",
            id="body-string",
        ),
        pytest.param(
            envelope(custom_id=""),
            "1: 'custom_id' is empty: give every request an id of its own",
            id="custom-id-empty",
        ),
        pytest.param(
            envelope(custom_id="a" * 513),
            "1: 'custom_id' has 513 characters: use at most 512"
            " (64 of A-Z a-z 0-9 _ - are safe everywhere)",
            id="custom-id-long",
        ),
        pytest.param(
            envelope(method="GET"),
            "1: 'method' is 'GET': a batch takes only 'POST'",
            id="method-get",
        ),
        pytest.param(
            envelope(url="/v1/responses\n"),
            "1: 'url' is '/v1/responses\\n', but the endpoint of the spec is"
            " '/v1/chat/completions': make them the same (invalid_url)",
            id="url-of-another-endpoint",
        ),
        pytest.param(
            body(model=...),
            "1: missing 'body.model': name the model (invalid_request)",
            id="no-model",
        ),
        pytest.param(
            body(model=["m"]),
            "1: 'body.model' must be a string, not an array (invalid_request)",
            id="model-array",
        ),
        pytest.param(
            body(model=""),
            "1: 'body.model' is empty: name the model (invalid_request)",
            id="model-empty",
        ),
        pytest.param(
            body(messages=...), "1: missing 'body.messages' (invalid_request)", id="no-messages"
        ),
        pytest.param(
            body(messages={}),
            "1: 'body.messages' must be an array, not an object (invalid_request)",
            id="messages-object",
        ),
        pytest.param(
            body(messages=[]), "1: 'body.messages' is empty (invalid_request)", id="messages-empty"
        ),
        pytest.param(
            body(stream=True),
            "1: 'body.stream' is true: a batch cannot stream, remove it (streaming_unsupported)",
            id="stream",
        ),
    ],
)
def test_chat(tmp_path: Path, row: bytes, problem: str) -> None:
    assert problems(write(tmp_path, row)) == ["input.jsonl:" + problem]


@pytest.mark.parametrize(
    ("endpoint", "body", "problem"),
    [
        ("/v1/completions", {"model": "m"}, "missing 'body.prompt' (invalid_request)"),
        (
            "/v1/completions",
            {"prompt": "a"},
            "missing 'body.model': name the model (invalid_request)",
        ),
        (
            "/v1/responses",
            {"model": "m", "input": None},
            "missing 'body.input' or 'body.prompt' (invalid_request)",
        ),
        (
            "/v1/responses",
            {"input": "a"},
            "missing 'body.model': name the model (invalid_request)",
        ),
        ("/v1/moderations", {}, "missing 'body.input' (invalid_request)"),
        ("/v1/moderations", {"input": None}, "missing 'body.input' (invalid_request)"),
        (
            "/v1/images/generations",
            {"model": 1},
            "'body.model' must be a string, not a number (invalid_request)",
        ),
        (
            "/v1/embeddings",
            {"input": "a"},
            "missing 'body.model': name the model (invalid_request)",
        ),
        ("/v1/embeddings", {"model": "m"}, "missing 'body.input' (invalid_request)"),
    ],
)
def test_other_endpoints(
    tmp_path: Path, endpoint: str, body: dict[str, object], problem: str
) -> None:
    row = envelope(url=endpoint, body=body)
    assert problems(write(tmp_path, row), endpoint) == [f"input.jsonl:1: {problem}"]


@pytest.mark.parametrize(
    "value", [7, {}, [], ["a", 1], [None], [[1], ["a"]], [[1], "a"], [[[1]]]], ids=str
)
def test_embedding_inputs_of_other_shapes(tmp_path: Path, value: object) -> None:
    row = line(url=EMBEDDINGS, model="m", input=value)
    assert problems(write(tmp_path, row), EMBEDDINGS) == [
        (
            "input.jsonl:1: 'body.input' must be a string, a list of token numbers, or a list of"
            " either that is not empty (invalid_request)"
        )
    ]


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (CHAT, BODY | {"stream": False}),
        (CHAT, BODY | {"stream": None}),
        (CHAT, BODY | {"stream": "no"}),
        (CHAT, BODY | {"seed": 10**30}),
        ("/v4/chat/completions", BODY),
        ("/v1/completions", {"model": "m", "prompt": None}),
        ("/v1/responses", {"model": "m", "prompt": {"id": "p"}}),
        ("/v1/responses", {"model": "m", "input": [], "prompt": None}),
        ("/v1/moderations", {"input": ["a"]}),
        ("/v1/images/generations", {"prompt": "a cat"}),
        ("/v1/videos", {"model": None}),
        ("/v1/embeddings", {"model": "m", "input": [[], [1]]}),
    ],
)
def test_sound_bodies(tmp_path: Path, endpoint: str, body: dict[str, Any]) -> None:
    scanned = read(write(tmp_path, envelope(url=endpoint, body=body)), endpoint)
    assert scanned.requests == 1
    assert scanned.shards[0].model == body.get("model")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1" * 5000, "more digits than Python converts"),
        ("1e999", "more than a float holds"),
        (r'"\ud83d\ude00"', "a whole pair"),
        ('"\u2028\u2029\u0085"', "line ends to some, data to us"),
        ("[" * 200 + "]" * 200, "deep, and read all the same"),
    ],
)
def test_sound_json(tmp_path: Path, text: str, reason: str) -> None:
    assert read(write(tmp_path, raw(text), line("b"))).requests == 2, reason


def test_unknown_members_are_tolerated(tmp_path: Path) -> None:
    assert read(write(tmp_path, envelope(priority=7, tags=["x"]))).requests == 1


def test_an_id_of_512_characters_is_taken(tmp_path: Path) -> None:
    assert read(write(tmp_path, envelope(custom_id="é" * 512))).requests == 1


def test_all_problems_of_a_line_are_reported(tmp_path: Path) -> None:
    row = envelope(custom_id="", method="GET", url=..., body={"stream": True})
    messages = problems(write(tmp_path, line(), row))
    assert [each.split(" ")[1] for each in messages] == [
        "'body.stream'",
        "'custom_id'",
        "'method'",
        *["missing"] * 3,
    ]
    assert all(each.startswith("input.jsonl:2: ") for each in messages)


def test_a_long_value_is_not_quoted_whole(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, envelope(method="x" * 1000)))
    assert problem == f"input.jsonl:1: 'method' is '{'x' * 59}…': a batch takes only 'POST'"
