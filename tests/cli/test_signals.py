"""Interruptions: a sentence, an exit code, and a state from which the next pass continues."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import FINISH
from tests.cli.shell import PATIENCE, begin
from tests.faults.project import until
from tests.simulation.behaviour import Behaviour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.shell import Folder
    from tests.simulation.world import World

TOLD = "error: interrupted; all completed steps are in the ledger, and the next pass continues"
CODES = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]


@pytest.fixture
def waiting(lab: Folder, world: World) -> Iterator[subprocess.Popen[str]]:
    """Start a reconcile that waits for a batch that is never done."""
    world._ground.clock = world.clock = time.time
    world.behaviour = Behaviour(working=10_000)
    lab.job("one")
    process = begin("reconcile", "--wait", "--poll-interval", "0.2", cwd=lab.root, env=lab.env)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("one: submitted 3 requests")
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize(("number", "code"), CODES)
def test_an_interruption_is_a_sentence_and_the_next_pass_goes_on(
    waiting: subprocess.Popen[str], lab: Folder, world: World, number: signal.Signals, code: int
) -> None:
    waiting.send_signal(number)
    out, err = waiting.communicate(timeout=PATIENCE)

    assert (waiting.returncode, out) == (code, "")
    assert err.strip() == TOLD
    world.behaviour = Behaviour()
    now = time.time() + 20_000
    world._ground.clock = world.clock = lambda: now
    assert lab.sh(*FINISH).code == 0
    [shape] = json.loads(lab.sh("status", "--json").out)
    assert shape["state"] == "succeeded"
    assert len(world.calls("POST", "/batches")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_makes_no_traceback(
    waiting: subprocess.Popen[str], number: signal.Signals
) -> None:
    waiting.send_signal(number)
    waiting.send_signal(signal.SIGINT)
    _out, err = waiting.communicate(timeout=PATIENCE)

    assert waiting.returncode in (130, 143)
    assert "Traceback" not in err


def test_the_local_provider_is_interrupted_as_well(folder: Folder) -> None:
    folder.job("one", rows=15_000)
    process = begin("reconcile", "--wait", cwd=folder.root)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("one: submitted")

    process.terminate()
    _out, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 143
    assert err.strip().splitlines()[-1] == TOLD
    assert "Traceback" not in err
    assert folder.sh("reconcile", "--wait").code == 0
    [shape] = json.loads(folder.sh("status", "--json").out)
    assert (shape["state"], len(shape["batches"])) == ("succeeded", 1)


DEAF = """
import signal, socket, sys, threading
from runner.cli.signals import Terminated, install_handlers

def befall():
    waits.wait()
    signal.pthread_kill(threading.get_ident(), signal.{name})

install_handlers()
sys.setswitchinterval(1000)  # no thread runs before the main one waits for something
waits = threading.Event()
threading.Thread(target=befall).start()
here, there = socket.socketpair()
waits.set()
try:
    here.recv(1)
except {raised}:
    print("heard")
"""


@pytest.mark.parametrize(
    ("name", "raised"), [("SIGTERM", "Terminated"), ("SIGINT", "KeyboardInterrupt")]
)
def test_a_signal_that_ends_no_wait_is_heard(name: str, raised: str) -> None:
    """Python hears one when its next instruction is due; here another thread receives it."""
    done = subprocess.run(
        [sys.executable, "-c", DEAF.format(name=name, raised=raised)],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert (done.stdout, done.stderr) == ("heard\n", "")


def cpu_ticks(process: int) -> int:
    """Return the CPU time that a process has taken, in ticks of 10 ms; see proc_pid_stat(5)."""
    fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="CPU time is read from /proc")
@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_query_without_an_end_can_be_interrupted(number: signal.Signals, code: int) -> None:
    script = """
import sqlite3
from runner.cli.signals import install_handlers
install_handlers()
connection = sqlite3.connect(":memory:")
connection.create_function("begun", 1, lambda x: print("begun", flush=True) if x == 1 else None)
connection.execute(
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
    "SELECT count(CASE x WHEN 1 THEN begun(x) END) FROM n"
).fetchall()
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    begun = cpu_ticks(process.pid)
    until(lambda: cpu_ticks(process.pid) > begun + 20)  # it is past the function in Python
    process.send_signal(number)
    try:
        assert process.wait(timeout=PATIENCE) == code
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_later_signal_ends_what_the_first_one_did_not(number: signal.Signals, code: int) -> None:
    script = """
import os, signal, sys, time
from runner.cli import signals
signals._CLEANUP = 0.01
signals.install_handlers()
class Dropping:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(0.1)
dropping = Dropping()
del dropping
time.sleep(0.1)
os.kill(os.getpid(), int(sys.argv[1]))
time.sleep(60)
"""
    command = [sys.executable, "-c", script, str(int(number))]
    done = subprocess.run(command, check=False, capture_output=True, timeout=PATIENCE)
    assert done.returncode == code
    assert b"Exception ignored in" in done.stderr
