"""What is said on stderr as JSON lines, for machines: one object an event.

The fields are stable: one is added, never changed or removed; runner/report/schemas/log.json
describes them. Under `event` stands what kind of thing it is, spelt as in the ledger's history
where that has it too; a reader passes over kinds that it does not know.
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

_DESERVES_A_LOOK: Final = frozenset({"failed", "remark", "too_large"})
"""Events that go on by themselves, and that somebody may still want to do something about."""


class Level(StrEnum):
    """How much an event matters.

    An error is in the exit code as well; a warning goes on by itself.
    """

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing said: the sentence that people read, and what it is about.

    `facts` are further members of the object, in their JSON form.
    """

    message: str
    event: str = "note"
    level: Level = Level.INFO
    job: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_tidings(cls, notice: Notice) -> Entry:
        """Return what a pass tells of."""
        level = Level.INFO
        if notice.trouble:
            level = Level.ERROR
        elif notice.event in _DESERVES_A_LOOK:
            level = Level.WARNING
        key, tally = notice.submission, notice.tally
        facts = {
            "revision": notice.revision if key is None else key.revision,
            "submission": None if key is None else str(key),
            **_of_batch(notice.batch),
            "state": None if notice.state is None else str(notice.state),
            "requests": None
            if tally is None
            else {"total": tally.total, "succeeded": tally.succeeded, "failed": tally.failed},
            "provider": notice.provider,
        }
        if notice.error is not None:
            facts |= _of_error(notice.error)
        return cls(
            message=notice.what,
            event=notice.event,
            level=level,
            job=notice.job or None,
            facts={name: value for name, value in facts.items() if value is not None},
        )

    @classmethod
    def of_problem(cls, problem: Problem) -> Entry:
        """Return what is wrong with a document, and where; no place, no line."""
        place = {"path": problem.path, "line": problem.line, "column": problem.column}
        return cls(
            message=problem.message,
            event="problem",
            level=Level.ERROR,
            facts={name: value for name, value in place.items() if value},
        )

    @classmethod
    def of_error(cls, error: Exception) -> Entry:
        """Return what ended the command."""
        facts = {name: value for name, value in _of_error(error).items() if value is not None}
        return cls(message=str(error), event="error", level=Level.ERROR, facts=facts)

    def line(self, *, at: float, ascii_only: bool = False) -> str:
        """Write the entry as one line of JSON; `at` in Unix seconds."""
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


def _of_batch(batch: Batch | None) -> dict[str, Any]:
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


def _of_error(error: Exception) -> dict[str, Any]:
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
