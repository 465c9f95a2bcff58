"""The meaning of HTTP replies: a decoded object, or an error with a message and advice.

Pure: the input is a status, headers and a body, the output a value or an exception. The statuses
are those of the fact sheet, sections 1 and 4. For a call that creates something, the error says
whether it is *known* that nothing was created: a 4xx or a redirect proves it; a 408, a 5xx or a 2xx
without a usable object does not.

Gateways also send errors with status 200. Such a reply is judged by its code, as the same error
with the status that belongs to the code.

A message says which call was made, how the provider answered, and in parentheses what comes next:
what the user can do, or that a later pass retries the call without the user.

The reference has one format of errors, `{"error": {message, type, param, code}}`; other providers
and the proxies in front of them send half a dozen others (fact sheet, section 4). All are read and
none is trusted: text from outside may hold terminal control characters, be megabytes long, or
repeat the API key that was refused.
"""

from __future__ import annotations

import errno
import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar, assert_never
from urllib.parse import urlsplit

import msgspec

from runner.batch import (
    DEEPEST,
    MONEY_CODES,
    split_at_depth,
    status_named_in,
    status_of_code,
)
from runner.errors import (
    ApiError,
    FileNotVisible,
    MayHaveActed,
    ModelRefused,
    NoRoom,
    NotFound,
    NotOffered,
    OutOfMoney,
    RateLimited,
    Rejected,
    TooLarge,
    Transient,
    Unauthorized,
    UnexpectedReply,
    Unreachable,
)
from runner.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.spec.project import Provider, Secret


LONGEST_TEXT: Final = 500
"""The most characters of a provider's message that are shown."""

LONGEST_REPLY: Final = 16 * 1024 * 1024
"""The most bytes of JSON that are read, before and after their compression is undone.

Ten thousand File objects are three megabytes, a hundred batches with metadata are less than one,
and a batch with an error for each of 50,000 requests is ten.
"""

LONGEST_SMALL_REPLY: Final = 2 * 1024 * 1024
"""The same for one File object, and for a batch that has just been created.

Eight such calls may be under way at the same time, and a batch whose reply is longer is found in
the list.
"""

MEMORY_A_BYTE: Final = 4
"""How many times its longest length a reply may take in memory, as `memory_to_decode` has it: ten
thousand File objects take 17 MB, a batch with 50,000 errors 48 MB."""

_MOST_REPAIRED: Final = 16 * 1024 * 1024
"""The same for a reply that is decoded twice."""

_LONGEST_NAME: Final = 200
_LONGEST_PAGE: Final = 64 * 1024
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_TITLE: Final = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)
"""Takes linear time, however many `<title` without an end there are."""
_SIGN_IN: Final = re.compile(
    r"\b(log|sign)[-_ ]?(in|on)\b|captive|\b(saml|sso|oauth2?|portal)\b", re.IGNORECASE
)
_PASSWORD_FIELD: Final = re.compile(r"type=[\"']?password\b", re.IGNORECASE)
_SIGN_IN_PAGE: Final = "a sign-in page, perhaps of a proxy or a network"
_SIGN_IN_ADVICE: Final = "sign in there, or ask who runs the proxy or the network"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMessage:
    """The provider's message about an error; every member has been through `shown`."""

    text: str = ""
    type: str | None = None
    code: str | None = None
    param: str | None = None


def shown(text: str, secret: Secret | None, *, longest: int = LONGEST_TEXT) -> str:
    """Return text from outside as one printable line without the secret.

    The line has at most `longest` characters.
    """
    key = secret.reveal() if secret is not None else ""
    if key:
        text = text.replace(key, "***")
    return printable(text, longest, mark=" ")


