"""The log on stderr as JSON lines: one object an event.

Stable: fields are added, never changed or removed; runner/report/schemas/log.json describes them.
`event` is the kind of the event: the same word as in the ledger's history if that has the event
too. A program that reads the log skips kinds that it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from runner.errors import ApiError
from runner.report.json_output import to_json_line

if TYPE_CHECKING:
    from runner.batch import Batch
    from runner.errors import Problem
    from runner.reconcile.context import Notice
    from runner.report.schemas.log import LogDetails, LogLine

_WARNINGS: Final = frozenset({"failed", "remark", "too_large"})
"""Kinds of events that need no action, but that the user may want to act on."""


class Level(StrEnum):
    """How much an event matters.

    An error changes the exit code; a warning does not.
    """

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _no_facts() -> LogDetails:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the log: the sentence for the user, and the fields for programs.

    `facts` are further fields of the JSON object.
    """

    message: str
    event: str = "note"
    level: Level = Level.INFO
    job: str | None = None
    facts: LogDetails = field(default_factory=_no_facts)

    @classmethod
    def of_notice(cls, notice: Notice) -> Entry:
        """Return the entry for a notice of a pass."""
        level = Level.INFO
        if notice.is_problem:
            level = Level.ERROR
        elif notice.event in _WARNINGS:
            level = Level.WARNING
        facts: LogDetails = {}
        key, tally, error = notice.submission, notice.counts, notice.error
        revision = notice.revision if key is None else key.revision
        provider = error.provider if isinstance(error, ApiError) else notice.provider
        if revision is not None:
            facts["revision"] = revision
        if key is not None:
            facts["submission"] = str(key)
        if notice.batch is not None:
            facts |= _batch_facts(notice.batch)
        if notice.state is not None:
            facts["state"] = str(notice.state)
        if tally is not None:
            facts["requests"] = {
                "total": tally.total,
                "succeeded": tally.succeeded,
                "failed": tally.failed,
            }
        if provider is not None:
            facts["provider"] = provider
        if error is not None:
            facts |= _error_facts(error)
        return cls(
            message=notice.message,
            event=notice.event,
            level=level,
            job=notice.job or None,
            facts=facts,
        )

    @classmethod
    def of_problem(cls, problem: Problem) -> Entry:
        """Return the entry for a problem in a document, with its place if that is known."""
        facts: LogDetails = {}
        if problem.path:
            facts["path"] = problem.path
        if problem.line:
            facts["line"] = problem.line
        if problem.column:
            facts["column"] = problem.column
        return cls(
            message=problem.message,
            event="warning" if problem.is_warning else "problem",
            level=Level.WARNING if problem.is_warning else Level.ERROR,
            facts=facts,
        )

    @classmethod
    def of_error(cls, error: Exception) -> Entry:
        """Return the entry for the error that ended the command."""
        return cls(message=str(error), event="error", level=Level.ERROR, facts=_error_facts(error))

    def line(self, *, at: float, ascii_only: bool = False) -> str:
        """Return the entry as one line of JSON; `at` is in Unix seconds."""
        moment = datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="milliseconds")
        shape: LogLine = {
            "at": moment.replace("+00:00", "Z"),
            "level": self.level,
            "event": self.event,
            "job": self.job,
            "message": self.message,
            **self.facts,
        }
        return to_json_line(shape, ascii_only=ascii_only)


def _batch_facts(batch: Batch) -> LogDetails:
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


def _error_facts(error: Exception) -> LogDetails:
    facts: LogDetails = {"error": type(error).__name__}
    if isinstance(error, ApiError):
        facts["provider"] = error.provider
        facts["call"] = error.call
        if error.status is not None:
            facts["http_status"] = error.status
        if error.code is not None:
            facts["code"] = error.code
        if error.param is not None:
            facts["param"] = error.param
        if error.request_id is not None:
            facts["request_id"] = error.request_id
        if error.retry_after is not None:
            facts["retry_after"] = error.retry_after
    return facts
