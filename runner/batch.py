"""The objects of the Batch API: batches, files and their statuses.

Pure values. Parsing is lenient because providers differ (fact sheet, sections 1 and 5): fields may
be missing, null or of another type, statuses may be new, and unknown fields are kept in `raw`. It
is strict only where a guess could cost money: an object without an id is not a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


CLASSIC_FIELDS: Final = (
    "id",
    "object",
    "endpoint",
    "errors",
    "input_file_id",
    "completion_window",
    "status",
    "output_file_id",
    "error_file_id",
    "created_at",
    "in_progress_at",
    "expires_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
    "request_counts",
    "metadata",
)
"""The twenty classic fields of the OpenAI Batch object, in the order of its reference."""

NEWER_FIELDS: Final = ("model", "usage")
"""Added in 2025; missing at most other providers."""

MONEY_CODES: Final = frozenset(
    {
        "billing_hard_limit_reached",
        "credit_balance_exhausted",
        "insufficient_quota",
        "organization_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "project_spend_limit_exceeded",
    }
)
"""Error codes, of a reply or of a batch, that mean that credit or a spending limit is used up."""


class BatchStatus(StrEnum):
    """The eight statuses of the reference."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


TERMINAL: Final = frozenset(
    {BatchStatus.FAILED, BatchStatus.COMPLETED, BatchStatus.EXPIRED, BatchStatus.CANCELLED}
)
"""The final statuses. An unknown status is never one of them."""

_ORDER: Final = {
    BatchStatus.VALIDATING: 0,
    BatchStatus.IN_PROGRESS: 1,
    BatchStatus.FINALIZING: 2,
    BatchStatus.CANCELLING: 3,
    BatchStatus.FAILED: 4,
    BatchStatus.COMPLETED: 4,
    BatchStatus.EXPIRED: 4,
    BatchStatus.CANCELLED: 4,
}


_SYNONYMS: Final = {
    "pending": BatchStatus.VALIDATING,
    "queued": BatchStatus.IN_PROGRESS,
    "in_queue": BatchStatus.IN_PROGRESS,
    "progress": BatchStatus.IN_PROGRESS,
    "running": BatchStatus.IN_PROGRESS,
    "done": BatchStatus.COMPLETED,
    "canceling": BatchStatus.CANCELLING,
    "canceled": BatchStatus.CANCELLED,
}
"""The statuses of other providers (fact sheet, section 5), in lower case."""

_LARGEST: Final = 2**63 - 1