def public_url(url: str) -> str:
    """Return a URL without the parts that may be secret: user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is no URL"
    host = parts.netloc.rpartition("@")[2]
    return shown(parts._replace(netloc=host, query="", fragment="").geturl(), None, longest=200)


def decode_json(body: bytes) -> object:
    """Decode one JSON document, with or without a byte order mark.

    Raises ValueError with the reason if the body is not JSON in UTF-8.
    """
    text = body.removeprefix(_BYTE_ORDER_MARK)
    if len(split_at_depth(text)) > 1:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep")
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        if b"\\u" not in text or memory_to_decode(text) > _MOST_REPAIRED:
            raise ValueError(str(error)) from error
        return _decode_repaired(text, error)
    except UnicodeDecodeError as error:
        raise ValueError("the text is not UTF-8") from error


def memory_to_decode(body: bytes) -> int:
    """Return about how many bytes of memory JSON takes once it is decoded, rather more than less.

    Brackets, quotes and commas are counted wherever they are. `{},` is three bytes of text, and
    some two hundred as an object; so the length of a text alone is no bound.
    """
    brackets = body.count(b"{") + body.count(b"[")
    return len(body) + 200 * brackets + 32 * (body.count(b'"') + body.count(b","))


def _decode_repaired(text: bytes, error: Exception) -> object:
    """Decode JSON that holds half a surrogate pair, which becomes a question mark.

    A server that truncates its messages may cut a character in two (fact sheet, failure 30).
    Without this, one such message would make every other batch of a list unreadable.
    """
    try:
        whole = json.dumps(json.loads(text), ensure_ascii=False, allow_nan=False)
        return msgspec.json.decode(whole.encode(errors="replace"))
    except ValueError:
        raise ValueError(str(error)) from error


def read_error_message(body: bytes, secret: Secret | None) -> ErrorMessage:
    """Read the error message in a reply body, in any known format; never raises."""
    try:
        decoded = decode_json(body)
    except ValueError:
        return ErrorMessage(text=shown(_describe_text(body), secret))
    return _error_message(decoded, secret)


def _error_message(decoded: object, secret: Secret | None) -> ErrorMessage:
    if not isinstance(decoded, dict):
        return ErrorMessage(text=shown(_as_text(decoded), secret))
    error_object = decoded.get("error")
    if error_object is None or isinstance(error_object, bool):
        names = ("detail", "message", "msg")
        error_object = next((decoded[name] for name in names if decoded.get(name)), None)
    if error_object is None and isinstance(errors := decoded.get("errors"), list) and errors:
        error_object = errors[0]
    if not isinstance(error_object, dict):
        # Some providers put the code next to the text: {"error": "...", "code": 5}.
        text = _as_text(decoded if error_object is None else error_object)
        error_object = decoded
    else:
        text = _as_text(error_object.get("message", error_object))
    return ErrorMessage(
        text=shown(text, secret),
        type=_name(error_object.get("type"), secret),
        code=_name(error_object.get("code"), secret),
        param=_name(error_object.get("param"), secret),
    )


def _describe_text(body: bytes) -> str:
    """Return a description of a body that is not JSON: an HTML page's title, or the text."""
    text = body[:_LONGEST_PAGE].decode("utf-8", errors="replace").strip()
    if not text.startswith("<"):
        return text
    title = _TITLE.search(text)
    return f"an HTML page titled {title.group(1).strip()!r}" if title else f"a page: {text}"


