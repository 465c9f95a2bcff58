"""The published schema of `plan --json`: real plans keep to it, and it describes all they hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from runner.report.json_output import to_json
from runner.report.plan_json import plan_json
from tests.report.plans import PLANS
from tests.report.scenes import every_step
from tests.report.schemas import check, schema, undescribed

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = schema("plan")


def fields(part: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk every field of the schema, with the path to it."""
    for name, field in part.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from fields(field, f"{path}.{name}")
    if isinstance(items := part.get("items"), dict):
        yield f"{path}[]", items
        yield from fields(items, f"{path}[]")


@pytest.mark.parametrize("name", PLANS)
def test_plans_keep_to_the_schema(name: str) -> None:
    shape = json.loads(to_json(plan_json(PLANS[name], (), made_at=1.5)))

    check("plan", shape)


def test_the_schema_is_one_and_describes_each_field() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == "runner/plan"

    lacking = [
        path
        for path, field in fields(SCHEMA)
        if not field.get("description", "").endswith((".", ")")) or not field.get("examples")
    ]

    assert lacking == []


def test_examples_are_examples() -> None:
    for path, field in fields(SCHEMA):
        partial = {key: value for key, value in field.items() if key != "required"}
        for example in field["examples"]:
            jsonschema.validate(example, partial)
            assert not list(undescribed(example, field)), path


def test_the_schema_names_every_action() -> None:
    words = SCHEMA["properties"]["actions"]["items"]["properties"]["action"]["enum"]

    assert {action.verb for action in every_step()} < set(words)
    assert {"overdue", "tidy"} < set(words)


def test_a_plan_that_breaks_the_schema_would_be_noticed() -> None:
    shape = plan_json(PLANS["new"], ()) | {"surprise": 1}

    assert list(undescribed(shape, SCHEMA)) == [".surprise"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(shape | {"changes": "yes"}, SCHEMA)
