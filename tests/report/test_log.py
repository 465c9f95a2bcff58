"""The log as JSON lines: the fields of an entry, and their schema."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.errors import InputChanged, Problem, RateLimited
from runner.ledger.records import RunState, SubmissionKey
from runner.reconcile.context import Notice, RequestCounts
from runner.report.log import Entry, Level
from tests.report.scenes import NOW, batch
from tests.report.schemas import check, schema

KEY = SubmissionKey(job="sentiment", revision="9f86d081884c", shard=1, attempt=2)
REFUSED = RateLimited(
    "openai asks for patience",
    provider="openai",
    call="POST /batches",
    status=429,
    request_id="req_1",
    retry_after=20.0,
)


def shape(entry: Entry) -> dict[str, Any]:
    """Return the object that an entry is written as."""
    line = entry.line(at=NOW)
    assert line.endswith("}\n")
    assert line.count("\n") == 1
    shape: dict[str, Any] = json.loads(line)
    check("log", shape)
    return shape


HEAD = {"at": "2023-11-14T22:13:20.000Z", "level": "info", "event": "note", "job": None}


def test_a_sentence_is_an_object() -> None:
    assert shape(Entry(message="nothing to do")) == {**HEAD, "message": "nothing to do"}


def test_what_happened_to_a_batch_is_in_fields() -> None:
    seen = batch(1, "in_progress", request_counts={"total": 9, "completed": 7, "failed": 1})
    notice = Notice(
        job="sentiment",
        message="seven are done",
        event="batch_changed",
        submission=KEY,
        batch=seen,
        counts=RequestCounts(total=9),
    )

    assert shape(Entry.of_notice(notice)) == HEAD | {
        "event": "batch_changed",
        "job": "sentiment",
        "message": "seven are done",
        "revision": "9f86d081884c",
        "submission": "sentiment/9f86d081884c/0001/2",
        "batch": seen.id,
        "status": "in_progress",
        "request_counts": {"total": 9, "completed": 7, "failed": 1},
        "requests": {"total": 9, "succeeded": 0, "failed": 0},
    }


def test_what_a_provider_refused_is_in_fields() -> None:
    notice = Notice(
        job="sentiment", message=str(REFUSED), is_problem=True, event="held", error=REFUSED
    )

    assert shape(Entry.of_notice(notice)) == HEAD | {
        "level": "error",
        "event": "held",
        "job": "sentiment",
        "message": "openai asks for patience",
        "error": "RateLimited",
        "provider": "openai",
        "call": "POST /batches",
        "http_status": 429,
        "request_id": "req_1",
        "retry_after": 20.0,
    }


@pytest.mark.parametrize(
    ("problem", "place"),
    [
        (Problem(path="a.yaml", line=3, column=5, message="m"), {"line": 3, "column": 5}),
        (Problem(path="a.yaml", line=3, message="m"), {"line": 3}),
        (Problem(path="a.yaml", message="m"), {}),
    ],
    ids=str,
)
def test_a_problem_says_where_it_is(problem: Problem, place: dict[str, Any]) -> None:
    assert shape(Entry.of_problem(problem)) == HEAD | place | {
        "level": "error",
        "event": "problem",
        "path": "a.yaml",
        "message": "m",
    }


@pytest.mark.parametrize(
    ("notice", "level"),
    [
        (Notice(job="a", message="w", event="submitted"), Level.INFO),
        (Notice(job="a", message="w", event="run_finished", state=RunState.PARTIAL), Level.INFO),
        (Notice(job="a", message="w", event="run_finished", is_problem=True), Level.ERROR),
        (Notice(job="a", message="w", event="failed"), Level.WARNING),
        (Notice(job="a", message="w", event="failed", is_problem=True), Level.ERROR),
        (Notice(job="", message="w", event="remark"), Level.WARNING),
    ],
    ids=str,
)
def test_an_error_is_what_the_exit_code_tells_of_too(notice: Notice, level: Level) -> None:
    assert Entry.of_notice(notice).level is level


def test_what_ended_the_command_names_its_kind() -> None:
    assert shape(Entry.of_error(InputChanged("it has changed"))) == HEAD | {
        "level": "error",
        "event": "error",
        "message": "it has changed",
        "error": "InputChanged",
    }


def test_the_schema_describes_each_field_and_its_examples_are_valid() -> None:
    described = schema("log")

    for example in described["examples"]:
        check("log", example)
    for name, about in described["properties"].items():
        assert about["description"].endswith("."), name
        for example in about.get("examples", ()):
            check("log", {**HEAD, "message": "m", name: example})