def _is_sign_in_page(body: bytes) -> bool:
    """Whether a body is an HTML page that asks who one is, as captive portals and SSO send it."""
    page = body[:_LONGEST_PAGE].decode("utf-8", errors="replace").strip()
    return page.startswith("<") and bool(_PASSWORD_FIELD.search(page) or _SIGN_IN.search(page))


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _name(value: object, secret: Secret | None) -> str | None:
    """Return a code as text; some providers send integers (llm-d)."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return shown(str(value), secret, longest=_LONGEST_NAME)


_Error = TypeVar("_Error", bound=ApiError)

WILL_BE_CHECKED: Final = (
    "it may have been carried out: the next pass checks the provider before it sends it again"
)
WILL_BE_RETRIED: Final = "the next pass tries again"

_FIXED_ADVICE: Final[Mapping[type[ApiError], str]] = {
    FileNotVisible: f"the provider does not know the uploaded file yet; {WILL_BE_RETRIED}",
    MayHaveActed: WILL_BE_CHECKED,
    ModelRefused: "only jobs with this model wait: ask for access to it, or change the model",
    NoRoom: "it is submitted once there is room: delete files at the provider, or ask for a higher "
    "quota",
    OutOfMoney: "add credit or raise the limit on the provider's billing page; no retry can help",
    RateLimited: f"too many requests for now; {WILL_BE_RETRIED}",
    TooLarge: "smaller files may be accepted: set max_bytes_per_batch in runner.yaml",
    Transient: f"a temporary problem at the provider; {WILL_BE_RETRIED}",
}

_MONEY_STATUSES: Final = frozenset({400, 403, 429})
_KIND_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Unauthorized,
    HTTPStatus.METHOD_NOT_ALLOWED: NotOffered,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: Unreachable,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimited,
    HTTPStatus.NOT_IMPLEMENTED: NotOffered,
}
_KEY_STATUSES: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_FILE_PARAMS: Final = frozenset({"file_id", "input_file_id"})
_FILE_NOT_VISIBLE: Final = re.compile(
    r"cannot find file|\bfile\b.*\b(not found|not (yet )?processed|does not exist)|no such file",
    re.IGNORECASE,
)
_NOT_THERE: Final = re.compile(
    r"\bno (batch|file) (was )?found\b|\bno such (batch|file)\b"
    r"|\b(batch|file)\b.{0,80}\b(not found|does not exist)\b",
    re.IGNORECASE,
)
_TOO_LARGE: Final = re.compile(
    r"\b(too large|too big|exceeds the (maximum|limit)|maximum (file )?size)", re.IGNORECASE
)
_ROOM_STATUSES: Final = frozenset({400, 403, 409, 413, 422, 429, 507})
_NO_ROOM: Final = re.compile(
    r"\bstorage\b.{0,80}\b(quota|limit|full|exceed\w*|used up|exhausted|capacity)\b"
    r"|\b(quota|limit|full|exceed\w*|insufficient|exhausted|not enough|out of)\b.{0,80}\bstorage\b"
    r"|\b(too many|number of|total size of|maximum of \d[\d,]*) (\w+ )?files\b"
    r"|\bfiles?\b.{0,40}\bquota\b|\bquota\b.{0,40}\bfiles?\b"
    r"|\bno space left\b|\b(disk|space) (is )?(full|exhausted|used up)\b",
    re.IGNORECASE,
)
"""What providers call a full account (fact sheet, section 4); none has a code for it."""
_QUOTA: Final = re.compile(r"\bquotas?\b|\benqueued\b.{0,40}\blimit\b", re.IGNORECASE)
_MODEL: Final = re.compile(r"\bmodels?\b(?!\.\w)|model_", re.IGNORECASE)
"""But not `model.request`, the right to make any call with any model."""
_SHORTEST_KEY: Final = 12
"""A shorter API key is taken for a placeholder (`EMPTY`, `none`), not for a secret: a Batch object
may hold the same word for another reason."""
_SECONDS: Final = re.compile(r"\d{1,9}(\.\d+)?", re.ASCII)


class CallKind(Enum):
    """The kind of a call, which decides what its failures mean."""

    LISTING = auto()
    """GET of a collection."""
    OBJECT = auto()
    """GET, DELETE or cancel of one object: idempotent."""
    UPLOAD = auto()
    """POST of a file: each one that arrives creates another file."""
    CREATION = auto()
    """POST of a batch: each one that arrives creates another batch, which costs money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call to a provider, as named in messages. `path` is relative to the base URL."""

    provider: Provider
    secret: Secret | None
    kind: CallKind
    method: str
    path: str

    def __str__(self) -> str:
        """Render as `POST /batches`."""
        return f"{self.method} {self.path}"

    @property
    def acts(self) -> bool:
        """Whether sending the call again could create a second object."""
        match self.kind:
            case CallKind.UPLOAD | CallKind.CREATION:
                return True
            case CallKind.LISTING | CallKind.OBJECT:
                return False
            case _:
                assert_never(self.kind)

    @property
    def longest_reply(self) -> int:
        """The most bytes of JSON that are read of a successful reply."""
        large = self.kind is CallKind.LISTING or self.path.startswith("/batches/")
        return LONGEST_REPLY if large else LONGEST_SMALL_REPLY

    @property
    def of_collection(self) -> bool:
        """Whether a 404 means that the provider does not offer the call at all."""
        return self.kind is not CallKind.OBJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP reply as received; header names are in lower case.

    `whole` is False if the connection ended, or reading was stopped, before the end of the body.
    The repr has no headers and no body, because a server may repeat the API key in either.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    whole: bool = True

    @property
    def successful(self) -> bool:
        """Whether the status is a 2xx: providers answer a creation with 200, 201 or 202."""
        return 200 <= self.status < 300  # noqa: PLR2004


def decode_reply(call: Call, reply: Reply, *, now: float) -> object:
    """Return the decoded JSON of a successful reply.

    `now` is Unix time. Raises the error of `status_error` if the status is not 2xx, and that of
    `unusable_reply_error` if the body is not one complete JSON document.
    """
    if not reply.successful:
        raise status_error(call, reply, now=now)
    if not reply.whole:
        raise unusable_reply_error(
            call, f"a body too long to be read (more than {len(reply.body):,} bytes)", reply
        )
    memory = memory_to_decode(reply.body)
    if memory > MEMORY_A_BYTE * call.longest_reply:
        raise unusable_reply_error(
            call,
            f"a body of {len(reply.body):,} bytes that would take {memory:,} bytes of memory",
            reply,
        )
    body = _redact_key(reply.body, call.secret)
    try:
        decoded = decode_json(body)
    except ValueError as error:
        what = _describe_text(body) or "an empty body"
        if _is_sign_in_page(body):
            raise unusable_reply_error(
                call, f"{_SIGN_IN_PAGE}, in place of JSON: {what}", reply, advice=_SIGN_IN_ADVICE
            ) from error
        raise unusable_reply_error(
            call, f"a body that is not JSON ({error}): {what}", reply
        ) from error
    if _states_error(call, decoded):
        raise stated_error(call, decoded, reply, now=now)
    return decoded


def stated_error(call: Call, decoded: object, reply: Reply, *, now: float) -> ApiError:
    """Return the error that a reply with a successful status states in its body.

    Its status is that of its code. If that is not known, a call that acts may have acted, and no
    other is worth repeating at once. Neither is a call that acts repeated for an error that passes:
    the successful status speaks against it, and the list of the provider shows what is true.
    """
    message = _error_message(decoded, call.secret)
    text = (
        f"{call.provider.name} answered {call} with {reply.status} and an error: "
        f"{message.text or message.code or message.type or 'it gives no reason'}"
    )
    status = _stated_status(call, decoded, message)
    error: ApiError | None = None
    if status is not None:
        error = _judged(call, replace(reply, status=status), message, text, now=now)
    passing = isinstance(error, Transient) and not isinstance(error, FileNotVisible)
    if error is None or (call.acts and (passing or _names_object(decoded))):
        advice = WILL_BE_CHECKED if call.acts else WILL_BE_RETRIED
        kind = MayHaveActed if call.acts else UnexpectedReply
        error = _error(kind, call, f"{text} ({advice})", reply, message)
    error.in_body = True
    return error


def _names_object(decoded: object) -> bool:
    """Whether a decoded reply has the id of an object, which may have been created."""
    identifier = decoded.get("id") if isinstance(decoded, dict) else None
    return isinstance(identifier, str) and identifier != ""


def error_as_content(call: Call, body: bytes, reply: Reply, *, now: float) -> ApiError | None:
    """Return the error that came in place of a file's content; None if the content is none.

    A line of a result file is not taken for one, and neither is an error whose code is not known:
    then the content is stored as evidence, and contradicts what the batch reports.
    """
    try:
        decoded = decode_json(_redact_key(body, call.secret))
    except ValueError:
        return None
    if not isinstance(decoded, dict) or not decoded.keys().isdisjoint({"custom_id", "response"}):
        return None
    if not _states_error(call, decoded):
        return None
    error = stated_error(call, decoded, reply, now=now)
    return None if isinstance(error, UnexpectedReply) else error


def _states_error(call: Call, decoded: object) -> bool:
    """Whether a decoded reply is an error and not the object or the list that was asked for.

    A Batch or File object may have an `error` of its own. A list never has: without its entries it
    must not be taken for an empty one, since what is not in the list may be submitted again.
    """
    if not isinstance(decoded, dict):
        return False
    named = _names_object(decoded)
    if (
        named
        and call.kind is not CallKind.LISTING
        and (
            isinstance(decoded.get("status"), str)
            or not decoded.keys().isdisjoint({"filename", "bytes", "purpose", "deleted"})
        )
    ):
        return False
    error = decoded.get("error")
    if error is True or (isinstance(error, dict | list | str) and error):
        return True
    if "error" in (decoded.get("object"), decoded.get("type")) or decoded.get("success") is False:
        return True
    code = decoded.get("code")
    worded = any(isinstance(decoded.get(name), str) for name in ("message", "msg", "detail"))
    return not named and worded and _status_number(code) is not None


def _stated_status(call: Call, decoded: object, message: ErrorMessage) -> int | None:
    """Return the HTTP status that an error in the body of a successful reply stands for.

    OpenAI gives the type `invalid_request_error` to nearly all of them, and no code to an object
    that does not exist: so the words come before the type.
    """
    outer = decoded if isinstance(decoded, dict) else {}
    inner = outer.get("error")
    for each in (inner if isinstance(inner, dict) else {}, outer):
        for name in ("status", "status_code", "code"):
            number = _status_number(each.get(name))
            if number is not None:
                return number
    status = status_of_code(message.code or "") or status_named_in(message.text)
    if status is None and _NO_ROOM.search(message.text):
        return HTTPStatus.BAD_REQUEST
    if status is None and call.kind is CallKind.OBJECT and _NOT_THERE.search(message.text):
        return HTTPStatus.NOT_FOUND
    if status is None:
        status = status_of_code(message.type or "")
    if status is None and (message.param or _FILE_NOT_VISIBLE.search(message.text)):
        return HTTPStatus.BAD_REQUEST
    return status


def _status_number(value: object) -> int | None:
    """Return an HTTP status of an error given as a number or as its digits."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return int(value) if re.fullmatch("[45][0-9]{2}", str(value)) else None


