"""The schemas of JSON output, and a check of output against them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft7Validator

FOLDER: Final = Path(__file__).resolve().parents[2] / "runner" / "report" / "schemas"


def schema(name: str) -> dict[str, Any]:
    """Return a schema, which is a sound one itself."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    Draft7Validator.check_schema(found)
    return found


def check(name: str, value: object) -> None:
    """Insist that a value is as its schema says; raises jsonschema's ValidationError."""
    Draft7Validator(schema(name)).validate(value)
