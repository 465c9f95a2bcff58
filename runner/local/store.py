"""The storage of the server: one SQLite database and one folder of files.

Only the process that holds the folder's lock uses it. One connection, guarded by a lock, serves
both threads, so that no reader sees an incomplete change. Every change is one transaction, on disk
before the server replies: a batch that was acknowledged still exists after a power cut. The bytes
of files are not in the database.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import msgspec

from runner.batch import TERMINAL, BatchError, BatchStatus
from runner.errors import LocalFileError
from runner.files import make_folder, require_no_link, sync_folder
from runner.local.records import Progress, StoredBatch, StoredFile, StorePage, UnknownCursor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_SCHEMA_VERSION: Final = 1
"""The value of PRAGMA user_version in a database with this schema."""

_SCHEMA: Final = """
CREATE TABLE files (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    filename TEXT NOT NULL,
    purpose TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;
CREATE TABLE batches (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    endpoint TEXT NOT NULL,
    input_file_id TEXT NOT NULL,
    completion_window TEXT NOT NULL,
    status TEXT NOT NULL,
    metadata TEXT,
    output_expires_after INTEGER,
    output_blob TEXT NOT NULL,
    error_blob TEXT NOT NULL,
    model TEXT,
    errors TEXT NOT NULL DEFAULT '[]',
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    in_progress_at INTEGER,
    finalizing_at INTEGER,
    completed_at INTEGER,
    failed_at INTEGER,
    expired_at INTEGER,
    cancelling_at INTEGER,
    cancelled_at INTEGER,
    total INTEGER NOT NULL DEFAULT 0,
    out_of_time INTEGER NOT NULL DEFAULT 0,
    input_offset INTEGER NOT NULL DEFAULT 0,
    output_bytes INTEGER NOT NULL DEFAULT 0,
    error_bytes INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX batches_by_status ON batches (status, sequence);
PRAGMA user_version = 1;
"""
"""The tables. The progress of a batch is in its own row: one UPDATE records a chunk."""

_LIVE_STATUSES: Final = tuple(status.value for status in BatchStatus if status not in TERMINAL)
_LIVE_MARKS: Final = ", ".join("?" for _ in _LIVE_STATUSES)
_PROGRESS_FIELDS: Final = tuple(asdict(Progress()))


class Store:
    """The database and the folder of files below `folder`, which must exist.

    Every method raises LocalFileError if the disk or the database fails.
    """

    def __init__(self, folder: Path) -> None:
        self._blobs = folder / "files"
        self._lock = threading.RLock()
        make_folder(self._blobs, within=folder)
        self._path = folder / "server.db"
        require_no_link(self._path, within=folder)
        with self._sqlite_errors():
            self._connection = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False
            )
        try:
            self._open_database()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the database; the store cannot be used afterwards."""
        with self._lock, self._sqlite_errors():
            self._connection.close()

    def blob(self, identifier: str) -> Path:
        """Return the path of a file's bytes; `identifier` must be an id of this store.

        Raises LocalFileError if it leads elsewhere: the database may have come with a clone.
        """
        path = self._blobs / identifier
        if path.parent != self._blobs or path.name != identifier:
            raise LocalFileError(f"{self._path} has a file of which the id is a path: {identifier}")
        return path

    def sync_folder(self) -> None:
        """Force the names in the folder of files to disk, where the disk can do that."""
        sync_folder(self._blobs)

    def sweep(self, now: int) -> None:
        """Delete expired files, and the bytes of files without a record.

        Call it before the server accepts requests: an upload in progress has no record yet.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM files WHERE expires_at <= ?", (now,))
            used = {row["id"] for row in connection.execute("SELECT id FROM files")}
            live = connection.execute(
                "SELECT input_file_id, output_blob, error_blob FROM batches"  # noqa: S608
                f" WHERE status IN ({_LIVE_MARKS})",
                _LIVE_STATUSES,
            )
            used.update(blob for row in live for blob in row)
        for path in self._blobs.iterdir():
            if path.name not in used:
                path.unlink()

    # Files

    def add_file(self, file: StoredFile) -> None:
        """Record a file; its bytes must be on disk."""
        with self._transaction() as connection:
            _insert(connection, "files", asdict(file))

    def file(self, identifier: str, now: int) -> StoredFile | None:
        """Return a file; None if it does not exist or has expired."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT * FROM files WHERE id = ? AND (expires_at IS NULL OR expires_at > ?)",
                (identifier, now),
            ).fetchone()
        return None if row is None else _file(row)

    def files(
        self, *, after: str | None, limit: int, newest_first: bool, purpose: str | None, now: int
    ) -> StorePage[StoredFile]:
        """Return a page of the files, by time of creation; raises UnknownCursor."""
        conditions = ["(expires_at IS NULL OR expires_at > ?)"]
        values: list[object] = [now]
        if purpose is not None:
            conditions.append("purpose = ?")
            values.append(purpose)
        with self._reading() as connection:
            rows = _page(
                connection,
                "files",
                after=after,
                limit=limit,
                newest_first=newest_first,
                conditions=conditions,
                values=values,
            )
        return StorePage(items=tuple(map(_file, rows[:limit])), has_more=len(rows) > limit)

    def delete_file(self, identifier: str) -> None:
        """Delete a file; its bytes stay while a batch in progress reads them."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM files WHERE id = ?", (identifier,))
            read = connection.execute(
                f"SELECT 1 FROM batches WHERE input_file_id = ? AND status IN ({_LIVE_MARKS})",  # noqa: S608 - placeholders
                (identifier, *_LIVE_STATUSES),
            ).fetchone()
        if read is None:
            self.blob(identifier).unlink(missing_ok=True)

    # Batches: used by the routes

    def add_batch(self, batch: StoredBatch) -> None:
        """Record a new batch."""
        columns = asdict(batch)
        del columns["progress"]
        columns["status"] = batch.status.value
        columns["errors"] = "[]"
        if batch.metadata is not None:
            columns["metadata"] = msgspec.json.encode(batch.metadata).decode()
        with self._transaction() as connection:
            _insert(connection, "batches", columns)

    def batch(self, identifier: str) -> StoredBatch | None:
        """Return a batch; None if it does not exist."""
        with self._reading() as connection:
            return _one_batch(connection, "WHERE id = ?", (identifier,))

    def batches(self, *, after: str | None, limit: int) -> StorePage[StoredBatch]:
        """Return a page of the batches, newest first; raises UnknownCursor."""
        with self._reading() as connection:
            rows = _page(connection, "batches", after=after, limit=limit, newest_first=True)
        return StorePage(items=tuple(map(_batch, rows[:limit])), has_more=len(rows) > limit)

    def cancel(self, identifier: str, now: int) -> StoredBatch | None:
        """Cancel a batch and return it; a batch that is ending or has ended does not change."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE batches SET status = 'cancelling', cancelling_at = ? WHERE id = ?"
                " AND status IN ('validating', 'in_progress', 'finalizing')",
                (now, identifier),
            )
            return _one_batch(connection, "WHERE id = ?", (identifier,))

    # Batches: used by the worker

    def next_batch(self) -> StoredBatch | None:
        """Return the oldest batch that has not ended; None if there is none."""
        with self._reading() as connection:
            return _one_batch(
                connection,
                f"WHERE status IN ({_LIVE_MARKS}) ORDER BY sequence LIMIT 1",
                _LIVE_STATUSES,
            )

    def reject(self, identifier: str, errors: tuple[BatchError, ...], now: int) -> None:
        """End a batch with an invalid input, unless it was cancelled in the meantime."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE batches SET status = 'failed', failed_at = ?, errors = ?"
                " WHERE id = ? AND status = 'validating'",
                (now, msgspec.json.encode(errors).decode(), identifier),
            )

    def start(self, identifier: str, *, model: str, total: int, now: int) -> None:
        """Start a batch with a valid input, unless it was cancelled in the meantime."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE batches SET status = 'in_progress', in_progress_at = ?, model = ?,"
                " total = ? WHERE id = ? AND status = 'validating'",
                (now, model, total, identifier),
            )

    def advance(self, identifier: str, progress: Progress) -> None:
        """Record the progress of a batch whose results are on disk."""
        assignments = ", ".join(f"{name} = :{name}" for name in _PROGRESS_FIELDS)
        with self._transaction() as connection:
            connection.execute(
                f"UPDATE batches SET {assignments} WHERE id = :id",  # noqa: S608 - field names
                {**asdict(progress), "id": identifier},
            )

    def finalize(self, identifier: str, *, out_of_time: bool, now: int) -> None:
        """Record that no further request of a batch is sent to a model.

        Every request has a result, or the completion window has ended (`out_of_time`).
        """
        with self._transaction() as connection:
            connection.execute(
                "UPDATE batches SET finalizing_at = coalesce(finalizing_at, ?),"
                " out_of_time = max(out_of_time, ?),"
                " status = CASE status WHEN 'cancelling' THEN status ELSE 'finalizing' END"
                " WHERE id = ?",
                (now, int(out_of_time), identifier),
            )

    def finish(self, identifier: str, now: int) -> StoredBatch:
        """End a batch and add its result files to the API, in one transaction; return it."""
        with self._transaction() as connection:
            batch = _one_batch(connection, "WHERE id = ?", (identifier,))
            if batch is None:
                raise LocalFileError(f"{self._path}: batch {identifier} is missing")
            if batch.status is BatchStatus.CANCELLING:
                ending = "cancelled"
            else:
                ending = "expired" if batch.out_of_time else "completed"
            for file in batch.result_files(now):
                _insert(connection, "files", asdict(file))
            connection.execute(
                f"UPDATE batches SET status = ?, {ending}_at = ? WHERE id = ?",  # noqa: S608
                (ending, now, identifier),
            )
            ended = _one_batch(connection, "WHERE id = ?", (identifier,))
        assert ended is not None  # noqa: S101 - for the type checker: it exists
        return ended

    # The database itself

    def _open_database(self) -> None:
        self._connection.row_factory = sqlite3.Row
        with self._sqlite_errors():
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _SCHEMA_VERSION:
            raise LocalFileError(
                f"{self._path} was written by a later version of runner than this one;"
                " upgrade runner, or move that folder away to start with an empty one"
            )
        if version == 0:
            with self._sqlite_errors():
                self._connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Use the connection for reading; the other thread waits."""
        with self._lock, self._sqlite_errors():
            yield self._connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._sqlite_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself rolls back on a full disk
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _sqlite_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise LocalFileError(f"cannot use {self._path}: {error}") from error


def _insert(connection: sqlite3.Connection, table: str, columns: Mapping[str, Any]) -> None:
    names = ", ".join(columns)
    values = ", ".join(f":{name}" for name in columns)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", columns)  # noqa: S608


def _page(
    connection: sqlite3.Connection,
    table: str,
    *,
    after: str | None,
    limit: int,
    newest_first: bool,
    conditions: list[str] | None = None,
    values: list[object] | None = None,
) -> list[sqlite3.Row]:
    """Return up to `limit` + 1 rows: the extra row means that there are more pages."""
    where, bound = list(conditions or ["1"]), list(values or [])
    if after is not None:
        cursor = connection.execute(
            f"SELECT sequence FROM {table} WHERE id = ?",  # noqa: S608 - our own table names
            (after,),
        ).fetchone()
        if cursor is None:
            raise UnknownCursor(after)
        where.append("sequence < ?" if newest_first else "sequence > ?")
        bound.append(cursor["sequence"])
    order = "DESC" if newest_first else "ASC"
    return connection.execute(
        f"SELECT * FROM {table} WHERE {' AND '.join(where)}"  # noqa: S608 - our own words
        f" ORDER BY sequence {order} LIMIT ?",
        (*bound, limit + 1),
    ).fetchall()


def _one_batch(
    connection: sqlite3.Connection, condition: str, values: tuple[str, ...]
) -> StoredBatch | None:
    row = connection.execute(f"SELECT * FROM batches {condition}", values).fetchone()  # noqa: S608
    return None if row is None else _batch(row)


def _file(row: sqlite3.Row) -> StoredFile:
    columns = dict(row)
    del columns["sequence"]
    return StoredFile(**columns)


def _batch(row: sqlite3.Row) -> StoredBatch:
    columns = dict(row)
    del columns["sequence"]
    progress = Progress(**{name: columns.pop(name) for name in _PROGRESS_FIELDS})
    metadata, errors = columns.pop("metadata"), columns.pop("errors")
    return StoredBatch(
        **columns
        | {
            "status": BatchStatus(columns["status"]),
            "out_of_time": bool(columns["out_of_time"]),
            "metadata": None
            if metadata is None
            else msgspec.json.decode(metadata, type=dict[str, str]),
            "errors": msgspec.json.decode(errors, type=tuple[BatchError, ...]),
            "progress": progress,
        }
    )