def _redact_key(body: bytes, secret: Secret | None) -> bytes:
    """Replace the API key in JSON that is stored: a provider may repeat what it received."""
    key = secret.reveal().encode() if secret is not None else b""
    if len(key) < _SHORTEST_KEY:
        return body
    # JSON may escape a slash as \\/ (RFC 8259, section 7), as PHP does.
    return body.replace(key, b"***").replace(key.replace(b"/", b"\\/"), b"***")


def unusable_reply_error(
    call: Call, what: str, reply: Reply, *, advice: str | None = None
) -> ApiError:
    """Return the error for a successful reply without a usable object.

    `what` completes "answered with 200 and …"; `advice` is what to do, where that is not to check
    the address. For a call that acts the outcome is unknown: a proxy can lose the reply to a
    request that was carried out.
    """
    text = (
        f"{call.provider.name} answered {call} with {reply.status} and {shown(what, call.secret)}"
    )
    if not call.acts:
        advice = advice or _address_advice(call.provider)
        return _error(UnexpectedReply, call, f"{text} ({advice})", reply)
    return _error(MayHaveActed, call, f"{text} ({WILL_BE_CHECKED})", reply)


def status_error(call: Call, reply: Reply, *, now: float) -> ApiError:
    """Return the error for a reply whose status is not 2xx; `now` is Unix time."""
    message = read_error_message(reply.body, call.secret)
    try:
        phrase = f"{reply.status} {HTTPStatus(reply.status).phrase}"
    except ValueError:
        phrase = str(reply.status)
    text = f"{call.provider.name} answered {call} with {phrase}"
    if message.text:
        text += f": {message.text}"
    return _judged(call, reply, message, text, now=now)


