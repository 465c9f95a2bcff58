"""A job that cannot go on by itself is never shown as only pending or running."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.conftest import FINISH
from tests.simulation.behaviour import Behaviour
from tests.simulation.faults import Status

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.world import VirtualClock, World


def job(run: Run) -> dict[str, Any]:
    """Return the only job of `runner status --json`."""
    [shape] = json.loads(run("status", "--json").out)
    assert isinstance(shape, dict)
    return shape


def without_key(folder: Folder, _world: World) -> None:
    folder.env["LAB_KEY"] = ""


def with_another_key(folder: Folder, _world: World) -> None:
    folder.env["LAB_KEY"] = "sk-wrong"


def without_credit(_folder: Folder, world: World) -> None:
    world.faults = lambda request, _number: (
        Status(status=429, code="insufficient_quota", message="You exceeded your current quota.")
        if (request.path, request.method) == ("/batches", "POST")
        else None
    )


def with_a_full_account(_folder: Folder, world: World) -> None:
    world.faults = lambda request, _number: (
        Status(status=413, message="File storage is full.") if request.method == "POST" else None
    )


def without_a_batch_api(_folder: Folder, world: World) -> None:
    world.faults = lambda _request, _number: Status(status=404, message="Not Found")


def with_a_file_for_a_folder(folder: Folder, _world: World) -> None:
    folder.write("outputs", "not a folder")


def with_too_long_a_path(folder: Folder, _world: World) -> None:
    folder.job(more=f"output: {'/'.join(['x' * 200] * 25)}\n")


def with_a_broken_input(folder: Folder, _world: World) -> None:
    folder.write("data/hello.jsonl", "not JSON\n")


BLOCKS = {
    without_key: ("LAB_KEY is not set", "lab"),
    with_another_key: ("Incorrect API key", "lab"),
    without_credit: ("You exceeded your current quota", "lab"),
    with_a_full_account: ("File storage is full", "lab"),
    without_a_batch_api: ("404", "lab"),
    with_a_file_for_a_folder: ("outputs", None),
    with_too_long_a_path: ("the name is too long", None),
    with_a_broken_input: ("data/hello.jsonl:1", None),
}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda each: each.__name__)
def test_the_reason_is_shown_everywhere(
    run: Run,
    lab: Folder,
    world: World,
    quick: VirtualClock,
    block: Any,  # noqa: ANN401 -- a key of BLOCKS
) -> None:
    lab.job()
    block(lab, world)
    words, provider = BLOCKS[block]
    assert run("reconcile").code in (1, 2)
    shown = job(run)
    assert shown["state"] in ("pending", "running")
    blocked = shown["blocked"]
    assert words in blocked["reason"]
    assert blocked["provider"] == provider
    assert run("reconcile").code in (1, 2)
    assert job(run)["blocked"]["since"] == blocked["since"]
    table = run("status").out
    assert f"{shown['state']} (blocked)" in table
    assert "blocked for" in table
    assert "blocked" in run("show", "hello").out
    run("report", "-o", "report.html")
    page = (lab.root / "report.html").read_text(encoding="utf-8")
    assert "Needs attention" in page
    assert "blocked" in page
    assert world.submissions() == ()
    assert quick() >= 0


def test_it_is_over_when_the_job_goes_on(run: Run, lab: Folder, quick: VirtualClock) -> None:
    lab.job()
    key, lab.env["LAB_KEY"] = lab.env["LAB_KEY"], ""
    run("reconcile")
    assert job(run)["blocked"] is not None
    lab.env["LAB_KEY"] = key
    assert run(*FINISH).code == 0
    assert job(run)["blocked"] is None
    assert "blocked" not in run("status").out
    assert quick() >= 0


def test_the_reason_is_that_of_the_last_pass(run: Run, lab: Folder, quick: VirtualClock) -> None:
    lab.job()
    lab.env["LAB_KEY"] = ""
    run("reconcile")
    since = job(run)["blocked"]["since"]
    lab.env["LAB_KEY"] = "sk-wrong"
    run("reconcile")
    blocked = job(run)["blocked"]
    assert blocked["since"] == since
    assert "Incorrect API key" in blocked["reason"]
    assert quick() >= 0


def test_a_folder_that_cannot_be_written_costs_nothing(run: Run, lab: Folder, world: World) -> None:
    lab.job()
    lab.write("outputs/hello", "not a folder")
    assert run("reconcile").code == 1
    assert [call for call in world.requests if call.method == "POST"] == []


def test_progress_is_what_the_provider_said_until_there_are_results(
    run: Run, lab: Folder, world: World, clock: VirtualClock
) -> None:
    world.behaviour = Behaviour(working=100)
    lab.job()
    assert job(run)["progress"] is None
    run("reconcile")
    assert job(run)["progress"] == {"succeeded": 0, "failed": 0, "source": "provider"}
    total = job(run)["requests"]["total"]
    clock.sleep(60)
    run("reconcile")
    progress = job(run)["progress"]
    assert progress["source"] == "provider"
    assert 0 < progress["succeeded"] < total
    assert job(run)["requests"]["succeeded"] == 0
    row = next(line for line in run("status").out.splitlines() if line.startswith("hello"))
    assert row.split()[2] == str(progress["succeeded"])
    clock.sleep(60)
    run("reconcile")
    assert job(run)["progress"] == {"succeeded": total, "failed": 0, "source": "results"}
