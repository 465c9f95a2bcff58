"""Schedules: their text, and what cron, systemd and YAML parsers read from it."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from runner.cli.commands.schedule import read_templates
from runner.report.schedule import (
    Interval,
    Scheduler,
    ScheduleTarget,
    render_schedule,
    schedule_notes,
)
from tests.report.golden_files import GOLDEN, check_golden

if TYPE_CHECKING:
    from pathlib import Path

PLACE: Final = ScheduleTarget(
    name="acl",
    program="/venv/bin/runner",
    folder="/projects/acl",
    repository_folder="batch/acl",
    ledger=".runner",
    outputs="outputs",
    variables=("OPENAI_API_KEY", "HOOK_URL"),
    package="batch-runner[notify]",
    requirement="batch-runner[notify] @ git+https://git.example/runner@0123abc",
    every=Interval(minutes=10),
)
HOSTILE: Final = replace(
    PLACE, folder="""/projects/50% off "it's" $HOME \\n;x""", program="/my venv/bin/runner"
)


def render(scheduler: Scheduler, place: ScheduleTarget = PLACE) -> str:
    return render_schedule(scheduler, place, read_templates(scheduler))


class Unit(configparser.ConfigParser):
    """A systemd unit: names keep their case."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def units(text: str) -> dict[str, Unit]:
    """Return the units of a snippet by the name that their first line says."""
    found = {}
    for name, content in re.findall(r"(?ms)^# \S+/(\S+)$(.*?)(?=^# |\Z)", text):
        found[name] = Unit(interpolation=None, strict=True)
        found[name].read_string(content)
    return found


def workflow(place: ScheduleTarget = PLACE) -> Any:  # noqa: ANN401 -- what YAML holds
    return yaml.safe_load(render(Scheduler.GITHUB_ACTIONS, place))


def manifests(place: ScheduleTarget = PLACE) -> tuple[Any, Any]:
    claim, job = yaml.safe_load_all(render(Scheduler.KUBERNETES, place))
    return claim, job


@pytest.mark.parametrize("scheduler", Scheduler)
def test_schedules_and_how_to_put_them_into_effect(scheduler: Scheduler) -> None:
    notes = "".join(f"note: {note}\n" for note in schedule_notes(scheduler, PLACE))

    check_golden(GOLDEN / f"schedule-{scheduler}.txt", f"{render(scheduler)}--\n{notes}")


@pytest.mark.parametrize("scheduler", Scheduler)
def test_without_variables_there_is_no_file_and_no_secret_for_them(scheduler: Scheduler) -> None:
    place = replace(PLACE, variables=())

    text = render(scheduler, place) + "".join(schedule_notes(scheduler, place))
    known = r"\n +env:\n.*RUNNER_TRUST.*" if scheduler is Scheduler.KUBERNETES else r"(?!)"
    assert not re.search(r"(?i)secret|\benv\b|environ", re.sub(known, "", text))


def test_where_nobody_can_be_asked_the_schedule_agrees_or_says_who_has_to() -> None:
    place = replace(PLACE, needs_agreement=True)
    notes = {each: "".join(schedule_notes(each, place)) for each in Scheduler}
    [step] = [step for step in workflow(place)["jobs"]["reconcile"]["steps"] if "env" in step]

    assert step["env"]["RUNNER_TRUST"] == "yes"
    assert "RUNNER_TRUST" not in render(Scheduler.GITHUB_ACTIONS)
    assert "runner trust" in notes[Scheduler.CRON]
    assert "runner trust" in notes[Scheduler.SYSTEMD]
    assert "runner trust" not in "".join(schedule_notes(Scheduler.CRON, PLACE))


@pytest.mark.parametrize(
    ("text", "fields", "calendar", "words"),
    [
        ("1m", "* * * * *", "*:0/1", "minute"),
        ("10m", "*/10 * * * *", "*:0/10", "10 minutes"),
        ("30m", "*/30 * * * *", "*:0/30", "30 minutes"),
        ("60m", "0 * * * *", "0/1:00", "hour"),
        ("1h", "0 * * * *", "0/1:00", "hour"),
        ("6h", "0 */6 * * *", "0/6:00", "6 hours"),
        ("24h", "0 6 * * *", "*-*-* 06:00", "day"),
        ("1d", "0 6 * * *", "*-*-* 06:00", "day"),
    ],
)
def test_how_often(text: str, fields: str, calendar: str, words: str) -> None:
    every = Interval.parse(text)

    assert (every.cron, every.calendar, str(every)) == (fields, calendar, words)


@pytest.mark.parametrize(
    "text", ["", "10", "m", "0m", "7m", "45m", "90m", "5h", "2d", "1w", "10 m", "-5m", "99999m"]
)
def test_a_time_that_divides_no_hour_and_no_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="divides neither an hour nor a day"):
        Interval.parse(text)


@pytest.mark.parametrize("place", [PLACE, HOSTILE], ids=["plain", "hostile"])
def test_cron_runs_the_command_in_the_folder(place: ScheduleTarget) -> None:
    *_, line = render(Scheduler.CRON, place).splitlines()
    *when, command = line.split(maxsplit=5)

    assert len(when) == 5
    assert re.search(r"(?<!\\)%", command) is None
    # As cron does: a \% becomes a %, and the rest goes to a shell.
    shown = command.replace("\\%", "%").replace(
        "set -a; . ~/.config/runner/env; exec", "printf '%s\\n'"
    )
    done = subprocess.run(["sh", "-c", shown], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        place.program,
        "-C",
        place.folder,
        "reconcile",
        "--remind",
        "1d",
    ]


