"""Write the JSON Schemas of specs, `runner.yaml`, `--json` outputs and `run.json` from types.

    python docs/schemas.py            write them
    python docs/schemas.py --check    exit with 1 if one of them is out of date

The schemas of specs and `runner.yaml` are made from the pydantic models in runner/spec/schema.py,
those of outputs from the types in runner/report/schemas/. They are files, and not made when they
are printed, so that they are the same under every version of pydantic and msgspec, and so that
`runner init` and `runner schema` load neither. Draft-07 is the draft that editors know best. No
schema has a reference: that draft ignores everything next to one.
"""
# ruff: noqa: INP001 -- a script, run by its path

from __future__ import annotations

import importlib
import json
import sys
import typing
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from runner.spec.schema import config_adapter, spec_adapter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

RUNNER: Final = Path(__file__).resolve().parents[1] / "runner"
_DRAFT: Final = "http://json-schema.org/draft-07/schema#"
_OUTPUTS: Final = (
    "doctor", "events", "log", "orphans", "plan", "record", "show", "status", "verify",
)  # fmt: skip
"""The modules of runner.report.schemas that describe a whole output."""

_FIRST: Final = ("description", "type", "required", "additionalProperties", "properties")
"""The keys that a reader looks for come first, in this order; examples come last."""

_NULL: Final = {"type": "null"}


def schemas() -> dict[Path, dict[str, Any]]:
    """Return every schema by the path of its file."""
    specs = {
        "spec": ("A job for an LLM Batch API", spec_adapter().json_schema()),
        "project": ("A project of runner", config_adapter().json_schema()),
    }
    made = {
        RUNNER / "spec" / "schemas" / f"{name}.json": {
            "$schema": _DRAFT,
            "title": title,
            **_plain(schema, schema.get("$defs", {})),
        }
        for name, (title, schema) in specs.items()
    }
    for name in _OUTPUTS:
        module = importlib.import_module(f"runner.report.schemas.{name}")
        made[RUNNER / "report" / "schemas" / f"{name}.json"] = _output_schema(module.Output)
    return made


# Specs and runner.yaml.


def _plain(schema: Mapping[str, Any], shapes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema in draft-07, with the shapes it refers to in it.

    Without titles, which only repeat the keys, and without null: no key may be left empty.
    """
    whole: dict[str, Any] = {}
    for part in (schema, *_referred(schema, shapes)):
        whole |= {key: value for key, value in part.items() if key not in whole}
    made = {
        key: _converted(key, value, shapes)
        for key, value in whole.items()
        if key not in ("$defs", "$ref", "anyOf", "title")
        and not (key == "default" and value in (None, {}))
    }
    choices = [_plain(one, shapes) for one in whole.get("anyOf", ()) if one != _NULL]
    made |= {"anyOf": choices} if len(choices) > 1 else choices[0] if choices else {}
    return dict(sorted(made.items(), key=_place))


def _place(entry: tuple[str, object]) -> int:
    key = entry[0]
    return _FIRST.index(key) if key in _FIRST else len(_FIRST) + (key in ("default", "examples"))


def _referred(schema: Mapping[str, Any], shapes: Mapping[str, Any]) -> list[Mapping[str, Any]]:
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


# Outputs.


def _output_schema(output: Any) -> dict[str, Any]:  # noqa: ANN401 -- a type
    """Return the schema of an output in draft-07, without references."""
    schema = msgspec.json.schema(output)
    shapes = schema.pop("$defs", {})
    for name, kind in _classes(output):
        _sort(shapes[name], kind)
    title = schema.pop("title")
    identity = {"$id": schema.pop("$id")} if "$id" in schema else {}
    found = _inlined(schema, shapes)
    if "examples" not in schema:
        del found["examples"]
    return {"$schema": _DRAFT, **identity, "title": title, **found}


def _classes(kind: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 -- a type
    """Yield the classes that a type is made of, with their names."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        yield kind.__name__, kind
    elif typing.is_typeddict(kind) or hasattr(kind, "__dataclass_fields__"):
        yield kind.__name__, kind
        for field in typing.get_type_hints(kind).values():
            yield from _classes(field)
    for inner in typing.get_args(kind):
        yield from _classes(inner)


def _sort(shape: dict[str, Any], kind: Any) -> None:  # noqa: ANN401 -- a type
    """Put the fields or values of a shape into the order of the class: msgspec sorts them."""
    if "enum" in shape:
        shape["enum"] = [member.value for member in kind]
        return
    names = list(typing.get_type_hints(kind))
    shape["properties"] = {name: shape["properties"][name] for name in names}
    shape["required"] = [name for name in names if name in shape["required"]]


def _inlined(schema: Mapping[str, Any], shapes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with the shapes it refers to in it, null as a type, and with an example."""
    whole: dict[str, Any] = {}
    for part in (schema, *_referred(schema, shapes)):
        whole |= {key: value for key, value in part.items() if key not in whole}
    for key in ("$ref", "title", "default"):
        whole.pop(key, None)
    choices = [_inlined(one, shapes) for one in whole.pop("anyOf", ())]
    whole = _united(choices) | whole
    if "enum" in whole and "type" not in whole:
        whole["type"] = "string"
    if "description" in whole:
        whole["description"] = " ".join(whole["description"].split())
    if "properties" in whole:
        whole["properties"] = {
            name: _inlined(field, shapes) for name, field in whole["properties"].items()
        }
    for key in ("additionalProperties", "items"):
        if isinstance(whole.get(key), dict):
            whole[key] = _inlined(whole[key], shapes)
    if "examples" not in whole and (example := _example(whole)) is not None:
        whole["examples"] = [example]
    return dict(sorted(whole.items(), key=_place))


def _united(choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Unite choices of different types into one schema; one of them may have more than a type."""
    united: dict[str, Any] = {}
    for choice in choices:
        united |= {key: value for key, value in choice.items() if key != "type"}
    if choices:
        united["type"] = [choice["type"] for choice in choices]
    return united


def _example(schema: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- any JSON
    """Make an example of an object from those of its fields, and of an array from its items'."""
    if "properties" in schema:
        return {name: schema["properties"][name]["examples"][0] for name in schema["required"]}
    if "examples" in (items := schema.get("items", {})):
        return items["examples"][:1]
    return None


def main(arguments: Sequence[str]) -> int:
    """Write the schemas, or check them; return the exit code."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    stale = []
    for path, schema in schemas().items():
        text = json.dumps(schema, indent=2) + "\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if not arguments:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if stale and arguments:
        sys.stderr.write(f"out of date: {', '.join(stale)}; `make docs` writes them again\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
