"""The types of a body's fields, against the vendor's own library; and the warnings about them."""

from __future__ import annotations

import re
import types
import typing
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import completion_create_params, embedding_create_params, moderation_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import response_create_params

from runner.inputs.body_schema import BODY_TYPES
from runner.inputs.requests import RequestKind
from tests.inputs.writing import CHAT, EMBEDDINGS, line, read, write

if TYPE_CHECKING:
    from pathlib import Path

CHECKED_AS_PROBLEMS: Final = {
    "chat": {"messages", "model"},
    "completions": {"model"},
    "embeddings": {"input", "model"},
    "moderations": {"model"},
    "responses": {"model"},
}
PARAMETERS: Final = {
    "chat": chat_create_params.CompletionCreateParamsBase,
    "completions": completion_create_params.CompletionCreateParamsBase,
    "embeddings": embedding_create_params.EmbeddingCreateParams,
    "moderations": moderation_create_params.ModerationCreateParams,
    "responses": response_create_params.ResponseCreateParamsBase,
}
SCALARS: Final[dict[object, str]] = {
    str: "string",
    bool: "true or false",
    int: "integer",
    float: "number",
}


def json_types(hint: object) -> set[str]:
    """Return the JSON types of a type of the vendor's library, null left out."""
    origin = get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return set().union(*map(json_types, get_args(hint)))
    if hint is type(None):
        return set()
    if origin is typing.Literal:
        return {SCALARS[type(value)] for value in get_args(hint)}
    if origin in (list, Iterable, Sequence):
        return {"array"}
    return {SCALARS.get(hint, "object")}


@pytest.mark.parametrize("kind", [kind for kind in RequestKind if kind is not RequestKind.OTHER])
def test_the_types_are_those_of_the_vendors_library(kind: RequestKind) -> None:
    ours: dict[str, set[str]] = {}
    for name, fields in BODY_TYPES[kind].items():
        for field in fields.split():
            ours.setdefault(field, set()).add(name)
    theirs = {
        field: json_types(hint)
        for field, hint in get_type_hints(PARAMETERS[kind]).items()
        if field not in CHECKED_AS_PROBLEMS[kind]
    }

    assert ours == theirs


def warnings(folder: Path, *lines: bytes, endpoint: str = CHAT) -> list[str]:
    """Scan a valid input and return its warnings as messages."""
    found = read(write(folder, *lines), endpoint).warnings
    assert all(each.is_warning for each in found)
    return [str(each).removeprefix("input.jsonl:") for each in found]