def _judged(call: Call, reply: Reply, message: ErrorMessage, text: str, *, now: float) -> ApiError:
    """Return the error of a reply by its status, with what the user can do about it."""
    kind = _error_kind(call, reply, message)
    wait = retry_after(reply.headers, now=now)
    advice = _refusal_advice(kind, call, reply, message)
    if wait:
        advice += f"; the provider asks to wait {wait:,.0f} s"
    return _error(kind, call, f"{text} ({advice})", reply, message, wait)


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Return the seconds of a Retry-After header, or None without one (RFC 9110, 10.2.3).

    A date counts from the reply's own Date header if it has one, so that a wrong clock does no
    harm, else from `now` (Unix time). A date in the past is 0 seconds.
    """
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    until = _unix_time(value)
    if until is None:
        return None
    sent = sent_at(headers)
    return max(0.0, until - (now if sent is None else sent))


def _error_kind(call: Call, reply: Reply, message: ErrorMessage) -> type[ApiError]:
    status = reply.status
    if status == HTTPStatus.PAYMENT_REQUIRED or (
        status in _MONEY_STATUSES and MONEY_CODES & {message.code, message.type}
    ):
        return OutOfMoney
    if call.acts and (narrow := _narrow_refusal(status, message)) is not None:
        return narrow
    if call.kind is CallKind.UPLOAD and (
        status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        or (status == HTTPStatus.BAD_REQUEST and _TOO_LARGE.search(message.text))
    ):
        return TooLarge
    if call.kind is CallKind.CREATION and _file_not_visible(status, message):
        return FileNotVisible
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return NotOffered if call.of_collection else NotFound
    if status == HTTPStatus.BAD_REQUEST and not reply.whole and not message.text:
        # A 400 has not acted; but without its reason, because its body was cut short, it must not
        # fail the job.
        return Transient
    if 300 <= status < 500 and status != HTTPStatus.REQUEST_TIMEOUT:  # noqa: PLR2004
        return _KIND_BY_STATUS.get(status, Rejected)
    return _KIND_BY_STATUS.get(status, MayHaveActed if call.acts else Transient)


def _narrow_refusal(status: int, message: ErrorMessage) -> type[ApiError] | None:
    """Return the error of a refusal that is about neither the request nor the API key."""
    if status in _ROOM_STATUSES and _NO_ROOM.search(message.text):
        return NoRoom
    if status in _ROOM_STATUSES and _names_a_quota(message):
        return RateLimited
    return ModelRefused if status in _KEY_STATUSES and _names_a_model(message) else None


def _names_a_quota(message: ErrorMessage) -> bool:
    """Whether a refusal is about a limit, which others use up and that becomes free again."""
    names = f"{message.code} {message.type}".lower()
    return "quota" in names or "token_limit" in names or bool(_QUOTA.search(message.text))


def _names_a_model(message: ErrorMessage) -> bool:
    """Whether a refusal is about a model, and not about the API key as a whole."""
    names = (message.param or "", message.code or "", message.type or "")
    return any("model" in name.lower() for name in names) or bool(_MODEL.search(message.text))


def _file_not_visible(status: int, message: ErrorMessage) -> bool:
    """Whether a rejected creation means that the uploaded file is not visible yet (failure 9).

    OpenAI and Azure answer 400, Voyage 404; parameters and messages differ.
    """
    if status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):
        return False
    return message.param in _FILE_PARAMS or bool(_FILE_NOT_VISIBLE.search(message.text))


def sent_at(headers: Mapping[str, str]) -> float | None:
    """Return the time of a reply's Date header in Unix seconds, or None without one."""
    return _unix_time(headers.get("date", ""))


