"""The JSON Schemas for editors agree with the loader."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from runner.errors import InvalidInput
from runner.spec.config import read_config
from runner.spec.project import find_project
from runner.spec.schema import CONFIG_FIELDS, SPEC_FIELDS
from runner.spec.validate import validate
from runner.spec.yaml.documents import read_documents
from tests.spec.folders import lay_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.spec.project import Project

ROOT: Final = Path(__file__).resolve().parents[2]
SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    name: json.loads((ROOT / "runner" / "spec" / "schemas" / f"{name}.json").read_text("utf-8"))
    for name in ("spec", "project")
}
SPEC: Final = Draft7Validator(SCHEMAS["spec"])
PROJECT: Final = Draft7Validator(SCHEMAS["project"])

GOOD: Final = {"endpoint": "/v1/chat/completions", "input": "data/x.jsonl"}
LAB: Final = {"base_url": "http://lab:8000/v1"}


def test_the_schemas_are_those_of_the_shapes() -> None:
    script = ROOT / "docs" / "schemas.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_every_key_is_in_its_schema_with_a_reason_and_an_example() -> None:
    spec, project = SCHEMAS["spec"]["properties"], SCHEMAS["project"]["properties"]
    [lab] = project["providers"]["patternProperties"].values()
    for keys, properties in (
        (SPEC_FIELDS[()], spec),
        (SPEC_FIELDS[("retry",)], spec["retry"]["properties"]),
        (SPEC_FIELDS[("deadline",)], spec["deadline"]["properties"]),
        (CONFIG_FIELDS[()], project),
        (CONFIG_FIELDS[("providers", "*")], lab["properties"]),
    ):
        assert tuple(properties) == keys


@pytest.mark.parametrize("path", sorted((ROOT / "specs").rglob("*.yaml")), ids=lambda it: it.name)
def test_the_specs_of_this_repository_fit(path: Path) -> None:
    first, *_ = path.read_text("utf-8").splitlines()
    _, _, reference = first.partition("# yaml-language-server: $schema=")

    assert (path.parent / reference).resolve() == ROOT / "runner/spec/schemas/spec.json"
    for document in yaml.safe_load_all(path.read_text("utf-8")):
        SPEC.validate(document)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Create a project with an input and a provider that specs can name."""
    root = lay_out(
        tmp_path_factory.mktemp("project"), {"runner.yaml": f"providers: {{lab: {LAB}}}"}
    )
    return find_project(root, {})


def loads(document: Mapping[str, Any], project: Project) -> bool:
    """Return whether the loader accepts a spec."""
    [read], problems = read_documents(json.dumps(document).encode(), "a.yaml")
    return not problems and validate(read, project, stem="a").job is not None


def configures(document: Mapping[str, Any], root: Path) -> bool:
    """Return whether the loader accepts a project file."""
    path = root / "other.yaml"
    path.write_text(json.dumps(document), "utf-8")
    try:
        read_config(root, path, {})
    except InvalidInput:
        return False
    return True


SCALARS: Final = (
    st.none()
    | st.booleans()
    | st.integers(-2, 60_000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab/.-: 0\n", max_size=6)
)
ODD: Final = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.just("a"), SCALARS)
SPANS: Final = st.from_regex(r"[0-9]{1,3}[mhdw]?", fullmatch=True) | st.just("24:00")
FOLDERS: Final = st.text("ab./", min_size=1, max_size=8)
SPECS: Final = st.fixed_dictionaries(
    {
        "endpoint": st.sampled_from(["/v1/chat/completions", "/v1/embeddings"]) | ODD,
        "input": st.just("data/x.jsonl") | ODD,
    },
    optional={
        "name": st.text("aB0._-", max_size=5) | ODD,
        "completion_window": SPANS | ODD,
        "metadata": st.dictionaries(
            st.sampled_from(["a", "b", "runner", "", "k" * 64, "k" * 65]),
            st.sampled_from(["", "v", "v" * 512, "v" * 513]) | ODD,
        )
        | ODD,
        "provider": st.sampled_from(["openai", "local", "lab", "opnai"]) | ODD,
        "replicate": st.sampled_from([1, 2, 10**15, 10**15 + 1]) | ODD,
        "retry": st.dictionaries(st.sampled_from(["attempts", "tries"]), st.integers(0, 101) | ODD),
        "deadline": st.fixed_dictionaries(
            {},
            optional={
                "after": SPANS | ODD,
                "action": st.sampled_from(["warn", "resubmit", "wait", "warm"]) | ODD,
            },
        ),
        "canary": st.sampled_from([0, 1, 50_000, 50_001]) | ODD,
        "keep_remote": st.booleans() | ODD,
        "output": FOLDERS | ODD,
        "inptu": ODD,
    },
)
SIZES: Final = st.from_regex(r"[0-9]{1,4} ?[kKMGT]?i?B?", fullmatch=True) | st.integers(-1, 10**9)
PROVIDERS: Final = st.fixed_dictionaries(
    {"base_url": st.sampled_from(["http://lab/v1", "HTTPS://Lab:8000", "lab", "http://x?q"]) | ODD},
    optional={
        "api_key_env": st.sampled_from(["LAB_KEY", "lab_key"]) | ODD,
        "api_key_file": st.just("~/.lab-key") | ODD,
        "api_key_command": st.sampled_from([["pass", "lab"], "pass lab", [], [""], "'"]) | ODD,
        "max_requests_per_batch": ODD,
        "max_bytes_per_batch": SIZES | ODD,
        "max_bytes_per_request": SIZES | ODD,
        "max_active_batches": ODD,
        "max_enqueued_tokens": ODD,
        "input_expires_after": SPANS | st.sampled_from([3599, 3600, 2592000, 2592001]) | ODD,
        "output_expires_after": SPANS | ODD,
        "adoption_grace": st.sampled_from([0, 2.5, 86_400, 86_401]) | ODD,
        "api_key": ODD,
    },
)
PROJECTS: Final = st.fixed_dictionaries(
    {},
    optional={
        "specs": FOLDERS | ODD,
        "outputs": FOLDERS | ODD,
        "ledger": FOLDERS | ODD,
        "default_provider": st.sampled_from(["openai", "local", "lab"]) | ODD,
        "providers": st.dictionaries(st.sampled_from(["lab", "openai", "Lab"]), PROVIDERS | ODD),
        "provider": ODD,
    },
)


