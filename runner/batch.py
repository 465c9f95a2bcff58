"""The objects of the Batch API (batches, files and their statuses), and what error codes mean.

Pure values. Parsing is lenient because providers differ (fact sheet, sections 1 and 5): fields may
be missing, null or of another type, statuses may be new, and unknown fields are kept in `raw`. It
is strict only where a guess could cost money: an object without an id is not a batch.
"""

from __future__ import annotations

import re
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

_BY_CODE: Final = (
    (429, re.compile("ratelimit|toomanyrequests|throttl|insufficientquota")),
    (503, re.compile("overload|unavailable")),
    (408, re.compile("timeout|timedout")),
    (502, re.compile("badgateway")),
    (500, re.compile("internalerror|internalservererror|servererror|connectionerror")),
    (402, re.compile("payment|insufficient(user|balance|credit|fund)|balanceexhausted")),
    (401, re.compile("authentication|unauthorized|unauthenticated|apikey")),
    (405, re.compile("methodnotallowed")),
    (403, re.compile("permission|forbidden|accessdenied|notallowed")),
    (404, re.compile("notfound|nosuch")),
    (413, re.compile("toolarge")),
    (400, re.compile("invalid|badrequest|missing|mismatch|unsupported|unknownparam|unprocessable")),
)
"""Parts of error codes, reduced to letters (`Throttling.RateQuota`), and the status for each; the
first that fits counts."""

_BY_CLASS: Final[Mapping[str, int]] = {
    "BadRequest": 400,
    "InvalidRequest": 400,
    "UnsupportedParams": 400,
    "ContextWindowExceeded": 400,
    "ContentPolicyViolation": 400,
    "Authentication": 401,
    "PermissionDenied": 403,
    "NotFound": 404,
    "Timeout": 408,
    "Conflict": 409,
    "UnprocessableEntity": 422,
    "RateLimit": 429,
    "TooManyRequests": 429,
    "InternalServer": 500,
    "Connection": 500,
    "BadGateway": 502,
    "ServiceUnavailable": 503,
    "Overloaded": 529,
}
"""The classes of errors in the libraries of OpenAI, Anthropic and LiteLLM, without `Error`."""

_NUMBER: Final = r"[45][0-9]{2}"
_NO_STATUS: Final = r"[0-9A-Za-z]|\.[0-9]|[ -](tokens?|characters|bytes|words|items|rows|ms|s)\b"
_PHRASES: Final = (
    "Client Error|Server Error|Bad Request|Unauthorized|Payment Required|Forbidden|Not Found|"
    "Method Not Allowed|Request Time-?out|Conflict|Gone|Payload Too Large|Unprocessable|"
    "Too Many Requests|Internal Server Error|Not Implemented|Bad Gateway|Service Unavailable|"
    "Gateway Time-?out"
)
_NAMED_STATUS: Final = re.compile(
    r"(?<![A-Za-z])(?i:http(/[0-9](\.[0-9])?)?|status|error|code)(?i:[ _-]?(status|error|code))*"
    rf"[\"'\\]{{0,2}}\s{{0,3}}[:=]?\s{{0,3}}[\"'(<\[]?(?P<after>{_NUMBER})(?!{_NO_STATUS})"
    rf"|(?<![0-9A-Za-z.])(?P<before>{_NUMBER}) ({_PHRASES})\b"
    rf"|(?P<class>{'|'.join(_BY_CLASS)})(Error|Exception)(?![A-Za-z])"
    r"|(?P<timeout>Timeout(?![A-Za-z])|\ARequest timed out\.)"
    r"|(?P<connection>\AConnection error\.)"
)
_LONGEST_SEARCHED: Final = 2000


def status_of_code(code: str) -> int | None:
    """Return the HTTP status that an error code stands for; None for a code that is not known.

    A code may be the status itself, as a number.
    """
    if re.fullmatch("[45][0-9]{2}", code):
        return int(code)
    if code in MONEY_CODES:
        return 429
    letters = "".join(character for character in code.casefold() if character.isalnum())
    return next((status for status, words in _BY_CODE if words.search(letters)), None)


def status_named_in(text: str) -> int | None:
    """Return the first HTTP status from 400 on that a message names; None if it names none.

    Servers that call another server often keep of its error only the text: `Error code: 500 - …`
    (OGX), `status=503`, `litellm.RateLimitError: …`. OpenAI's library has two fixed sentences for
    what got no status at all.
    """
    found = _NAMED_STATUS.search(text[:_LONGEST_SEARCHED])
    if found is None:
        return None
    if found["timeout"] or found["connection"]:
        return _BY_CLASS["Timeout" if found["timeout"] else "Connection"]
    number = found["after"] or found["before"]
    return int(number) if number else _BY_CLASS[found["class"]]


DEEPEST: Final = 200
"""The most levels of nested JSON of a server that are decoded at once.

How deep Python itself can decode differs from version to version, from about 900 levels to 10,000.
"""

_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
"""A string or a bracket."""


def split_at_depth(text: bytes) -> list[bytes]:
    """Cut JSON into parts of at most DEEPEST levels each; the outermost comes first.

    In each part `null` stands for what was cut out of it, so the text is JSON if all parts are.
    """
    if text.count(b"[") + text.count(b"{") <= DEEPEST:
        return [text]
    parts: list[bytes] = []
    begun: list[list[bytes]] = [[]]
    level = start = 0
    for token in _TOKEN.finditer(text):
        match text[token.start()]:
            case 0x5B | 0x7B:  # an opening bracket
                if level == DEEPEST * len(begun):
                    begun[-1].append(text[start : token.start()])
                    begun.append([])
                    start = token.start()
                level += 1
            case 0x5D | 0x7D:  # a closing one
                level -= 1
                if len(begun) > 1 and level == DEEPEST * (len(begun) - 1):
                    parts.append(b"".join([*begun.pop(), text[start : token.end()]]))
                    begun[-1].append(b"null")
                    start = token.end()
    begun[-1].append(text[start:])
    return [*map(b"".join, begun), *parts]


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
            errors=_errors(raw.get("errors")) or _errors(raw.get("error")),
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
    """Read the reasons of a failed batch: `{data: [...]}`, a list, one object, or a text."""
    if isinstance(value, dict) and isinstance(value.get("data"), list | dict):
        value = value["data"]
    entries = value if isinstance(value, list) else [value]
    return tuple(error for error in map(_error, entries) if error is not None)


def _error(entry: object) -> BatchError | None:
    """Read one reason; None for what gives none: null, an empty text or an empty list of them."""
    if isinstance(entry, str) and entry:  # Novita and Together send a bare string
        return BatchError(message=entry)
    if not isinstance(entry, dict):
        return None
    nested = entry.get("error")
    if isinstance(nested, dict) and "code" not in entry and "message" not in entry:
        return _error(nested)
    code = entry.get("code")
    if isinstance(code, int) and not isinstance(code, bool):
        code = str(code)
    texts = map(entry.get, ("message", "error_message", "detail", "error"))
    error = BatchError(
        code=_text(code) or _text(entry.get("error_code")) or _text(entry.get("type")),
        message=next((text for text in texts if isinstance(text, str) and text), None),
        param=_text(entry.get("param")),
        line=_seconds(entry.get("line")),
    )
    return error if any((error.code, error.message, error.param)) else None


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
