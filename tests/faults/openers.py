"""Open a new ledger from several processes at the same moment, many times.

    openers.py FOLDER PROCESSES ROUNDS

Prints the error of each process that failed.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import sqlite_utils  # noqa: F401 -- imported by whoever makes the tables, which takes long

from runner.errors import LedgerError
from runner.ledger.store import Ledger


def main() -> None:
    """Fork, wait for the common instant, open."""
    folder, processes, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for number in range(rounds):
        path = folder / str(number) / "ledger.db"
        start = time.monotonic() + 0.02
        for child in [os.fork() or open_at(start, path) for _ in range(processes)]:
            os.waitpid(child, 0)


def open_at(start: float, path: Path) -> int:
    """Open the ledger when the time has come; does not return."""
    while time.monotonic() < start:
        pass
    try:
        with Ledger.open(path, clock=time.time) as ledger:
            ledger.runs()
    except LedgerError as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
