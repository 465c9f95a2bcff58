"""`runner schema`: the JSON Schemas that editors and programs check documents with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from jsonschema import Draft7Validator, ValidationError

from runner.cli.commands.schema import schemas
from tests.cli.records import finish_mixed, flip, revision
from tests.report.schemas import check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.world import World


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


def test_the_record_of_a_run_fits(finished: Folder) -> None:
    path = finished.root / "outputs" / "hello" / "latest" / "run.json"
    document = json.loads(path.read_text("utf-8"))

    check("record", document)
    document["shards"][0]["submissions"][0]["rows"] = [0, 4]
    assert not RECORD.is_valid(document)


def test_the_record_kept_as_an_example_fits() -> None:
    golden = ROOT / "tests" / "outputs" / "golden" / "run.json"

    check("record", json.loads(golden.read_text("utf-8")))


OUTPUTS: Final = {
    "doctor": ("doctor",),
    "events": ("events",),
    "orphans": ("orphans",),
    "plan": ("plan",),
    "show": ("show", "hello"),
    "status": ("status",),
    "verify": ("verify",),
}


def test_every_output_has_a_schema() -> None:
    assert SCHEMAS.keys() == OUTPUTS.keys() | {"log", "project", "record", "spec"}


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_output_about_a_finished_job_fits(run: Run, finished: Folder, name: str) -> None:
    assert finished.root.is_dir()
    check(name, json.loads(run(*OUTPUTS[name], "--json").out))


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_output_about_a_damaged_job_fits(
    run: Run, lab: Folder, world: World, name: str
) -> None:
    finish_mixed(lab, run, world)
    lab.job("new")
    folder = revision(lab)
    flip(folder / "output.jsonl")
    (folder / "errors.jsonl").unlink()
    (folder / "raw" / "stray").touch()
    (folder / "notes.txt").touch()

    check(name, json.loads(run(*OUTPUTS[name], "--json").out))


def test_the_output_about_a_record_that_cannot_be_read_fits(run: Run, finished: Folder) -> None:
    (revision(finished) / "run.json").write_text("[]")

    check("verify", json.loads(run("verify", "--json").out))


def test_the_output_about_an_input_that_is_gone_fits(run: Run, finished: Folder) -> None:
    (finished.root / "data" / "hello.jsonl").unlink()

    check("verify", json.loads(run("verify", "--json").out))


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_output_of_an_empty_project_fits(run: Run, lab: Folder, name: str) -> None:
    lab.job()

    check(name, json.loads(run(*OUTPUTS[name], "--json").out))


@pytest.mark.parametrize("name", ["doctor", "orphans", "verify"])
def test_an_output_with_another_field_does_not_fit(run: Run, finished: Folder, name: str) -> None:
    assert finished.root.is_dir()
    printed = json.loads(run(*OUTPUTS[name], "--json").out)
    with pytest.raises(AssertionError, match=r"\.surprise"):
        check(name, printed | {"surprise": 1})
    for field in printed:
        lacking = {each: value for each, value in printed.items() if each != field}
        with pytest.raises(ValidationError):
            check(name, lacking)


@pytest.mark.usefixtures("several")
def test_what_is_printed_is_what_the_schemas_say(run: Run) -> None:
    for name, command in (
        ("status", ("status",)),
        ("show", ("show", "bad")),
        ("show", ("show", "later")),
        ("events", ("events",)),
    ):
        printed = json.loads(run(*command, "--json").out)

        check(name, printed)


def test_what_is_printed_of_a_job_at_work_is_what_the_schemas_say(
    run: Run, at_work: Folder
) -> None:
    (at_work.root / "specs" / "hello.yaml").unlink()

    check("status", json.loads(run("status", "--json").out))
    check("show", json.loads(run("show", "hello", "--json").out))
