"""`runner events`: chosen by job, kind and time, in every form."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.shell import Folder


@pytest.mark.usefixtures("several")
def test_events_in_every_form(run: Run) -> None:
    shapes = json.loads(run("events", "--json").out)
    lines = [json.loads(line) for line in run("events", "-o", "jsonl").out.splitlines()]
    rows = list(csv.DictReader(io.StringIO(run("events", "-o", "csv").out, newline="")))
    table = run("events").out.splitlines()

    assert shapes == lines == json.loads(run("events", "-o", "json").out)
    assert [shape["kind"] for shape in shapes] == [row["kind"] for row in rows]
    assert len(table) == 1 + len(shapes)
    assert re.fullmatch(r"TIME \(UTC\) +JOB +KIND +WHAT", table[0])
    assert [shape["at"] for shape in shapes] == sorted(shape["at"] for shape in shapes)


def test_events_are_chosen_by_job_kind_and_time(run: Run, several: Folder) -> None:
    def told(*arguments: str) -> list[tuple[str, str]]:
        done = run("events", "--json", *arguments)
        assert done.code == 0, done.err
        return [(shape["job"], shape["kind"]) for shape in json.loads(done.out)]

    assert {job for job, _ in told("good")} == {"good"}
    assert told("--kind", "run_finished") == [("bad", "run_finished"), ("good", "run_finished")]
    assert told("--kind", "run_*", "--limit", "1") == [("good", "run_finished")]
    assert told("--since", "0s") == []
    assert told("--since", "2d") == told() == told("bad", "g*")
    (several.root / "specs" / "good.yaml").unlink()
    assert ("good", "submitted") in told("good")
    assert told("specs/later.yaml") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kind", "submited"], 'did you mean "submitted"'),
        (["--since", "yesterday"], "write 2d, 12h"),
        (["--limit", "0"], "--limit"),
        (["nobody"], "called"),
    ],
)
def test_events_that_cannot_be_meant(
    run: Run, folder: Folder, arguments: list[str], said: str
) -> None:
    folder.job()
    done = run("events", *arguments)

    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_events_of_a_spec_that_is_none_are_an_error(run: Run, finished: Folder) -> None:
    finished.write("specs/bad.yaml", "inptu: x\n")

    done = run("events", "specs/bad.yaml", "hello", "--kind", "run_started")

    assert done.code == 2
    assert "specs/bad.yaml:1:1: " in done.err
    assert "run_started" in done.out


def test_events_of_a_fresh_project(run: Run, folder: Folder) -> None:
    folder.job()

    assert run("events").err == "no events yet\n"
    assert run("events", "--json").out == "[]\n"
    assert run("events", "-o", "jsonl").out == ""
    assert run("events", "-o", "csv").out.startswith("at,kind,job,")
    assert not (folder.root / ".runner").exists()


def test_events_say_when_nothing_is_asked_for(run: Run, finished: Folder) -> None:
    assert finished.root.is_dir()
    assert run("events", "--since", "0s").err == "no event matches\n"
