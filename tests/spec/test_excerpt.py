"""The lines around problems, with secrets masked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import InvalidInput, Problem
from runner.spec.project import find_project
from runner.spec.yaml.excerpt import Excerpt, excerpts
from tests.spec.folders import GOOD, lay_out, read

if TYPE_CHECKING:
    from pathlib import Path

KEY: Final = "sk-0123456789abcdefghijkl"


def place(path: str, line: int, column: int) -> Problem:
    return Problem(path=path, line=line, column=column, message="no")


def only(root: Path, path: str, line: int, column: int) -> Excerpt | None:
    problem = place(path, line, column)
    return excerpts([problem], root).get(problem)


def test_the_lines_around_a_place_in_yaml(tmp_path: Path) -> None:
    lay_out(tmp_path, {"specs/a.yaml": "a: 1\nb: 2\r\nc: 3\nd: 4\n"})

    assert only(tmp_path, "specs/a.yaml", 2, 4) == Excerpt(
        first=1, lines=("a: 1", "b: 2", "c: 3"), line=2, column=4
    )
    assert only(tmp_path, "specs/a.yaml", 1, 1) == Excerpt(
        first=1, lines=("a: 1", "b: 2"), line=1, column=1
    )
    assert only(tmp_path, "specs/a.yaml", 4, 5) == Excerpt(
        first=3, lines=("c: 3", "d: 4"), line=4, column=5
    )


def test_a_line_of_data_stands_alone(tmp_path: Path) -> None:
    lay_out(tmp_path, {"data/a.jsonl": b'{"a": 1}\n{"b": \xff}\n{"c": 3}\n'})

    assert only(tmp_path, "data/a.jsonl", 2, 7) == Excerpt(
        first=2, lines=('{"b": \N{REPLACEMENT CHARACTER}}',), line=2, column=7
    )


def test_what_cannot_be_shown_is_left_out(tmp_path: Path) -> None:
    lay_out(tmp_path, {"specs/a.yaml": "a: 1\n", "data/long.jsonl": "x" * 2_000_000 + "\ny\n"})
    os.mkfifo(tmp_path / "specs" / "pipe.yaml")

    assert only(tmp_path, "specs/a.yaml", 1, 0) is None
    assert only(tmp_path, "specs/a.yaml", 0, 0) is None
    assert only(tmp_path, "specs/a.yaml", 9, 1) is None
    assert only(tmp_path, "specs/a.yaml", 1, 9) is None
    assert only(tmp_path, "specs/gone.yaml", 1, 1) is None
    assert only(tmp_path, "specs/pipe.yaml", 1, 1) is None
    assert only(tmp_path, "specs", 1, 1) is None
    assert only(tmp_path, "od\0d.yaml", 1, 1) is None
    assert only(tmp_path, "data/long.jsonl", 1, 1_500_000) is None
    assert only(tmp_path, "data/long.jsonl", 2, 1) == Excerpt(
        first=2, lines=("y",), line=2, column=1
    )


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("outputs: results", "outputs: results"),
        ("    max_bytes_per_batch: 200 megabytes", "    max_bytes_per_batch: 200 megabytes"),
        ("providers:", "providers:"),
        ("  lab:  ", "  lab:  "),
        ("", ""),
        ("    api_key: hunter2", "    api_key: ***"),
        ("    api_key:   'hunter2'  ", "    api_key:   ***"),
        ("    base_url: http://me:hunter2@lab/v1", "    base_url: ***"),
        ("    api_key_command: [echo, hunter2]", "    api_key_command: ***"),
        ("    api_key_env: hunter2", "    api_key_env: ***"),
        ("    - hunter2", "    ***"),
        ("    hunter2", "    ***"),
        ('    "api_key": hunter2', "    ***"),
        ("# hunter2", "***"),
        ("specs: specs # hunter2", "specs: ***"),
        ("specs: {api_key: hunter2}", "specs: ***"),
        ("providers: {lab: {api_key: hunter2}}", "providers: ***"),
        (f"  {KEY}:", "  ***"),
        (f"specs: {KEY}", "specs: ***"),
    ],
)
def test_of_the_project_file_only_what_is_no_secret_is_shown(
    tmp_path: Path, line: str, shown: str
) -> None:
    lay_out(tmp_path, {"runner.yaml": f"{line}\nledger: x\n".encode()})

    found = only(tmp_path, "runner.yaml", 2, 1)

    assert found is not None
    assert found.lines == (shown, "ledger: x")


@pytest.mark.parametrize(
    ("path", "line", "shown"),
    [
        ("specs/a.yaml", "api_key: hunter2", "api_key: ***"),
        ("specs/a.yaml", "  password: hunter2", "  password: ***"),
        ("specs/a.yaml", "name: good", "name: good"),
        ("specs/a.yaml", f"metadata: {{a: {KEY}, b: c}}", "metadata: {a: ***, b: c}"),
        ("data/a.jsonl", f'{{"max_tokens": 5, "k": "{KEY}"}}', '{"max_tokens": 5, "k": "***"}'),
    ],
)
def test_elsewhere_a_key_is_known_by_its_name_or_its_looks(
    tmp_path: Path, path: str, line: str, shown: str
) -> None:
    lay_out(tmp_path, {path: f"{line}\n".encode()})

    found = only(tmp_path, path, 1, len(line) + 1)

    assert found == Excerpt(first=1, lines=(shown,), line=1, column=len(shown) + 1)


BEGIN: Final = len('[1, "') + 1
BEHIND: Final = BEGIN + len(KEY)


@pytest.mark.parametrize(
    ("column", "moved"),
    [(1, 1), (BEGIN, BEGIN), (BEGIN + 5, BEGIN), (BEHIND, BEGIN + 3), (BEHIND + 3, BEGIN + 6)],
)
def test_a_place_moves_with_what_is_hidden_before_it(
    tmp_path: Path, column: int, moved: int
) -> None:
    lay_out(tmp_path, {"data/a.jsonl": f'[1, "{KEY}", NaN]\n'})

    found = only(tmp_path, "data/a.jsonl", 1, column)

    assert found == Excerpt(first=1, lines=('[1, "***", NaN]',), line=1, column=moved)


@given(
    text=st.text(st.sampled_from("ab:{}#-\"' \t"), max_size=30),
    secret=st.just("hunter2"),
    key=st.sampled_from(["api_key", "base_url", "api_key_env", "api_key_command", "token", "x"]),
)
def test_no_frame_of_a_project_file_has_a_value_that_is_not_known_to_be_none(
    tmp_path_factory: pytest.TempPathFactory, text: str, secret: str, key: str
) -> None:
    root = tmp_path_factory.mktemp("project")
    lines = f"{text}\n    {key}: {text}{secret}\n{text}\n"
    lay_out(root, {"runner.yaml": lines.encode()})

    for line in (1, 2, 3):
        found = only(root, "runner.yaml", line, 1)
        assert found is not None
        assert secret not in "".join(found.lines)


def test_problems_of_the_loader_have_a_place_that_is_there(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        {
            "specs/a.yaml": GOOD + "inptu: x\ncompletion_window: 24:00\nreplicate: 0\n",
            "specs/b.yaml": GOOD + "metadata: {a: NO}\n\tb: c\n",
        },
    )
    problems = read(tmp_path).problems

    found = excerpts(problems, tmp_path)

    assert len(found) == len(problems) == 5
    for problem, excerpt in found.items():
        line = excerpt.lines[excerpt.line - excerpt.first]
        assert line == (tmp_path / problem.path).read_text("utf-8").split("\n")[problem.line - 1]


def test_problems_of_the_project_file_have_one_too(tmp_path: Path) -> None:
    lay_out(tmp_path, {"runner.yaml": f"providers:\n  lab:\n    api_key: {KEY}\n"})
    with pytest.raises(InvalidInput) as caught:
        find_project(tmp_path, {})

    found = excerpts(caught.value.problems, tmp_path)

    assert len(found) == len(caught.value.problems) > 0
    assert KEY not in repr(found)
