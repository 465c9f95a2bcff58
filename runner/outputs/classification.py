"""Classify one line of an output or error file: whether its request succeeded or failed.

Providers agree on the envelope and on little else: failures appear in the output file, errors
are strings, codes are integers, bodies hold an `error` with status 200 (fact sheet, section 3
and failures 1, 3, 19, 21, 34). So the line alone decides, never the file it is in. There is one
strict rule for a success; everything else is a failure.

Nearly every line of a healthy batch is a success of the documented form. A typed decoder
recognises those: it checks the whole line but builds nothing of the body. Any other line goes to
a slower and more lenient reader. No line raises an error.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, NoReturn

import msgspec

from runner.text import printable

MALFORMED: Final = "malformed_line"
"""The code of a line that cannot be read as the result of a request."""

_LONGEST_MESSAGE: Final = 300
_LONGEST_CODE: Final = 100
_LONGEST_INTEGER: Final = 20
"""Digits: more than any number has that is used here."""

_STATUSES: Final = range(1000)
_OK: Final = range(200, 300)
_FAILED: Final = range(400, 600)
_RETRYABLE: Final = frozenset({0, 408, 409, 429, *range(500, 600)})
_NOT_EXECUTED: Final = frozenset(
    {"batch_expired", "batch_cancelled", "batch_failed", "request_timeout"}
)
_PASSING: Final = re.compile(
    "ratelimit|toomanyrequests|throttl|overload|unavailable|timeout|timedout|internalerror"
    "|internalservererror|servererror|insufficientquota|badgateway"
)
"""Parts of transient error codes, reduced to letters: `Throttling.RateQuota`."""

_LOOKS_LIKE_A_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_CUSTOM_ID: Final = re.compile(rb'"custom_id"\s*:\s*("(?:[^"\\\x00-\x1f]|\\.){0,512}")')


class Outcome(StrEnum):
    """The outcome of a request, as far as one line shows it."""

    SUCCEEDED = "succeeded"
    TRANSIENT = "transient"
    PERMANENT = "permanent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """The outcome of one line.

    `code` and `message` are None for a success; a failure always has a code. Both are short and
    free of control characters, so that a terminal can show them.
    """

    custom_id: str | None
    outcome: Outcome
    code: str | None = None
    message: str | None = None


class _ResponseBody(msgspec.Struct):
    """A body without an error; either field proves that it is not empty."""

    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    object: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: None = None


class _Response(msgspec.Struct):
    status_code: Annotated[int, msgspec.Meta(ge=_OK.start, lt=_OK.stop)]
    body: _ResponseBody


class _Success(msgspec.Struct):
    """A successful line of the documented form: only such a line decodes as this."""

    custom_id: str
    response: _Response
    error: None = None


_SUCCESS: Final = msgspec.json.Decoder(_Success)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ErrorFields:
    """The fields of an error in any dialect."""

    code: str | None = None
    status: int | None = None
    message: str | None = None


def classify(line: bytes) -> Classification:
    """Classify one line, given without its byte order mark.

    A success has no `error`, 200 ≤ `status_code` < 300, and for a body a non-empty object whose
    `error` is absent or null. Transient are 0, 408, 409, 429, 5xx, requests that were not
    executed and lines that cannot be read; every other failure is permanent. An exhausted quota
    is transient here: the request itself is not at fault.
    """
    custom_id = plain_success(line)
    if custom_id is not None:
        return Classification(custom_id=custom_id, outcome=Outcome.SUCCEEDED)
    return _classify_slowly(line)


def plain_success(line: bytes) -> str | None:
    """Return the custom_id of a success of the documented form; None for any other line."""
    try:
        success = _SUCCESS.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    body = success.response.body
    if body.id is msgspec.UNSET and body.object is msgspec.UNSET:
        return None
    if not line.isascii():  # the decoder does not look inside the strings that it skips
        try:
            line.decode()
        except UnicodeDecodeError:
            return None
    return success.custom_id


def unreadable(head: bytes, reason: str) -> Classification:
    """Classify a line of which nothing but perhaps its custom_id can be used.

    It is transient, since submitting the request again can help, and is never a success.
    """
    return Classification(
        custom_id=_recovered_id(head),
        outcome=Outcome.TRANSIENT,
        code=MALFORMED,
        message=printable(reason, _LONGEST_MESSAGE, mark=" "),
    )


def _classify_slowly(line: bytes) -> Classification:
    try:
        value = json.loads(line.decode(), parse_int=_integer, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as problem:
        return _malformed(line, problem)
    if not isinstance(value, dict):
        return unreadable(line, "the line is not a JSON object")
    custom_id = value.get("custom_id")
    if not isinstance(custom_id, str):
        return unreadable(b"", "the line has no custom_id")
    return _classify_object(custom_id, value.get("error"), value.get("response"))


def _classify_object(custom_id: str, error: object, response: object) -> Classification:
    shape = response if isinstance(response, dict) else {}
    status, body = _status(shape.get("status_code")), shape.get("body")
    body_error = body.get("error") if isinstance(body, dict) else None
    accepted = status is not None and status in _OK

    if error is None and body_error is None and (status is None or accepted):
        if accepted and isinstance(body, dict) and body:
            return Classification(custom_id=custom_id, outcome=Outcome.SUCCEEDED)
        if accepted and body in (None, {}):
            return Classification(
                custom_id=custom_id,
                outcome=Outcome.TRANSIENT,
                code="empty_body",
                message=f"status {status} with an empty body",
            )
        if response in (None, {}):
            return Classification(
                custom_id=custom_id,
                outcome=Outcome.TRANSIENT,
                code="no_response",
                message="neither a response nor an error",
            )
        # The provider has another format: a resubmission would cost and not help.
        return Classification(
            custom_id=custom_id,
            outcome=Outcome.PERMANENT,
            code="unrecognised_response",
            message="the response is not one of the Batch API: no status_code with a body",
        )

    outer, inner = _error_fields(error), _error_fields(body_error)
    if status is None or accepted:
        status = outer.status or inner.status
    code = outer.code or inner.code
    message = outer.message or inner.message or _message(body)
    if code is None:
        code = "unnamed_error" if status is None else f"http_{status}"
    return Classification(
        custom_id=custom_id, outcome=_failure(status, code), code=code, message=message
    )


def _failure(status: int | None, code: str) -> Outcome:
    """Classify a failure as transient or permanent: not executed, then by status, then by code."""
    if code in _NOT_EXECUTED:
        return Outcome.TRANSIENT
    if status is not None:
        return Outcome.TRANSIENT if status in _RETRYABLE else Outcome.PERMANENT
    letters = "".join(character for character in code.casefold() if character.isalnum())
    return Outcome.TRANSIENT if _PASSING.search(letters) else Outcome.PERMANENT


def _error_fields(error: object) -> _ErrorFields:
    """Read an error: an object, an object in an object (vLLM), a string, or anything else."""
    if isinstance(error, str):
        if _LOOKS_LIKE_A_CODE.fullmatch(error):
            return _ErrorFields(code=error)
        return _ErrorFields(message=printable(error, _LONGEST_MESSAGE, mark=" ") or None)
    if not isinstance(error, dict):
        return _ErrorFields()
    nested = error.get("error")
    if isinstance(nested, str | dict) and error.keys().isdisjoint({"code", "message"}):
        return _error_fields(nested)
    # DashScope's own sample reads `error_code`; an integer code repeats an HTTP status.
    said = error.get("code"), error.get("error_code"), error.get("type")
    status = next((number for number in map(_status, said) if number in _FAILED), None)
    return _ErrorFields(
        code=next((code for code in map(_code, said) if code), None),
        status=status,
        message=_message(error),
    )


def _message(value: object) -> str | None:
    """Return the first text in the fields that servers use for messages."""
    if not isinstance(value, dict):
        return None
    for name in ("message", "error_message", "detail"):
        text = value.get(name)
        if isinstance(text, str) and (clean := printable(text, _LONGEST_MESSAGE, mark=" ")):
            return clean
    return None


def _code(value: object) -> str | None:
    if not isinstance(value, str) or value.isdecimal():
        return None
    return printable(value, _LONGEST_CODE, mark=" ") or None


def _status(value: object) -> int | None:
    """Read an HTTP status given as a number or as its digits; None for what cannot be one."""
    if isinstance(value, str):
        return int(value) if re.fullmatch("[0-9]{1,3}", value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value in _STATUSES else None


def _malformed(line: bytes, problem: Exception) -> Classification:
    if isinstance(problem, RecursionError):
        return unreadable(line, "the line is nested too deeply to be read")
    return unreadable(line, f"the line is not valid JSON: {problem}")


def _recovered_id(line: bytes) -> str | None:
    """Find the custom_id of a broken line.

    Inside a string its quotes would be escaped, so a text about custom_ids does not match. A wrong
    match is harmless: it can only mark a request as failed that has no better line.
    """
    found = _CUSTOM_ID.search(line)
    if found is None:
        return None
    try:
        custom_id = json.loads(found.group(1).decode())
    except ValueError:
        return None
    return custom_id if isinstance(custom_id, str) else None


def _integer(digits: str) -> float:
    """Read an integer of any length: Python refuses thousands of digits, JSON does not."""
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which Python reads and JSON does not have."""
    raise ValueError(f"{name} is no JSON number")
