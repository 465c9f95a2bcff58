"""From an HTTP reply to a decoded object, or to the error that says whether the call has acted.

Pure: a status, headers and a body go in, a value or an exception comes out. The table is that
of the fact sheet, sections 1 and 4. The one question that matters is asked of every reply to a
call that makes something: is it *known* that nothing was made? A 4xx and a redirect say so; a
408, a 5xx or a 2xx without a usable object do not.

What to do next about a provider's refusal or silence: the end of every sentence about one.

A provider says what it did not like, in words made for whoever wrote the request. Here it is said
what a person who runs jobs can do about it, if anything: most of what passes by itself needs
nobody, and saying so is worth as much.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar, assert_never

from runner.api.error_messages import (
    decode_json,
    describe_text,
    public_url,
    read_error_message,
    shown,
)
from runner.batch import MONEY_CODES
from runner.errors import (
    ApiError,
    FileNotVisible,
    MayHaveActed,
    NotFound,
    NotOffered,
    OutOfMoney,
    RateLimited,
    Rejected,
    TooLarge,
    Transient,
    Unauthorized,
    UnexpectedReply,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.api.error_messages import ErrorMessage
    from runner.spec.project import Provider, Secret


_Error = TypeVar("_Error", bound=ApiError)

_MONEY_STATUSES: Final = frozenset({400, 403, 429})
_PLAIN_MEANINGS: Final[Mapping[int, type[ApiError]]] = {
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Unauthorized,
    HTTPStatus.METHOD_NOT_ALLOWED: NotOffered,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimited,
    HTTPStatus.NOT_IMPLEMENTED: NotOffered,
}
_FILE_PARAMS: Final = frozenset({"file_id", "input_file_id"})
_FILE_NOT_VISIBLE: Final = re.compile(
    r"cannot find file|\bfile\b.*\b(not found|not (yet )?processed|does not exist)|no such file",
    re.IGNORECASE,
)
_TOO_LARGE: Final = re.compile(
    r"\b(too large|too big|exceeds the (maximum|limit)|maximum (file )?size)", re.IGNORECASE
)
_SHORTEST_KEY: Final = 12
"""Characters below which a key is no secret but a placeholder (`EMPTY`, `none`), and may be a
word that a Batch object holds for other reasons."""
_SECONDS: Final = re.compile(r"\d{1,9}(\.\d+)?", re.ASCII)


class CallKind(Enum):
    """What a call is to the API, which decides what its failures mean."""

    LISTING = auto()
    """GET of a collection."""
    OBJECT = auto()
    """GET, DELETE or cancel of one object: doing it again changes nothing more."""
    UPLOAD = auto()
    """POST of a file: each one that arrives makes another file."""
    CREATION = auto()
    """POST of a batch: each one that arrives makes another batch, and costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call to a provider, as messages name it. `path` is relative to the base URL."""

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
        """Whether sending it once more could make a second thing."""
        match self.kind:
            case CallKind.UPLOAD | CallKind.CREATION:
                return True
            case CallKind.LISTING | CallKind.OBJECT:
                return False
            case _:
                assert_never(self.kind)

    @property
    def of_collection(self) -> bool:
        """Whether its path exists at every provider that has the call at all."""
        return self.kind is not CallKind.OBJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply as received; header names are in lower case.

    `whole` is False where the connection ended, or the reader stopped, before the body did. Its
    repr shows no headers and no body, since a server may echo the key in either.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    whole: bool = True

    @property
    def successful(self) -> bool:
        """Whether the status is any 2xx: dialects answer a creation with 200, 201 or 202."""
        return 200 <= self.status < 300  # noqa: PLR2004


def decoded(call: Call, reply: Reply, *, now: float) -> object:
    """Return the JSON of a successful reply.

    `now` is Unix time. Raises the error of `refusal` where the status is not 2xx, and that of
    `unusable` where the body is not one whole JSON document.
    """
    if not reply.successful:
        raise refusal(call, reply, now=now)
    if not reply.whole:
        raise unusable(call, f"a body too long to be read ({len(reply.body):,} bytes)", reply)
    body = _without_key(reply.body, call.secret)
    try:
        return decode_json(body)
    except ValueError as error:
        what = describe_text(body) or "an empty body"
        raise unusable(call, f"what is not JSON ({error}): {what}", reply) from error


def _without_key(body: bytes, secret: Secret | None) -> bytes:
    """Cut the key out of JSON that is kept as it is: a Batch object may hold what it was told."""
    key = secret.reveal().encode() if secret is not None else b""
    if len(key) < _SHORTEST_KEY:
        return body
    # PHP, for one, writes a slash as \\/ (RFC 8259, section 7).
    return body.replace(key, b"***").replace(key.replace(b"/", b"\\/"), b"***")


def unusable(call: Call, what: str, reply: Reply) -> ApiError:
    """Return the error for a reply that is not the API's.

    `what` completes "answered with 200 and …". For a call that acts the outcome is unknown: a
    proxy can lose the reply to a request that was carried out.
    """
    text = (
        f"{call.provider.name} answered {call} with {reply.status} and {shown(what, call.secret)}"
    )
    if not call.acts:
        return _error(UnexpectedReply, call, f"{text} ({address_advice(call.provider)})", reply)
    return _error(MayHaveActed, call, f"{text} ({LOOK})", reply)


def refusal(call: Call, reply: Reply, *, now: float) -> ApiError:
    """Return the error that a reply other than 2xx means; `now` is Unix time."""
    message = read_error_message(reply.body, call.secret)
    kind = _meaning(call, reply, message)
    try:
        phrase = f"{reply.status} {HTTPStatus(reply.status).phrase}"
    except ValueError:
        phrase = str(reply.status)
    text = f"{call.provider.name} answered {call} with {phrase}"
    if message.text:
        text += f": {message.text}"
    wait = retry_after(reply.headers, now=now)
    advice = refusal_advice(kind, call, reply, message)
    if wait:
        advice += f"; it asks for {wait:,.0f} s of patience"
    return _error(kind, call, f"{text} ({advice})", reply, message, wait)


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Return the seconds a reply asks to wait, or None where it does not say (RFC 9110, 10.2.3).

    A date counts from the reply's own Date where it has one, so that a wrong clock on either
    side does no harm, else from `now` (Unix time). A date that has passed is 0 seconds.
    """
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    until = _unix_time(value)
    if until is None:
        return None
    sent = sent_at(headers)
    return max(0.0, until - (now if sent is None else sent))