def _unix_time(value: str) -> float | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # the latter: a year or zone of twenty digits
        return None
    # An HTTP date is in GMT by definition; "-0000" reads as a time without a zone.
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.timestamp()


def _error(
    kind: type[_Error],
    call: Call,
    text: str,
    reply: Reply,
    message: ErrorMessage | None = None,
    wait: float | None = None,
) -> _Error:
    identifier = shown(reply.headers.get("x-request-id", ""), call.secret, longest=100)
    if identifier:
        text += f" [request {identifier}]"
    return kind(
        text,
        provider=call.provider.name,
        call=str(call),
        status=reply.status,
        code=(message.code or message.type) if message else None,
        param=message.param if message else None,
        request_id=identifier or None,
        retry_after=wait,
    )


def _refusal_advice(kind: type[ApiError], call: Call, reply: Reply, message: ErrorMessage) -> str:
    """Return what the user can do about an error reply, or what happens next without the user."""
    if 300 <= reply.status < 400:  # noqa: PLR2004
        return _redirect_advice(call, reply)
    if kind is Unauthorized:
        return _api_key_advice(call, reply)
    if kind in _FIXED_ADVICE:
        return _FIXED_ADVICE[kind]
    if message.code == "model_not_found" or message.param in ("model", "body.model"):
        return "check the model's name in the input, and that the API key may use it"
    if kind is NotOffered:
        return _address_advice(call.provider)
    if kind is NotFound:
        return f"it does not exist, or was created with another API key{_than_key_source(call)}"
    where = f": correct {message.param}" if message.param else ""
    return f"sending the same request again would not help{where}"


