"""Write the JSON Schemas of specs and `runner.yaml` from the shapes that they are read by.

    python docs/schemas.py            write them
    python docs/schemas.py --check    exit with 1 if one of them is out of date

They are files, and not made where they are asked for, so that they are the same under every
version of pydantic, and so that `runner init` and `runner schema` need not load it. Draft-07 is
what editors know best; nothing in a schema refers to another place, since that draft ignores
whatever stands beside a reference.
"""
# ruff: noqa: INP001 -- a script, run by its path

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runner.spec.schema import config_adapter, spec_adapter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER: Final = Path(__file__).resolve().parents[1] / "runner" / "spec" / "schemas"
_DRAFT: Final = "http://json-schema.org/draft-07/schema#"
_FIRST: Final = ("description", "type", "required", "additionalProperties", "properties")
"""What a reader looks for, in this order; the rest comes after it, but for the examples."""


def schemas() -> dict[str, dict[str, Any]]:
    """Return both schemas by name."""
    made = {
        "spec": ("A job for an LLM Batch API", spec_adapter().json_schema()),
        "project": ("A project of runner", config_adapter().json_schema()),
    }
    return {
        name: {"$schema": _DRAFT, "title": title, **_plain(schema, schema.get("$defs", {}))}
        for name, (title, schema) in made.items()
    }


def _plain(schema: Mapping[str, Any], shapes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema in draft-07, with the shapes it refers to in it.

    Without titles, which only repeat the keys, and without null: no key may be left empty.
    """
    whole: dict[str, Any] = {}
    for part in (schema, *_meant(schema, shapes)):
        whole |= {key: value for key, value in part.items() if key not in whole}
    made = {
        key: _converted(key, value, shapes)
        for key, value in whole.items()
        if key not in ("$defs", "$ref", "anyOf", "title")
        and not (key == "default" and value in (None, {}))
    }
    choices = [_plain(one, shapes) for one in whole.get("anyOf", ()) if one != {"type": "null"}]
    made |= {"anyOf": choices} if len(choices) > 1 else choices[0] if choices else {}
    return dict(sorted(made.items(), key=_place))


def _place(entry: tuple[str, object]) -> int:
    key = entry[0]
    return _FIRST.index(key) if key in _FIRST else len(_FIRST) + (key in ("default", "examples"))


def _meant(schema: Mapping[str, Any], shapes: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the shape that a schema refers to, if it does."""
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    return [shapes[name]] if name else []


def _converted(key: str, value: Any, shapes: Mapping[str, Any]) -> Any:  # noqa: ANN401
    match key:
        case "properties" | "patternProperties":
            return {name: _plain(schema, shapes) for name, schema in value.items()}
        case "additionalProperties" | "items" if isinstance(value, dict):
            return _plain(value, shapes)
        case "default" if isinstance(value, dict):
            return {name: member for name, member in value.items() if member is not None}
        case _:
            return value


def main(arguments: Sequence[str]) -> int:
    """Write the schemas, or check them; return the exit code."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    stale = []
    for name, schema in schemas().items():
        path = FOLDER / f"{name}.json"
        text = json.dumps(schema, indent=2) + "\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if not arguments:
                FOLDER.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if stale and arguments:
        sys.stderr.write(f"out of date: {', '.join(stale)}; `make docs` writes them anew\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