def _meaning(call: Call, reply: Reply, message: ErrorMessage) -> type[ApiError]:
    status = reply.status
    if status == HTTPStatus.PAYMENT_REQUIRED or (
        status in _MONEY_STATUSES and MONEY_CODES & {message.code, message.type}
    ):
        return OutOfMoney
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
        # Refused, so it has not acted; but a refusal that was cut short before it said why is
        # no reason to give a job up.
        return Transient
    if 300 <= status < 500 and status != HTTPStatus.REQUEST_TIMEOUT:  # noqa: PLR2004
        return _PLAIN_MEANINGS.get(status, Rejected)
    return _PLAIN_MEANINGS.get(status, MayHaveActed if call.acts else Transient)


def _file_not_visible(status: int, message: ErrorMessage) -> bool:
    """Whether a refused creation means an upload that has not spread yet (failure 9).

    OpenAI and Azure answer 400, Voyage 404; names and words differ.
    """
    if status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):
        return False
    return message.param in _FILE_PARAMS or bool(_FILE_NOT_VISIBLE.search(message.text))


def sent_at(headers: Mapping[str, str]) -> float | None:
    """Return when a reply was sent by its sender's clock, in Unix seconds, if it says so."""
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


LOOK: Final = "it may have been carried out: the next pass looks before it sends it again"
LATER: Final = "the next pass tries again"

_ALWAYS: Final[Mapping[type[ApiError], str]] = {
    FileNotVisible: f"the uploaded file is not known there yet; {LATER}",
    MayHaveActed: LOOK,
    OutOfMoney: "add credit or raise the limit on the provider's billing page; no retry can help",
    RateLimited: f"too many requests for now; {LATER}",
    TooLarge: "smaller files may do: set max_bytes_per_batch in runner.yaml",
    Transient: f"trouble at the provider; {LATER}",
}


def refusal_advice(kind: type[ApiError], call: Call, reply: Reply, message: ErrorMessage) -> str:
    """Return what a person should know, or do, about a refusal beyond the provider's words."""
    if 300 <= reply.status < 400:  # noqa: PLR2004
        return _about_redirect(call, reply)
    if kind is Unauthorized:
        return _about_key(call, reply)
    if kind in _ALWAYS:
        return _ALWAYS[kind]
    if message.code == "model_not_found" or message.param in ("model", "body.model"):
        return "check the model's name in the input, and that the key may use it"
    if kind is NotOffered:
        return address_advice(call.provider)
    if kind is NotFound:
        return f"it does not exist, or was made with another key{_of_source(call)}"
    where = f": look at {message.param}" if message.param else ""
    return f"sending the same again would not help{where}"


def address_advice(provider: Provider) -> str:
    """Ask whether the address is that of an API at all."""
    address = public_url(provider.base_url)
    return f"is {address} really that of a Batch API? See base_url of {provider.name}"


def connection_advice(provider: Provider, error: BaseException) -> str:
    """Say where to look when no connection was made, by what the system said about it."""
    import socket  # both are loaded with the HTTP library alone
    import ssl

    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return "its certificate is not trusted here: SSL_CERT_FILE names those that are"
            case ssl.SSLError():
                return "no TLS is spoken there: should base_url begin with http://?"
            case socket.gaierror():
                return f"nobody knows the name {provider.host}: check base_url and the network"
            case OSError(errno=errno.ECONNREFUSED) if provider.loopback:
                return "nothing listens there: is the server running, and base_url its address?"
            case OSError(errno=errno.ECONNREFUSED):
                return "nothing listens there: is base_url right, and the server up?"
            case _:
                continue
    return f"check base_url, the network and HTTPS_PROXY; {LATER}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _about_key(call: Call, reply: Reply) -> str:
    source = call.provider.key_source
    if source is None:
        return "this provider has no api_key_env, api_key_file or api_key_command: no key was sent"
    if call.secret is None:
        return f"no key was sent: set {source}"
    if reply.status == HTTPStatus.FORBIDDEN:
        return f"check that the key in {source} may do this: its project, rights and region"
    return f"check that the key in {source} is right and may do this"


def _of_source(call: Call) -> str:
    source = call.provider.key_source
    return f" than that of {source}" if source is not None and call.secret is not None else ""


def _about_redirect(call: Call, reply: Reply) -> str:
    target = reply.headers.get("location", "")
    if not target:
        return "a redirect that does not say where to"
    place = shown(public_url(target), call.secret)
    return f"base_url redirects to {place}; set base_url to where the API really is"
