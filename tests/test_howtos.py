"""The files that a reader of the how-to guides writes: each is valid."""

from __future__ import annotations

import configparser
import re
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from runner.spec.load import load_specs
from runner.spec.project import find_project
from tests.markdown import DOCS, PAGES, blocks, name

if TYPE_CHECKING:
    from pathlib import Path

    from runner.spec.permissions import Permission

HOWTO: Final = DOCS / "howto"

UNIT_KEYS: Final = {
    "Unit": {"Description"},
    "Service": {"Type", "ExecStart"},
    "Timer": {"OnCalendar", "Persistent"},
    "Install": {"WantedBy"},
}
"""The settings used here, as systemd.unit, systemd.service and systemd.timer spell them."""

SBATCH_OPTIONS: Final = {
    "job-name", "dependency", "partition", "time", "mem", "output", "open-mode"
}  # fmt: skip
"""The options used here, as sbatch spells them; scrontab takes the same."""

WORKFLOW_KEYS: Final = {"name", "on", "permissions", "concurrency", "jobs"}
STEP_KEYS: Final = {"uses", "with", "run", "env", "if"}

NEED_AGREEMENT: Final = {"cron.md", "limits.md", "notify.md", "self-hosted.md", "slurm.md"}
"""The pages with a `runner.yaml` that runs, sends or uses something that is asked about."""

YAML: Final = [
    pytest.param(block, id=f"{name(page)}-{number}")
    for page in PAGES
    for number, block in enumerate(blocks(page, "yaml"), start=1)
]
A_MISTAKE: Final = "endpoint: /v1/embedings\n"
"""The mistake in the tutorial, whose problem the tutorial shows."""


class Unit(configparser.ConfigParser):
    """A systemd unit: names keep their case."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def cron_entries(page: Path) -> list[tuple[list[str], str]]:
    """Return when and what of each entry of the crontabs of a page."""
    entries = []
    for block in blocks(page, "crontab"):
        for line in block.splitlines():
            if not re.match(r"#|\w+=", line):
                *when, command = line.split(maxsplit=5)
                entries.append((when, command))
    return entries


@pytest.mark.parametrize("page", ["cron.md", "slurm.md"])
def test_the_cron_line_is_one(page: str) -> None:
    [(when, command)] = cron_entries(HOWTO / page)
    assert len(when) == 5
    assert all(re.fullmatch(r"[\d*/,-]+", part) for part in when)
    assert "%" not in command, "cron takes it for a line end"
    subprocess.run(["/bin/sh", "-n", "-c", command], check=True)


def test_the_systemd_units_use_settings_that_exist() -> None:
    seen: dict[str, set[str]] = {}
    for block in blocks(HOWTO / "cron.md", "ini"):
        unit = Unit(interpolation=None)
        unit.read_string(block)
        for section in unit.sections():
            seen.setdefault(section, set()).update(unit[section])
    assert seen == UNIT_KEYS


def test_the_options_for_slurm_are_options_of_sbatch() -> None:
    text = (HOWTO / "slurm.md").read_text("utf-8")
    named = set(re.findall(r"(?m)^#(?:SBATCH|SCRON) --([a-z-]+)=\S+$", text))
    assert named == SBATCH_OPTIONS
    assert len(re.findall(r"(?m)^#(?:SBATCH|SCRON)", text)) == 12


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=f"{name(page)}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks(page, "sh"), start=1)
    ],
)
def test_shell_is_shell(block: str) -> None:
    subprocess.run(["/bin/sh", "-n", "-c", block], check=True)


@pytest.mark.parametrize("block", YAML)
def test_specs_project_files_and_workflows_shown_are_valid(block: str, tmp_path: Path) -> None:
    document = yaml.safe_load(block)
    if "jobs" in document:
        check_workflow(document)
    elif "endpoint" in document:
        problems = problems_of_spec(block, tmp_path)
        assert problems == (A_MISTAKE in block)
    else:
        (tmp_path / "runner.yaml").write_text(block, "utf-8")
        assert find_project(tmp_path, {}).config_file is not None


@pytest.mark.parametrize("page", sorted(HOWTO.glob("*.md")), ids=name)
def test_a_page_whose_project_needs_an_agreement_says_how_to_give_it(
    page: Path, tmp_path: Path
) -> None:
    needed: list[Permission] = []
    for block in blocks(page, "yaml"):
        if not {"jobs", "endpoint"} & set(yaml.safe_load(block)):
            (tmp_path / "runner.yaml").write_text(block, "utf-8")
            needed += find_project(tmp_path, {}).permissions

    assert not needed or "`runner trust`" in page.read_text("utf-8")
    assert bool(needed) == (page.name in NEED_AGREEMENT)


def problems_of_spec(block: str, folder: Path) -> int:
    """Count the problems of a spec in a project that has its input and a provider `lab`."""
    (folder / "runner.yaml").write_text("providers: {lab: {base_url: 'https://lab.test/v1'}}")
    (folder / "specs").mkdir()
    (folder / "specs" / "job.yaml").write_text(block, "utf-8")
    [source] = re.findall(r"(?m)^input: (\S+)", block)
    (folder / source).parent.mkdir()
    (folder / source).touch()
    specs = load_specs(find_project(folder, {}), (), start=folder)
    assert len(specs.jobs) + len(specs.problems) == 1
    return len(specs.problems)


def check_workflow(document: dict[Any, Any]) -> None:
    """Check what GitHub would: the keys of a workflow, its jobs and their steps."""
    # To YAML 1.1 a bare `on` is a boolean; GitHub reads 1.2.
    assert {"on" if key is True else key for key in document} <= WORKFLOW_KEYS
    assert document["permissions"] == {"contents": "read"}
    for job in document["jobs"].values():
        assert job["runs-on"] == "ubuntu-latest"
        for step in job["steps"]:
            assert set(step) <= STEP_KEYS
            assert ("uses" in step) != ("run" in step)


def test_the_workflow_keeps_what_a_pass_needs() -> None:
    workflow = yaml.safe_load(blocks(HOWTO / "github-actions.md", "yaml")[0])
    [job] = workflow["jobs"].values()
    restored, saved = (
        next(
            step
            for step in job["steps"]
            if step.get("uses", "").startswith(f"actions/cache/{what}")
        )
        for what in ("restore", "save")
    )
    assert restored["with"]["path"] == saved["with"]["path"]
    assert restored["with"]["key"] == saved["with"]["key"]
    assert saved["if"] == "always()", "a pass that exits with 1 has a ledger worth keeping"
    assert {".runner", "outputs"} == set(saved["with"]["path"].split())
    assert workflow["concurrency"]["cancel-in-progress"] is False
