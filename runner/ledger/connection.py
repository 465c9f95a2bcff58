"""Opening the ledger's SQLite file, and its transactions.

Why not sqlite-utils' own: its `atomic()` opens a deferred transaction, which fails at the first
write when another connection has written since (668 of 800 contended writes when tried). Every
change here starts with BEGIN IMMEDIATE and waits its turn.

`synchronous=FULL` makes a commit survive a power cut: an intent is on the disk before the call that
it announces is made. What can be observed once more is not worth a wait for the disk, and is
committed in order all the same: the next intent takes it along.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runner.errors import LedgerDamaged, LedgerError, LedgerTooNew
from runner.ledger.migrations import APPLICATION_ID, MIGRATIONS, apply_migrations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUSY_TIMEOUT: Final = 30.0
"""Seconds a write waits for another process's short transaction."""

_NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "fuse.sshfs", "9p"}
)


def connect(path: Path, *, warn: Callable[[str], None] | None = None) -> sqlite3.Connection:
    """Open the ledger for reading and writing, creating it or bringing it up to date.

    `warn` is told, once, if the file lies where SQLite can do less for it than elsewhere.
    Raises LedgerError in words for a file that is not a ledger, is damaged, read-only or on a
    full disk, and LedgerTooNew for one that a later version has written.
    """
    with translated(path):
        _no_folder(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
        try:
            _prepare(connection, path)
            version = _version(connection, path)
            afar = on_network_file_system(path)
            if version < len(MIGRATIONS):
                with _alone(path.parent):
                    if not afar:
                        connection.execute("PRAGMA journal_mode = WAL")
                    apply_migrations(connection, after=version)
            if afar:
                _keep_afar(connection, path, warn, new=version == 0)
        except BaseException:
            connection.close()
            raise
        return connection


def _keep_afar(
    connection: sqlite3.Connection,
    path: Path,
    warn: Callable[[str], None] | None,
    *,
    new: bool,
) -> None:
    """Let a ledger on a network file system do without a write-ahead log, and say so once."""
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if mode == "wal":
        # It was made on a disk of its own, and moved here with its log.
        with _alone(path.parent):
            connection.execute("PRAGMA journal_mode = DELETE")
    if warn is not None and (new or mode == "wal"):
        warn(
            f"the ledger {path} is on a network file system: its write-ahead log is switched off "
            f"there, and whether two machines may use it at once depends on the file system's "
            f"locks; a ledger on a local disk is safer (`ledger:` in runner.yaml)"
        )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time make or migrate a ledger; the kernel ends the lock with it.

    SQLite does not wait its turn to change the journal mode: it fails at once.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def connect_read_only(path: Path) -> sqlite3.Connection | None:
    """Open the ledger for looking only; None if there is none yet. Leaves nothing behind.

    A ledger in a place that may not be written to is read as it lies there.
    """
    if not path.exists():
        return None
    _no_folder(path)
    with translated(path):
        try:
            connection = _look(path, "mode=rw")
        except sqlite3.OperationalError as error:
            refused = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
            if error.sqlite_errorcode & 0xFF not in refused:
                raise
            connection = _look(path, "mode=ro&immutable=1")
        try:
            version = _version(connection, path)
        except BaseException:
            connection.close()
            raise
    if version == len(MIGRATIONS):
        return connection
    connection.close()
    return connect(path) if version else None


def _no_folder(path: Path) -> None:
    if path.is_dir():
        raise LedgerError(
            f"the ledger {path} cannot be opened: it is a folder; nothing was submitted"
        )


def _look(path: Path, how: str) -> sqlite3.Connection:
    """Open a ledger so that nothing can be written through it.

    Not by `mode=ro`, which leaves the files of the write-ahead log lying about.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}", timeout=BUSY_TIMEOUT, uri=True
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
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    if path.stat().st_size == 0:
        return
    # The tables first: another process may make the ledger between the two questions.
    used = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if used and not ours:
        raise LedgerError(f"{path} is a SQLite file of another program, not a ledger of runner's")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise LedgerTooNew(
            f"the ledger {path} was written by a later version of runner (schema {version}, "
            f"this one knows {len(MIGRATIONS)}): upgrade runner, nothing was changed"
        )
    return version


@contextlib.contextmanager
def write_transaction(
    connection: sqlite3.Connection, path: Path, *, durable: bool = False
) -> Iterator[sqlite3.Connection]:
    """Run the body as one write transaction: all of it is done afterwards, or none.

    With `durable` it, and everything committed before it, survives a power cut. Without, a power
    cut may take it back, but never what came before it and not it.
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
    """Commit; the one place where a change of the ledger becomes a fact."""
    try:
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say into a LedgerError that says what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _in_words(error, path) from error
    except OSError as error:
        raise LedgerError(
            f"the ledger {path} cannot be opened: {error.strerror or error}; nothing was submitted"
        ) from error


def _in_words(error: sqlite3.DatabaseError, path: Path) -> LedgerError:
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


def damaged(path: Path, how: str) -> LedgerDamaged:
    """Return the error that says that a ledger is damaged, and what to do about it."""
    return LedgerDamaged(
        f"the ledger {path} is damaged ({how}); nothing was submitted. Run `runner rebuild`: it "
        f"puts the file aside and makes a new ledger from the outputs on disk and from what the "
        f"providers list, and nothing is submitted twice"
    )


def on_network_file_system(path: Path) -> bool:
    """Whether the folder of `path` is on a file system where WAL's shared memory is unsafe.

    Source: https://www.sqlite.org/wal.html, "WAL does not work over a network filesystem".
    Where the kind of file system cannot be told the answer is no.
    """
    return file_system(path) in _NETWORK_FILE_SYSTEMS


def file_system(path: Path) -> str | None:
    """Return the kind of file system that the folder of `path` is on, as the kernel calls it.

    Reads /proc/mounts; None where that does not exist.
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
