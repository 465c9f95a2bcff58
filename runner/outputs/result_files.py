"""Read output and error files: line by line, each classified as a success or a failure.

The state of each request counts, not that of its batch. So both files of a terminal batch are
read in the same way and joined with the requests on `custom_id`; the provider's own counts are
never used (fact sheet, failures 1 to 5). Memory is bounded by one line. A damaged line does not
affect the others.

Providers agree on the envelope and on little else: failures appear in the output file, errors
are strings, codes are integers, bodies hold an `error` with status 200 (fact sheet, section 3
and failures 1, 3, 19, 21, 34). So the line alone decides, never the file it is in. There is one
strict rule for a success; everything else is a failure. A body that is a JSON text of an object
(OGX) is judged as that object, and copied as it came.

Nearly every line of a healthy batch is a success of the documented form. A typed decoder
recognises those: it checks the whole line but builds nothing of the body. Any other line goes to
a slower and more lenient reader. No line raises an error.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final, Literal, NoReturn

import msgspec

from runner.batch import split_at_depth, status_named_in, status_of_code
from runner.files import explained, open_regular
from runner.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


LONGEST_LINE: Final = 256 * 1024 * 1024
"""Bytes. Longer than any response; a file without line ends must not be read into memory."""

_BLOCK: Final = 1024 * 1024
_MARK: Final = b"\xef\xbb\xbf"


class LineStatus(IntEnum):
    """The status of the best line of a request; a higher one is better."""

    ABSENT = 0
    MALFORMED = 1
    FAILED = 2
    SUCCEEDED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultLine:
    """One line of a result file and its location there.

    `offset` and `length` count bytes, without a byte order mark and without the line's end.
    `code` and `message` say why a request failed, and are None for a success.
    """

    custom_id: str | None
    outcome: Outcome
    code: str | None
    message: str | None
    offset: int
    length: int

    @property
    def status(self) -> LineStatus:
        """The rank of the line among the lines of its request."""
        if self.outcome is Outcome.SUCCEEDED:
            return LineStatus.SUCCEEDED
        return LineStatus.MALFORMED if self.code == MALFORMED else LineStatus.FAILED


def read_results(path: Path, *, longest: int = LONGEST_LINE) -> Iterator[ResultLine]:
    r"""Yield every line of an output or error file that is not blank, in file order.

    Lines end at `\n` bytes only: U+2028 and similar characters are data (fact sheet, failure 17).
    The last line needs no end; byte order marks are skipped. A line with more than `longest` bytes
    before its line feed is malformed. Raises LocalFileError when the file itself cannot be read.
    """
    for offset, length, content, whole in lines(path, longest=longest):
        found = classify(content) if whole else overlong(content, longest)
        yield ResultLine(
            custom_id=found.custom_id,
            outcome=found.outcome,
            code=found.code,
            message=found.message,
            offset=offset,
            length=length,
        )


def overlong(head: bytes, longest: int = LONGEST_LINE) -> Classification:
    """Classify a line of which only the beginning was read."""
    return _unreadable(head, f"the line is longer than {longest} bytes")


def lines(path: Path, *, longest: int = LONGEST_LINE) -> Iterator[tuple[int, int, bytes, bool]]:
    """Yield (offset, length, content, whole) of each line of a file that is not blank.

    For a line of more than `longest` bytes the content is its beginning only, and `whole` False.
    Raises LocalFileError.
    """
    with explained(path, doing="read"), open_regular(path, buffering=_BLOCK) as file:
        yield from _lines(file, longest)


def _lines(file: BinaryIO, longest: int) -> Iterator[tuple[int, int, bytes, bool]]:
    position = 0
    while line := file.readline(longest + 1):
        start, position = position, position + len(line)
        if line.endswith(b"}\n") and line.startswith(b"{"):  # nearly all of them
            yield start, len(line) - 1, line[:-1], True
            continue
        blank = line.removeprefix(_MARK).isspace()
        content = line.rstrip(b"\r\n")
        length = len(content)
        whole = len(line) <= longest or line.endswith(b"\n")
        if not whole:
            content = content[:_BLOCK]
            piece, end = line, len(line) - length
            while not piece.endswith(b"\n") and (piece := file.readline(_BLOCK)):
                position += len(piece)
                blank = blank and piece.isspace()
                own = len(piece) - len(piece.rstrip(b"\r\n"))
                end = end + own if own == len(piece) else own  # it may begin a block earlier
            length = position - start - end
        if content.startswith(_MARK):
            start, length, content = start + len(_MARK), length - len(_MARK), content[len(_MARK) :]
        if content and not blank:
            yield start, length, content, whole


def displaces(new: LineStatus, held: LineStatus) -> bool:
    """Return whether a line that was read later replaces the one held for its request.

    The first success stays: it is the response that was paid for, and a later one only repeats
    the request. Among failures the last one counts, as the provider's latest statement about the
    request, but an unreadable line never replaces a readable one.
    """
    return new >= held and held is not LineStatus.SUCCEEDED


def verify_download(path: Path, *, longest: int = LONGEST_LINE) -> str | None:
    """Return why a downloaded file looks incomplete, or None for a complete one.

    A file is complete if it is empty or blank (Azure sends those, fact sheet, failure 22) or if
    its last line is JSON, with or without a line end (failure 16). It is read as Python reads
    JSON: a strange value or byte concerns its row only and is no reason to download again. Raises
    LocalFileError when the file cannot be read.
    """
    with explained(path, doing="read"), open_regular(path) as file:
        last = _last_line(file, longest)
    if last is None:
        return f"the last line is longer than {longest} bytes"
    if not last:
        return None
    try:
        for part in split_at_depth(last):
            # The numbers are not used, and Python refuses an integer of thousands of digits.
            json.loads(part.decode(errors="replace"), parse_int=float)
    except ValueError:
        return f"the last line ({len(last)} bytes) is not whole JSON: the download was cut short"
    return None


def _last_line(file: BinaryIO, longest: int) -> bytes | None:
    """Return the last line that is not blank, b"" if there is none, None if it is too long."""
    position = file.seek(0, os.SEEK_END)
    tail = b""
    while position > 0:
        if len(tail) > longest:
            return None
        step = min(position, max(_BLOCK, len(tail)))  # doubling: a long line costs linear time
        position -= step
        file.seek(position)
        tail = (file.read(step) + tail).rstrip()
        end = tail.rfind(b"\n")
        if end >= 0:
            tail = tail[end + 1 :]
            break
    return tail.removeprefix(_MARK)


MALFORMED: Final = "malformed_line"
"""The code of a line that cannot be read as the result of a request."""

TRUNCATED: Final = "truncated"
"""The code of an answer that its API calls incomplete since it was cut at the token limit."""

_LONGEST_MESSAGE: Final = 300
_LONGEST_CODE: Final = 100
_LONGEST_INTEGER: Final = 20
"""Digits: more than any number has that is used here."""

_STATUSES: Final = range(1000)
_OK: Final = range(200, 300)
_FAILED: Final = range(400, 600)
_RETRYABLE: Final = frozenset({0, 408, 409, 429, *range(500, 600)})
NOT_EXECUTED: Final = frozenset(
    {"batch_expired", "batch_cancelled", "batch_failed", "request_timeout"}
)
"""The codes of requests that were not run (fact sheet, section 3)."""
_UNFINISHED: Final = frozenset({"failed", "incomplete", "cancelled", "queued", "in_progress"})
"""Every status of a response of the Responses API but `completed`."""

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
    free of control characters, so that a terminal can show them. `truncated`: there is an answer,
    and it ends at the token limit.
    """

    custom_id: str | None
    outcome: Outcome
    code: str | None = None
    message: str | None = None
    truncated: bool = False


