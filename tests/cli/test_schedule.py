"""`runner schedule`: snippets with the paths of this machine and this project."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.world import World

ALL = ("--cron", "--systemd", "--github-actions", "--kubernetes")


def test_the_snippet_is_the_answer_and_the_rest_is_beside_it(run: Run, lab: Folder) -> None:
    lab.job()

    done = run("schedule", "--cron")

    assert done.code == 0
    line = done.out.splitlines()[-1]
    runner = Path(sys.executable).with_name("runner")
    assert line == (
        f"*/10 * * * *  set -a; . ~/.config/runner/env; exec {runner} -C {lab.root} "
        "reconcile --remind 1d"
    )
    assert "LAB_KEY='...'" in done.err
    assert all(told.startswith("note: ") for told in done.err.splitlines())


@pytest.mark.parametrize("option", ALL)
def test_no_key_is_written_into_a_snippet(run: Run, lab: Folder, option: str) -> None:
    lab.job()
    key = lab.env["LAB_KEY"]

    done = run("schedule", option, "--every", "1h")

    assert done.code == 0
    assert key not in done.out + done.err
    assert not (lab.root / ".runner").exists()


def test_variables_are_those_of_the_providers_that_are_asked_and_of_who_is_told(
    run: Run, lab: Folder
) -> None:
    config = (lab.root / "runner.yaml").read_text()
    lab.write(
        "runner.yaml",
        f"{config}    max_enqueued_tokens: 1000\n"
        "notify:\n  - webhook_env: HOOK_URL\n  - apprise_env: MAIL_URL\n  - command: [x]\n"
        "ping: {url_env: PING_URL}\n",
    )
    lab.job()

    [job] = yaml.safe_load(run("schedule", "--github-actions").out)["jobs"].values()
    [reconcile] = [step for step in job["steps"] if step.get("run") == "runner reconcile"]
    assert list(reconcile["env"]) == ["LAB_KEY", "HOOK_URL", "MAIL_URL", "PING_URL", "RUNNER_TRUST"]
    [install] = [step for step in job["steps"] if step.get("run", "").startswith("pip")]
    assert "'batch-runner[notify,tokens] @ " in install["run"]


def test_openai_at_another_address_needs_that_too(
    run: Run, lab: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.write("runner.yaml", "{}\n")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://proxy.example.org/v1")

    done = run("schedule", "--systemd")

    assert "OPENAI_API_KEY='...', OPENAI_BASE_URL='...'" in done.err


def test_an_account_at_openai_is_needed_there_too(
    run: Run, lab: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.write("runner.yaml", "{}\n")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-blue")

    assert "OPENAI_API_KEY='...', OPENAI_ORG_ID='...'" in run("schedule", "--systemd").err


def test_a_project_without_keys_needs_no_file_of_them(run: Run, folder: Folder) -> None:
    folder.job()

    assert ".config/runner/env" not in run("schedule", "--cron").out
    told = run("schedule", "--kubernetes").err
    assert "note: the provider local runs only during a pass, on the same machine\n" in told


def test_a_workflow_knows_where_in_its_repository_the_project_is(run: Run, lab: Folder) -> None:
    (lab.root.parent / ".git").mkdir()

    flow = yaml.safe_load(run("schedule", "--github-actions").out)

    assert [
        step["run"] for step in flow["jobs"]["reconcile"]["steps"] if "reconcile" in str(step)
    ] == ["runner -C project reconcile"]


@pytest.mark.parametrize("arguments", [(), ALL[:2], ALL])
def test_exactly_one_is_to_be_named(run: Run, lab: Folder, arguments: tuple[str, ...]) -> None:
    assert lab.root.exists()
    done = run("schedule", *arguments)

    assert (done.code, done.out) == (2, "")
    assert "error: name one of --cron, --systemd, --github-actions, --kubernetes\n" in done.err


def test_an_invalid_spec_is_told_of_since_its_provider_is_not_known(run: Run, lab: Folder) -> None:
    lab.write("specs/bad.yaml", "name: bad\n")

    done = run("schedule", "--cron")

    assert done.code == 2
    assert done.err.startswith("specs/bad.yaml:1: ")
    assert "reconcile --remind 1d\n" in done.out


def test_a_time_that_will_not_do_is_refused(run: Run, lab: Folder) -> None:
    assert lab.root.exists()
    done = run("schedule", "--cron", "--every", "7m")

    assert (done.code, done.out) == (2, "")
    assert "'7m' divides neither an hour nor a day" in done.err


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("ledger: ledger.db\n", "the ledger of this project is not in a folder of its own"),
        ("outputs: ../outputs\n", "the outputs of this project are not in a folder of their own"),
        ("outputs: 'my outputs'\n", "my outputs cannot be written into a workflow"),
    ],
)
def test_what_cannot_be_kept_elsewhere_is_refused(
    run: Run, folder: Folder, config: str, told: str
) -> None:
    folder.write("runner.yaml", config)

    for option in ("--github-actions", "--kubernetes"):
        done = run("schedule", option)
        assert (done.code, done.out) == (2, "")
        assert told in done.err
    assert run("schedule", "--cron").code == 0


@pytest.mark.parametrize("option", ALL)
def test_what_is_scheduled_can_make_a_pass_as_it_is_written(
    run: Run, lab: Folder, world: World, option: str
) -> None:
    config = (lab.root / "runner.yaml").read_text()
    lab.write("runner.yaml", config + "notify: [{command: [touch, told]}]\n")
    lab.job()
    done = run("schedule", option)
    before = lab.sh("reconcile")
    found = re.search(r"RUNNER_TRUST(?:: |, value: )\"(\w+)\"", done.out)
    if found:
        lab.env["RUNNER_TRUST"] = found[1]
    else:
        assert "`runner trust`" in done.err
        assert run("trust").code == 0

    assert (before.code, world.requests) == (2, [])
    assert lab.sh("reconcile").code == 0
    assert world.requests
