"""`runner schema`: what editors and programs check documents by."""

from __future__ import annotations

import dataclasses
import json
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from jsonschema import Draft7Validator

from runner.cli.commands.schema import schemas
from runner.outputs import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder

ROOT: Final = Path(__file__).resolve().parents[2]
SCHEMAS: Final[dict[str, Any]] = {
    name: json.loads(file.read_text("utf-8")) for name, file in schemas().items()
}
RECORD: Final = Draft7Validator(SCHEMAS["record"])

each_schema = pytest.mark.parametrize("name", SCHEMAS)


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every field that a schema describes, at any depth, with its path."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
    children = {
        **schema.get("properties", {}),
        **schema.get("patternProperties", {}),
        "*": schema.get("additionalProperties"),
        "[]": schema.get("items"),
    }
    children |= {str(number): one for number, one in enumerate(schema.get("anyOf", ()))}
    for name, child in children.items():
        if isinstance(child, dict):
            yield from fields(child, f"{path}.{name}")


def test_the_names_of_the_contract_are_there() -> None:
    assert {"spec", "project", "record"} <= SCHEMAS.keys()


@each_schema
def test_a_schema_is_printed_as_it_is(run: Run, name: str) -> None:
    done = run("schema", name)

    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == SCHEMAS[name]


@each_schema
def test_a_schema_is_one_of_draft_7(name: str) -> None:
    assert SCHEMAS[name]["$schema"] == "http://json-schema.org/draft-07/schema#"
    Draft7Validator.check_schema(SCHEMAS[name])


@each_schema
def test_every_field_has_a_description_and_examples_that_fit(name: str) -> None:
    found = dict(fields(SCHEMAS[name]))

    assert found
    assert [path for path, field in found.items() if not field.get("description")] == []
    assert [path for path, field in found.items() if not field.get("examples")] == []
    definitions = SCHEMAS[name].get("definitions", {})
    for path, field in found.items():
        for example in field["examples"]:
            errors = Draft7Validator({**field, "definitions": definitions}).iter_errors(example)
            assert [f"{path}: {error.message}" for error in errors] == []


@each_schema
def test_no_schema_needs_what_old_editors_do_not_know(name: str) -> None:
    text = json.dumps(SCHEMAS[name])

    for newer in ("prefixItems", "$defs", "unevaluatedProperties", "dependentRequired"):
        assert newer not in text
    assert '"items": [' not in text, "tuples"


# The record


def test_the_record_of_a_run_fits(finished: Folder) -> None:
    path = finished.root / "outputs" / "hello" / "latest" / "run.json"
    document = json.loads(path.read_text("utf-8"))

    RECORD.validate(document)
    document["shards"][0]["submissions"][0]["rows"] = [0, 4]
    assert not RECORD.is_valid(document)


def test_the_record_kept_as_an_example_fits() -> None:
    golden = ROOT / "tests" / "outputs" / "golden" / "run.json"

    RECORD.validate(json.loads(golden.read_text("utf-8")))


def described(schema: dict[str, Any], shape: type, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield the fields that a schema and a class have at each place."""
    hints = typing.get_type_hints(shape)
    names = [field.name for field in dataclasses.fields(shape)]
    yield path, list(schema["properties"]), names
    yield path, schema["required"], names
    for name in names:
        inner = [hints[name], *typing.get_args(hints[name])]
        below = schema["properties"][name]
        below = below.get("items", below)
        for kind in inner:
            if dataclasses.is_dataclass(kind) and "properties" in below:
                yield from described(below, typing.cast("type", kind), f"{path}.{name}")


def test_the_schema_of_the_record_has_the_fields_of_the_record() -> None:
    compared = list(described(SCHEMAS["record"], record.RunRecord, ""))

    assert len(compared) > 20
    for path, in_schema, in_code in compared:
        assert in_schema == in_code, path
