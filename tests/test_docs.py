"""README and docs agree with runner: what they show is run, what they name exists."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import click
import pytest

from runner.batch import TERMINAL
from runner.cli.main import cli
from runner.ledger.connection import connect
from runner.ledger.records import RunState, SubmissionState
from runner.ledger.store import Ledger
from runner.spec.project import Provider
from runner.spec.schema import CONFIG_FIELDS, SPEC_FIELDS
from tests.markdown import (
    DOCS,
    PAGES,
    README,
    ROOT,
    anchors,
    blocks,
    commands,
    links,
    name,
    parse,
    prose,
)

if TYPE_CHECKING:
    from pathlib import Path

DESIGN: Final = DOCS / "design.md"
FACTS: Final = DOCS / "batch-api.md"
REFERENCE: Final = DOCS / "reference"
EXACTLY_ONCE: Final = DOCS / "explanation" / "exactly-once.md"

LONGEST_README: Final = 155
"""In lines: a screen of text, and a tour."""

each_page = pytest.mark.parametrize("page", PAGES, ids=name)


def script(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, path, *arguments], text=True, capture_output=True, check=False
    )


# Generated blocks ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["transcripts", "reference"])
def test_generated_blocks_are_up_to_date(kind: str) -> None:
    checked = script(DOCS / f"{kind}.py", "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_page_out_of_date_is_shown_and_written(tmp_path: Path) -> None:
    for folder in ("docs", "specs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.csv"))
    shutil.copy(README, tmp_path)
    page = tmp_path / "docs" / "reference" / "exit-codes.md"
    right = page.read_text("utf-8")
    page.write_text(right.replace("| 75 |", "| 74 |"), "utf-8")

    checked = script(tmp_path / "docs" / "reference.py", "--check")

    assert checked.returncode == 1
    assert "-| 74 |" in checked.stdout
    assert "docs/reference/exit-codes.md is out of date" in checked.stderr
    assert script(tmp_path / "docs" / "reference.py").returncode == 0
    assert page.read_text("utf-8") == right


# Every page ------------------------------------------------------------------------------------


@each_page
def test_links_and_anchors_exist(page: Path) -> None:
    for target in links(page):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


def test_anchors_are_as_github_makes_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# What is `run.json`, and why?\n\n## input_cache\n\n```sh\n# no heading\n```\n\n"
        "## Cron\n\n## See [the *index*](x.md)\n\n## Cron\n",
        "utf-8",
    )

    assert anchors(page) == {
        "what-is-runjson-and-why",
        "input_cache",
        "cron",
        "see-the-index",
        "cron-1",
    }


def test_every_page_is_in_the_index() -> None:
    index = DOCS / "README.md"
    listed = {(DOCS / target.partition("#")[0]).resolve() for target in links(index)}
    assert [name(page) for page in DOCS.rglob("*.md") if page not in {*listed, index}] == []


@each_page
def test_files_named_in_a_page_exist(page: Path) -> None:
    named = re.findall(r"`((?:runner|tests|docs)/[\w./-]*|specs/banking77[\w./-]*)`", prose(page))
    assert [path for path in named if not (ROOT / path).exists()] == []


@each_page
def test_make_targets_named_in_a_page_exist(page: Path) -> None:
    named = set(re.findall(r"\bmake ([a-z]+)\b", "".join(blocks(page, "sh"))))
    named |= set(re.findall(r"`make ([a-z]+)`", prose(page)))
    rules = re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"))
    assert named <= set(rules)


@each_page
def test_commands_shown_are_commands(page: Path) -> None:
    for line in commands(page):
        try:
            parse(line)
        except click.exceptions.Exit:
            continue  # --help and --version have answered
        except click.ClickException as error:
            pytest.fail(f"{line}: {error.format_message()}")


@pytest.mark.parametrize(
    "line", ["runner reconcile --wiat", "runner reconsile", "runner plan --if-locked fail"]
)
def test_an_invalid_command_line_would_be_found(line: str) -> None:
    with pytest.raises(click.ClickException):
        parse(line)


@pytest.mark.parametrize(
    ("page", "line"),
    [
        ("README.md", "runner reconcile sentiment"),
        ("README.md", "runner show hello"),
        ("docs/howto/cron.md", "runner -C ~/project reconcile"),
        ("docs/howto/cron.md", "runner -C %h/project reconcile"),
        ("docs/howto/github-actions.md", "runner reconcile --verbose"),
        ("docs/howto/slurm.md", "runner -C $HOME/project reconcile"),
        ("docs/reference/exit-codes.md", "runner plan --detailed-exitcode"),
        ("docs/tutorial.md", "runner reconcile --wait"),
    ],
)
def test_the_commands_of_the_snippets_are_among_those_checked(page: str, line: str) -> None:
    found = [re.sub("[\"']", "", command).strip() for command in commands(ROOT / page)]
    assert line in found


# README ----------------------------------------------------------------------------------------


def test_the_readme_stays_a_screen_and_a_tour() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= LONGEST_README


# Reference -------------------------------------------------------------------------------------


def table(page: Path, head: str) -> str:
    """Return the one table of a page that begins with this cell."""
    [found] = re.findall(rf"(?ms)^\| {head} .*?\n\n", page.read_text("utf-8"))
    return str(found)


def test_the_table_of_commands_has_all_of_them() -> None:
    named = set(re.findall(r"`runner (\w+)", table(REFERENCE / "commands.md", "command")))
    assert named == set(cli.list_commands(click.Context(cli)))


def test_the_table_of_exit_codes_is_that_of_the_help() -> None:
    page = REFERENCE / "exit-codes.md"
    documented = {int(code) for code in re.findall(r"(?m)^\| (\d+) \|", table(page, "code"))}
    with click.Context(cli) as context:
        told = cli.get_help(context).partition("Exit codes")[2]
    codes = {int(code) for code in re.findall(r"\b(\d+)\b", told)}
    assert documented | {143} == codes | {0}
    assert all(re.search(rf"\b{code}\b", prose(page)) for code in codes)


@pytest.mark.parametrize(
    ("page", "every"),
    [("spec.md", SPEC_FIELDS), ("project.md", CONFIG_FIELDS)],
    ids=["specs", "runner.yaml"],
)
def test_every_field_of_specs_and_project_files_is_shown(
    page: str, every: dict[tuple[str, ...], tuple[str, ...]]
) -> None:
    [listing] = blocks(REFERENCE / page, "yaml")
    rows = table(REFERENCE / page, "key")
    for place, keys in every.items():
        for key in keys:
            assert re.search(rf"\b{key}:", listing), key
            dotted = r"\.".join((*place, key)).replace(r"\.*", r"(\.NAME|\[\])")
            assert re.search(rf"`{dotted}[`.\[]", rows), dotted


def test_every_field_of_a_record_is_shown() -> None:
    record = json.loads((ROOT / "tests" / "outputs" / "golden" / "run.json").read_text("utf-8"))
    shown = {
        heading: set(re.findall(r"(?m)^\| `(\w+)` \|", section))
        for heading, section in re.findall(
            r"(?ms)^### (\w+)$(.*?)(?=^### |\Z)", (REFERENCE / "record.md").read_text("utf-8")
        )
    }
    submission: Any = record["shards"][0]["submissions"][0]
    for heading, value in (
        ("RunRecord", record),
        ("RecordedSpec", record["spec"]),
        ("RecordedParameters", record["request"]),
        ("RecordedProvider", record["request"]["provider"]),
        ("RecordedInput", record["input"]),
        ("RecordedShard", record["shards"][0]),
        ("RecordedSubmission", submission),
        ("RecordedResult", submission["results"][0]),
        ("RecordedCounts", record["counts"]),
        ("FileDigest", record["outputs"]["output.jsonl"]),
        ("ToolVersions", record["made_by"]),
        ("RecordedGit", record["git"]),
    ):
        assert shown.pop(heading) == set(value), heading
    assert shown == {}


@pytest.mark.parametrize("query", blocks(REFERENCE / "ledger.md", "sql"))
def test_queries_shown_run_on_a_ledger(query: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger.open(path, clock=time.time).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(query).fetchall()


def test_the_ledger_s_page_says_what_every_table_and_view_is_for(tmp_path: Path) -> None:
    text = (REFERENCE / "ledger.md").read_text("utf-8")
    with closing(connect(tmp_path / "ledger.db")) as connection:
        rows = connection.execute(
            "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') "
            "AND name NOT LIKE 'sqlite%'"
        ).fetchall()
    rowed = table(REFERENCE / "ledger.md", "table")
    assert [row["name"] for row in rows if f"`{row['name']}`" not in text] == []
    tables = {row["name"] for row in rows if row["type"] == "table"}
    assert set(re.findall(r"(?m)^\| `(\w+)` \|", rowed)) == tables


# Design ----------------------------------------------------------------------------------------


def test_the_design_names_every_state() -> None:
    text = DESIGN.read_text("utf-8")
    assert [state for state in RunState if f"| `{state}` |" not in text] == []
    assert [state for state in SubmissionState if state not in text] == []
    assert [status for status in TERMINAL if status not in text] == []


def test_the_grace_times_are_those_of_the_code() -> None:
    text = DESIGN.read_text("utf-8")
    remote = Provider(name="lab", base_url="https://example.org/v1").grace
    embedded = Provider(name="local", base_url="http://local.invalid/v1", embedded=True).grace
    assert f"The grace time is {remote:.0f} s, {embedded:.0f} s for `local`" in text
    assert f"{embedded:.0f} s for `local`" in text
    assert f"(the grace time: {remote:.0f} seconds;" in prose(EXACTLY_ONCE).replace("\n", " ")


def test_facts_cited_in_the_code_are_on_the_fact_sheet() -> None:
    text = FACTS.read_text("utf-8")
    have = {("section", int(number)) for number in re.findall(r"(?m)^## (\d+)\.", text)}
    have |= {("failure", int(number)) for number in re.findall(r"(?m)^\| (\d+) \|", text)}
    cited: set[tuple[str, int]] = set()
    for path in (ROOT / "runner").rglob("*.py"):
        code = re.sub(r"\s+(?:# )?", " ", path.read_text("utf-8"))
        for words in re.findall(r"fact sheet, ((?:(?:sections?|failures?|\d+|,|and|to) ?)+)", code):
            kind = ""
            for word in re.findall(r"section|failure|\d+", words):
                if word.isdigit():
                    cited.add((kind, int(word)))
                else:
                    kind = word
    assert len(cited) > 10
    assert cited - have == set()
