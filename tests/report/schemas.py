"""The JSON Schemas of outputs, and how an output is compared with its schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jsonschema import Draft7Validator

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = Path(__file__).resolve().parents[2] / "runner" / "report" / "schemas"


def schema(name: str) -> dict[str, Any]:
    """Return a schema that is a valid one itself."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    Draft7Validator.check_schema(found)
    return found


def check(name: str, value: object) -> None:
    """Assert that a value fits its schema, and that the schema describes each of its fields."""
    found = schema(name)
    Draft7Validator(found).validate(value)
    if further := list(undescribed(value, found)):
        raise AssertionError(f"not in the schema: {', '.join(further)}")


def undescribed(value: object, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the fields of a value that its schema does not describe.

    An object of the provider or of the user, such as a Batch object, may have any fields.
    """
    if isinstance(value, dict) and "properties" in schema and "additionalProperties" not in schema:
        for name, member in value.items():
            if name not in schema["properties"]:
                yield f"{path}.{name}"
            else:
                yield from undescribed(member, schema["properties"][name], f"{path}.{name}")
    elif isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        for name, member in value.items():
            yield from undescribed(member, schema["additionalProperties"], f"{path}.{name}")
    elif isinstance(value, list) and "items" in schema:
        for member in value:
            yield from undescribed(member, schema["items"], f"{path}[]")
