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

from runner.inputs.body_schema import BODY_TYPES, NESTED_TYPES
from runner.inputs.requests import RequestKind, nested_nodes, nested_wrong_types
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
RESPONSES: Final = "/v1/responses"
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


def members(hint: object) -> list[object]:
    """Return the types of a union, or the type itself."""
    if get_origin(hint) in (typing.Union, types.UnionType):
        return [one for each in get_args(hint) for one in members(each)]
    return [hint]


def below(hints: Sequence[object], name: str) -> list[object]:
    """Return the types at a place below some types: of a field, or of the elements of a list."""
    found: list[object] = []
    for hint in hints:
        if name == "[]" and get_origin(hint) in (list, Iterable, Sequence):
            found += members(get_args(hint)[0])
        elif name != "[]" and hasattr(hint, "__required_keys__"):
            fields = get_type_hints(hint)
            found += members(fields[name]) if name in fields else []
    return found


@pytest.mark.parametrize(
    ("kind", "path"), [(kind, path) for kind, paths in NESTED_TYPES.items() for path in paths]
)
def test_the_types_below_the_top_level_are_those_of_the_vendors_library(
    kind: str, path: str
) -> None:
    first, *names = path.replace("[]", ".[]").split(".")
    hints = members(get_type_hints(PARAMETERS[kind])[first])
    for name in names:
        hints = below(hints, name)

    theirs = set().union(*map(json_types, hints))
    ours = set(re.findall(r"true or false|\w+", NESTED_TYPES[kind][path]))
    assert ours == theirs


NESTED: Final = [
    (CHAT, {"messages": ["hi"]}, "messages[]' is a string, and OpenAI's API takes an object"),
    (CHAT, {"messages": [{"role": 1}]}, "messages[].role' is a whole number, and OpenAI's API"),
    (CHAT, {"messages": [{"role": "user", "content": {}}]}, "content' is an object, and OpenAI's"),
    (CHAT, {"messages": [{"content": [{"type": "text", "text": 5}]}]}, "content[].text' is a whol"),
    (CHAT, {"messages": [{"content": ["hi"]}]}, "content[]' is a string, and OpenAI's API takes"),
    (CHAT, {"response_format": {"type": {}}}, "response_format.type' is an object, and OpenAI's"),
    (
        CHAT,
        {"response_format": {"type": "json_schema", "json_schema": {"schema": "{}"}}},
        "response_format.json_schema.schema' is a string, and OpenAI's API takes an object",
    ),
    (CHAT, {"response_format": {"json_schema": {"strict": "yes"}}}, "takes true or false"),
    (CHAT, {"tools": ["search"]}, "tools[]' is a string, and OpenAI's API takes an object"),
    (CHAT, {"tools": [{"function": {"parameters": "{}"}}]}, "parameters' is a string, and Open"),
    (RESPONSES, {"input": [{"role": ["user"]}]}, "input[].role' is an array, and OpenAI's API"),
    (RESPONSES, {"text": {"format": "json"}}, "text.format' is a string, and OpenAI's API takes"),
    (RESPONSES, {"reasoning": {"effort": 1.5}}, "reasoning.effort' is a decimal number, and Open"),
]


@pytest.mark.parametrize(("endpoint", "fields", "expected"), NESTED)
def test_a_field_below_the_top_level_of_another_type_is_a_warning(
    tmp_path: Path, endpoint: str, fields: dict[str, Any], expected: str
) -> None:
    body = {"model": "m", "messages": [{"role": "user"}], "input": "hi"} | fields
    (warning,) = warnings(tmp_path, line("a", endpoint, **body), endpoint=endpoint)

    assert ": warning: 'body." in warning
    assert expected in warning
    assert warning.endswith(": 1 request among the first lines (invalid_type)")


def test_the_place_of_a_value_below_the_top_level_is_said(tmp_path: Path) -> None:
    bad = line("a", model="m", messages=[{"role": 5, "content": '"role": 5'}])

    (warning,) = warnings(tmp_path, row("x"), bad)

    assert warning.startswith(f"2:{bad.decode().index('5') + 1}: warning: 'body.messages[].role'")


def test_only_the_first_lines_are_looked_at_below_the_top_level(tmp_path: Path) -> None:
    bad = [line(f"b{n}", model="m", messages=[{"role": n}, {"role": n}]) for n in range(60)]
    rows = [row(f"a{n}") for n in range(70)]

    (warning,) = warnings(tmp_path, *rows, *bad)
    assert warning.startswith("71:")
    assert "a string: the first of 30 requests among the first lines (" in warning
    assert warnings(tmp_path, *rows, *(row(f"c{n}") for n in range(30)), *bad) == []


def test_long_lines_are_looked_at_only_as_long_as_that_takes_no_time(tmp_path: Path) -> None:
    bad = [
        line(f"b{n}", model="m", messages=[{"role": n, "content": "x" * 1_500_000}])
        for n in range(4)
    ]
    (warning,) = warnings(tmp_path, *bad)
    assert "the first of 2 requests among the first lines (" in warning


def test_what_other_servers_take_below_the_top_level_is_fine(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": None, "reasoning": 5},
            {"role": "tool", "content": [{"type": "text", "text": "hi", "cache": 1}]},
        ],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "extra": []}},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}, "x": 1}}],
    }
    assert warnings(tmp_path, line("a", model="m", **fields)) == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["role", "content", "type", "function", "json_schema", "x"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=20,
    ),
    st.sampled_from(["messages", "tools", "response_format"]),
)
def test_no_value_below_the_top_level_breaks_the_check(value: Any, name: str) -> None:  # noqa: ANN401
    node = nested_nodes("chat")[name]
    for path, found, expected, _its in nested_wrong_types(value, node, name):
        assert path.startswith(name)
        assert found not in expected.split(" or ")


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