def test_the_units_use_settings_that_exist() -> None:
    found = units(render(Scheduler.SYSTEMD))

    assert {name: {part: set(unit[part]) for part in unit.sections()} for name, unit in
            found.items()} == {
        "runner-acl.service": {
            "Unit": {"Description"},
            "Service": {"Type", "EnvironmentFile", "ExecStart"},
        },
        "runner-acl.timer": {
            "Unit": {"Description"},
            "Timer": {"OnCalendar", "Persistent"},
            "Install": {"WantedBy"},
        },
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
@pytest.mark.parametrize("place", [PLACE, HOSTILE], ids=["plain", "hostile"])
def test_systemd_takes_the_units(place: ScheduleTarget, tmp_path: Path) -> None:
    true = shutil.which("true") or ""
    for name, content in re.findall(
        r"(?ms)^# \S+/(\S+)$(.*?)(?=^# |\Z)",
        render(Scheduler.SYSTEMD, replace(place, program=true)),
    ):
        (tmp_path / name).write_text(content)

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(map(str, tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )

    assert [line for line in done.stderr.splitlines() if "runner-" in line] == []


def test_the_workflow_has_what_a_pass_needs() -> None:
    flow = workflow()
    [job] = flow["jobs"].values()
    steps = job["steps"]

    assert flow["on"] == {"schedule": [{"cron": "*/10 * * * *"}], "workflow_dispatch": None}
    assert flow["concurrency"] == {"group": "runner-acl", "cancel-in-progress": False}
    assert flow["permissions"] == {"contents": "read"}
    [reconcile] = [step for step in steps if step.get("run", "").startswith("runner ")]
    assert reconcile == {
        "run": "runner -C batch/acl reconcile",
        "env": {
            "OPENAI_API_KEY": "${{ secrets.OPENAI_API_KEY }}",
            "HOOK_URL": "${{ secrets.HOOK_URL }}",
        },
    }
    [install] = [step for step in steps if step.get("run", "").startswith("pip ")]
    assert install["run"] == f"pip install '{PLACE.requirement}'"


def test_the_address_of_runner_is_a_placeholder_if_it_is_not_known() -> None:
    unknown = replace(PLACE, requirement=None)
    placeholder = "git+https://example.org/runner.git@COMMIT"

    flow = render(Scheduler.GITHUB_ACTIONS, unknown)
    notes = [*schedule_notes(Scheduler.GITHUB_ACTIONS, unknown)]
    [image, *_] = schedule_notes(Scheduler.KUBERNETES, unknown)

    assert f"- run: pip install 'batch-runner[notify] @ {placeholder}'  # complete: " in flow
    assert [note for note in notes if f"replace {placeholder} by" in note]
    assert "batch-runner[notify], from its repository or from a wheel" in image
    assert not [
        note for note in schedule_notes(Scheduler.GITHUB_ACTIONS, PLACE) if placeholder in note
    ]


def test_the_workflow_keeps_the_ledger_whatever_the_pass_came_to() -> None:
    [job] = workflow()["jobs"].values()
    used = [str(step.get("uses", step.get("run"))).partition("@")[0] for step in job["steps"]]
    restore, save, upload = (
        job["steps"][used.index(name)]
        for name in ("actions/cache/restore", "actions/cache/save", "actions/upload-artifact")
    )

    assert used.index("actions/cache/restore") < used.index("runner -C batch/acl reconcile")
    assert used.index("runner -C batch/acl reconcile") < used.index("actions/cache/save")
    assert restore["with"]["path"].split() == ["batch/acl/.runner", "batch/acl/outputs"]
    assert save["with"]["path"] == restore["with"]["path"]
    assert save["with"]["key"] == restore["with"]["key"]
    assert save["with"]["key"].startswith(restore["with"]["restore-keys"])
    assert save["if"] == "always()"
    assert upload["if"].startswith("always() && hashFiles('batch/acl/outputs/*/*/run.json') != ")


def test_a_project_that_is_its_repository_needs_no_folder() -> None:
    snippet = render(Scheduler.GITHUB_ACTIONS, replace(PLACE, repository_folder="."))

    assert "- run: runner reconcile\n" in snippet
    assert "\n            .runner\n            outputs\n" in snippet


def test_the_manifests_keep_the_state_and_let_one_pass_run_at_a_time() -> None:
    claim, job = manifests()
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]

    assert (claim["kind"], job["apiVersion"], job["kind"]) == (
        "PersistentVolumeClaim",
        "batch/v1",
        "CronJob",
    )
    assert job["spec"]["schedule"] == "*/10 * * * *"
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    assert job["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert pod["restartPolicy"] == "Never"
    assert container["command"] == ["runner", "-C", "/project", "reconcile"]
    assert {mount["mountPath"]: mount["subPath"] for mount in container["volumeMounts"]} == {
        "/project/.runner": "ledger",
        "/project/outputs": "outputs",
    }
    [volume] = pod["volumes"]
    assert volume["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"]}
    trust, *secrets = container["env"]
    assert trust == {"name": "RUNNER_TRUST", "value": "yes"}
    assert [(one["name"], one["valueFrom"]["secretKeyRef"]["key"]) for one in secrets] == [
        ("OPENAI_API_KEY", "OPENAI_API_KEY"),
        ("HOOK_URL", "HOOK_URL"),
    ]
