"""Filters of jobs and events, as the user writes them."""

from __future__ import annotations

import pytest

from runner.errors import UsageError
from runner.ledger.queries import EVENT_KINDS
from runner.views.filters import chosen, read_conditions, read_kinds, read_since
from tests.report.scenes import view

VIEWS = (
    view("a", "failed", provider="openai", metadata={"project": "acl", "who": "me, myself"}),
    view("b", "partial", provider="lab", metadata={"project": "emnlp"}),
    view("c", "succeeded", provider="lab", endpoint="/v1/embeddings"),
    view("d", "running", provider="laboratory", metadata={"project": ""}),
)
PROVIDERS = ("openai", "lab", "laboratory")
NOON = 1_769_860_800.0


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ([], "abcd"),
        (["state:failed"], "a"),
        (["state:failed,partial"], "ab"),
        (["state:failed", "state:partial"], ""),
        (["provider:lab"], "bc"),
        (["provider:lab*"], "bcd"),
        (["provider:lab*", "state:partial"], "b"),
        (["endpoint:/v1/embeddings"], "c"),
        (["endpoint:*embeddings,*completions"], "abcd"),
        (["metadata.project:acl"], "a"),
        (["metadata.project:*"], "abd"),
        (["metadata.who:me? myself"], "a"),
        (["metadata.nobody:x"], ""),
    ],
)
def test_all_conditions_must_hold_of_a_job(conditions: list[str], names: str) -> None:
    told = chosen(VIEWS, read_conditions(conditions, PROVIDERS))

    assert "".join(view.name for view in told) == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("state:faild", 'there is no state "faild"; did you mean "failed"?'),
        ("state:failed,nope", 'there is no state "nope"; there are: pending, running, '),
        ("provider:opanai", 'did you mean "openai"?'),
        ("stat:failed", 'jobs have no "stat" to select by; did you mean "state"?'),
        ("metadata.:x", 'did you mean "metadata.KEY"?'),
        ("failed", '"failed" is no condition; write KEY:VALUE, as in state:failed'),
        ("state:", '"state:" is no condition'),
        ("state:,", '"state:," is no condition'),
        ("\x1b[2J:x", "\\x1b[2J"),
    ],
)
def test_what_can_be_true_of_no_job_is_an_error(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_conditions([text], PROVIDERS)

    assert said in str(caught.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        read_conditions(["state:faild", "foo:bar", "state:failed"], PROVIDERS)

    assert "faild" in str(caught.value)
    assert '"foo"' in str(caught.value)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("0s", NOON),
        ("90s", NOON - 90),
        ("30m", NOON - 1800),
        ("30min", NOON - 1800),
        ("12h", NOON - 43_200),
        ("2d", NOON - 172_800),
        ("1w", NOON - 604_800),
        ("2026-01-31", NOON - 43_200),
        ("2026-01-31T12:00", NOON),
        ("2026-01-31 12:00:00", NOON),
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31T13:00+01:00", NOON),
    ],
)
def test_a_moment_is_a_span_ago_or_a_date(text: str, at: float) -> None:
    assert read_since(text, now=NOON) == at


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2", "-2d", "2 d ago", "2y", "٣d", "31.1.2026", "2026-13-01"]
)
def test_another_text_is_no_moment(text: str) -> None:
    with pytest.raises(UsageError, match="write 2d, 12h, 30min, 2026-01-31"):
        read_since(text, now=NOON)


def test_kinds_are_named_or_fitted() -> None:
    assert read_kinds(["submitted"]) == ("submitted",)
    assert read_kinds(["run_*", "run_started"]) == tuple(
        kind for kind in EVENT_KINDS if kind.startswith("run_")
    )
    with pytest.raises(UsageError, match='"submited"; did you mean "submitted"'):
        read_kinds(["submited"])
    with pytest.raises(UsageError, match="there are: run_started, "):
        read_kinds(["qqq"])
