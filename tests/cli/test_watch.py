"""`runner watch`: during a reconcile, in a terminal and in a pipe."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from runner.ledger.queries import history
from runner.ledger.store import Ledger
from runner.reconcile.lock import last_pass, locked
from tests.cli.conftest import FINISH
from tests.cli.shell import PATIENCE, begin
from tests.cli.terminal import CTRL_C, terminal
from tests.simulation.behaviour import Behaviour, HttpError, by_id

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.world import VirtualClock, World

WATCH = ("watch", "--interval", "0.05")


@pytest.fixture
def piped(lab: Folder) -> Iterator[subprocess.Popen[str]]:
    """Begin to watch a project of two jobs, one of which nothing was done for yet."""
    lab.job("one")
    lab.job("two")
    process = begin(*WATCH, cwd=lab.root, env=lab.env)
    yield process
    process.kill()
    process.communicate()


def told(process: subprocess.Popen[str]) -> str:
    """Return the next line of a watch, without its time."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.isprintable() or line.endswith("\n")
    return line.rstrip("\n").partition("  ")[2]


def test_a_pipe_gets_a_line_a_change_until_all_is_final(
    piped: subprocess.Popen[str], run: Run, world: World, clock: VirtualClock
) -> None:
    world.behaviour = Behaviour(working=100, answer=by_id({"two-1": HttpError(status=400)}))
    assert [told(piped), told(piped)] == [
        "one: pending, 0 of 3 requests; not reconciled yet",
        "two: pending, 0 of 3 requests; not reconciled yet",
    ]
    assert run("reconcile", "one").code == 0
    while not (line := told(piped)).endswith("1 validating"):
        assert line.startswith("one: ")
    clock.now += 50
    assert run("reconcile", "one").code == 0
    assert told(piped).startswith("one: running, ")
    clock.now += 500
    assert run(*FINISH, "one").code == 0
    while told(piped) != "one: succeeded, 3 of 3 requests":
        pass
    assert run("reconcile").code == 0
    clock.now += 500
    assert run("reconcile").code == 1
    out, err = piped.communicate(timeout=PATIENCE)

    assert (piped.returncode, err) == (1, "")
    last = out.splitlines()[-1].partition("  ")[2]
    assert last.startswith("two: partial, 2 of 3 requests, 1 failed; ")
    assert "\x1b" not in out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_without_a_word(
    piped: subprocess.Popen[str], number: signal.Signals, code: int
) -> None:
    told(piped)
    piped.send_signal(number)
    _out, err = piped.communicate(timeout=PATIENCE)

    assert (piped.returncode, err) == (code, "")


def test_a_terminal_shows_what_a_reconcile_does_meanwhile(
    lab: Folder, run: Run, world: World, clock: VirtualClock
) -> None:
    lab.job("one", rows=4)
    world.behaviour = Behaviour(working=100)

    with terminal(lab, *WATCH) as screen:
        screen.until(r"^. 1 job: 1 pending \(q quits\)$")
        screen.until(r"^  one  pending  ─{8}  0 of 4  not reconciled yet$")
        assert run("reconcile").code == 0
        screen.until(r"^. 1 job: 1 running; last event \d+ s ago \(q quits\)$")
        screen.until(r"^  one  running .*0 of 4  validating")
        screen.until(r"^  \d\d:\d\d:\d\d  one  submitted +shard 1: batch_")
        clock.now += 50
        assert run("reconcile").code == 0
        screen.until(r"^  one  running .*[1-4] of 4  in_progress")
        clock.now += 500
        assert run(*FINISH).code == 0
        assert screen.end() == 0

    assert not screen.glass.cursor_hidden
    assert screen.glass.lines == ["one  succeeded  ━━━━━━━━  4 of 4"]


@pytest.mark.parametrize(("key", "code"), [("q", 0), (CTRL_C, 130)])
def test_a_key_ends_it_and_the_terminal_is_as_it_was(lab: Folder, key: str, code: int) -> None:
    lab.job("one")

    with terminal(lab, *WATCH) as screen:
        before = screen.modes
        screen.until("1 pending")
        screen.press("x")
        screen.press(key)
        assert screen.end() == code
        assert screen.modes == before

    assert not screen.glass.cursor_hidden
    left = ["one  pending  ────────  0 of 3  not reconciled yet"] if code == 0 else []
    assert screen.glass.lines == left


def test_what_is_over_ends_at_once(finished: Folder, run: Run) -> None:
    assert run("watch").code == 0
    assert run("watch", "hello").out.endswith("hello: succeeded, 3 of 3 requests\n")
    assert run("watch", "nonsense").code == 2
    finished.write("specs/bad.yaml", "name: bad\n")
    assert run("watch").code == 2


