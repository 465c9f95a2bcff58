"""Opening the ledger's SQLite file, and write transactions.

Why not the transactions of sqlite-utils: its `atomic()` opens a deferred transaction, which fails
at the first write if another connection has written since (668 of 800 concurrent writes when
tried). Every change here starts with BEGIN IMMEDIATE and waits for its turn.

`synchronous=FULL` makes a commit survive a power cut: an intent is on disk before its call is made.
Changes that can be observed again do not wait for the disk. Commits stay in order: the next intent
forces them to disk as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import sqlite3
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runner.errors import LedgerDamaged, LedgerError, LedgerTooNew
from runner.files import OTHERS, without_modes
from runner.ledger.migrations import (
    APPLICATION_ID,
    MIGRATIONS,
    TRIGGERS,
    VIEWS,
    apply_migrations,
)
from runner.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runner.ledger.records import SubmissionKey, SubmissionState


BUSY_TIMEOUT: Final = 30.0
"""Seconds a write waits for another process's short transaction."""

_NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "fuse.sshfs", "9p"}
)


def connect(path: Path, *, warn: Callable[[str], None] | None = None) -> sqlite3.Connection:
    """Open the ledger for reading and writing; create or migrate it if needed.

    `warn` is called, once for each ledger, with a message if the file is on a network file system.
    Raises LedgerError for a file that is not a ledger, is damaged, read-only or on a full disk, and
    LedgerTooNew for one that a later version has written.
    """
    with translated(path):
        _require_no_folder(path)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(path)
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
        try:
            _prepare(connection, path)
            version = _version(connection, path)
            on_network = on_network_file_system(path)
            if version < len(MIGRATIONS):
                with _exclusive(path.parent):
                    if not on_network:
                        connection.execute("PRAGMA journal_mode = WAL")
                    apply_migrations(connection, after=version)
            if on_network:
                _disable_wal(connection, path, warn, new=version == 0)
        except BaseException:
            connection.close()
            raise
        return connection


def _make_private(path: Path) -> None:
    """Create the file for this user only, or take it from the group and others.

    SQLite gives the files beside it the same permissions. An existing file is not opened here:
    closing it would release the locks that another connection of this process has on it.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        about = path.lstat()
        if stat.S_ISLNK(about.st_mode):
            raise LedgerError(
                f"the ledger {path} is a symbolic link, to {path.readlink()}: name the file "
                f"itself, with `ledger:` in runner.yaml; nothing was submitted"
            ) from None
        mode = stat.S_IMODE(about.st_mode)
        if about.st_uid == os.geteuid() and mode & OTHERS:
            with without_modes():
                path.chmod(mode & ~OTHERS)


def _disable_wal(
    connection: sqlite3.Connection,
    path: Path,
    warn: Callable[[str], None] | None,
    *,
    new: bool,
) -> None:
    """Switch off the write-ahead log of a ledger on a network file system, and warn once."""
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if mode == "wal":
        # The ledger was created on a local disk and moved here together with its log.
        with _exclusive(path.parent):
            connection.execute("PRAGMA journal_mode = DELETE")
    if warn is not None and (new or mode == "wal"):
        warn(
            f"the ledger {path} is on a network file system: its write-ahead log is switched off "
            f"there, and whether two machines may use it at the same time depends on the file "
            f"system's locks; a ledger on a local disk is safer (`ledger:` in runner.yaml)"
        )


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Lock the folder, so that one process at a time creates or migrates a ledger.

    SQLite does not wait for other connections to change the journal mode: it fails immediately. The
    kernel releases the lock when the process ends.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def connect_read_only(path: Path) -> sqlite3.Connection | None:
    """Open the ledger read-only; None if it does not exist. Leaves no file behind.

    A ledger in a folder without write permission is opened as immutable.
    """
    if not path.exists():
        return None
    _require_no_folder(path)
    with translated(path):
        try:
            connection = _open_query_only(path, "mode=rw")
        except sqlite3.OperationalError as error:
            refused = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
            if error.sqlite_errorcode & 0xFF not in refused:
                raise
            connection = _open_query_only(path, "mode=ro&immutable=1")
        try:
            version = _version(connection, path)
        except BaseException:
            connection.close()
            raise
    if version == len(MIGRATIONS):
        return connection
    connection.close()
    return connect(path) if version else None


def _require_no_folder(path: Path) -> None:
    if path.is_dir():
        raise LedgerError(
            f"the ledger {path} cannot be opened: it is a folder; nothing was submitted"
        )


def _open_query_only(path: Path, mode: str) -> sqlite3.Connection:
    """Open a connection on which every write fails.

    `mode=ro` would leave the files of the write-ahead log behind, so `query_only` is used.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}", timeout=BUSY_TIMEOUT, uri=True
    )
    try:
        _prepare(connection, path)
        connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    if path.stat().st_size == 0:
        return
    # Read the schema first: another process may create the ledger between the two queries.
    schema = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if schema and not ours:
        raise LedgerError(f"{path} is a SQLite file of another program, not a ledger of runner's")
    _version(connection, path)
    for name, sql in schema:
        if not _is_plain(sql):
            raise LedgerError(
                f"the ledger {path} has a view, trigger or virtual table that is not runner's "
                f"({printable(str(name), 60)}): queries would run it. If you made it, remove it: "
                f"`sqlite3 {path} 'DROP ...'`; if the file came from elsewhere, do not use it"
            )


