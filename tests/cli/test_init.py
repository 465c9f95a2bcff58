"""`runner init`, and the first run that it promises."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.cli.shell import Folder, sh

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

FILES = (
    ".gitignore",
    "data/hello.jsonl",
    "runner.yaml",
    "schemas/project.json",
    "schemas/spec.json",
    "specs/hello.yaml",
)


def files_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_init_and_the_first_run(tmp_path: Path) -> None:
    made = sh("init", "my project", cwd=tmp_path)
    root = tmp_path / "my project"

    assert (made.code, made.out) == (0, "")
    assert tuple(files_of(root)) == FILES
    assert made.err.endswith("next: cd 'my project' && runner reconcile --wait\n")

    ran = sh("reconcile", "--wait", cwd=root)

    assert (ran.code, ran.out) == (0, "")
    assert "hello: succeeded: 3 of 3 requests succeeded" in ran.err
    output = (root / "outputs" / "hello" / "latest").resolve() / "output.jsonl"
    answers = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert [answer["custom_id"] for answer in answers] == ["hello-1", "hello-2", "hello-3"]

    again = sh("reconcile", "--wait", cwd=root)

    assert (again.code, again.out, again.err) == (0, "", "")


def test_init_here(tmp_path: Path) -> None:
    made = sh("init", cwd=tmp_path)

    assert made.code == 0
    assert tuple(files_of(tmp_path)) == FILES
    assert made.err.endswith("next: runner reconcile --wait\n")


@pytest.mark.parametrize(
    ("name", "schema"), [("specs/hello.yaml", "spec"), ("runner.yaml", "project")]
)
def test_the_first_line_leads_editors_to_the_schema(
    run: Run, folder: Folder, name: str, schema: str
) -> None:
    (folder.root / "runner.yaml").unlink()
    assert run("init").code == 0

    path = folder.root / name
    first, *_ = path.read_text("utf-8").splitlines()
    _, marker, reference = first.partition("# yaml-language-server: $schema=")

    assert marker
    assert (path.parent / reference).read_text("utf-8") == run("schema", schema).out
    Draft7Validator(json.loads(run("schema", schema).out)).validate(
        yaml.safe_load(path.read_text("utf-8"))
    )


def test_init_starts_where_it_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()

    assert run("-C", str(tmp_path / "elsewhere"), "init", "project").code == 0

    assert tuple(files_of(tmp_path / "elsewhere" / "project")) == FILES


def test_a_second_init_keeps_every_byte(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "fresh"
    run("init", str(root))
    (root / "specs" / "hello.yaml").unlink()
    (root / "data" / "hello.jsonl").write_bytes(b"mine\n")
    before = files_of(root)

    again = run("init", str(root))

    assert (again.code, again.out) == (0, "")
    assert files_of(root) == before
    assert "the project exists already" in again.err


@pytest.mark.parametrize("name", ["runner.yaml", "runner.yml"])
def test_a_project_file_that_cannot_be_used_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    root = tmp_path / "fresh"
    root.mkdir()
    (root / name).symlink_to("nowhere")

    done = run("init", str(root))

    assert done.code == 2
    assert done.err.startswith(f"{name}: is ")
    assert [path.name for path in root.iterdir()] == [name]


def test_files_that_were_there_before_are_kept(run: Run, tmp_path: Path) -> None:
    root = Folder(tmp_path / "fresh")
    root.write("specs/hello.yaml", "name: mine\n")
    root.write(".gitignore", b"\xff secret")

    done = run("init", str(root.root))

    assert done.code == 0
    assert f"kept     {root.root}/specs/hello.yaml" in done.err
    assert (root.root / "specs/hello.yaml").read_text("utf-8") == "name: mine\n"
    assert (root.root / ".gitignore").read_bytes() == b"\xff secret\n.runner/\noutputs/\n"


@pytest.mark.parametrize("name", ["specs", "data", "."])
def test_a_place_that_cannot_be_written_is_told_in_words(
    run: Run, tmp_path: Path, name: str
) -> None:
    root = Folder(tmp_path / "fresh")
    if name == ".":
        (tmp_path / "fresh").touch()
    else:
        root.write(name, "a file where a folder should be")

    done = run("init", str(root.root))

    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-1].startswith("error: ")
    assert "cannot be written" in done.err