def test_a_job_whose_spec_is_gone_is_seen_to_its_end(
    lab: Folder, run: Run, clock: VirtualClock
) -> None:
    lab.job("one")
    assert run("reconcile").code == 0
    (lab.root / "specs/one.yaml").unlink()
    process = begin(*WATCH, cwd=lab.root, env=lab.env)
    try:
        assert told(process).endswith("no valid spec describes it; it is followed to its end")
        clock.now += 500
        assert run(*FINISH).code == 0
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()

    assert (process.returncode, err) == (0, "")
    assert run("watch", "one").out.endswith("one: succeeded, 3 of 3 requests\n")
    assert run("watch", "o*").code == 0


def test_without_a_spec_there_is_nothing_to_watch(run: Run) -> None:
    done = run("watch")

    assert (done.code, done.out, done.err) == (0, "", "no jobs yet: there is no spec\n")


def test_a_ledger_that_is_put_aside_is_found_again(lab: Folder, run: Run) -> None:
    lab.job("one")
    lab.job("two")
    assert run(*FINISH, "one").code == 0
    process = begin(*WATCH, cwd=lab.root, env=lab.env)
    try:
        assert {told(process)[:14], told(process)[:14]} == {"one: succeeded", "two: pending, "}
        for left in lab.root.glob(".runner/ledger.db*"):
            left.rename(left.with_name(f"old-{left.name}"))
        assert told(process).startswith("one: pending")
        assert run(*FINISH).code == 0
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()

    assert (process.returncode, err) == (0, "")
    assert "two: succeeded, 3 of 3 requests" in out


def test_looking_keeps_nobody_waiting(finished: Folder) -> None:
    """A ledger that is looked at all the time is written to without a pause."""
    path = finished.root / ".runner" / "ledger.db"
    looking = Ledger.open_read_only(path, clock=time.time)
    assert looking is not None
    with looking, Ledger.open(path, clock=time.time) as writing:
        versions = {looking.version}
        began = time.monotonic()
        for _ in range(20):
            with writing.transaction() as transaction:
                looking.runs()
                transaction.record_event("note", job="hello")
            versions.add(looking.version)
            assert history(looking, jobs=["hello"], limit=1)[0].kind == "note"

    assert len(versions) == 21
    assert time.monotonic() - began < PATIENCE / 2


def test_it_says_that_nobody_has_reconciled_for_long(
    lab: Folder, run: Run, world: World, clock: VirtualClock
) -> None:
    lab.job("one")
    world.behaviour = Behaviour(working=1000)
    assert run("reconcile").code == 0
    passed = lab.root / ".runner" / "ledger.db.lock"
    os.utime(passed, (time.time() - 10_900, time.time() - 10_900))
    process = begin(*WATCH, cwd=lab.root, env=lab.env)
    try:
        assert told(process).startswith("no pass was made for 3 h 1 min: `runner reconcile`")
        assert told(process).startswith("one: running")
        clock.sleep(2000)
        assert run(*FINISH).code == 0
        out, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert "no pass" not in out


def test_a_terminal_says_it_below_the_head(lab: Folder, run: Run, world: World) -> None:
    lab.job("one")
    world.behaviour = Behaviour(working=1000)
    assert run("reconcile").code == 0
    passed = lab.root / ".runner" / "ledger.db.lock"
    with terminal(lab, *WATCH) as screen:
        screen.until("1 running")
        os.utime(passed, (time.time() - 10_900, time.time() - 10_900))
        screen.until("^no pass was made for 3 h 1 min")
        screen.press("q")
        assert screen.end() == 0


def test_a_pass_under_way_is_no_silence(lab: Folder, run: Run, world: World) -> None:
    lab.job("one")
    world.behaviour = Behaviour(working=1000)
    assert run("reconcile").code == 0
    ledger = lab.root / ".runner" / "ledger.db"
    long_ago = time.time() - 10_900
    os.utime(ledger.with_name("ledger.db.lock"), (long_ago, long_ago))
    assert last_pass(ledger, time.time()) == pytest.approx(long_ago)
    with locked(ledger):
        now = time.time()
        assert last_pass(ledger, now) == now


def test_each_pass_says_when_it_began(lab: Folder, run: Run, world: World) -> None:
    ledger = lab.root / ".runner" / "ledger.db"
    assert last_pass(ledger, time.time()) is None
    lab.job("one")
    world.behaviour = Behaviour(working=1000)
    for _ in range(2):  # the second one has nothing to do
        before = time.time()
        assert run("reconcile").code == 0
        began = last_pass(ledger, time.time())
        assert began is not None
        assert before - 1 <= began <= time.time()
        os.utime(ledger.with_name("ledger.db.lock"), (1, 1))