def known_status(word: str) -> BatchStatus | None:
    """Return the status for a provider's word; None if it is unknown."""
    lower = word.strip().lower()
    try:
        return BatchStatus(lower)
    except ValueError:
        return _SYNONYMS.get(lower)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequestCounts:
    """The progress of a batch as the API reports it. For display only: it is often wrong."""

    total: int = 0
    completed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchError:
    """One batch-level error; `line` counts from 1 in the input file."""

    code: str | None = None
    message: str | None = None
    param: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        """Render as `line 3: message (code)`, without the parts that the API left out."""
        where = f"line {self.line}: " if self.line is not None else ""
        what = self.message or self.code or "no reason given"
        code = f" ({self.code})" if self.code and self.message else ""
        return f"{where}{what}{code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A Batch object as received in one reply.

    Times are Unix seconds by the provider's clock. `raw` is the object as received, with unknown
    fields; it is stored and shown.
    """

    id: str
    status: str
    endpoint: str | None = None
    input_file_id: str | None = None
    completion_window: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    created_at: int | None = None
    in_progress_at: int | None = None
    expires_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: BatchRequestCounts = BatchRequestCounts()
    errors: tuple[BatchError, ...] = ()
    metadata: Mapping[str, str]
    model: str | None = None
    raw: Mapping[str, Any]

    @classmethod
    def from_api(cls, raw: object) -> Batch:
        """Read a Batch object from decoded JSON.

        Raises ValueError with the reason if it has no id or no status.
        """
        if not isinstance(raw, dict):
            raise ValueError(f"expected a Batch object, got {_kind(raw)}")  # noqa: TRY004
        identifier, status = raw.get("id"), raw.get("status")
        if not isinstance(identifier, str) or not identifier:
            raise ValueError("a Batch object without an id")
        if not isinstance(status, str) or not status:
            raise ValueError(f"Batch {identifier} without a status")
        return cls(
            id=identifier,
            status=status,
            endpoint=_text(raw.get("endpoint")),
            input_file_id=_text(raw.get("input_file_id")),
            completion_window=_text(raw.get("completion_window")),
            output_file_id=_text(raw.get("output_file_id")),
            error_file_id=_text(raw.get("error_file_id")),
            created_at=_seconds(raw.get("created_at")),
            in_progress_at=_seconds(raw.get("in_progress_at")),
            expires_at=_seconds(raw.get("expires_at")),
            finalizing_at=_seconds(raw.get("finalizing_at")),
            completed_at=_seconds(raw.get("completed_at")),
            failed_at=_seconds(raw.get("failed_at")),
            expired_at=_seconds(raw.get("expired_at")),
            cancelling_at=_seconds(raw.get("cancelling_at")),
            cancelled_at=_seconds(raw.get("cancelled_at")),
            request_counts=_counts(raw.get("request_counts")),
            errors=_errors(raw.get("errors")),
            metadata=_metadata(raw.get("metadata")),
            model=_text(raw.get("model")),
            raw=raw,
        )

    @property
    def known_status(self) -> BatchStatus | None:
        """The status as one of the eight, or None if the provider's word is unknown."""
        return known_status(self.status)

    @property
    def terminal(self) -> bool:
        """Whether the API will not change this batch again."""
        return self.known_status in TERMINAL

    @property
    def ended_at(self) -> int | None:
        """When the batch ended, by its status; None if it has not, or the provider does not say."""
        match self.known_status:
            case BatchStatus.COMPLETED:
                return self.completed_at
            case BatchStatus.FAILED:
                return self.failed_at
            case BatchStatus.EXPIRED:
                return self.expired_at
            case BatchStatus.CANCELLED:
                return self.cancelled_at
            case _:
                return None

    def differs(self, other: Batch) -> bool:
        """Whether two observations of a batch differ in a field that runner or its reports use.

        A provider's list may show fewer fields than the object itself; that alone is no difference.
        """
        mine, its = replace(self, raw={}), replace(other, raw={})
        return mine != its or self.raw.get("usage") != other.raw.get("usage")

    def behind(self, status: str) -> bool:
        """Whether this observation is older than one with `status`.

        This detects a stale list. Unknown statuses are neither older nor newer.
        """
        mine, its = known_status(self.status), known_status(status)
        return mine is not None and its is not None and _ORDER[mine] < _ORDER[its]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A File object as received in one reply; `bytes` is its size as the provider reports it."""

    id: str
    filename: str | None = None
    bytes: int | None = None
    created_at: int | None = None
    expires_at: int | None = None
    purpose: str | None = None
    status: str | None = None
    raw: Mapping[str, Any]

    @classmethod
    def from_api(cls, raw: object) -> File:
        """Read a File object from decoded JSON; raises ValueError for one without an id."""
        if not isinstance(raw, dict):
            raise ValueError(f"expected a File object, got {_kind(raw)}")  # noqa: TRY004
        identifier = raw.get("id")
        if not isinstance(identifier, str) or not identifier:
            raise ValueError("a File object without an id")
        return cls(
            id=identifier,
            filename=_text(raw.get("filename")),
            bytes=_seconds(raw.get("bytes")),
            created_at=_seconds(raw.get("created_at")),
            expires_at=_seconds(raw.get("expires_at")),
            purpose=_text(raw.get("purpose")),
            status=_text(raw.get("status")),
            raw=raw,
        )


def _kind(value: object) -> str:
    return {dict: "an object", list: "an array", str: "a string", type(None): "null"}.get(
        type(value), "a number"
    )


def _text(value: object) -> str | None:
    """Return a non-empty string, or None: kaibo #93 shows `""` where there is no file."""
    return value if isinstance(value, str) and value else None


def _seconds(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # SQLite cannot store more than 64 bits; comparisons with NaN are false.
    return int(value) if -_LARGEST <= value <= _LARGEST else None


def _counts(value: object) -> BatchRequestCounts:
    if not isinstance(value, dict):
        return BatchRequestCounts()
    return BatchRequestCounts(
        total=_seconds(value.get("total")) or 0,
        completed=_seconds(value.get("completed")) or 0,
        failed=_seconds(value.get("failed")) or 0,
    )


def _errors(value: object) -> tuple[BatchError, ...]:
    if isinstance(value, str) and value:  # Novita and Together send a bare string
        return (BatchError(message=value),)
    data = value.get("data") if isinstance(value, dict) else value
    if not isinstance(data, list):
        return ()
    return tuple(
        BatchError(
            code=_text(entry.get("code")),
            message=_text(entry.get("message")),
            param=_text(entry.get("param")),
            line=_seconds(entry.get("line")),
        )
        for entry in data
        if isinstance(entry, dict)
    )


def _metadata(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {str(key): text for key, text in value.items() if isinstance(text, str)}


def sum_usage(batches: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Add up the `usage` objects of batches as received, number by number at every depth.

    Returns None where no batch has one: not every provider reports it (fact sheet, section 5).
    A field that is a number in no batch is left out.
    """
    found = [usage for batch in batches if isinstance(usage := batch.get("usage"), Mapping)]
    return _summed(found) if found else None


def _summed(usages: list[Mapping[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for name in dict.fromkeys(name for usage in usages for name in usage):
        values = [usage[name] for usage in usages if name in usage]
        numbers = [value for value in values if _is_number(value)]
        nested = [value for value in values if isinstance(value, Mapping)]
        if numbers:
            total[name] = sum(numbers)
        elif nested:
            total[name] = _summed(nested)
    return total


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)
