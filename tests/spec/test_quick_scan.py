"""The quick scan finds the same jobs as the loader."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.spec.quick_scan import quick_scan
from tests.spec.folders import GOOD, lay_out, read

if TYPE_CHECKING:
    from pathlib import Path

NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,9}", fullmatch=True).filter(
    lambda name: any(letter in "ghijklmnopqrstuvwxyz" for letter in name)  # nor a number
)
WRITTEN = st.sampled_from(
    ["name: {}\n", 'name: "{}"\n', "name:   '{}'  # why\n", "name: {}\t\n", "name: {}\r\n"]
)


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    files=st.lists(st.lists(st.tuples(NAMES, WRITTEN), min_size=1, max_size=3), max_size=3),
    bare=st.booleans(),
)
def test_the_names_are_those_that_the_loader_finds(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[tuple[str, str]]], *, bare: bool
) -> None:
    root = tmp_path_factory.mktemp("project")
    for number, documents in enumerate(files):
        text = "---\n".join(written.format(name) + GOOD for name, written in documents)
        lay_out(root, {f"specs/below/file{number}.yaml": text})
    lay_out(root, {"specs/stem.yml": GOOD} if bare else {"specs/none.txt": "name: x\n"})

    names = {name for documents in files for name, _ in documents} | ({"stem"} if bare else set())

    assert quick_scan(root).names == tuple(sorted(names))
    unique = [job.name for job in read(root).jobs]
    assert set(unique) <= names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("  name: inner\n", ("a",)),
        ("metadata:\n  name: inner\n", ("a",)),
        ("name: Big\n", ("a",)),
        ("# name: x\n", ("a",)),
        ("name:\n", ("a",)),
        ("{name: x}\n", ("a",)),
        ("name: x # y\n---\nname: z\n", ("x", "z")),
        ("", ("a",)),
        ("name: " + "x" * 64, ("a",)),
        ("\xff\0", ("a",)),
    ],
)
def test_what_counts_as_a_name(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    lay_out(tmp_path, {"specs/a.yaml": text.encode("latin-1")})

    assert quick_scan(tmp_path).names == names


@pytest.mark.parametrize("folder", ["specs", "jobs"])
def test_the_folders_are_those_of_the_project_file(tmp_path: Path, folder: str) -> None:
    config = f"ledger: state/l.db  # here\nspecs: '{folder}'\noutputs: {folder}/out\n"
    lay_out(
        tmp_path,
        {
            "runner.yaml": config,
            f"{folder}/a.yaml": GOOD,
            f"{folder}/out/b.yaml": GOOD,
            f"{folder}/.hidden.yaml": GOOD,
            f"{folder}/inner/runner.yaml": "",
            f"{folder}/inner/c.yaml": GOOD,
        },
    )

    found = quick_scan(tmp_path / folder)

    assert found.names == ("a",) == tuple(job.name for job in read(tmp_path).jobs)
    assert found.files == (str(tmp_path / folder / "a.yaml"),)
    assert found.ledger == tmp_path / "state" / "l.db"