_TABLES: Final = re.compile(
    r"CREATE (TABLE|(UNIQUE )?INDEX) (?!.*\bAS\s*\()", re.IGNORECASE | re.DOTALL
)


def _is_plain(sql: str | None) -> bool:
    """Whether an entry of the schema is a table, an index, or a trigger or view of a ledger.

    Columns that are computed (`AS (...)`) are none of a ledger. The text is what SQLite obeys; the
    column `type` beside it may say something else.
    """
    if sql is None or _TABLES.match(sql):  # SQLite's own indexes have no text
        return True
    return _normalized(sql) in _OUR_CODE


def _normalized(sql: str) -> str:
    """Return SQL without quotes of names and white space: sqlite-utils chooses them."""
    return re.sub(r'[\s"\[\]`]+', "", sql).casefold()


_OUR_CODE: Final = frozenset(
    _normalized(text)
    for text in (*TRIGGERS, *(f"CREATE VIEW {name} AS {query}" for name, query in VIEWS.items()))
)


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise LedgerTooNew(
            f"the ledger {path} was written by a later version of runner (schema {version}, "
            f"this version supports {len(MIGRATIONS)}): upgrade runner, nothing was changed"
        )
    return version


@contextlib.contextmanager
def write_transaction(
    connection: sqlite3.Connection, path: Path, *, durable: bool = False
) -> Iterator[sqlite3.Connection]:
    """Run the body as one write transaction: all of its changes are committed, or none.

    With `durable`, it and everything committed before it survive a power cut. Without it, a power
    cut may undo the transaction, but never an earlier transaction alone.
    """
    with translated(path):
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        commit(connection)


def commit(connection: sqlite3.Connection) -> None:
    """Commit the transaction; roll it back if the commit fails."""
    try:
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise LedgerError, with a message for the user, for errors of SQLite and the file system."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _describe(error, path) from error
    except OSError as error:
        raise LedgerError(
            f"the ledger {path} cannot be opened: {error.strerror or error}; nothing was submitted"
        ) from error


