"""Prompt tokens: counted exactly, or not at all.

The numbers of tokens of texts were taken from two implementations that share no code.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.inputs.reading import BLOCK_BYTES
from runner.inputs.scan import scan
from runner.inputs.tokens import encoding_of, token_counter
from runner.spec.project import Limits
from tests.inputs.writing import CHAT, EMBEDDINGS, ROOMY, chat, line, read, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runner.inputs.scan import Scan
    from runner.inputs.tokens import TokenCounter

RESPONSES: Final = "/v1/responses"
COMPLETIONS: Final = "/v1/completions"
ENDPOINTS: Final = (CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS, "/v1/moderations", "/v1/videos")
O200K: Final = "gpt-4o-mini"
CL100K: Final = "text-embedding-3-small"


def counter(endpoint: str = CHAT) -> TokenCounter:
    made = token_counter(endpoint)
    assert made is not None, "the tests are run with the extra `tokens`"
    return made


COUNTERS: Final = {endpoint: counter(endpoint) for endpoint in ENDPOINTS}


def count(endpoint: str, model: str = O200K, **body: object) -> int | None:
    """Count the tokens of one request."""
    request = {"custom_id": "a", "method": "POST", "url": endpoint, "body": body}
    return COUNTERS[endpoint].count(model, [json.dumps(request).encode()])


def counted(path: Path, limits: Limits = ROOMY) -> Scan:
    """Scan an input, counting."""
    return scan(path, shown=path.name, endpoint=CHAT, limits=limits, counter=COUNTERS[CHAT])


# Which vocabulary ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "models"),
    [
        (
            "o200k_base",
            """gpt-4o gpt-4o-2024-08-06 gpt-4o-mini gpt-4.1 gpt-4.1-nano gpt-4.5-preview gpt-5
            gpt-5-mini gpt-5.1 gpt-5.2-codex o1 o1-pro o3-mini o4-mini chatgpt-4o-latest
            ft:gpt-4o-mini-2024-07-18:org::id ft:gpt-4.1:org:name:id""",
        ),
        (
            "cl100k_base",
            """gpt-4 gpt-4-0613 gpt-4-turbo gpt-3.5-turbo gpt-3.5-turbo-instruct davinci-002
            text-embedding-3-small text-embedding-3-large text-embedding-ada-002
            ft:gpt-3.5-turbo-0125:org::id ft:gpt-4-0613:org::id ft:davinci-002:org::id""",
        ),
    ],
)
def test_a_model_names_its_vocabulary(encoding: str, models: str) -> None:
    assert {encoding_of(model) for model in models.split()} == {encoding}


@pytest.mark.parametrize(
    "model",
    ["", "m", "ft:", "ft:llama:org", "gpt-50", "gpt-6", "o12", "o9", "gpt-4x", "xgpt-4", "gpt-4\n",
     "gpt-oss-120b", "text-embedding-4", "text-davinci-003", "org/gpt-4o", "GPT-4o"],
)  # fmt: skip
def test_any_other_model_has_none_that_is_known(model: str) -> None:
    assert encoding_of(model) is None
    assert count(CHAT, model, messages=[{"role": "user", "content": "hi"}]) is None


# Exactness -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "o200k", "cl100k"),
    [
        ("", 0, 0),
        ("hello world", 2, 2),
        ("Naïve café, 3.14159", 10, 10),
        ("今天天气怎么样？", 5, 10),  # noqa: RUF001
        ("👩‍👩‍👧‍👦 family", 12, 19),
        ("line\u2028separator\x85next", 6, 7),
        ("    return [x for x in range(10)]\n", 11, 11),
        ("<|endoftext|>", 7, 7),
        ("a<|endoftext|>b", 9, 9),
    ],
)
def test_texts_have_known_tokens(text: str, o200k: int, cl100k: int) -> None:
    assert count(EMBEDDINGS, O200K, input=text) == o200k
    assert count(EMBEDDINGS, CL100K, input=text) == cl100k


SYSTEM: Final = {"role": "system", "content": "You translate."}
"""3 tokens around it, 1 for the role, 3 of text."""
USER: Final = {"role": "user", "content": "Good day"}
"""3 tokens around it, 1 for the role, 2 of text."""
TOOL: Final = {"type": "function", "function": {"name": "clock"}}
"""11 tokens, as JSON."""
CALL: Final = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
"""22 tokens, as JSON, in a list."""


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"messages": [USER]}, 6 + 3),
        ({"messages": [SYSTEM, USER]}, 7 + 6 + 3),
        ({"messages": [SYSTEM | {"name": "ada"}, USER]}, 7 + 2 + 6 + 3),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Good day"}]}]}, 9),
        (
            {"messages": [{"role": "user", "content": [{"type": "refusal", "refusal": "No"}]}]},
            3 + 1 + 1 + 3,
        ),
        ({"messages": [USER], "tools": [TOOL]}, 9 + 11),
        ({"messages": [USER], "tools": [TOOL, TOOL]}, 9 + 22),
        ({"messages": [USER], "tools": None, "response_format": {"type": "text"}}, 9),
        (
            {
                "messages": [
                    USER,
                    {"role": "assistant", "content": None, "tool_calls": [CALL]},
                    {"role": "tool", "tool_call_id": "c1", "content": "12:00"},
                ]
            },
            6 + (3 + 1 + 22) + (3 + 1 + 3) + 3,
        ),
        (
            {"messages": [{"role": "assistant", "content": "No", "refusal": None, "audio": None,
                           "annotations": []}]},
            3 + 1 + 1 + 3,
        ),
        ({"messages": [USER], "temperature": 0, "max_tokens": 5, "seed": 10**30}, 9),
    ],
)  # fmt: skip
def test_chat(body: dict[str, Any], tokens: int) -> None:
    assert count(CHAT, **body) == tokens


PART: Final = {"type": "input_text", "text": "Good day"}


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"input": "Good day"}, 6 + 3),
        ({"input": "Good day", "instructions": "You translate."}, 6 + 7 + 3),
        ({"input": [SYSTEM, USER]}, 7 + 6 + 3),
        ({"input": [{"type": "message", "role": "user", "content": [PART, PART]}]}, 8 + 3),
        ({"input": "Good day", "tools": [{"type": "function", "name": "clock"}]}, 9 + 9),
        ({"input": "Good day", "text": {"format": {"type": "text"}, "verbosity": "low"}}, 9),
        (
            {
                "input": [
                    USER,
                    {"type": "function_call", "call_id": "c", "name": "clock", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "c", "output": "12:00"},
                ]
            },
            6 + (3 + 1 + 1) + (3 + 3) + 3,
        ),
    ],
)
def test_responses(body: dict[str, Any], tokens: int) -> None:
    assert count(RESPONSES, **body) == tokens


@pytest.mark.parametrize(("endpoint", "field"), [(EMBEDDINGS, "input"), (COMPLETIONS, "prompt")])
@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        ("Good day", 2),
        (["Good day", "hello world", ""], 4),
        ([5, 6, 7], 3),
        ([[5, 6, 7], [8]], 4),
        ([], 0),
    ],
)
def test_inputs(endpoint: str, field: str, value: object, tokens: int) -> None:
    assert count(endpoint, CL100K, **{field: value}) == tokens


def test_a_completion_has_a_suffix() -> None:
    assert count(COMPLETIONS, CL100K, prompt="Good day", suffix="hello world") == 4


IMAGE: Final = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (CHAT, {"messages": [{"role": "user", "content": [IMAGE]}]}),
        (CHAT, {"messages": [{"role": "user", "content": [PART, {"type": "input_audio"}]}]}),
        (CHAT, {"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}),
        (CHAT, {"messages": [{"role": "user", "content": "hi", "thought": "unheard of"}]}),
        (CHAT, {"messages": [{"role": 1, "content": "hi"}]}),
        (CHAT, {"messages": ["hi"]}),
        (CHAT, {"messages": {"role": "user"}}),
        (CHAT, {"prompt": "hi"}),
        (CHAT, {"messages": [USER], "web_search_options": {}}),
        (CHAT, {"messages": [USER], "tools": "clock"}),
        (CHAT, {"messages": [USER], "response_format": {"type": "grammar"}}),
        (RESPONSES, {"input": "hi", "tools": [{"type": "file_search"}]}),
        (RESPONSES, {"input": "hi", "previous_response_id": "resp_1"}),
        (RESPONSES, {"input": "hi", "conversation": "conv_1"}),
        (RESPONSES, {"prompt": {"id": "pmpt_1"}}),
        (RESPONSES, {"input": [{"type": "item_reference", "id": "msg_1"}]}),
        (RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_file"}]}]}),
        (EMBEDDINGS, {"input": ["hi", 5]}),
        (EMBEDDINGS, {"input": [[5, "hi"]]}),
        (EMBEDDINGS, {"input": [True]}),
        (EMBEDDINGS, {"input": None}),
        (COMPLETIONS, {"prompt": "hi", "suffix": 5}),
        ("/v1/moderations", {"input": "hi"}),
        ("/v1/videos", {"prompt": "hi"}),
    ],
)
def test_what_holds_more_than_text_is_not_counted(endpoint: str, body: dict[str, Any]) -> None:
    assert count(endpoint, **body) is None


# Laws ------------------------------------------------------------------------------------------

scalars = st.sampled_from(
    [None, True, 0, -1, 2.5, 10**30, 1e300, "", "hi", "text", "message", "é\u2028", "\ud800"]
)
fields = st.sampled_from(
    ["type", "role", "content", "name", "text", "tool_calls", "output", "arguments", "format"]
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=4),
    max_leaves=12,
)
bodies = st.dictionaries(
    st.sampled_from(
        ["messages", "input", "prompt", "instructions", "tools", "functions", "text", "suffix",
         "response_format", "conversation"]
    ),
    values,
)  # fmt: skip
texts = st.text(max_size=30)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "assistant", "tool"])},
    optional={
        "name": texts,
        "content": texts
        | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": texts}), max_size=3),
        "tool_calls": st.lists(st.dictionaries(texts, texts, max_size=2), max_size=2),
    },
)


@given(
    endpoint=st.sampled_from(ENDPOINTS),
    model=st.sampled_from([None, "", "m", O200K, CL100K]),
    body=bodies | values,
)
@example(endpoint=CHAT, model=O200K, body={"messages": [{"role": "user", "content": "\ud800"}]})
@example(endpoint=CHAT, model=O200K, body={"messages": [{"role": "\udc00 and more text"}]})
def test_any_json_is_counted_or_not_and_nothing_is_raised(
    endpoint: str, model: str | None, body: object
) -> None:
    found = COUNTERS[endpoint].count(model, [json.dumps({"body": body}).encode()])

    assert found is None or found >= 0


@given(st.binary(max_size=40) | st.just(b'{"body": ' + b'{"tools": [' * 2000))
@example(b'{"body": {"messages": [{"role": "\xff"}]}}')
def test_any_bytes_are_counted_or_not(row: bytes) -> None:
    assert COUNTERS[CHAT].count(O200K, [row]) is None


@given(st.lists(messages, max_size=4), messages, st.integers(min_value=0, max_value=4))
@example([], {"role": "user", "content": ""}, 0)
def test_another_message_adds_tokens(
    asked: list[dict[str, Any]], more: dict[str, Any], place: int
) -> None:
    before = count(CHAT, messages=asked)
    after = count(CHAT, messages=[*asked[:place], more, *asked[place:]])

    if before is None:
        assert after is None
    else:
        assert after is None or after > before


@given(st.lists(messages.map(lambda message: line(model=O200K, messages=[message])), max_size=5))
def test_rows_are_counted_one_by_one_or_together_alike(rows: Sequence[bytes]) -> None:
    counts = [COUNTERS[CHAT].count(O200K, [row]) for row in rows]
    known = [each for each in counts if each is not None]

    expected = sum(known) if len(known) == len(counts) else None
    assert COUNTERS[CHAT].count(O200K, rows) == expected


# In a scan -------------------------------------------------------------------------------------


def test_a_scan_counts_each_shard(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        chat("a", "gpt-4o", "Good day"),
        chat("b", "gpt-4", "今天天气怎么样？"),  # noqa: RUF001
        chat("c", "gpt-4o", "今天天气怎么样？"),  # noqa: RUF001
        chat("d", "some-model"),
        chat("e", "gpt-4o", "hello world"),
    )

    shards = counted(path, Limits(max_requests=2)).shards

    assert [(shard.model, shard.requests, shard.tokens) for shard in shards] == [
        ("gpt-4o", 2, 9 + 12),
        ("gpt-4", 1, 17),
        ("some-model", 1, None),
        ("gpt-4o", 1, 9),
    ]


def test_one_row_that_is_not_understood_leaves_its_shard_uncounted(tmp_path: Path) -> None:
    image = line("b", model="gpt-4o", messages=[{"role": "user", "content": [IMAGE]}])
    path = write(tmp_path, chat("a", "gpt-4o"), image, chat("c", "gpt-4o"), chat("d", "gpt-4o"))

    shards = counted(path, Limits(max_requests=2)).shards

    assert [shard.tokens for shard in shards] == [None, 16]


def test_an_uncounted_row_in_an_earlier_block_is_not_forgotten(tmp_path: Path) -> None:
    image = line("image", model="gpt-4o", messages=[{"role": "user", "content": [IMAGE]}])
    filler = [chat(f"r{number}", "gpt-4o", "Good day") for number in range(BLOCK_BYTES // 50)]

    [shard] = counted(write(tmp_path, image, *filler)).shards
    assert shard.tokens is None
    [shard] = counted(write(tmp_path, *filler)).shards
    assert shard.tokens == 9 * len(filler)


def test_counting_changes_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "input.jsonl"
    path.write_bytes(chat("a", "gpt-4o") + b"\r\n\n" + chat("b", "gpt-4") + b"\n" + chat("c", "m"))

    plain, more = read(path), counted(path)

    assert {shard.tokens for shard in plain.shards} == {None}
    assert [shard.tokens for shard in more.shards] == [8, 8, None]
    assert plain == dataclasses.replace(
        more, shards=tuple(dataclasses.replace(shard, tokens=None) for shard in more.shards)
    )


# Without the extra -----------------------------------------------------------------------------


def test_without_the_extra_there_is_no_counter() -> None:
    script = (
        "import sys\n"
        "sys.modules['toktok'] = None\n"
        "from runner.inputs.tokens import token_counter\n"
        "print(token_counter('/v1/chat/completions'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "None\n"