class _Choice(msgspec.Struct, gc=False):
    finish_reason: str | None = None


class _ResponseBody(msgspec.Struct):
    """A body without an error; `id` or `object` proves that it is not empty.

    The last four fields are those of the endpoints that cut a response at the token limit.
    """

    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    object: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: None = None
    status: Literal["completed"] | None = None
    incomplete_details: None = None
    stop_reason: str | None = None
    choices: list[_Choice] | None = None


class _Response(msgspec.Struct):
    status_code: Annotated[int, msgspec.Meta(ge=_OK.start, lt=_OK.stop)]
    body: _ResponseBody


class _Success(msgspec.Struct):
    """A successful line of the documented form: only such a line decodes as this."""

    custom_id: str
    response: _Response
    error: None = None


_SUCCESS: Final = msgspec.json.Decoder(_Success)
_LIMITS: Final = frozenset({"length", "max_tokens", "max_output_tokens"})
"""Why a response ends where it ends: the token limit, in the words of the endpoints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ErrorFields:
    """The fields of an error in any dialect; `named` is the status in the words of its message."""

    code: str | None = None
    status: int | None = None
    message: str | None = None
    named: int | None = None


def classify(line: bytes) -> Classification:
    """Classify one line, given without its byte order mark.

    A success has no `error`, 200 ≤ `status_code` < 300, and for a body a non-empty object whose
    `error` is absent or null; a body of the Responses API also has no status but `completed`.
    Transient are 0, 408, 409, 429, 5xx, requests that were not executed and lines that cannot be
    read; every other failure is permanent. Without a status, the one that its message names counts.
    An exhausted quota is transient here: the request itself is not at fault.
    """
    plain = plain_success(line)
    if plain is None:
        return _classify_slowly(line)
    custom_id, truncated = plain
    return Classification(custom_id=custom_id, outcome=Outcome.SUCCEEDED, truncated=truncated)


def plain_success(line: bytes) -> tuple[str, bool] | None:
    """Return the custom_id of a success of the documented form, and whether it is truncated.

    None for any other line.
    """
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
    truncated = body.stop_reason in _LIMITS
    for choice in body.choices or ():
        truncated = truncated or choice.finish_reason in _LIMITS
    return success.custom_id, truncated


def _unreadable(head: bytes, reason: str) -> Classification:
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
        value = read_line(line)
    except ValueError as problem:
        return _unreadable(line, f"the line is not valid JSON: {problem}")
    if not isinstance(value, dict):
        return _unreadable(line, "the line is not a JSON object")
    custom_id = value.get("custom_id")
    if not isinstance(custom_id, str):
        return _unreadable(b"", "the line has no custom_id")
    return _classify_object(custom_id, value.get("error"), value.get("response"))


def read_line(line: bytes) -> object:
    """Decode one line; what is nested deeper than 200 levels is checked, and left out.

    Raises ValueError with the reason if the line is not JSON.
    """
    return _decode(line, "strict")


def _decode(text: bytes, errors: str) -> object:
    parts = [
        json.loads(part.decode(errors=errors), parse_int=_integer, parse_constant=_refuse_constant)
        for part in split_at_depth(text)
    ]
    return parts[0]


def opened(body: object) -> object:
    """Return the body of a response, decoded where it came as the JSON text of an object (OGX)."""
    if not isinstance(body, str) or not body.lstrip().startswith("{"):
        return body
    try:
        value = _decode(body.encode(errors="surrogatepass"), "surrogatepass")
    except ValueError:
        return body
    return value if isinstance(value, dict) else body


def _classify_object(custom_id: str, error: object, response: object) -> Classification:
    shape = response if isinstance(response, dict) else {}
    status, body = _status(shape.get("status_code")), opened(shape.get("body"))
    body_error = body.get("error") if isinstance(body, dict) else None
    accepted = status is not None and status in _OK

    if error is None and body_error is None and (status is None or accepted):
        if accepted and isinstance(body, dict) and body:
            return _unfinished(custom_id, body) or Classification(
                custom_id=custom_id, outcome=Outcome.SUCCEEDED, truncated=_is_truncated(body)
            )
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
        status = outer.status or inner.status or outer.named or inner.named
    code = outer.code or inner.code
    message = outer.message or inner.message or _message(body)
    if code is None:
        code = "unnamed_error" if status is None else f"http_{status}"
    return Classification(
        custom_id=custom_id,
        outcome=_failure(status, code),
        code=code,
        message=message and (printable(message, _LONGEST_MESSAGE, mark=" ") or None),
    )


def _unfinished(custom_id: str, body: Mapping[str, object]) -> Classification | None:
    """Classify a response of the Responses API without an error that is not an answer either.

    Such a response has no `error` and may have been paid for, so only a cancelled one is
    transient: a batch that is cancelled by its provider cancels its responses.
    """
    status = body.get("status")
    if body.get("object") not in (None, "response") or status not in _UNFINISHED:
        return None
    details = body.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    truncated = _is_truncated(body)
    code = f"response_{status}"
    if status == "incomplete":
        code = TRUNCATED if truncated else _code(reason) or code
    because = f": {reason}" if isinstance(reason, str) else ""
    return Classification(
        custom_id=custom_id,
        outcome=Outcome.TRANSIENT if status == "cancelled" else Outcome.PERMANENT,
        code=code,
        message=printable(f"the response is {status}{because}", _LONGEST_MESSAGE, mark=" "),
        truncated=truncated,
    )


def _is_truncated(body: Mapping[str, object]) -> bool:
    """Whether an answer ends at the token limit."""
    choices, details = body.get("choices"), body.get("incomplete_details")
    reasons = [body.get("stop_reason")]
    reasons += [details.get("reason")] if isinstance(details, dict) else []
    reasons += [
        choice.get("finish_reason")
        for choice in (choices if isinstance(choices, list) else ())
        if isinstance(choice, dict)
    ]
    return any(isinstance(reason, str) and reason in _LIMITS for reason in reasons)


def _failure(status: int | None, code: str) -> Outcome:
    """Classify a failure as transient or permanent: not executed, then by status, then by code."""
    if code in NOT_EXECUTED:
        return Outcome.TRANSIENT
    if status is not None:
        return Outcome.TRANSIENT if status in _RETRYABLE else Outcome.PERMANENT
    return Outcome.TRANSIENT if status_of_code(code) in _RETRYABLE else Outcome.PERMANENT


def _error_fields(error: object) -> _ErrorFields:
    """Read an error: an object, an object in an object (vLLM), a string, or anything else."""
    if isinstance(error, str):
        if _LOOKS_LIKE_A_CODE.fullmatch(error):
            return _ErrorFields(code=error)
        return _ErrorFields(message=error, named=status_named_in(error))
    if not isinstance(error, dict):
        return _ErrorFields()
    nested = error.get("error")
    if isinstance(nested, str | dict) and error.keys().isdisjoint({"code", "message"}):
        return _error_fields(nested)
    # DashScope's own sample reads `error_code`; an integer code repeats an HTTP status.
    said = error.get("code"), error.get("error_code"), error.get("type")
    status = next((number for number in map(_status, said) if number in _FAILED), None)
    message = _message(error)
    return _ErrorFields(
        code=next((code for code in map(_code, said) if code), None),
        status=status,
        message=message,
        named=None if message is None else status_named_in(message),
    )


def _message(value: object) -> str | None:
    """Return the first text in the fields that servers use for messages."""
    if not isinstance(value, dict):
        return None
    for name in ("message", "error_message", "detail"):
        text = value.get(name)
        if isinstance(text, str) and printable(text, 1, mark=" "):
            return text
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


OTHER: Final = "other"
"""The code under which the hundred-and-first and later codes are counted."""

MOST_EXAMPLES: Final = 3
_MOST_CODES: Final = 100


class ErrorCounts:
    """The number of failures by code, with up to three different messages of each code.

    Codes come from servers. A server that puts an id into each code must not fill the memory or
    `run.json`: after a hundred different codes the others are counted together.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, code: str, message: str | None = None) -> str:
        """Count one failure; return the code under which it is counted."""
        if code not in self._counts and len(self._counts) >= _MOST_CODES:
            code = OTHER
        self._counts[code] = self._counts.get(code, 0) + 1
        if message is not None:
            examples = self._examples.setdefault(code, [])
            if len(examples) < MOST_EXAMPLES and message not in examples:
                examples.append(message)
        return code

    @property
    def counts(self) -> dict[str, int]:
        """Failures by code, the most frequent first, equal ones in alphabetical order."""
        return by_frequency(self._counts)

    @property
    def examples(self) -> dict[str, tuple[str, ...]]:
        """Up to three messages of each code that came with any, in the order of `counts`."""
        return {code: tuple(self._examples[code]) for code in self.counts if code in self._examples}


def by_frequency(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts in order, the largest first; equal ones by name."""
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))