def _describe(error: sqlite3.DatabaseError, path: Path) -> LedgerError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    match code:
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return damaged(path, str(error))
        case sqlite3.SQLITE_FULL:
            reason = f"the disk that holds the ledger {path} is full; nothing more was submitted"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            reason = (
                f"the ledger {path} cannot be opened or written ({error}); nothing was submitted"
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            reason = (
                f"the ledger {path} has been locked by another program for {BUSY_TIMEOUT:.0f} s"
            )
        case _:
            reason = f"the ledger {path} cannot be used ({error}); nothing more was submitted"
    return LedgerError(reason)


def damaged(path: Path, mode: str) -> LedgerDamaged:
    """Return the error for a damaged ledger, with the command that rebuilds it."""
    return LedgerDamaged(
        f"the ledger {path} is damaged ({mode}); nothing was submitted. Run `runner rebuild`: it "
        f"puts the file aside and makes a new ledger from the outputs on disk and from the lists "
        f"of the providers, and nothing is submitted twice"
    )


def on_network_file_system(path: Path) -> bool:
    """Whether the folder of `path` is on a network file system, where WAL is not safe.

    Source: https://www.sqlite.org/wal.html, "WAL does not work over a network filesystem".
    False if the type of the file system is unknown.
    """
    return file_system(path) in _NETWORK_FILE_SYSTEMS


def file_system(path: Path) -> str | None:
    """Return the type of the file system of the folder of `path`, by its name in the kernel.

    Reads /proc/mounts; None if that file does not exist.
    """
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    folder = f"{path.parent.resolve()}/"
    best, kind = -1, ""
    for line in mounts.splitlines():
        parts = line.split(" ", 3)
        if len(parts) < 3:  # noqa: PLR2004 -- device, mount point, type
            continue
        mount = parts[1].replace("\\040", " ").rstrip("/") + "/"
        if folder.startswith(mount) and len(mount) >= best:
            best, kind = len(mount), parts[2]
    return kind or None


class Transaction:
    """An open write transaction; `now` is its time in Unix seconds."""

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self._connection = connection
        self.now = now

    def write(self, sql: str, *parameters: object) -> int:
        """Run one statement and return how many rows it changed."""
        return self._connection.execute(sql, parameters).rowcount

    def insert(self, table: str, values: dict[str, object]) -> int:
        """Insert one row and return its row id."""
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        cursor = self._connection.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608 -- our own names
            tuple(values.values()),
        )
        return cursor.lastrowid or 0

    def move(
        self,
        key: SubmissionKey,
        *,
        to: SubmissionState,
        allowed: Sequence[SubmissionState],
        values: dict[str, object] | None = None,
    ) -> None:
        """Change the state of a submission that is in one of the allowed states.

        Raises LedgerError if it is in none of them: another process made the transition, or it
        would go backwards.
        """
        values = values or {}
        columns = "".join(f", {column} = ?" for column in values)
        marks = ", ".join("?" * len(allowed))
        changed = self.write(
            f"UPDATE submissions SET state = ?{columns} "  # noqa: S608 -- our own names
            f"WHERE key = ? AND state IN ({marks})",
            to,
            *values.values(),
            str(key),
            *allowed,
        )
        if changed != 1:
            raise LedgerError(
                f"submission {key} cannot become {to}: it is not {' or '.join(allowed)}; "
                f"another process is using this ledger"
            )

    def require_state(self, key: SubmissionKey, allowed: Sequence[SubmissionState]) -> None:
        """Raise LedgerError unless the submission is in one of the states."""
        marks = ", ".join("?" * len(allowed))
        found = self._connection.execute(
            f"SELECT 1 FROM submissions WHERE key = ? AND state IN ({marks})",  # noqa: S608
            (str(key), *allowed),
        ).fetchone()
        if found is None:
            raise LedgerError(
                f"submission {key} is not {' or '.join(allowed)}: another process is using "
                f"this ledger"
            )

    def status(self, provider: str, batch: str) -> str | None:
        """Return the recorded status of a batch; None if it is not recorded."""
        row = self._connection.execute(
            "SELECT status FROM batches WHERE provider = ? AND id = ?", (provider, batch)
        ).fetchone()
        return None if row is None else row["status"]

    def record_event(
        self,
        kind: str,
        *,
        job: str | None = None,
        revision: str | None = None,
        key: SubmissionKey | None = None,
        batch: str | None = None,
        **detail: object,
    ) -> None:
        """Append one event to the history."""
        self.insert(
            "events",
            {
                "at": self.now,
                "kind": kind,
                "job": job if key is None else key.job,
                "revision": revision if key is None else key.revision,
                "submission": None if key is None else str(key),
                "batch": batch,
                "detail": json.dumps(detail, ensure_ascii=False, sort_keys=True),
            },
        )
