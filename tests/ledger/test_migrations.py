"""The tables and views of the ledger: their columns, and the constraints that SQLite checks."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest

from runner.batch import CLASSIC_FIELDS, NEWER_FIELDS
from runner.errors import LedgerError
from runner.ledger import migrations, store
from runner.ledger.records import SubmissionState
from tests.ledger.entries import KEY, PROVIDER, batch, bring_to, start

if TYPE_CHECKING:
    from pathlib import Path

    from runner.ledger.store import Ledger

TABLES: Final = {
    "providers",
    "jobs",
    "runs",
    "shards",
    "submissions",
    "batches",
    "files",
    "events",
    "input_cache",
    "hooks",
    "troubles",
}
VIEWS: Final = {"current", "in_flight", "history"}

FULL: Final[dict[str, Any]] = {
    "id": "batch_1",
    "object": "batch",
    "endpoint": "/v1/embeddings",
    "errors": {"object": "list", "data": [{"code": "x", "message": "y", "line": 3}]},
    "input_file_id": "file-in",
    "completion_window": "24h",
    "status": "expired",
    "output_file_id": "file-out",
    "error_file_id": "file-err",
    "created_at": 1,
    "in_progress_at": 2,
    "expires_at": 3,
    "finalizing_at": 4,
    "completed_at": 5,
    "failed_at": 6,
    "expired_at": 7,
    "cancelling_at": 8,
    "cancelled_at": 9,
    "request_counts": {"total": 4, "completed": 3, "failed": 1},
    "metadata": {"project": "größe"},
    "model": "gpt-4o-mini",
    "usage": {"total_tokens": 12},
}


def write_by_hand(ledger: Ledger, sql: str) -> None:
    with ledger.transaction() as transaction:
        transaction.write(sql)


def test_the_tables_and_views_are_those_of_the_documentation(ledger: Ledger) -> None:
    rows = ledger.query(
        "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite%'"
    )

    assert {row["name"] for row in rows if row["type"] == "table"} == TABLES
    assert {row["name"] for row in rows if row["type"] == "view"} == VIEWS


def test_every_table_is_strict(ledger: Ledger) -> None:
    rows = ledger.query("SELECT name, strict FROM pragma_table_list WHERE type = 'table'")

    assert {row["name"] for row in rows if row["strict"]} == TABLES


def test_batches_have_a_column_for_each_field_of_the_api(ledger: Ledger) -> None:
    columns = {row["name"] for row in ledger.query("SELECT name FROM pragma_table_info('batches')")}

    assert len(CLASSIC_FIELDS) == 20
    assert columns >= {*CLASSIC_FIELDS, *NEWER_FIELDS, "raw"}


def test_each_field_of_the_api_is_in_its_column(ledger: Ledger) -> None:
    assert FULL.keys() == {*CLASSIC_FIELDS, *NEWER_FIELDS}

    store.record_listing(ledger, PROVIDER, "http://x/v1", through=1, tagged=[(KEY, batch(**FULL))])

    [row] = ledger.query("SELECT * FROM batches")
    for field, value in FULL.items():
        held = json.loads(row[field]) if isinstance(value, dict) else row[field]
        assert held == value, field
    assert json.loads(row["raw"]) == FULL


@pytest.mark.parametrize("field", sorted({*CLASSIC_FIELDS, *NEWER_FIELDS} - {"id", "status"}))
@pytest.mark.parametrize("value", [None, 17, "seventeen", [1], {"a": 1}, True, 1.5])
def test_a_field_of_a_strange_type_is_kept_verbatim(
    ledger: Ledger, field: str, value: object
) -> None:
    strange = batch(**FULL | {field: value})

    store.record_listing(ledger, PROVIDER, "http://x/v1", through=1, tagged=[(KEY, strange)])

    [row] = ledger.query("SELECT raw FROM batches")
    assert json.loads(row["raw"])[field] == value


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE events SET kind = 'never_happened'",
        "UPDATE events SET at = at + 1 WHERE id = 1",
        "DELETE FROM events",
        "DELETE FROM events WHERE id = 1",
    ],
)
def test_events_are_append_only(ledger: Ledger, path: Path, sql: str) -> None:
    start(ledger)
    before = [tuple(row) for row in ledger.query("SELECT * FROM events")]

    with (
        closing(sqlite3.connect(path)) as by_hand,
        pytest.raises(sqlite3.DatabaseError, match="append-only"),
    ):
        by_hand.execute(sql)

    assert [tuple(row) for row in ledger.query("SELECT * FROM events")] == before


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE runs SET job = 'nobody'",
        "UPDATE shards SET run = 99 WHERE number = 2",
        "UPDATE submissions SET shard = 99",
        "UPDATE batches SET submission = 'hello/000000000000/0001/1'",
        "INSERT INTO files VALUES ('nobody', 'output', 'f', 'p', 1, 's', 0)",
        "DELETE FROM jobs",
        "DELETE FROM runs",
    ],
)
def test_nothing_refers_to_what_is_not_there(ledger: Ledger, sql: str) -> None:
    bring_to(ledger, SubmissionState.SUBMITTED)

    with pytest.raises(LedgerError, match="FOREIGN KEY constraint failed"):
        write_by_hand(ledger, sql)

    assert ledger.query("PRAGMA foreign_key_check") == []


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE runs SET state = 'done'",
        "UPDATE submissions SET state = 'done'",
        "INSERT INTO files SELECT key, 'other', 'f', 'p', 1, 's', 0 FROM submissions",
        "UPDATE runs SET requests = 'many'",
        "UPDATE submissions SET rows = NULL",
    ],
)
def test_a_value_that_means_nothing_is_refused(ledger: Ledger, sql: str) -> None:
    bring_to(ledger, SubmissionState.SUBMITTED)

    with pytest.raises(LedgerError, match=r"constraint failed|cannot store"):
        write_by_hand(ledger, sql)


def test_the_views_answer_what_people_ask(ledger: Ledger) -> None:
    bring_to(ledger, SubmissionState.SUBMITTED)

    [current] = ledger.query("SELECT * FROM current")
    assert (current["job"], current["revision"], current["state"]) == (
        "hello",
        KEY.revision,
        "running",
    )
    assert current["created"] == "1970-01-01 00:16:40"
    [flying] = ledger.query("SELECT * FROM in_flight")
    assert (flying["key"], flying["batch"], flying["status"]) == (
        str(KEY),
        "batch_1",
        "in_progress",
    )
    history = ledger.query("SELECT time, kind, job FROM history")
    assert tuple(history[0]) == ("1970-01-01 00:16:40", "run_started", "hello")
    assert [row["kind"] for row in history][-1] == "submitted"


def test_a_job_that_was_never_run_is_current_too(ledger: Ledger) -> None:
    start(ledger)
    write_by_hand(ledger, "UPDATE jobs SET wanted = '0'")

    [current] = ledger.query("SELECT * FROM current")

    assert (current["job"], current["state"]) == ("hello", None)


def test_files_keep_their_rows_when_another_kind_is_allowed(path: Path) -> None:
    old = (
        "('hello/9f86d081884c/0001/1', 'output', 'file-1', 'raw/0001-1.output.jsonl', 9, 'f', 7.0)"
    )
    new = old.replace("'output'", "'by_order'")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:4])
            migrations.apply_migrations(connection, after=0)
        connection.execute(f"INSERT INTO files VALUES {old}")
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            connection.execute(f"INSERT INTO files VALUES {new}")
        before = connection.execute("SELECT * FROM files").fetchall()

        migrations.apply_migrations(connection, after=4)

        assert connection.execute("SELECT * FROM files").fetchall() == before
        connection.execute(f"INSERT INTO files VALUES {new}")
        for bad in (old, new, old.replace("'output'", "'more'")):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(f"INSERT INTO files VALUES {bad}")