@settings(deadline=None, max_examples=150)
@given(SPECS)
def test_what_the_loader_takes_for_a_spec_editors_take(
    project: Project, document: dict[str, Any]
) -> None:
    if loads(document, project):
        SPEC.validate(document)


@settings(deadline=None, max_examples=100)
@given(PROJECTS)
def test_what_the_loader_takes_for_a_project_editors_take(
    project: Project, document: dict[str, Any]
) -> None:
    if configures(document, project.root):
        PROJECT.validate(document)


@pytest.mark.parametrize(
    "mistake",
    [
        {"inptu": "x"},
        {"name": "Big"},
        {"name": "a" * 64},
        {"name": 7},
        {"name": None},
        {"endpoint": "v1/chat/completions"},
        {"endpoint": "https://api.openai.com/v1/embeddings"},
        {"input": ""},
        {"input": ["a", "b"]},
        {"completion_window": "24:00"},
        {"completion_window": 24},
        {"completion_window": "1 day"},
        {"completion_window": "0h"},
        {"metadata": "x"},
        {"metadata": {"year": 2024}},
        {"metadata": {"runner": "x"}},
        {"metadata": {"k" * 65: "x"}},
        {"metadata": {"k": "v" * 513}},
        {"metadata": {f"k{number}": "v" for number in range(17)}},
        {"provider": ["openai"]},
        {"replicate": 0},
        {"replicate": "2"},
        {"replicate": True},
        {"replicate": 1.5},
        {"retry": 3},
        {"retry": {"attempts": 0}},
        {"retry": {"attempt": 3}},
        {"deadline": "30h"},
        {"deadline": {"after": 30}},
        {"deadline": {"after": "30x"}},
        {"deadline": {"action": "warm"}},
        {"canary": 0},
        {"keep_remote": "yes"},
        {"output": "/else/x"},
        {"output": "a/../../b"},
        {"output": ".git/x"},
        {"output": "./.git"},
        {"output": "."},
    ],
    ids=str,
)
def test_a_mistake_in_a_spec_is_refused_by_both(
    project: Project, mistake: dict[str, object]
) -> None:
    assert loads(GOOD, project)
    assert SPEC.is_valid(GOOD)

    assert not loads({**GOOD, **mistake}, project)
    assert not SPEC.is_valid({**GOOD, **mistake})


@pytest.mark.parametrize("key", GOOD)
def test_what_a_spec_lacks_is_missed_by_both(project: Project, key: str) -> None:
    document = {name: value for name, value in GOOD.items() if name != key}

    assert not loads(document, project)
    assert not SPEC.is_valid(document)


@pytest.mark.parametrize(
    "mistake",
    [
        {"api_key": "sk-0123456789abcdefghij"},
        {"base_url": "lab/v1"},
        {"base_url": "ftp://lab/v1"},
        {"base_url": "http://lab/v1?key=1"},
        {"api_key_env": "lab_key"},
        {"api_key_command": []},
        {"max_requests_per_batch": 0},
        {"max_bytes_per_batch": "200 megabytes"},
        {"max_bytes_per_batch": "1kiB"},
        {"max_bytes_per_request": 0},
        {"input_expires_after": "1 week"},
        {"input_expires_after": 7},
        {"output_expires_after": 2_592_001},
        {"adoption_grace": -1},
        {"adoption_grace": "soon"},
    ],
    ids=str,
)
def test_a_mistake_in_a_project_file_is_refused_by_both(
    project: Project, mistake: dict[str, object]
) -> None:
    good, bad = ({"providers": {"lab": {**LAB, **more}}} for more in ({}, mistake))
    assert configures(good, project.root)
    assert PROJECT.is_valid(good)

    assert not configures(bad, project.root)
    assert not PROJECT.is_valid(bad)


@pytest.mark.parametrize("size", ["1B", "200MB", "200 MB", "1kB", "1KB", "1KiB", "2TiB", 1])
def test_sizes_are_taken_by_both(project: Project, size: object) -> None:
    document = {"providers": {"lab": {**LAB, "max_bytes_per_batch": size}}}

    assert configures(document, project.root)
    PROJECT.validate(document)
