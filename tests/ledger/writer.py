"""A process that writes to a ledger: started by the tests, several at a time.

Usage: writer.py LEDGER count TIMES | writer.py LEDGER open | writer.py LEDGER die
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from runner.ledger.store import Ledger


def count(ledger: Ledger, times: int) -> None:
    """Read a number and write the next one, each time in its own transaction."""
    for _ in range(times):
        with ledger.transaction() as transaction:
            [row] = ledger.query("SELECT round FROM runs WHERE id = 1")
            transaction.write("UPDATE runs SET round = ? WHERE id = 1", row["round"] + 1)
            transaction.record_event("counted", job="hello", process=os.getpid())


def die(ledger: Ledger) -> None:
    """Kill this process in the middle of a transaction."""
    with ledger.transaction() as transaction:
        transaction.write("UPDATE runs SET round = 4711 WHERE id = 1")
        transaction.record_event("counted", job="hello")
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    # All writers begin at the same time: when the test closes their input.
    print("ready", flush=True)  # noqa: T201 -- what the test waits for
    sys.stdin.read()
    with Ledger.open(Path(sys.argv[1]), clock=time.time) as opened:
        match sys.argv[2]:
            case "count":
                count(opened, int(sys.argv[3]))
            case "die":
                die(opened)
            case what:
                assert what == "open", what
