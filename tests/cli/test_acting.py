"""The commands that act: what they do, what they say, and how they end."""

from __future__ import annotations

import fcntl
import json
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import FINISH, KEY
from tests.cli.shell import begin
from tests.simulation.behaviour import (
    MODEL_NOT_FOUND,
    Behaviour,
    Fail,
    HttpError,
    Stuck,
    by_id,
    first_time,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.http import Server
    from tests.simulation.world import VirtualClock, World

BAD_SPEC = "name: bad\nendpoint: /v1/chat/completions\ninptu: data/hello.jsonl\n"


@contextmanager
def somebody_at_work(folder: Folder) -> Iterator[None]:
    """Hold the lock of the project's ledger, as another reconcile would."""
    path = folder.root / ".runner" / "ledger.db.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def states(run: Run) -> dict[str, str]:
    return {shape["name"]: shape["state"] for shape in json.loads(run("status", "--json").out)}


def test_a_pass_says_once_what_it_did_and_then_nothing(run: Run, lab: Folder) -> None:
    lab.job("one", rows=3)

    done = run(*FINISH)

    assert (done.code, done.out) == (0, "")
    told = done.err.splitlines()
    assert [line.partition(" requests")[0] for line in told][:1] == ["one: submitted 3"]
    assert [line for line in told if not line.startswith("one: ")] == []
    assert told[-1].startswith("one: succeeded: 3 of 3 requests answered; see outputs/one/")
    assert run("reconcile").err == run("reconcile").err == ""


def test_a_pass_waits_for_nobody(run: Run, lab: Folder, world: World, clock: VirtualClock) -> None:
    lab.job("one")
    world.behaviour = Behaviour(working=100)

    assert run("reconcile").code == 0
    idle = run("reconcile")

    assert (idle.code, idle.out, idle.err) == (0, "", "")
    assert run("reconcile", "-v").err == "nothing to do now: 1 batch in flight\n"
    assert states(run) == {"one": "running"}
    clock.sleep(200)
    assert run("reconcile").code == 0
    assert states(run) == {"one": "succeeded"}


def test_verbose_says_that_there_was_nothing_to_do(run: Run, lab: Folder) -> None:
    lab.job("one")
    run(*FINISH)

    done = run("reconcile", "--verbose")

    assert (done.code, done.out) == (0, "")
    assert done.err == "nothing to do: 1 job as the specs ask for\n"


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_quiet_says_nothing_but_trouble(run: Run, lab: Folder, world: World, option: str) -> None:
    lab.job("one")
    assert run(*FINISH, option).err == ""
    lab.job("two")
    world.behaviour = Behaviour(ending=Fail(problems=(MODEL_NOT_FOUND,)))

    done = run(*FINISH, option)

    assert (done.code, done.out) == (1, "")
    assert "two: " in done.err
    assert "one: " not in done.err
    lab.write("specs/bad.yaml", BAD_SPEC)
    assert "specs/bad.yaml:3:1: " in run("reconcile", option).err


def test_a_partial_job_is_an_exit_code_of_1_for_as_long_as_it_is_partial(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job("one", rows=3)
    world.behaviour = Behaviour(answer=by_id({"one-1": HttpError(status=400, code="bad")}))

    first, second = run(*FINISH), run("reconcile")

    assert (first.code, second.code) == (1, 1)
    assert "one: partial: 2 of 3 requests answered, 1 without success" in first.err
    assert second.err == ""
    assert run("reconcile", "-v").err == (
        "nothing to do: 1 job as the specs ask for; partial: one\n"
    )


def test_a_failed_job_is_an_exit_code_of_1_and_says_why(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job("one")
    world.behaviour = Behaviour(ending=Fail(problems=(MODEL_NOT_FOUND,)))

    done = run(*FINISH)

    assert done.code == 1
    assert "The provided model 'gpt-0' is not supported by the Batch API" in done.err
    assert states(run) == {"one": "failed"}


def test_an_invalid_spec_stops_only_its_own_jobs(run: Run, lab: Folder) -> None:
    lab.job("good")
    lab.write("specs/bad.yaml", BAD_SPEC)
    lab.job("empty")
    lab.write("data/empty.jsonl", b"nonsense\n")

    done = run(*FINISH)

    assert (done.code, done.out) == (2, "")
    assert "specs/bad.yaml:3:1: " in done.err
    assert "data/empty.jsonl:1:1: " in done.err
    assert states(run) | {"good": "succeeded"} == states(run)


def test_only_what_was_asked_for_is_reconciled(run: Run, lab: Folder) -> None:
    for name in ("one", "two", "three"):
        lab.job(name)

    assert run(*FINISH, "specs/two.yaml", "three").code == 0

    assert states(run) == {"one": "pending", "three": "succeeded", "two": "succeeded"}
    assert run("reconcile", "nobody").code == 2


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("wait", [(), ("--wait",)])
def test_a_provider_out_of_reach_is_an_exit_code_of_1(
    run: Run, lab: Folder, server: Server, wait: tuple[str, ...]
) -> None:
    lab.job("one")
    lab.job("two")

    with server.down():
        done = run("reconcile", *wait)

    assert (done.code, done.out) == (1, "")
    assert done.err.count("cannot be reached") == 1
    assert run("reconcile").code == 0


@pytest.mark.parametrize("key", ["", "sk-wrong-0123456789"])
@pytest.mark.parametrize("wait", [(), ("--wait",)])
def test_a_key_that_is_missing_or_refused_is_an_exit_code_of_1(
    run: Run, lab: Folder, key: str, wait: tuple[str, ...]
) -> None:
    lab.job("one")
    lab.env["LAB_KEY"] = key

    done = run("reconcile", *wait)

    assert (done.code, done.out) == (1, "")
    assert "LAB_KEY" in done.err
    assert "sk-wrong" not in done.err
    assert "Traceback" not in done.err


def test_a_ledger_that_is_damaged_is_an_exit_code_of_1(run: Run, lab: Folder) -> None:
    lab.job("one")
    lab.write(".runner/ledger.db", "This is no database.\n" * 99)

    for command in (("reconcile",), ("status",), ("plan",), ("show", "one"), ("retry", "one")):
        done = run(*command)
        assert (done.code, done.out) == (1, ""), command
        assert done.err.startswith("error: the ledger "), command
        assert "is damaged" in done.err, command


@pytest.mark.parametrize(
    ("option", "code"), [((), 0), (("--if-locked", "skip"), 0), (("--if-locked", "fail"), 75)]
)
def test_another_reconcile_at_work(
    run: Run, lab: Folder, world: World, option: tuple[str, ...], code: int
) -> None:
    lab.job("one")

    with somebody_at_work(lab):
        done = run("reconcile", *option)
        verbose = run("reconcile", "-v", *option)

    assert (done.code, done.out) == (code, "")
    assert bool(done.err) is (code == 75)
    assert "another reconcile is at work" in verbose.err
    assert not world.requests


def test_an_invalid_spec_is_told_even_when_another_reconcile_is_at_work(
    run: Run, lab: Folder
) -> None:
    lab.write("specs/bad.yaml", BAD_SPEC)

    with somebody_at_work(lab):
        assert run("reconcile").code == 2


@pytest.mark.parametrize(("option", "code"), [("skip", 0), ("fail", 75)])
def test_another_process_at_the_local_provider(
    run: Run, folder: Folder, option: str, code: int
) -> None:
    folder.job("one")
    path = folder.write(".runner/local/lock", b"")

    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run("reconcile", "--wait", "--verbose", "--if-locked", option)

    assert (done.code, done.out) == (code, "")
    assert "another process is using the local provider" in done.err


def test_waiting_for_another_reconcile(lab: Folder) -> None:
    lab.job("one")
    with somebody_at_work(lab):
        process = begin("reconcile", "--if-locked", "wait", cwd=lab.root, env=lab.env)
        with pytest.raises(Exception, match="timed out"):
            process.wait(timeout=1.0)

    _out, err = process.communicate(timeout=20)

    assert process.returncode == 0
    assert "one: submitted" in err


def test_waiting_to_the_end(lab: Folder, world: World) -> None:
    import time

    lab.job("one", rows=4)
    lab.job("two", rows=2)
    world._ground.clock = world.clock = time.time
    world.behaviour = Behaviour(
        validating=0.1,
        working=0.3,
        answer=first_time({"one-1": HttpError(status=429, code="slow_down")}),
    )

    done = lab.sh("reconcile", "--wait", "--poll-interval", "0.05")

    assert (done.code, done.out) == (0, "")
    assert "one: succeeded: 4 of 4 requests answered" in done.err
    assert "two: succeeded: 2 of 2 requests answered" in done.err


def test_cancel(run: Run, lab: Folder, world: World, clock: VirtualClock) -> None:
    lab.job("one")
    world.behaviour = Behaviour(working=1000, cancelling=50)
    run("reconcile")

    done = run("cancel", "one")

    assert (done.code, done.out) == (0, "")
    assert "asked the provider to cancel batch_" in done.err
    assert "the provider may take some minutes; `runner reconcile` collects" in done.err
    clock.sleep(100)
    assert run("reconcile").code == 0
    assert states(run) == {"one": "cancelled"}
    assert run("cancel", "one").err == "one: nothing is in flight\n"


def test_cancel_of_a_job_that_has_just_ended(
    run: Run, lab: Folder, world: World, clock: VirtualClock
) -> None:
    lab.job("one")
    world.behaviour = Behaviour(working=100)
    run("reconcile")
    clock.sleep(200)

    done = run("cancel", "one")

    assert done.code == 0
    assert done.err.endswith("one: succeeded before it could be cancelled\n")


@pytest.mark.parametrize("change", ["another", "invalid"])
def test_cancel_submits_nothing_even_if_the_input_has_changed(
    run: Run, lab: Folder, world: World, clock: VirtualClock, change: str
) -> None:
    lab.job("one", rows=3)
    world.behaviour = Behaviour(working=1000)
    run("reconcile")
    if change == "another":
        lab.job("one", rows=4)
    else:
        lab.write("data/one.jsonl", "nonsense")

    done = run("cancel", "one")

    assert (done.code, done.out) == (0, "")
    assert "its spec or input has changed since it began" in done.err
    assert len(world.calls("POST", "/batches")) == 1
    run("reconcile")
    clock.sleep(100)
    run("reconcile")
    assert "cancelled, 0 of 3 answered" in run("show", "one").out


def test_cancel_of_a_job_whose_spec_is_gone(
    run: Run, lab: Folder, world: World, clock: VirtualClock
) -> None:
    lab.job("one")
    lab.job("two")
    world.behaviour = Behaviour(working=1000)
    run("reconcile")
    (lab.root / "specs" / "one.yaml").unlink()

    done = run("cancel", "one")

    assert done.code == 0
    assert "its spec or input has changed since it began, or is gone" in done.err
    run("reconcile")
    clock.sleep(100)
    run("reconcile")
    assert "one  cancelled" in run("show", "one").out
    assert states(run) == {"two": "running"}


@pytest.mark.parametrize("command", ["cancel", "retry", "show"])
def test_a_job_that_nobody_knows(run: Run, lab: Folder, command: str) -> None:
    lab.job("one")

    done = run(command, "nobody")

    assert (done.code, done.out) == (2, "")
    assert "nobody" in done.err


def test_retry(run: Run, lab: Folder, world: World) -> None:
    lab.job("one", rows=3)
    assert run("retry", "one").code == 2
    world.behaviour = Behaviour(
        answer=first_time({"one-1": HttpError(status=400, code="bad_value")})
    )
    assert run(*FINISH).code == 1

    done = run("retry", "one")

    assert (done.code, done.out) == (0, "")
    assert "one: submitted 1 requests as" in done.err
    assert run(*FINISH).code == 0
    assert states(run) == {"one": "succeeded"}
    again = run("retry", "one")
    assert (again.code, again.err) == (
        0,
        "one: every request is answered; nothing to ask again\n",
    )


def test_retry_of_a_job_whose_input_has_changed_submits_nothing(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job("one", rows=3)
    world.behaviour = Behaviour(answer=by_id({"one-1": HttpError(status=400, code="bad_value")}))
    run(*FINISH)
    lab.job("one", rows=4)

    done = run("retry", "one")

    assert (done.code, done.out) == (2, "")
    assert "has never been run as its spec stands; run `runner reconcile one`" in done.err
    assert len(world.calls("POST", "/batches")) == 1
    lab.write("data/one.jsonl", b"nonsense\n")
    invalid = run("retry", "one")
    assert invalid.code == 2
    assert invalid.err.startswith("data/one.jsonl:1:1: ")


def test_retry_of_a_job_that_is_still_running(run: Run, lab: Folder, world: World) -> None:
    lab.job("one")
    world.behaviour = Behaviour(ending=Stuck())
    run("reconcile")

    done = run("retry", "one")

    assert (done.code, done.err) == (0, "one: still running; it goes on by itself\n")
    assert len(world.calls("POST", "/batches")) == 1


def test_neither_secrets_nor_prompts_are_kept_by_the_ledger(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job("one", rows=3)
    prompt = "What-nobody-else-may-read"
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
    line = {"custom_id": "one-0", "method": "POST", "url": "/v1/chat/completions", "body": body}
    lab.write("data/one.jsonl", json.dumps(line) + "\n")
    world.behaviour = Behaviour(answer=by_id({"one-0": HttpError(status=500)}))
    assert run(*FINISH).code == 1

    kept = b"".join(path.read_bytes() for path in files_of_ledger(lab.root))

    assert b"one" in kept
    for secret in (prompt, KEY):
        assert secret.encode() not in kept
    with closing(sqlite3.connect(lab.root / ".runner" / "ledger.db")) as ledger:
        assert KEY not in "\n".join(ledger.iterdump())


def files_of_ledger(root: Path) -> list[Path]:
    return sorted((root / ".runner").glob("ledger.db*"))
