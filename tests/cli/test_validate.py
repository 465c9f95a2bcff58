"""`runner validate`: every problem of specs and inputs, with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import BAD_SPEC

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.shell import Folder


def test_validate_says_what_is_there(run: Run, folder: Folder) -> None:
    folder.job("hello", rows=3)
    folder.job("world", rows=4)

    done = run("validate")

    assert (done.code, done.out, done.err) == (0, "", "valid: 2 jobs, 7 requests\n")


@pytest.mark.parametrize("selector", ["world", "specs/world.yaml"])
def test_validate_checks_what_was_asked_for(run: Run, folder: Folder, selector: str) -> None:
    folder.write("specs/bad.yaml", BAD_SPEC)
    folder.job("world", rows=4)

    assert run("validate", selector).err == "valid: 1 job, 4 requests\n"
    assert run("validate").code == 2


def test_validate_prints_every_problem_on_a_line_with_its_place(run: Run, folder: Folder) -> None:
    folder.write("specs/bad.yaml", BAD_SPEC)
    folder.job("hello")
    folder.write("data/hello.jsonl", b'{"custom_id": "a"}\nnonsense\n')

    done = run("validate")

    assert (done.code, done.out) == (2, "")
    lines = done.err.splitlines()
    assert len(lines) >= 3
    assert lines == sorted(lines)
    assert {line.split(":")[0] for line in lines} == {"specs/bad.yaml", "data/hello.jsonl"}
    assert [line for line in lines if line.startswith("specs/bad.yaml:3:1: ")]
    assert [line for line in lines if line.startswith("data/hello.jsonl:2:1: ")]


def test_validate_shows_a_spec_without_obeying_it(run: Run, folder: Folder) -> None:
    folder.write("specs/bad.yaml", 'name: "\\e]0;owned\\a\\u202e"\nendpoint: /v1/x\n')

    done = run("validate")

    assert done.code == 2
    assert not {"\x1b", "\x07", "\u202e"} & set(done.err)
