"""The fields that differ between two texts of a spec."""

from __future__ import annotations

import pytest

from runner.spec.diff import FieldChange, changed_fields, spec_fields

SPEC = "endpoint: /v1/chat/completions\ninput: data/x.jsonl\n"


Changes = list[tuple[str, object, object]]


def changes(before: str, after: str) -> Changes:
    was, is_now = spec_fields(before), spec_fields(after)
    assert was is not None
    assert is_now is not None
    found = changed_fields(was, is_now)
    assert all(isinstance(change, FieldChange) for change in found)
    return [(change.field, change.before, change.after) for change in found]


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (SPEC + "replicate: 2\n", [("replicate", 1, 2)]),
        (SPEC + "completion_window: 48h\n", [("completion_window", "24h", "48h")]),
        (SPEC + "metadata: {a.b: c}\n", [("metadata.a.b", None, "c")]),
        (SPEC + "canary: 3\nkeep_remote: false\n", [
            ("canary", None, 3), ("keep_remote", True, False),
        ]),
        (SPEC + "retry: {attempts: 5}\n", [("retry.attempts", 3, 5)]),
    ],
)  # fmt: skip
def test_a_changed_key_is_named_with_its_values(after: str, found: Changes) -> None:
    assert changes(SPEC, after) == found
    assert changes(after, SPEC) == [(field, new, old) for field, old, new in found]


@pytest.mark.parametrize(
    "after",
    [
        "# why\n" + SPEC,
        "input: data/x.jsonl\n\nendpoint: '/v1/chat/completions'\n",
        SPEC + "replicate: 1\nretry: {attempts: 3}\ncompletion_window: 24h\n",
    ],
)
def test_comments_order_quotes_and_defaults_change_nothing(after: str) -> None:
    assert changes(SPEC, after) == []


@pytest.mark.parametrize("text", ["", "x: [", "endpoint: 3\n", SPEC + "colour: red\n", "a\n---\nb"])
def test_what_is_no_spec_of_this_version_has_no_fields(text: str) -> None:
    assert spec_fields(text) is None
