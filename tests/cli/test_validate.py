"""`runner validate`: every problem of specs and inputs, with its place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import BAD_SPEC
from tests.report.schemas import check

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


WARNED = "data/hello.jsonl:1:{column}: warning: 'body.temperature' is a string, and OpenAI's API"


def lukewarm(folder: Folder) -> str:
    """Give each request of the job hello a temperature in quotes; return how its warning begins."""
    path = folder.root / "data" / "hello.jsonl"
    row = path.read_text("utf-8").partition("\n")[0]
    text = row.replace('"body": {', '"body": {"temperature": "0", ', 1)
    assert text != row
    path.write_text(f"{text}\n", "utf-8")
    return WARNED.format(column=text.index('"0"') + 1)


def test_a_warning_has_its_place_and_changes_no_exit_code(run: Run, folder: Folder) -> None:
    folder.job("hello", rows=1)
    warned = lukewarm(folder)

    done = run("validate")

    assert (done.code, done.out) == (0, "")
    first, last = done.err.splitlines()
    assert first.startswith(warned)
    assert last == "valid: 1 job, 1 request, 1 warning"


def test_a_warning_about_a_provider_is_said_once_whether_a_spec_names_it_or_not(
    run: Run, folder: Folder
) -> None:
    folder.write("runner.yaml", "default_provider: lab\nproviders: {lab: {base_url: https://x}}\n")
    warned = "runner.yaml:2:29: warning: providers.lab.base_url: its path names no version"
    folder.job("one")
    folder.job("two")

    assert run("validate").err.count(warned) == 1
    folder.write(
        "runner.yaml", "default_provider: local\nproviders: {lab: {base_url: https://x}}\n"
    )
    assert run("validate").err.count(warned) == 1
    assert warned not in run("plan").err


def test_a_pass_warns_before_a_run_begins_and_then_no_more(run: Run, lab: Folder) -> None:
    lab.job("hello", rows=1)
    warned = lukewarm(lab)

    assert run("plan").err.count(warned) == 1
    first, second = run("reconcile"), run("reconcile")

    assert first.err.splitlines()[0].startswith(warned)
    assert (first.err.count(warned), second.err.count(warned)) == (1, 0)
    assert (first.code, second.code) == (0, 0)
    assert run("plan").err == ""


def test_a_warning_is_a_line_of_the_log_with_its_place(run: Run, lab: Folder) -> None:
    lab.job("hello", rows=1)
    warned = lukewarm(lab)

    entry = json.loads(run("reconcile", "--log-format", "json").err.splitlines()[0])

    assert (entry["level"], entry["event"]) == ("warning", "warning")
    assert f"{entry['path']}:{entry['line']}:{entry['column']}: " in warned
    assert entry["message"].startswith("'body.temperature' is a string")
    check("log", entry)


def test_warnings_are_said_together_with_problems(run: Run, folder: Folder) -> None:
    folder.job("hello", rows=1)
    warned = lukewarm(folder)
    with (folder.root / "data" / "hello.jsonl").open("a") as file:
        file.write("nonsense\n")

    done = run("validate")

    assert done.code == 2
    first, second = done.err.splitlines()
    assert first.startswith(warned)
    assert second.startswith("data/hello.jsonl:2:1: not valid JSON")