def row(custom_id: str = "a", **fields: Any) -> bytes:  # noqa: ANN401 -- any JSON value
    return line(custom_id, model="m", messages=[{"role": "user", "content": "hi"}], **fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"temperature": "0"}, "temperature' is a string, and OpenAI's API takes a number"),
        ({"temperature": True}, "temperature' is true or false, and OpenAI's API takes a number"),
        ({"max_tokens": "100"}, "max_tokens' is a string, and OpenAI's API takes a whole number"),
        ({"max_tokens": 100.0}, "a decimal number, and OpenAI's API takes a whole number"),
        ({"seed": 1e9}, "'body.seed' is a decimal number, and OpenAI's API takes a whole number"),
        ({"stop": 5}, "stop' is a whole number, and OpenAI's API takes an array or a string"),
        ({"store": "yes"}, "store' is a string, and OpenAI's API takes true or false"),
        ({"tools": {}}, "'body.tools' is an object, and OpenAI's API takes an array"),
        ({"tool_choice": []}, "is an array, and OpenAI's API takes an object or a string"),
        ({"response_format": "json"}, "format' is a string, and OpenAI's API takes an object"),
    ],
)
def test_a_field_of_another_type_is_a_warning(
    tmp_path: Path, fields: dict[str, Any], expected: str
) -> None:
    (warning,) = warnings(tmp_path, row(**fields))

    assert warning.startswith("1:")
    assert ": warning: 'body." in warning
    assert warning.endswith(f"{expected}: 1 request (invalid_type)")


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0, "top_p": 0.5, "max_tokens": 100, "seed": -1, "store": False},
        {"temperature": None, "max_tokens": None, "stop": None, "tools": None},
        {"stop": "x", "tool_choice": "auto"},
        {"stop": ["x"], "tool_choice": {"type": "function"}, "logit_bias": {"5": "x"}},
        {"top_k": "5", "guided_json": [], "chat_template_kwargs": 5},
    ],
)
def test_fields_of_a_right_type_and_fields_of_other_servers_are_fine(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    assert warnings(tmp_path, row(**fields), row("b", **fields)) == []


def test_there_is_one_warning_for_a_kind_with_the_first_place_and_the_count(
    tmp_path: Path,
) -> None:
    rows = [row(str(number), temperature="é0", user="u") for number in range(500)]
    rows.insert(0, b"")
    rows.insert(2, row("x", temperature=[]))

    first, second = warnings(tmp_path, row("first", temperature=1), *rows)
    assert first.startswith(
        "3:156: warning: 'body.temperature' is a string, and OpenAI's API takes"
    )
    assert first.endswith("a number: the first of 500 requests (invalid_type)")
    assert second.startswith("4:156: warning: 'body.temperature' is an array, ")
    assert second.endswith("a number: 1 request (invalid_type)")
    text = (tmp_path / "input.jsonl").read_text("utf-8").splitlines()
    assert (text[2][155:159], text[3][155:157]) == ('"é0"', "[]")


def test_a_prompt_that_speaks_of_a_field_is_no_field(tmp_path: Path) -> None:
    prompt = '"temperature": "0"'
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": prompt}]}

    assert warnings(tmp_path, line(**body)) == []
    (warning,) = warnings(tmp_path, line(**body, temperature="0"))
    column = line(**body, temperature="0").decode().rindex('"0"') + 1
    assert warning.startswith(f"1:{column}: ")


def test_a_wrong_type_is_found_behind_any_white_space(tmp_path: Path) -> None:
    spaced = row(temperature="0").replace(b":", b" :\t").replace(b"[", b"[ ")

    (warning,) = warnings(tmp_path, spaced)

    assert "'body.temperature' is a string" in warning


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["temperature", "max_tokens", "stop", "store", "metadata", "user"]),
            st.sampled_from([None, True, 0, -7, 0.5, 1e30, "", "0", [], {}]),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_the_counts_are_those_of_a_plain_reader(
    tmp_path_factory: pytest.TempPathFactory, requests: list[dict[str, Any]]
) -> None:
    types_of: dict[str, tuple[type, ...]] = {
        "temperature": (int, float),
        "max_tokens": (int,),
        "stop": (str, list),
    }
    types_of |= {"store": (bool,), "metadata": (dict,), "user": (str,)}
    expected = Counter(
        (field, type(value))
        for fields in requests
        for field, value in fields.items()
        if value is not None and type(value) not in types_of[field]
    )

    lines = [row(str(number), **fields) for number, fields in enumerate(requests)]
    found = warnings(tmp_path_factory.mktemp("input"), *lines)

    counts = [int(re.findall(r"([0-9]+) requests? \(", each)[0]) for each in found]
    assert sorted(counts) == sorted(expected.values())


@pytest.mark.parametrize(
    ("endpoint", "model", "meant"),
    [
        (CHAT, "text-embedding-3-small", "embeddings"),
        (CHAT, "BAAI/bge-large-en-v1.5", "embeddings"),
        (CHAT, "Qwen/Qwen3-Embedding-8B", "embeddings"),
        (CHAT, "omni-moderation-latest", "moderations"),
        (CHAT, "gpt-3.5-turbo-instruct", "completions"),
        ("/v1/responses", "text-embedding-3-large", "embeddings"),
        (EMBEDDINGS, "gpt-4o-mini", "chat"),
        (EMBEDDINGS, "openai/o3", "chat"),
        (EMBEDDINGS, "ft:gpt-4.1-mini:org::1", "chat"),
        ("/v1/moderations", "gpt-4o", "chat"),
        (CHAT, "gpt-4o-mini", None),
        (CHAT, "llama-3.1-8b-instruct", None),
        ("/v4/chat/completions", "glm-4", None),
        (EMBEDDINGS, "text-embedding-3-small", None),
        (EMBEDDINGS, "intfloat/e5-mistral-7b-instruct", None),
        (EMBEDDINGS, "my-own", None),
        ("/v1/videos", "text-embedding-3-small", None),
    ],
)
def test_a_model_for_another_endpoint_is_a_warning(
    tmp_path: Path, endpoint: str, model: str, meant: str | None
) -> None:
    body: dict[str, Any] = {"model": model, "input": "hi", "messages": [{"role": "user"}]}
    rows = [line(number, endpoint, **body) for number in ("a", "b")]
    other = line("o", endpoint, **{**body, "model": "other"})

    found = warnings(tmp_path, other, b"", *rows, endpoint=endpoint)

    column = rows[0].decode().index('"model": ') + len('"model": ') + 1
    expected = (
        f"3:{column}: warning: 'body.model' is '{model}', which by its name is a model for {meant},"
        f" and the endpoint is {endpoint}: the first of 2 requests (model_not_found)"
    )
    assert found == ([expected] if meant else [])