def _address_advice(provider: Provider) -> str:
    """Return the advice to check that the base URL is that of a Batch API."""
    address = public_url(provider.base_url)
    return f"is {address} the address of a Batch API? Check base_url of {provider.name}"


def connection_advice(provider: Provider, error: BaseException) -> str:
    """Return what to check when no connection was made, by the cause of the error."""
    import socket  # both are loaded with the HTTP library alone
    import ssl

    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return (
                    "this machine does not trust its certificate: set SSL_CERT_FILE to a file of"
                    " the certificates to trust"
                )
            case ssl.SSLError():
                return "the server does not use TLS: should base_url begin with http://?"
            case socket.gaierror():
                return f"the host {provider.host} is unknown: check base_url and the network"
            case OSError(errno=errno.ECONNREFUSED) if provider.loopback:
                return "nothing listens there: is the server running, and is base_url its address?"
            case OSError(errno=errno.ECONNREFUSED):
                return "nothing listens there: is base_url right, and is the server up?"
            case _:
                continue
    return f"check base_url, the network and HTTPS_PROXY; {WILL_BE_RETRIED}"


def is_tls(error: BaseException) -> bool:
    """Whether an exchange failed by TLS, so that there was a connection."""
    import ssl

    return any(isinstance(cause, ssl.SSLError) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _api_key_advice(call: Call, reply: Reply) -> str:
    source = call.provider.key_source
    if source is None:
        return (
            "no API key was sent: this provider has no api_key_env, api_key_file or api_key_command"
        )
    if call.secret is None:
        return f"no API key was sent: set {source}"
    if reply.status == HTTPStatus.FORBIDDEN:
        return f"check that the API key in {source} may do this: its project, rights and region"
    return f"check that the API key in {source} is right and may do this"


def _than_key_source(call: Call) -> str:
    source = call.provider.key_source
    return f" than that of {source}" if source is not None and call.secret is not None else ""


def _redirect_advice(call: Call, reply: Reply) -> str:
    target = reply.headers.get("location", "")
    if not target:
        return "the redirect has no target"
    place = shown(public_url(target), call.secret)
    if _SIGN_IN.search(place):
        return f"it leads to {_SIGN_IN_PAGE}: {place}; {_SIGN_IN_ADVICE}"
    return f"base_url redirects to {place}; set base_url to the address of the API itself"
