"""Projects to run command lines in, and a simulated provider for those that need one."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Protocol

import pytest

from runner.cli.main import run as run_command_line
from tests.cli.shell import Done, Folder
from tests.simulation.behaviour import Behaviour, HttpError, by_id
from tests.simulation.http import serve
from tests.simulation.world import VirtualClock, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.simulation.http import Server

KEY = "sk-test-0123456789abcdef"


BAD_SPEC = "name: bad\nendpoint: /v1/chat/completions\ninptu: data/hello.jsonl\n"
"""A spec with a misspelt field."""

FINISH = ("reconcile", "--wait", "--poll-interval", "0.01")
"""The command line that sees all jobs through."""


class Run(Protocol):
    """Runs a command line in this process, in the project's folder."""

    def __call__(self, *arguments: str) -> Done:
        """Run it."""


def states(run: Run) -> dict[str, str]:
    """Return the state of each job, as `runner status` tells it."""
    return {shape["name"]: shape["state"] for shape in json.loads(run("status", "--json").out)}


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, clock: VirtualClock) -> VirtualClock:
    """Let command lines in this process sleep by the clock of the world: no time at all."""
    monkeypatch.setattr(time, "sleep", clock.sleep)
    return clock


@pytest.fixture
def world(clock: VirtualClock) -> World:
    return World(clock, key=KEY)


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    with serve(world) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Make an empty project for the local provider."""
    folder = Folder(tmp_path / "project")
    folder.write("runner.yaml", "default_provider: local\n")
    (folder.root / "specs").mkdir()
    return folder


@pytest.fixture
def agreed(folder: Folder) -> None:
    """Agree to whatever the project runs and sends."""
    folder.env["RUNNER_TRUST"] = "yes"


@pytest.fixture
def lab(folder: Folder, server: Server) -> Folder:
    """Make an empty project for the simulated provider."""
    folder.write(
        "runner.yaml",
        "default_provider: lab\n"
        "providers:\n"
        "  lab:\n"
        f"    base_url: {server.base_url}\n"
        "    api_key_env: LAB_KEY\n"
        "    adoption_grace: 5\n",
    )
    folder.env["LAB_KEY"] = KEY
    return folder


@pytest.fixture
def finished(lab: Folder, run: Run) -> Folder:
    """Make a project of one job in which everything is done."""
    lab.job()
    assert run(*FINISH).code == 0
    return lab


@pytest.fixture
def run(folder: Folder, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    for name in (
        *("NO_COLOR", "FORCE_COLOR", "OPENAI_API_KEY", "OPENAI_BASE_URL"),
        *("OPENAI_ORG_ID", "OPENAI_PROJECT_ID"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(folder.root)

    def run(*arguments: str) -> Done:
        for name, value in folder.env.items():
            monkeypatch.setenv(name, value)
        code = run_command_line(arguments)
        sys.stdout.flush()
        out, err = capfd.readouterr()
        return Done(code=code, out=out, err=err)

    return run


REFUSAL = HttpError(status=400, code="bad_value", message="No such colour.")


@pytest.fixture
def several(run: Run, lab: Folder, world: World) -> Folder:
    """Make a project of a job that is done, one that is partial, and one not begun."""
    world.behaviour = Behaviour(answer=by_id({"bad-1": REFUSAL}))
    lab.job("bad", rows=4, more="metadata: {project: acl}\n")
    lab.job("good")
    run(*FINISH)
    lab.job("later")
    return lab


@pytest.fixture
def at_work(run: Run, lab: Folder, world: World) -> Folder:
    """Make a project of one job that is at work."""
    lab.job()
    world.behaviour = Behaviour(working=1000)
    run("reconcile")
    return lab
