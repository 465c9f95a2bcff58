"""`plan -o FILE` and `reconcile --plan FILE`: the saved plan is carried out, or nothing is."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import FINISH, states
from tests.simulation.behaviour import Behaviour

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.world import VirtualClock, World

KEEP = ("plan", "-o", "plan.json")
DO = ("reconcile", "--plan", "plan.json")


def refusal(run: Run, world: World) -> str:
    """Carry a kept plan out, see it refused with nothing done, and return why."""
    before = (states(run), len(world.calls("POST", "*")))
    done = run(*DO)
    assert (done.code, done.out) == (1, "")
    assert "error: the plan in plan.json is out of date, and nothing was done: " in done.err
    assert (states(run), len(world.calls("POST", "*"))) == before
    return done.err


def test_a_plan_that_was_kept_is_carried_out(run: Run, lab: Folder, world: World) -> None:
    lab.job()

    done = run(*KEEP)

    assert (done.code, done.out) == (0, run("plan").out)
    assert done.err == (
        "plan saved to plan.json; to apply exactly this plan: runner reconcile --plan plan.json\n"
    )
    assert [path.name for path in lab.root.iterdir() if "plan" in path.name] == ["plan.json"]
    assert run(*DO).code == 0
    assert len(world.calls("POST", "/batches")) == 1


def test_the_file_is_what_json_prints(run: Run, lab: Folder) -> None:
    lab.job()

    printed = json.loads(run(*KEEP, "--json").out)

    assert printed == json.loads((lab.root / "plan.json").read_text())
    assert printed["fingerprint"] == json.loads(run("plan", "--json").out)["fingerprint"]


def test_printed_json_can_be_carried_out_too(run: Run, lab: Folder) -> None:
    lab.job()
    lab.write("plan.json", run("plan", "--json").out)

    assert run(*DO, "--wait", "--poll-interval", "0.01").code == 0
    assert states(run) == {"hello": "succeeded"}


def test_the_log_keeps_its_name_for_a_plan_that_is_out_of_date(run: Run, lab: Folder) -> None:
    lab.job()
    run(*KEEP)
    lab.job(more="replicate: 2\n")

    done = run(*DO, "--log-format", "json")

    assert done.code == 1
    assert [json.loads(line)["error"] for line in done.err.splitlines()] == ["PlanMoved"]


def test_a_plan_of_nothing_is_carried_out(run: Run, finished: Folder) -> None:
    assert finished.root.is_dir()
    run(*KEEP)

    assert run(*DO).code == 0


def test_a_plan_selects_what_it_was_made_for_from_anywhere(
    run: Run, lab: Folder, world: World
) -> None:
    for name in ("a", "b"):
        lab.job(name)
    (lab.root / "specs" / "deep").mkdir()
    assert run("-C", "specs", "plan", "a.yaml", "-o", "plan.json").code == 0

    assert run("-C", "specs/deep", *DO).code == 0

    assert len(world.calls("POST", "/batches")) == 1
    assert states(run) == {"a": "running", "b": "pending"}


def test_specs_cannot_be_named_besides(run: Run, lab: Folder) -> None:
    lab.job()
    run(*KEEP)

    done = run(*DO, "hello")

    assert (done.code, done.out) == (2, "")
    assert "--plan plan.json says which SPECs it is for; leave out hello" in done.err


def edit_input(folder: Folder) -> None:
    folder.job(rows=4)


def edit_window(folder: Folder) -> None:
    folder.job(more="completion_window: 48h\n")


def edit_replicate(folder: Folder) -> None:
    folder.job(more="replicate: 2\n")


def add_job(folder: Folder) -> None:
    folder.job("more")


def remove_job(folder: Folder) -> None:
    (folder.root / "specs" / "hello.yaml").unlink()


def break_input(folder: Folder) -> None:
    folder.write("data/hello.jsonl", "nonsense\n")


def tighten_limits(folder: Folder) -> None:
    config = (folder.root / "runner.yaml").read_text()
    folder.write("runner.yaml", config + "    max_requests_per_batch: 2\n")


@pytest.mark.parametrize(
    ("move", "said"),
    [
        (edit_input, "now (its input has changed). `runner plan -o plan.json` makes it again"),
        (edit_window, "hello: completion_window was 24h, is 48h."),
        (edit_replicate, "now (replicate was 1, is 2)."),
        (add_job, "more: is in the specs now, and not in the plan."),
        (remove_job, "hello: its spec was removed, or it or its input is not valid any more."),
        (break_input, "hello: its spec was removed, or it or its input is not valid any more."),
        (
            tighten_limits,
            "hello: shard 1 would be submitted differently: requests was 3, is 2, sha256 was ",
        ),
        (tighten_limits, "; hello: shard 2 would be submitted, and the plan has nothing for it."),
    ],
)
def test_an_edit_since_then_is_refused(
    run: Run, lab: Folder, world: World, move: Callable[[Folder], None], said: str
) -> None:
    lab.job()
    run(*KEEP)

    move(lab)

    assert said in refusal(run, world)
    assert not world.calls("POST", "*")


@pytest.mark.parametrize("more", ["# why\n", "replicate: 1\nretry: {attempts: 3}\n"])
def test_an_edit_that_asks_for_nothing_else_is_not_refused(
    run: Run, lab: Folder, more: str
) -> None:
    lab.job()
    run(*KEEP)
    lab.job(more=more)

    assert run(*DO).code == 0


def test_another_machine_that_was_quicker_is_noticed(run: Run, lab: Folder, world: World) -> None:
    lab.job()
    run(*KEEP)
    run("reconcile")
    shutil.rmtree(lab.root / ".runner")
    shutil.rmtree(lab.root / "outputs", ignore_errors=True)

    done = run(*DO)

    assert done.code == 1
    assert "hello: shard 1 would be adopted, was to be submitted." in done.err
    assert len(world.calls("POST", "/batches")) == 1


def test_the_same_plan_is_not_carried_out_twice(run: Run, lab: Folder, world: World) -> None:
    lab.job()
    world.behaviour = Behaviour(working=100)
    run(*KEEP)
    assert run(*DO).code == 0

    reason = refusal(run, world)

    assert "hello: the run of " in reason
    assert " was to be started, and now there is nothing to do for it; " in reason
    assert "hello: shard 1 was to be submitted, and now in flight, " in reason


def test_a_batch_that_has_finished_since_is_noticed(
    run: Run, lab: Folder, world: World, clock: VirtualClock
) -> None:
    lab.job()
    world.behaviour = Behaviour(validating=10, working=100)
    run("reconcile")
    run(*KEEP)
    clock.sleep(200)

    reason = refusal(run, world)

    assert "hello: shard 1 would be collected, and the plan has nothing for it." in reason
    run(*KEEP)
    assert run(*DO).code == 0
    assert states(run) == {"hello": "succeeded"}


def test_time_and_progress_alone_are_no_move(
    run: Run, lab: Folder, world: World, clock: VirtualClock
) -> None:
    lab.job()
    world.behaviour = Behaviour(validating=10, working=100)
    run("reconcile")
    run(*KEEP)
    clock.sleep(50)

    assert run(*DO).code == 0
    assert states(run) == {"hello": "running"}


def test_a_provider_that_is_out_of_reach_now_is_a_move(run: Run, lab: Folder, world: World) -> None:
    lab.job()
    run(*KEEP)
    lab.env["LAB_KEY"] = ""

    reason = refusal(run, world)

    assert "hello: shard 1 was to be submitted, and now LAB_KEY is not set" in reason


def test_only_the_first_pass_is_compared(run: Run, lab: Folder) -> None:
    lab.job()
    run(*KEEP)

    assert run(*FINISH, "--plan", "plan.json").code == 0
    assert states(run) == {"hello": "succeeded"}


def test_what_the_embedded_provider_has_done_is_no_surprise(run: Run, folder: Folder) -> None:
    folder.job()
    run(*KEEP)
    assert run(*DO).code == 0
    folder.job("more")
    run(*KEEP)

    assert run(*DO).code == 0
    assert set(states(run).values()) == {"succeeded"}


def garble(text: str) -> str:
    return text.replace('"requests": 3', '"requests": 4')


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text[:-40], "plan.json:"),
        (lambda _text: "", "plan.json:1:1: is not JSON: "),
        (lambda _text: "[]", "plan.json: is not a plan; `runner plan -o FILE` makes one"),
        (lambda _text: "[" * 99999, "plan.json: is not a plan: "),
        (
            lambda _text: '{"format_version": 1}',
            "plan.json: is not a complete plan: fields are missing",
        ),
        (lambda _text: "\0\ud800", "plan.json: is not a plan"),
        (
            lambda text: text.replace('"format_version": 1', '"format_version": 2'),
            "plan.json: has format_version 2, and this runner reads 1; make it again",
        ),
        (
            lambda text: text.replace('"runner": "', '"runner": "9.'),
            "plan.json: was made by runner 9.",
        ),
        (garble, "plan.json: was edited after it was made (its fingerprint differs)"),
        (
            lambda text: text.replace('"jobs": [', '"jobs": [3, '),
            "plan.json: is not a complete plan",
        ),
    ],
)
def test_a_file_that_is_no_plan_is_refused(
    run: Run, lab: Folder, world: World, spoil: Callable[[str], str], said: str
) -> None:
    lab.job()
    run(*KEEP)
    text = (lab.root / "plan.json").read_text()
    lab.write("plan.json", spoil(text).encode(errors="surrogatepass"))

    done = run(*DO)

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert not world.calls("POST", "*")


def test_a_plan_that_is_not_there_is_refused(run: Run, lab: Folder) -> None:
    lab.job()

    done = run(*DO)

    assert (done.code, done.err) == (2, "plan.json: cannot be read: No such file or directory\n")


def test_a_plan_that_cannot_be_kept_is_an_error(run: Run, lab: Folder) -> None:
    lab.job()

    done = run("plan", "-o", "nowhere/plan.json")

    assert done.code == 1
    assert "nowhere/plan.json cannot be written: there is no such file or folder" in done.err
    assert run("plan", "-o", "specs").code == 2


def test_a_plan_takes_no_place_but_a_files(run: Run, lab: Folder) -> None:
    """As root, a device of that name would be gone for everybody on the machine."""
    lab.job()
    os.mkfifo(lab.root / "pipe")
    mine = lab.write("mine.json", "mine")
    (lab.root / "plan.json").symlink_to(mine)

    done = run("plan", "-o", "pipe")

    assert done.code == 1
    assert "pipe cannot be written: it is not a regular file" in done.err
    assert (lab.root / "pipe").is_fifo()
    assert run(*KEEP).code == 0
    assert not (lab.root / "plan.json").is_symlink()
    assert json.loads((lab.root / "plan.json").read_text())["changes"]
    assert mine.read_text() == "mine"
