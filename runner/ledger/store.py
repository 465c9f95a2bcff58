"""The interface of the ledger: queries about one run, job or provider, and transactions.

Every change is one transaction with the new state and its event. A transition names the states it
may start from; if the row is in none of them it raises LedgerError, so that the ledger never goes
backwards and two processes cannot make the same transition.

The functions at the end store what a pass has listed and hashed, so that the next pass does less
work.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from runner.batch import Batch, BatchStatus
from runner.errors import LedgerError
from runner.ledger.connection import (
    Transaction,
    connect,
    connect_read_only,
    damaged,
    translated,
    write_transaction,
)
from runner.ledger.mapping import (
    read_event,
    read_in_flight,
    read_run,
    read_shard,
    read_submission,
    upsert_batch,
)
from runner.ledger.records import FileRecord, JobRecord, SubmissionKey

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from runner.inputs.reading import Fingerprint
    from runner.ledger.mapping import InFlight
    from runner.ledger.records import Event, Run, Submission
    from runner.spec.project import Provider


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Ledger:
    """One open ledger file; a context manager that closes it.

    Not thread-safe. `clock` returns Unix seconds.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, *, clock: Callable[[], float]
    ) -> None:
        self._connection = connection
        self.path = path
        self.clock = clock
        self._file = _identity(path)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        clock: Callable[[], float],
        warn: Callable[[str], None] | None = None,
    ) -> Ledger:
        """Open for reading and writing; create or migrate the file if needed. Raises LedgerError.

        `warn` is called once with a message if the file is on a network file system.
        """
        return cls(connect(path, warn=warn), path, clock=clock)

    @classmethod
    def open_read_only(cls, path: Path, *, clock: Callable[[], float]) -> Ledger | None:
        """Open read-only; None if there is no ledger yet. Raises LedgerError."""
        connection = connect_read_only(path)
        return None if connection is None else cls(connection, path, clock=clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[Transaction]:
        """Open a transaction: everything that the block writes is committed, or nothing is.

        `durable` is for changes that must survive a power cut: intents, the batch and the outcome
        of a submission, requests of the user, the end of a run.
        """
        with write_transaction(self._connection, self.path, durable=durable) as connection:
            yield Transaction(connection, self.clock())

    @property
    def in_place(self) -> bool:
        """Whether the path still leads to the open file: it was neither deleted nor renamed."""
        return _identity(self.path) == self._file

    @property
    def version(self) -> int:
        """A number that changes when another connection has changed the ledger.

        Reading it is cheap and blocks no writer. Source: https://www.sqlite.org/pragma.html,
        data_version.
        """
        [row] = self.query("PRAGMA data_version")
        return int(row[0])

    def require_in_place(self) -> None:
        """Raise LedgerError if the path does not lead to the open file any more."""
        if not self.in_place:
            raise LedgerError(
                f"the ledger {self.path} was renamed or deleted while this command was running; "
                f"nothing more was submitted: start the command again"
            )

    def query(self, sql: str, *parameters: object) -> list[sqlite3.Row]:
        """Run one query and return its rows; raises LedgerError if the file is damaged."""
        with translated(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    def check(self) -> None:
        """Check the consistency of the whole file; raises LedgerError if it is damaged."""
        [row] = self.query("PRAGMA quick_check(1)")
        if row[0] != "ok":
            raise damaged(self.path, row[0])

    # Reading -------------------------------------------------------------------------------

    def jobs(self) -> tuple[JobRecord, ...]:
        """Return all recorded jobs, by name."""
        return tuple(
            JobRecord(
                name=row["name"],
                desired_revision=row["wanted"],
                spec_path=row["spec_path"],
                spec_line=row["spec_line"],
                spec_sha256=row["spec_sha256"],
                spec_document=row["spec_document"],
            )
            for row in self.query("SELECT * FROM jobs ORDER BY name")
        )

    def runs(self) -> tuple[Run, ...]:
        """Return a summary of every run (no shards, no submissions), oldest first."""
        return tuple(read_run(row) for row in self.query("SELECT * FROM runs ORDER BY id"))

    def run(self, identifier: int) -> Run:
        """Return one run with its shards and submissions."""
        [row] = self.query("SELECT * FROM runs WHERE id = ?", identifier)
        return read_run(
            row,
            shards=tuple(
                read_shard(shard)
                for shard in self.query(
                    "SELECT * FROM shards WHERE run = ? ORDER BY number", identifier
                )
            ),
            submissions=tuple(
                read_submission(submission)
                for submission in self.query(
                    "SELECT submissions.*, batches.raw AS batch FROM submissions "
                    "LEFT JOIN batches ON batches.submission = submissions.key "
                    "AND batches.id = submissions.batch_id "
                    "WHERE run = ? ORDER BY shard, attempt",
                    identifier,
                )
            ),
        )

    def batches(self, run: int) -> list[tuple[str, dict[str, Any]]]:
        """Return (submission key, raw Batch object) of a run, by shard and attempt."""
        return [
            (row["submission"], json.loads(row["raw"]))
            for row in self.query(
                "SELECT submission, raw FROM batches JOIN submissions "
                "ON submissions.key = batches.submission AND submissions.batch_id = batches.id "
                "WHERE submissions.run = ? ORDER BY shard, attempt",
                run,
            )
        ]

    def files(self, run: int) -> dict[str, tuple[FileRecord, ...]]:
        """Return the downloaded files of a run by submission key; output before error files."""
        found: dict[str, list[FileRecord]] = {}
        for row in self.query(
            "SELECT files.* FROM files JOIN submissions ON submissions.key = files.submission "
            "WHERE submissions.run = ? ORDER BY shard, attempt, kind DESC",
            run,
        ):
            found.setdefault(row["submission"], []).append(
                FileRecord(
                    kind=row["kind"],
                    file_id=row["file_id"],
                    path=row["path"],
                    bytes=row["bytes"],
                    sha256=row["sha256"],
                )
            )
        return {key: tuple(records) for key, records in found.items()}

    def events(self, job: str) -> tuple[Event, ...]:
        """Return the events of a job, oldest first, including those under its earlier names."""
        return tuple(
            read_event(row)
            for row in self.query(
                "SELECT * FROM events WHERE job = ? OR submission IN (SELECT key FROM submissions "
                "JOIN runs ON runs.id = submissions.run WHERE runs.job = ?) ORDER BY id",
                job,
                job,
            )
        )

    def uploaded_at(self, key: SubmissionKey) -> float | None:
        """Return when the file of a submission was last uploaded or adopted, in Unix seconds."""
        [row] = self.query(
            "SELECT max(at) AS at FROM events WHERE job = ? AND submission = ? "
            "AND kind IN ('uploaded', 'file_adopted')",
            key.job,
            str(key),
        )
        return None if row["at"] is None else float(row["at"])

    def cancelling_since(self, run: Run, submission: Submission) -> float | None:
        """Return when a cancellation was first seen, or else requested, in Unix seconds.

        A change of a batch's status is an event, so the last one is when its present status began.
        """
        batch = submission.batch
        if batch is not None and batch.known_status is BatchStatus.CANCELLING:
            [row] = self.query(
                "SELECT max(at) AS at FROM events WHERE job = ? AND submission = ? "
                "AND kind IN ('batch_changed', 'submitted', 'batch_adopted')",
                submission.key.job,
                str(submission.key),
            )
        else:
            [row] = self.query(
                "SELECT min(at) AS at FROM events WHERE job = ? AND revision = ? "
                "AND kind = 'cancel_requested' AND at >= ?",
                run.job,
                run.short,
                submission.submitted_at or 0.0,
            )
        return None if row["at"] is None else float(row["at"])

    def submission_keys(self, revision: str) -> frozenset[SubmissionKey]:
        """Return the keys of all submissions of a revision, of any job."""
        rows = self.query(
            "SELECT key FROM submissions JOIN runs ON runs.id = submissions.run "
            "WHERE runs.revision = ?",
            revision,
        )
        keys = (SubmissionKey.parse(row["key"]) for row in rows)
        return frozenset(key for key in keys if key is not None)

    def in_flight(self) -> list[InFlight]:
        """Return the sums over batches that are or may be in flight, by provider and model."""
        return [
            read_in_flight(row)
            for row in self.query(
                # A part of a shard is estimated to have the same share of its tokens, rounded up.
                "SELECT runs.provider, shards.model, count(*) AS batches, "
                "coalesce(sum((shards.tokens * submissions.requests + shards.requests - 1) "
                "/ shards.requests), 0) AS tokens, "
                "sum(iif(shards.tokens IS NULL, submissions.bytes, 0)) AS uncounted_bytes, "
                "min(shards.tokens IS NOT NULL AND submissions.requests = shards.requests) "
                "AS exact FROM submissions "
                "JOIN runs ON runs.id = submissions.run "
                "JOIN shards ON shards.run = submissions.run AND shards.number = submissions.shard "
                "WHERE submissions.state IN ('creating', 'submitted') GROUP BY 1, 2"
            )
        ]

    def cached_digest(self, fingerprint: Fingerprint) -> tuple[str, int] | None:
        """Return (digest, requests) of an input that has not changed since it was hashed."""
        rows = self.query(
            "SELECT digest, requests FROM input_cache WHERE path = ? AND size = ? "
            "AND mtime_ns = ? AND ctime_ns = ? AND inode = ?",
            fingerprint.path,
            fingerprint.size,
            fingerprint.mtime_ns,
            fingerprint.ctime_ns,
            fingerprint.inode,
        )
        return (rows[0]["digest"], rows[0]["requests"]) if rows else None

    def listed_through(self, provider: Provider) -> int | None:
        """Return the newest `created_at` in the last complete listing at the provider's address."""
        rows = self.query(
            "SELECT listed_through FROM providers WHERE name = ? AND base_url = ?",
            provider.name,
            provider.base_url,
        )
        return rows[0]["listed_through"] if rows else None

    def batch_ids(self, provider: str) -> frozenset[str]:
        """Return the ids of all recorded batches of a provider."""
        rows = self.query("SELECT id FROM batches WHERE provider = ?", provider)
        return frozenset(row["id"] for row in rows)

    def batch_keys(self, provider: str) -> dict[str, str]:
        """Return the submission keys of a provider's batches with a submission, by batch id."""
        rows = self.query(
            "SELECT id, submission FROM batches WHERE provider = ? AND submission IS NOT NULL",
            provider,
        )
        return {row["id"]: row["submission"] for row in rows}

    def input_files(self, provider: str) -> dict[str, str]:
        """Return the submission keys of the input files at a provider, by file id."""
        rows = self.query(
            "SELECT input_file_id, key FROM submissions JOIN runs ON runs.id = submissions.run "
            "WHERE provider = ? AND input_file_id IS NOT NULL",
            provider,
        )
        return {row["input_file_id"]: row["key"] for row in rows}

    def foreign_batches(self, provider: str) -> list[tuple[SubmissionKey | None, Batch]]:
        """Return the recorded batches of a provider that have no submission, with their keys."""
        return [
            (SubmissionKey.parse(row["tag"] or ""), Batch.from_api(json.loads(row["raw"])))
            for row in self.query(
                "SELECT tag, raw FROM batches WHERE provider = ? AND submission IS NULL", provider
            )
        ]


def record_listing(
    ledger: Ledger,
    provider: str,
    base_url: str,
    *,
    through: int | None,
    tagged: Sequence[tuple[SubmissionKey, Batch]],
) -> None:
    """Record a complete listing of a provider, and the listed batches that have a submission key.

    `through` is the newest `created_at` in the list. Batches without a submission in this ledger
    are stored too: the next listing ends where this one began, and a spec that is added later must
    still find its batches.
    """
    with ledger.transaction() as transaction:
        transaction.write(
            "INSERT INTO providers (name, base_url, listed_at, listed_through) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET base_url = excluded.base_url, "
            "listed_at = excluded.listed_at, listed_through = excluded.listed_through",
            provider,
            base_url,
            transaction.now,
            through,
        )
        for key, batch in tagged:
            upsert_batch(transaction, provider, batch, None, carries=key)


def cache_digest(ledger: Ledger, fingerprint: Fingerprint, *, digest: str, requests: int) -> None:
    """Store the digest and the number of requests of an input file with its fingerprint."""
    with ledger.transaction() as transaction:
        transaction.write(
            "INSERT OR REPLACE INTO input_cache (path, size, mtime_ns, ctime_ns, inode, digest, "
            "requests) VALUES (?, ?, ?, ?, ?, ?, ?)",
            fingerprint.path,
            fingerprint.size,
            fingerprint.mtime_ns,
            fingerprint.ctime_ns,
            fingerprint.inode,
            digest,
            requests,
        )
