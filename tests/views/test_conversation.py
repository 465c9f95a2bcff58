"""The turns of requests and responses of every form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.views.conversation import LONGEST_TURN, request_turns, response_turns

if TYPE_CHECKING:
    from runner.views.conversation import Turn

PICTURE = "data:image/png;base64," + "A" * 5000


def told(turns: tuple[Turn, ...]) -> list[tuple[str, str]]:
    return [(turn.speaker, turn.text) for turn in turns]


@pytest.mark.parametrize(
    ("body", "turns"),
    [
        pytest.param(
            {"model": "m", "messages": [{"role": "user", "content": "Why?"}]},
            [("user", "Why?")],
            id="chat",
        ),
        pytest.param(
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "What is it?"},
                            {"type": "image_url", "image_url": {"url": PICTURE}},
                            {"type": "image_url", "image_url": {"url": "https://example.org/a"}},
                            {"type": "input_audio", "input_audio": {"data": "A" * 900}},
                        ],
                    }
                ]
            },
            [
                (
                    "user",
                    (
                        "What is it?\n[image, image/png, 5,022 characters]\n"
                        "[image https://example.org/a]\n[audio, 900 characters]"
                    ),
                )
            ],
            id="pictures-and-sounds",
        ),
        pytest.param(
            {"instructions": "Be brief.", "input": "Why?"},
            [("instructions", "Be brief."), ("input", "Why?")],
            id="responses",
        ),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Why?"}]}]},
            [("user", "Why?")],
            id="responses-with-messages",
        ),
        pytest.param(
            {"input": ["a", "b", "c", "d", "e"]},
            [("input", "a"), ("input", "b"), ("input", "c"), ("input", "2 more")],
            id="several-texts-to-embed",
        ),
        pytest.param(
            {"input": [1, 2, 3, 4, 5]}, [("input", "5 numbers: 1, 2, 3, 4, …")], id="token-ids"
        ),
        pytest.param({"prompt": "Once"}, [("prompt", "Once")], id="completion"),
        pytest.param({"strange": [1]}, [("body", '{"strange": [1]}')], id="unknown"),
        pytest.param(None, [("body", "null")], id="nothing"),
    ],
)
def test_the_turns_of_a_request(body: object, turns: list[tuple[str, str]]) -> None:
    assert told(request_turns(body)) == turns


@pytest.mark.parametrize(
    ("body", "turns"),
    [
        pytest.param(
            {"choices": [{"message": {"role": "assistant", "content": "So."},
                          "finish_reason": "stop"}]},
            [("assistant", "So.")],
            id="chat",
        ),
        pytest.param(
            {"choices": [{"message": {"role": "assistant", "content": "So"},
                          "finish_reason": "length"}]},
            [("assistant", "So"), ("finish_reason", "length")],
            id="cut-short",
        ),
        pytest.param(
            {"choices": [{"message": {"role": "assistant", "content": None, "refusal": "No."}}]},
            [("assistant, refusing", "No.")],
            id="refusal",
        ),
        pytest.param(
            {"choices": [{"message": {"role": "assistant", "content": None, "tool_calls": [
                {"function": {"name": "look", "arguments": '{"at": 1}'}}]}}]},
            [("assistant, calling", 'look({"at": 1})')],
            id="tool",
        ),
        pytest.param({"choices": [{"text": "upon a time"}]}, [("text", "upon a time")], id="old"),
        pytest.param(
            {"output": [
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
                {"type": "message", "role": "assistant",
                 "content": [{"type": "output_text", "text": "So."}]},
                {"type": "function_call", "name": "look", "arguments": "{}"}]},
            [("reasoning", "Hm."), ("assistant", "So."), ("assistant, calling", "look({})")],
            id="responses",
        ),
        pytest.param(
            {"data": [{"object": "embedding", "embedding": [0.01, -0.02, 1e-9, 4.0, 5.0]}]},
            [("embedding", "5 numbers: 0.01, -0.02, 1e-09, 4, …")],
            id="embedding",
        ),
        pytest.param(
            {"data": [{"embedding": "QUJD" * 1000}]},
            [("embedding", "4,000 characters of base64")],
            id="embedding-in-base64",
        ),
        pytest.param(
            {"data": [{"b64_json": "QUJD" * 1000}]},
            [("image", "[image, 4,000 characters of base64]")],
            id="picture",
        ),
        pytest.param(
            {"results": [{"categories": {"hate": True, "violence": False}}, {"categories": {}}]},
            [("moderation", "flagged: hate"), ("moderation", "not flagged")],
            id="moderation",
        ),
        pytest.param(
            {"blob": "A" * 500},
            [("body", '{"blob": "' + "A" * 160 + '… (340 more)"}')],
            id="unknown",
        ),
    ],
)  # fmt: skip
def test_the_turns_of_a_response(body: object, turns: list[tuple[str, str]]) -> None:
    assert told(response_turns(body)) == turns


def test_a_long_turn_is_cut_and_says_by_how_much() -> None:
    [turn] = request_turns({"prompt": "x" * (LONGEST_TURN + 7)})

    assert (len(turn.text), turn.left_out) == (LONGEST_TURN, 7)


def test_of_a_long_talk_the_beginning_and_the_end_are_kept() -> None:
    messages = [{"role": "user", "content": str(number)} for number in range(12)]

    said = [turn.text for turn in request_turns({"messages": messages})]
    assert said == ["0", "1", "7 more", "9", "10", "11"]


def nested(depth: int) -> Any:  # noqa: ANN401
    value: Any = 1
    for _ in range(depth):
        value = {"content": [value]}
    return value


def test_depth_does_no_harm() -> None:
    assert len(response_turns(nested(300))[0].text) <= LONGEST_TURN


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["messages", "input", "prompt", "content", "type", "text", "role", "choices", "message",
             "tool_calls", "function", "output", "data", "embedding", "results", "categories",
             "image_url", "input_image", "url", "refusal", "summary", "finish_reason"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_no_body_is_too_strange(body: object) -> None:
    for turns in (request_turns(body), response_turns(body)):
        assert 1 <= len(turns) <= 6
        assert all(len(turn.text) <= LONGEST_TURN for turn in turns)
