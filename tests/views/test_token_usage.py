"""The tokens that batches report, read from the `usage` objects of providers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.views.token_usage import TokenUsage

NONE = TokenUsage()


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 7, "output_tokens": 5}, TokenUsage(input=7, output=5, total=12)),
        ({"prompt_tokens": 7, "completion_tokens": 5}, TokenUsage(input=7, output=5, total=12)),
        # Reasoning that a provider counts in the total only.
        (
            {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 20},
            TokenUsage(input=7, output=5, total=20),
        ),
        # A total below the sum of its parts is wrong.
        (
            {"input_tokens": 7, "output_tokens": 5, "total_tokens": 0},
            TokenUsage(input=7, output=5, total=12),
        ),
        ({"total_tokens": 12}, TokenUsage(total=12)),
        ({"input_tokens": 7}, TokenUsage(input=7, total=7)),
        ({"input_tokens": None, "prompt_tokens": 7}, TokenUsage(input=7, total=7)),
        ({"input_tokens": 0, "prompt_tokens": 7}, TokenUsage(input=0, total=0)),
        ({"input_tokens": 7.0}, TokenUsage(input=7, total=7)),
        ({"input_tokens": 2**53}, TokenUsage(input=2**53, total=2**53)),
        ({"input_tokens": 2**53 + 1, "output_tokens": 10**400}, NONE),
        ({"input_tokens": -1, "output_tokens": -0.5, "total_tokens": 0.5}, NONE),
        ({"input_tokens": float("nan"), "output_tokens": float("inf")}, NONE),
        ({"input_tokens": True, "output_tokens": "5", "total_tokens": [12]}, NONE),
        ({}, NONE),
        (None, NONE),
        ([7], NONE),
        ("many", NONE),
    ],
)
def test_of_one_batch(usage: object, expected: TokenUsage) -> None:
    assert TokenUsage.of(usage) == expected


def test_what_a_batch_leaves_out_does_not_hide_what_others_report() -> None:
    usages = [{"input_tokens": 7, "output_tokens": 5}, {"total_tokens": 100}, None, {}]

    assert TokenUsage.sum(usages) == TokenUsage(input=7, output=5, total=112)
    assert TokenUsage.sum([None, {}]) == NONE
    assert TokenUsage.sum([]) == NONE


NUMBERS = st.integers() | st.floats() | st.booleans() | st.text() | st.none()
NAMES = ("input_tokens", "prompt_tokens", "output_tokens", "completion_tokens", "total_tokens")
USAGES = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, NUMBERS))


@given(st.lists(USAGES))
def test_the_total_is_never_below_its_parts(usages: list[dict[str, object]]) -> None:
    tokens = TokenUsage.sum(usages)

    assert (tokens.total or 0) >= (tokens.input or 0) + (tokens.output or 0)
    assert (tokens.total is None) == all(TokenUsage.of(usage) == NONE for usage in usages)
