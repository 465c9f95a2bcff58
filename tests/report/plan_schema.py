"""The published schema of `plan --json`, and a check of plans against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jsonschema

import runner

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA: Final[dict[str, Any]] = json.loads(
    (Path(runner.__file__).parent / "report" / "schemas" / "plan.json").read_text("utf-8")
)


def check_plan(shape: object) -> None:
    """Assert that a plan is valid, and that the schema describes all it holds."""
    jsonschema.validate(shape, SCHEMA)
    assert list(undescribed(shape, SCHEMA)) == []


def undescribed(value: object, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Name what a document holds that the schema does not describe."""
    if isinstance(value, dict) and "additionalProperties" not in schema:
        for name, member in value.items():
            if name not in schema.get("properties", {}):
                yield f"{path}.{name}"
            else:
                yield from undescribed(member, schema["properties"][name], f"{path}.{name}")
    elif isinstance(value, list):
        for member in value:
            yield from undescribed(member, schema["items"], f"{path}[]")
