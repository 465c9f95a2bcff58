"""The write operations of one open transaction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from runner.errors import LedgerError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from runner.ledger.records import SubmissionKey, SubmissionState


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
