"""README and docs, held to what runner does: what they show is run, what they name exists."""

from __future__ import annotations

import configparser
import re
import shlex
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import pytest

from runner.batch import TERMINAL
from runner.cli.main import cli
from runner.ledger.connection import connect
from runner.ledger.records import RunState, SubmissionState
from runner.ledger.store import Ledger
from runner.spec.load import load_specs
from runner.spec.project import Provider, find_project
from runner.spec.shapes import CONFIG_KEYS, SPEC_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[1]
README: Final = ROOT / "README.md"
DESIGN: Final = ROOT / "docs" / "design.md"
FACTS: Final = ROOT / "docs" / "batch-api.md"
PAGES: Final = sorted([README, ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])

UNIT_KEYS: Final = {
    "Unit": {"Description"},
    "Service": {"Type", "EnvironmentFile", "ExecStart"},
    "Timer": {"OnCalendar", "Persistent"},
    "Install": {"WantedBy"},
}
"""The settings used here, as systemd.unit, systemd.service and systemd.timer spell them."""


class Unit(configparser.ConfigParser):
    """A systemd unit: names keep their case."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", page.read_text("utf-8"))


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8"))


def commands(page: Path) -> Iterator[str]:
    """Find every command line of runner that a page shows: in blocks and between backticks."""
    shown = [
        line.removeprefix("$ ")
        for language in ("console", "sh", "crontab", "ini")
        for block in blocks(page, language)
        for line in block.splitlines()
        if language != "console" or line.startswith("$ ")
    ]
    for line in shown:
        for part in re.split(r"&&|\|\||[;|]", line.partition("  #")[0]):
            if found := re.search(r"(?:^|[ =/])(runner .+)$", part.strip()):
                yield found[1]
    # A lower-case word after `runner`: not `runner: <key>`, which is a metadata pair.
    yield from re.findall(r"(?s)`(runner (?:-|[a-z]+\b).*?)`", prose(page))


def slug(heading: str) -> str:
    """Make the anchor that renderers give a heading."""
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


def parse(line: str) -> click.Context:
    """Parse a command line as the command would, running nothing; raises ClickException."""
    words = [
        # `[SPEC...]`, `JOB` and `%h` stand for something that a person puts there.
        word.strip("[]").rstrip(".") if word.startswith("[") else word
        for word in shlex.split(line)[1:]
    ]
    own = 2 if words[:1] == ["-C"] else 0
    group = cli.make_context("runner", words[: own + 1])
    name, command, _rest = cli.resolve_command(group, words[own:])
    assert command is not None
    # A command that is only named lacks its arguments.
    named = len(words) == 1
    return command.make_context(name, words[own + 1 :], parent=group, resilient_parsing=named)


def test_transcripts_are_what_runner_prints() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "docs" / "transcripts.py", "--check"],
        text=True,
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    text = prose(page)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"(?m)^#+ (.+)$", prose(path))
            assert anchor in [slug(heading) for heading in headings], target


@each_page
def test_files_named_in_a_page_exist(page: Path) -> None:
    named = re.findall(r"`((?:runner|tests|docs|specs)/[\w./-]*)`", prose(page))
    assert [name for name in named if not (ROOT / name).exists()] == []


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
def test_a_command_that_is_none_would_be_found(line: str) -> None:
    with pytest.raises(click.ClickException):
        parse(line)


def test_the_commands_of_the_snippets_are_among_those_checked() -> None:
    found = list(commands(README))
    assert "runner -C ~/project reconcile" in found, "cron"
    assert "runner -C %h/project reconcile" in found, "systemd"
    assert "runner reconcile sentiment" in found
    assert "runner show hello" in found, "a transcript"
    assert "runner plan --detailed-exitcode" in found, "between backticks"


def test_the_table_of_commands_has_all_of_them() -> None:
    [table] = re.findall(r"(?ms)^\| command .*?\n\n", README.read_text("utf-8"))
    named = set(re.findall(r"`runner (\w+)", table))
    assert named == set(cli.list_commands(click.Context(cli)))


def test_the_table_of_exit_codes_is_that_of_the_help() -> None:
    [table] = re.findall(r"(?ms)^\| code .*?\n\n", README.read_text("utf-8"))
    rows = re.findall(r"(?m)^\| ([\d, ]+) \|", table)
    documented = {int(code) for row in rows for code in row.split(",")}
    with click.Context(cli) as context:
        told = cli.get_help(context).partition("Exit codes")[2]
    assert documented == {int(code) for code in re.findall(r"\b(\d+)\b", told)} | {0}


def test_the_cron_line_is_one() -> None:
    [block] = blocks(README, "crontab")
    setting, line = block.splitlines()
    assert setting.startswith("MAILTO=")
    *when, command = line.split(maxsplit=5)
    assert len(when) == 5
    assert all(re.fullmatch(r"[\d*/,-]+", part) for part in when)
    assert "%" not in command, "cron takes it for a line end"
    subprocess.run(["/bin/sh", "-n", "-c", command], check=True)


def test_the_systemd_units_use_settings_that_exist() -> None:
    seen: dict[str, set[str]] = {}
    for block in blocks(README, "ini"):
        unit = Unit(interpolation=None)
        unit.read_string(block)
        for section in unit.sections():
            seen.setdefault(section, set()).update(unit[section])
    assert seen == UNIT_KEYS


@pytest.mark.parametrize("block", blocks(README, "yaml"))
def test_specs_and_project_files_shown_are_valid(block: str, tmp_path: Path) -> None:
    is_spec = "\nendpoint:" in block
    (tmp_path / "specs").mkdir()
    (tmp_path / ("specs/sentiment.yaml" if is_spec else "runner.yaml")).write_text(block)
    project = find_project(tmp_path, {})
    if is_spec:
        [source] = re.findall(r"(?m)^input: (\S+)", block)
        (tmp_path / source).parent.mkdir()
        (tmp_path / source).touch()
        specs = load_specs(project, (), start=tmp_path)
        assert specs.problems == ()
        assert [job.name for job in specs.jobs] == ["sentiment"]
    else:
        assert project.config_file is not None


def test_every_key_of_specs_and_project_files_is_shown() -> None:
    spec, config = blocks(README, "yaml")
    for keys, block in ((SPEC_KEYS, spec), (CONFIG_KEYS, config)):
        for names in keys.values():
            missing = [name for name in names if not re.search(rf"\b{name}:", block)]
            assert missing == []


@pytest.mark.parametrize("query", blocks(DESIGN, "sql"))
def test_queries_shown_run_on_a_ledger(query: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger.open(path, clock=time.time).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(query).fetchall()


def test_the_design_names_every_table_view_and_state(tmp_path: Path) -> None:
    text = DESIGN.read_text("utf-8")
    with closing(connect(tmp_path / "ledger.db")) as connection:
        rows = connection.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
            "AND name NOT LIKE 'sqlite%'"
        )
        names = [row["name"] for row in rows]
    assert [name for name in names if f"`{name}`" not in text] == []
    assert [state for state in RunState if f"| `{state}` |" not in text] == []
    assert [state for state in SubmissionState if state not in text] == []
    assert [status for status in TERMINAL if status not in text] == []


def test_the_design_gives_the_grace_times_of_the_code() -> None:
    text = DESIGN.read_text("utf-8")
    remote, near = (
        Provider(name="lab", base_url=url).grace
        for url in ("https://example.org/v1", "http://127.0.0.1:8000/v1")
    )
    embedded = Provider(name="local", base_url="http://local.invalid/v1", embedded=True).grace
    assert f"{remote:.0f} s, {near:.0f} s for a provider on this machine" in text
    assert f"{embedded:.0f} s for `local`" in text
    assert f"grace time ({remote:.0f} seconds;" in README.read_text("utf-8")


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
