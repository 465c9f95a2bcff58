"""The commands that change something: what they do, what they print, and how they exit."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import BAD_SPEC, FINISH, KEY, states
from tests.cli.shell import begin
from tests.simulation.behaviour import (
    MODEL_NOT_FOUND,
    Behaviour,
    Fail,
    HttpError,
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


@contextmanager
def somebody_at_work(folder: Folder, *, seconds: float = 0) -> Iterator[None]:
    """Hold the lock of the project's ledger, as another reconcile would that began then."""
    path = folder.root / ".runner" / "ledger.db.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.time() - seconds
        os.utime(path, (began, began))
        yield


def test_a_pass_says_once_what_it_did_and_then_nothing(run: Run, lab: Folder) -> None:
    lab.job("one", rows=3)

    done = run(*FINISH)

    assert (done.code, done.out) == (0, "")
    told = done.err.splitlines()
    assert [line.partition(" requests")[0] for line in told][:1] == ["one: submitted 3"]
    assert [line for line in told if not line.startswith("one: ")] == []
    assert told[-1].startswith("one: succeeded: 3 of 3 requests succeeded; see outputs/one/")
    assert run("reconcile").err == run("reconcile").err == ""


def test_a_pass_waits_for_nobody(run: Run, lab: Folder, world: World, clock: VirtualClock) -> None:
    lab.job("one")
    world.behaviour = Behaviour(working=100)

    assert run("reconcile").code == 0
    nothing_to_do = run("reconcile")

    assert (nothing_to_do.code, nothing_to_do.out, nothing_to_do.err) == (0, "", "")
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
    assert done.err == "nothing to do: 1 job up to date\n"


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
    assert "one: partial: 2 of 3 requests succeeded, 1 failed" in first.err
    assert second.err == ""
    assert run("reconcile", "-v").err == ("nothing to do: 1 job up to date; partial: one\n")


def test_a_job_that_ends_names_the_most_common_errors_of_its_requests(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job("one", rows=8)
    colour = HttpError(status=400, code="bad_value", message="No such\n\x1b[2Jcolour.")
    echo = HttpError(status=403, code="no_access", message=f"The key {KEY} may not.")
    others = {"one-6": "rare", "one-7": "seldom"}
    world.behaviour = Behaviour(
        answer=by_id(
            dict.fromkeys(("one-1", "one-2", "one-3"), colour)
            | dict.fromkeys(("one-4", "one-5"), echo)
            | {row: HttpError(status=400, code=code) for row, code in others.items()}
        )
    )

    (line,) = (line for line in run(*FINISH).err.splitlines() if ": partial: " in line)

    assert "1 of 8 requests succeeded, 7 failed: 3 x bad_value " in line
    assert ', 2 x no_access "The key *** may not.", 1 x rare "This request failed."' in line
    assert " and 1 more; see outputs/one/" in line
    assert "seldom" not in line
    assert "\x1b" not in line


def test_no_key_is_asked_for_to_name_errors(run: Run, lab: Folder) -> None:
    lab.job("one")
    lab.env["LAB_KEY"] = ""
    run("reconcile")

    done = run("cancel", "one")

    assert "cancelled: 0 of 3 requests succeeded, 3 failed (cancelled on request); see" in done.err


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
        quiet = run("reconcile", "--quiet", *option)

    assert (done.code, done.out) == (code, "")
    assert f"another reconcile is running on {lab.root}/.runner/ledger.db (process " in done.err
    assert bool(quiet.err) is (code == 75)
    assert not world.requests


def test_another_reconcile_that_is_at_work_for_over_an_hour_is_a_problem(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job("one")

    with somebody_at_work(lab, seconds=3700):
        done = run("reconcile", "--quiet")
        after = run("reconcile", "--quiet", "--if-locked", "fail")

    assert (done.code, done.out, after.code) == (1, "", 75)
    assert "for 1 h 1 min): that is long for one pass; see whether it hangs" in done.err
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
    assert "one: succeeded: 4 of 4 requests succeeded" in done.err
    assert "two: succeeded: 2 of 2 requests succeeded" in done.err


@pytest.mark.parametrize("command", ["cancel", "retry", "show"])
def test_a_file_of_several_jobs_is_no_job(run: Run, lab: Folder, command: str) -> None:
    lab.job("one")
    spec = (lab.root / "specs" / "one.yaml").read_text("utf-8")
    lab.write("specs/one.yaml", f"{spec}---\n{spec.replace('name: one', 'name: two')}")

    done = run(command, "specs/one.yaml")

    assert (done.code, done.out) == (2, "")
    assert done.err == "error: specs/one.yaml selects 2 jobs (one, two); select one\n"


@pytest.mark.parametrize("command", ["cancel", "retry", "show"])
def test_a_job_with_an_invalid_spec(run: Run, lab: Folder, command: str) -> None:
    lab.write("specs/bad.yaml", BAD_SPEC)

    done = run(command, "bad")

    assert (done.code, done.out) == (2, "")
    assert "specs/bad.yaml:3:1: " in done.err


def test_a_provider_that_is_gone_from_the_project(run: Run, lab: Folder, world: World) -> None:
    lab.job("one")
    world.behaviour = Behaviour(working=1000)
    run("reconcile")
    lab.write("runner.yaml", "default_provider: openai\n")
    (lab.root / "specs" / "one.yaml").unlink()

    done = run("reconcile")

    assert (done.code, done.out) == (1, "")
    assert "provider lab is not configured in runner.yaml any more; configure it again" in done.err


@pytest.mark.parametrize("command", ["cancel", "retry", "show"])
def test_a_job_that_nobody_knows(run: Run, lab: Folder, command: str) -> None:
    lab.job("one")

    done = run(command, "nobody")

    assert (done.code, done.out) == (2, "")
    assert "nobody" in done.err


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
