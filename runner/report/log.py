"""The log on stderr as JSON lines: one object an event.

Stable: fields are added, never changed or removed; runner/report/schemas/log.json describes them.
`event` is the kind of the event: the same word as in the ledger's history if that has the event
too. A program that reads the log skips kinds that it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from runner.errors import ApiError
from runner.report.json_output import to_json_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.batch import Batch
    from runner.errors import Problem
    from runner.reconcile.context import Notice

_WARNINGS: Final = frozenset({"failed", "remark", "too_large"})
"""Kinds of events that need no action, but that the user may want to act on."""


class Level(StrEnum):
    """How much an event matters.

    An error changes the exit code; a warning does not.
    """

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the log: the sentence for the user, and the fields for programs.

    `facts` are further fields of the JSON object.
    """

    message: str
    event: str = "note"
    level: Level = Level.INFO
    job: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_notice(cls, notice: Notice) -> Entry:
        """Return the entry for a notice of a pass."""
        level = Level.INFO
        if notice.trouble:
            level = Level.ERROR
        elif notice.event in _WARNINGS:
            level = Level.WARNING
        key, tally = notice.submission, notice.tally
        facts = {
            "revision": notice.revision if key is None else key.revision,
            "submission": None if key is None else str(key),
            **_batch_facts(notice.batch),
            "state": None if notice.state is None else str(notice.state),
            "requests": None
            if tally is None
            else {"total": tally.total, "succeeded": tally.succeeded, "failed": tally.failed},
            "provider": notice.provider,
        }
        if notice.error is not None:
            facts |= _error_facts(notice.error)
        return cls(
            message=notice.what,
            event=notice.event,
            level=level,
            job=notice.job or None,
            facts={name: value for name, value in facts.items() if value is not None},
        )

    @classmethod
    def of_problem(cls, problem: Problem) -> Entry:
        """Return the entry for a problem in a document, with its place if that is known."""
        place = {"path": problem.path, "line": problem.line, "column": problem.column}
        return cls(
            message=problem.message,
            event="problem",
            level=Level.ERROR,
            facts={name: value for name, value in place.items() if value},
        )

    @classmethod
    def of_error(cls, error: Exception) -> Entry:
        """Return the entry for the error that ended the command."""
        facts = {name: value for name, value in _error_facts(error).items() if value is not None}
        return cls(message=str(error), event="error", level=Level.ERROR, facts=facts)

    def line(self, *, at: float, ascii_only: bool = False) -> str:
        """Return the entry as one line of JSON; `at` is in Unix seconds."""
        moment = datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="milliseconds")
        shape = {
            "at": moment.replace("+00:00", "Z"),
            "level": str(self.level),
            "event": self.event,
            "job": self.job,
            "message": self.message,
            **self.facts,
        }
        return to_json_line(shape, ascii_only=ascii_only)


def _batch_facts(batch: Batch | None) -> dict[str, Any]:
    if batch is None:
        return {}
    counts = batch.request_counts
    return {
        "batch": batch.id,
        "status": str(batch.status),
        "request_counts": {
            "total": counts.total,
            "completed": counts.completed,
            "failed": counts.failed,
        },
    }


def _error_facts(error: Exception) -> dict[str, Any]:
    facts: dict[str, Any] = {"error": type(error).__name__}
    if isinstance(error, ApiError):
        facts |= {
            "provider": error.provider,
            "call": error.call,
            "http_status": error.status,
            "code": error.code,
            "param": error.param,
            "request_id": error.request_id,
            "retry_after": error.retry_after,
        }
    return facts
