"""Several processes on one ledger, and transactions that are interrupted."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.errors import LedgerError
from runner.ledger.migrations import MIGRATIONS
from runner.ledger.store import Ledger
from tests.ledger.entries import Clock, dump, kinds, start

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0


def at_once(path: Path, processes: int, *arguments: str) -> Sequence[tuple[int, str]]:
    """Run writer processes on a ledger at the same time; return their exit codes."""
    command = [sys.executable, "-m", "tests.ledger.writer", str(path), *arguments]
    started = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    ends = [(process.communicate(timeout=PATIENCE)[1], process.returncode) for process in started]
    return [(code, told) for told, code in ends]


def test_every_one_of_eight_times_a_hundred_writes_succeeds(ledger: Ledger, path: Path) -> None:
    start(ledger)

    ends = at_once(path, 8, "count", "100")

    assert ends == [(0, "")] * 8
    assert ledger.run(1).round == 800
    assert kinds(ledger).count("counted") == 800
    shares = "SELECT count(*) AS n FROM events WHERE kind = 'counted' GROUP BY detail"
    assert [row["n"] for row in ledger.query(shares)] == [100] * 8


@pytest.mark.parametrize("attempt", range(3))
def test_two_processes_may_make_one_ledger(tmp_path: Path, attempt: int) -> None:
    path = tmp_path / str(attempt) / "ledger.db"

    ends = at_once(path, 2, "open")

    assert ends == [(0, "")] * 2
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_opening_again_changes_nothing(ledger: Ledger, path: Path) -> None:
    start(ledger)
    before = dump(path)

    with Ledger.open(path, clock=Clock()) as again:
        assert again.runs() == ledger.runs()

    assert dump(path) == before


def test_a_process_killed_in_a_change_has_changed_nothing(ledger: Ledger, path: Path) -> None:
    start(ledger)
    before = dump(path)

    assert at_once(path, 1, "die") == [(-signal.SIGKILL, "")]

    assert dump(path) == before
    with ledger.transaction() as transaction:
        transaction.record_event("still_here", job="hello")
    assert kinds(ledger)[-1] == "still_here"


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt, LedgerError])
def test_a_change_that_fails_is_taken_back_whole(
    ledger: Ledger, path: Path, interruption: type[BaseException]
) -> None:
    start(ledger)
    before = dump(path)

    def change_halfway() -> None:
        with ledger.transaction() as transaction:
            transaction.write("UPDATE runs SET round = 4711")
            transaction.record_event("halfway", job="hello")
            raise interruption

    with pytest.raises(interruption):
        change_halfway()

    assert dump(path) == before
    with ledger.transaction() as transaction:
        transaction.record_event("afterwards", job="hello")
    assert kinds(ledger)[-1] == "afterwards"


def test_a_change_that_breaks_a_rule_is_taken_back_whole(ledger: Ledger, path: Path) -> None:
    start(ledger)
    before = dump(path)

    def misspell() -> None:
        with ledger.transaction() as transaction:
            transaction.record_event("begun", job="hello")
            transaction.write("UPDATE runs SET state = 'sideways'")

    with pytest.raises(LedgerError, match="CHECK constraint failed"):
        misspell()

    assert dump(path) == before


def test_a_reader_sees_the_last_whole_change(ledger: Ledger, path: Path) -> None:
    start(ledger)
    with ledger.transaction() as transaction:
        transaction.write("UPDATE runs SET round = 1")
        reader = Ledger.open_read_only(path, clock=Clock())
        assert reader is not None
        with reader:
            assert reader.runs()[0].round == 0


def test_a_write_waits_for_its_turn_and_says_so_when_it_gives_up(
    ledger: Ledger, path: Path
) -> None:
    start(ledger)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ledger.query("PRAGMA busy_timeout = 50")

        def write() -> None:
            with ledger.transaction() as transaction:
                transaction.record_event("too_late", job="hello")

        with pytest.raises(LedgerError, match="locked by another program"):
            write()
        other.execute("ROLLBACK")

    assert "too_late" not in kinds(ledger)
