"""The ledger's tables, as numbered migrations.

A migration is applied once, in a transaction, and never edited after a release: a change is a
new migration. `PRAGMA user_version` holds the number of the last one, so that an up-to-date ledger
is opened without importing sqlite-utils (its import takes longer than an idle pass).

Users may query the tables and views directly: their names are those of the documentation, times are
Unix seconds by this machine's clock, except for the times of the API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.imports import hidden_imports

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from sqlite_utils import Database


APPLICATION_ID: Final = 0x52554E52
"""`RUNR`: marks a SQLite file as a ledger."""


TRIGGERS: Final = (
    """
    CREATE TRIGGER events_are_final BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END
    """,
    """
    CREATE TRIGGER events_are_new BEFORE INSERT ON events
    WHEN EXISTS (SELECT 1 FROM events WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END
    """,
    """
    CREATE TRIGGER events_are_kept BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END
    """,
)
"""All triggers of a ledger; one with any other trigger is refused."""

VIEWS: Final = {
    "current": """
    SELECT jobs.name AS job, substr(runs.revision, 1, 12) AS revision, runs.state,
           runs.reason, runs.requests, runs.succeeded, runs.failed, runs.folder,
           datetime(runs.created_at, 'unixepoch') AS created,
           datetime(runs.finished_at, 'unixepoch') AS finished
    FROM jobs LEFT JOIN runs ON runs.job = jobs.name AND runs.revision = jobs.wanted
    """,
    "in_flight": """
    SELECT runs.job, submissions.key, submissions.requests, batches.id AS batch,
           batches.status, batches.request_counts,
           datetime(batches.created_at, 'unixepoch') AS created,
           datetime(batches.expires_at, 'unixepoch') AS expires
    FROM submissions
    JOIN runs ON runs.id = submissions.run
    LEFT JOIN batches ON batches.submission = submissions.key
    WHERE submissions.state = 'submitted'
    """,
    "history": """
    SELECT datetime(at, 'unixepoch') AS time, kind, job, substr(revision, 1, 12) AS revision,
           submission, batch, detail
    FROM events ORDER BY id
    """,
}
"""All views of a ledger, with their queries. They are for people: runner reads none of them."""


def apply_migrations(connection: sqlite3.Connection, *, after: int) -> None:
    """Migrate the schema from version `after` to the newest, with one transaction a version."""
    with hidden_imports("pandas", "numpy"):  # loaded where they are installed: 0.2 s and 50 MB
        from sqlite_utils import Database

    database = Database(connection, execute_plugins=False)
    for version, migrate in enumerate(MIGRATIONS, start=1):
        if version <= after:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have migrated while this one waited for the lock.
            if connection.execute("PRAGMA user_version").fetchone()[0] < version:
                migrate(database)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {version}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def _first(database: Database) -> None:
    _jobs(database)
    _submissions(database)
    _observations(database)
    _views(database)


def _jobs(database: Database) -> None:
    database.table("providers").create(
        {"name": str, "base_url": str, "listed_at": float, "listed_through": int},
        pk="name",
        not_null={"listed_at"},
        strict=True,
    )
    database.table("jobs").create(
        {
            "name": str,
            "wanted": str,
            "spec_path": str,
            "spec_line": int,
            "spec_sha256": str,
            "spec_document": str,
            "updated_at": float,
        },
        pk="name",
        not_null={"spec_path", "spec_line", "spec_sha256", "spec_document", "updated_at"},
        strict=True,
    )
    database.execute("""
        CREATE TABLE runs (
            id INTEGER PRIMARY KEY,
            job TEXT NOT NULL REFERENCES jobs(name),
            revision TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN
                ('pending', 'running', 'succeeded', 'partial', 'failed', 'cancelled')),
            reason TEXT,
            provider TEXT NOT NULL,
            base_url TEXT,
            endpoint TEXT NOT NULL,
            replicate INTEGER NOT NULL,
            digest TEXT NOT NULL,
            requests INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            input_path TEXT NOT NULL,
            folder TEXT NOT NULL,
            git TEXT,
            spec_path TEXT NOT NULL DEFAULT '',
            spec_line INTEGER NOT NULL DEFAULT 0,
            spec_sha256 TEXT NOT NULL DEFAULT '',
            spec_document TEXT NOT NULL DEFAULT '',
            round INTEGER NOT NULL DEFAULT 0,
            attempts INTEGER NOT NULL,
            succeeded INTEGER NOT NULL DEFAULT 0,
            failed INTEGER NOT NULL DEFAULT 0,
            superseded INTEGER NOT NULL DEFAULT 0,
            cancel_requested INTEGER NOT NULL DEFAULT 0,
            created_at REAL NOT NULL,
            finished_at REAL,
            UNIQUE (job, revision)
        ) STRICT
    """)
    database.execute("""
        CREATE TABLE shards (
            run INTEGER NOT NULL REFERENCES runs(id),
            number INTEGER NOT NULL,
            model TEXT,
            rows TEXT NOT NULL,
            requests INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            sha256 TEXT NOT NULL,
            offset INTEGER NOT NULL,
            ids_offset INTEGER NOT NULL,
            whole INTEGER NOT NULL,
            PRIMARY KEY (run, number)
        ) STRICT
    """)


def _submissions(database: Database) -> None:
    database.execute("""
        CREATE TABLE submissions (
            key TEXT PRIMARY KEY,
            run INTEGER NOT NULL,
            shard INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            round INTEGER NOT NULL,
            state TEXT NOT NULL CHECK (state IN
                ('prepared', 'uploading', 'uploaded', 'creating', 'submitted',
                 'collected', 'failed', 'lost', 'abandoned')),
            rows TEXT NOT NULL,
            requests INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            sha256 TEXT NOT NULL,
            counted INTEGER NOT NULL DEFAULT 1,
            input_file_id TEXT,
            batch_id TEXT,
            since INTEGER,
            intent_at REAL,
            doubt_at REAL,
            not_before REAL NOT NULL DEFAULT 0,
            submitted_at REAL,
            terminal_at REAL,
            missing_at REAL,
            transient TEXT,
            permanent TEXT,
            problem TEXT,
            UNIQUE (run, shard, attempt),
            FOREIGN KEY (run, shard) REFERENCES shards(run, number)
        ) STRICT
    """)
    database.execute("CREATE INDEX submissions_open ON submissions(state)")


def _observations(database: Database) -> None:
    database.execute("""
        CREATE TABLE batches (
            provider TEXT NOT NULL,
            id TEXT NOT NULL,
            submission TEXT REFERENCES submissions(key),
            tag TEXT,
            object TEXT,
            endpoint TEXT,
            errors TEXT,
            input_file_id TEXT,
            completion_window TEXT,
            status TEXT NOT NULL,
            output_file_id TEXT,
            error_file_id TEXT,
            created_at INTEGER,
            in_progress_at INTEGER,
            expires_at INTEGER,
            finalizing_at INTEGER,
            completed_at INTEGER,
            failed_at INTEGER,
            expired_at INTEGER,
            cancelling_at INTEGER,
            cancelled_at INTEGER,
            request_counts TEXT,
            metadata TEXT,
            model TEXT,
            usage TEXT,
            raw TEXT NOT NULL,
            first_seen_at REAL NOT NULL,
            changed_at REAL NOT NULL,
            PRIMARY KEY (provider, id)
        ) STRICT
    """)
    database.execute("CREATE INDEX batches_submission ON batches(submission)")
    database.execute("""
        CREATE TABLE files (
            submission TEXT NOT NULL REFERENCES submissions(key),
            kind TEXT NOT NULL CHECK (kind IN ('output', 'error')),
            file_id TEXT NOT NULL,
            path TEXT NOT NULL,
            bytes INTEGER NOT NULL,
            sha256 TEXT NOT NULL,
            downloaded_at REAL NOT NULL,
            PRIMARY KEY (submission, kind)
        ) STRICT
    """)
    database.execute("""
        CREATE TABLE events (
            id INTEGER PRIMARY KEY,
            at REAL NOT NULL,
            kind TEXT NOT NULL,
            job TEXT,
            revision TEXT,
            submission TEXT,
            batch TEXT,
            detail TEXT NOT NULL DEFAULT '{}'
        ) STRICT
    """)
    database.execute("CREATE INDEX events_job ON events(job)")
    for trigger in TRIGGERS:
        database.execute(trigger)
    database.execute("""
        CREATE TABLE input_cache (
            path TEXT PRIMARY KEY,
            size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL,
            ctime_ns INTEGER NOT NULL,
            inode INTEGER NOT NULL,
            digest TEXT NOT NULL,
            requests INTEGER NOT NULL
        ) STRICT
    """)


def _views(database: Database) -> None:
    for name, query in VIEWS.items():
        database.create_view(name, query)


def _second(database: Database) -> None:
    """Add columns for token counts, overdue batches, deleted files and the size limit of files."""
    for statement in (
        "ALTER TABLE shards ADD COLUMN tokens INTEGER",
        "ALTER TABLE submissions ADD COLUMN overdue_at REAL",
        "ALTER TABLE submissions ADD COLUMN tidied_at REAL",
        "ALTER TABLE runs ADD COLUMN tidied_at REAL",
        "ALTER TABLE runs ADD COLUMN ceiling INTEGER",
    ):
        database.execute(statement)


def _third(database: Database) -> None:
    """Add the tables of subscribers (`hooks`) and of open problems (`troubles`).

    Without row ids each table is one B-tree. `register_subscribers` reads both completely, so that
    a damaged ledger is found before anything is sent.
    """
    database.execute("""
        CREATE TABLE hooks (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            heard INTEGER NOT NULL,
            tries INTEGER NOT NULL DEFAULT 0,
            failures INTEGER NOT NULL DEFAULT 0,
            not_before REAL NOT NULL DEFAULT 0,
            told_at REAL,
            problem TEXT
        ) STRICT, WITHOUT ROWID
    """)
    database.execute("""
        CREATE TABLE troubles (
            subject TEXT PRIMARY KEY,
            what TEXT NOT NULL,
            began_at REAL NOT NULL,
            said_at REAL NOT NULL
        ) STRICT, WITHOUT ROWID
    """)


def _fourth(database: Database) -> None:
    """Add a column for the number of answers that were cut at the token limit."""
    database.execute("ALTER TABLE runs ADD COLUMN truncated INTEGER")


def _fifth(database: Database) -> None:
    """Let `files` hold the lines that were matched by order; SQLite widens a CHECK only like this.

    No table refers to `files`.
    """
    database.execute("""
        CREATE TABLE wider_files (
            submission TEXT NOT NULL REFERENCES submissions(key),
            kind TEXT NOT NULL CHECK (kind IN ('output', 'error', 'by_order')),
            file_id TEXT NOT NULL,
            path TEXT NOT NULL,
            bytes INTEGER NOT NULL,
            sha256 TEXT NOT NULL,
            downloaded_at REAL NOT NULL,
            PRIMARY KEY (submission, kind)
        ) STRICT
    """)
    database.execute("INSERT INTO wider_files SELECT * FROM files")
    database.execute("DROP TABLE files")
    database.execute("ALTER TABLE wider_files RENAME TO files")


MIGRATIONS: Final[tuple[Callable[[Database], None], ...]] = (
    _first,
    _second,
    _third,
    _fourth,
    _fifth,
)
"""All schema versions, oldest first; a ledger of version n has the first n applied."""
