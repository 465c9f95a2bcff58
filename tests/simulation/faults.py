"""The faults between a client and the provider, and how a test scripts them.

A fault concerns one exchange. Its `acted` says whether the provider carried out the request
although the client got no proper reply: the question that a client cannot answer. `on_the_wire`
turns fault and reply into what reaches the client; `transport` and `http` carry that out.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias, assert_never

from tests.simulation.exchange import Content, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.simulation.exchange import Request


class Break(Enum):
    """How a connection fails."""

    REFUSED = "connection refused"
    CLOSED = "closed without an answer"
    RESET = "reset by the peer"
    WRITE = "broken while the request was being sent"
    CONNECT_TIMEOUT = "no connection in time"
    WRITE_TIMEOUT = "request not taken in time"
    READ_TIMEOUT = "no answer in time"
    DEATH = "the client itself dies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The connection is refused: the request is not received."""

    acted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """The connection breaks; with `acted` after the request was carried out, else before."""

    acted: bool
    how: Break = Break.CLOSED


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeOut:
    """No answer comes until the client gives up. `how` is one of the three time-outs."""

    acted: bool
    how: Break = Break.READ_TIMEOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """The answer takes `seconds` longer; what comes then may be a fault too."""

    seconds: float
    then: Fault | None = None

    @property
    def acted(self) -> bool:
        return self.then is None or self.then.acted


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncate:
    """The answer ends early, after `keep` of it: an int counts bytes, a float is a fraction.

    The declared length stays that of the whole, so the client can notice. With `clean` none is
    declared and the end looks like the end.
    """

    keep: int | float = 0.5
    clean: bool = False
    acted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Html:
    """A proxy's page in place of the answer."""

    status: int = 502
    acted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """200 and bytes that are neither JSON nor text."""

    body: bytes = b"\x00\xff{\xfe]"
    acted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """An error reply in the API's envelope, or with `body` in any other form."""

    status: int
    code: str | None = None
    type: str | None = None
    message: str = "The simulated provider has a fault here."
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    acted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Die:
    """The client's process ends, before or after the request was carried out.

    In-process this is `Death`, which no `except Exception` holds back. On a socket, where the
    client cannot be ended from here, the connection is closed.
    """

    acted: bool


Fault: TypeAlias = Refuse | Drop | TimeOut | Delay | Truncate | Html | Garbage | Status | Die
Faults: TypeAlias = "Callable[[Request, int], Fault | None]"


class Death(BaseException):
    """What `Die` raises in-process: the code under test must leave everything unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What reaches the client: a reply, perhaps cut, or a broken connection; after `delay`.

    `cut` is how many bytes of the body are sent, None for all of them. `declared` says whether
    the length of the whole is declared.
    """

    reply: Response | None = None
    broken: Break | None = None
    cut: int | None = None
    declared: bool = True
    delay: float = 0.0

    @property
    def whole(self) -> bool:
        return self.reply is not None and self.cut is None


def on_the_wire(fault: Fault | None, answer: Response | None) -> Sent:  # noqa: PLR0911  (one a kind)
    """Return what the client gets of `answer`, which is None where the provider did not act."""
    match fault:
        case None:
            return Sent(reply=answer, declared=answer is not None and not answer.chunked)
        case Refuse():
            return Sent(broken=Break.REFUSED)
        case Drop(how=how) | TimeOut(how=how):
            return Sent(broken=how)
        case Die():
            return Sent(broken=Break.DEATH)
        case Delay(seconds=seconds, then=then):
            sent = on_the_wire(then, answer)
            return Sent(
                reply=sent.reply,
                broken=sent.broken,
                cut=sent.cut,
                declared=sent.declared,
                delay=seconds + sent.delay,
            )
        case Truncate(keep=keep, clean=clean):
            size = len(answer.body) if answer is not None else 0
            cut = keep if isinstance(keep, int) else int(size * keep)
            return Sent(reply=answer, cut=min(cut, size), declared=not clean)
        case Html(status=status):
            page = b"<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>\n"
            return Sent(reply=_reply(status, page, "text/html"))
        case Garbage(body=body):
            return Sent(reply=_reply(200, body, "application/json"))
        case Status():
            return Sent(reply=_status_reply(fault))
        case _:
            assert_never(fault)


def _status_reply(fault: Status) -> Response:
    envelope = {
        "error": {
            "message": fault.message,
            "type": fault.type or ("server_error" if fault.status >= 500 else "invalid_request"),
            "param": fault.param,
            "code": fault.code,
        }
    }
    document = envelope if fault.body is None else fault.body
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return _reply(fault.status, body, "application/json", fault.headers)


def _reply(
    status: int, body: bytes, content_type: str, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(
        status=status,
        headers={"content-type": content_type, **(headers or {})},
        body=Content.of(body),
    )


def rate_limited(retry_after: str | None = "1") -> Status:
    """429 with a time to wait; `retry_after` is seconds or an HTTP date, None for neither."""
    return Status(
        status=429,
        code="rate_limit_exceeded",
        type="requests",
        message="Rate limit reached for requests.",
        headers={} if retry_after is None else {"retry-after": retry_after},
    )


def out_of_money() -> Status:
    """429 that no patience helps against."""
    return Status(
        status=429,
        code="insufficient_quota",
        type="insufficient_quota",
        message="You exceeded your current quota, please check your plan and billing details.",
    )


def server_error(*, acted: bool, status: int = 500) -> Status:
    """5xx, before or after the request was carried out."""
    return Status(status=status, message="The server had an error.", acted=acted)


def never(_request: Request, _number: int) -> None:
    """No faults at all."""


def scripted(script: Mapping[int, Fault]) -> Faults:
    """Inject the fault at the exchanges with these numbers, counted from 0 over all exchanges."""
    return lambda _request, number: script.get(number)


def on(method: str, path: str, *faults: Fault | None) -> Faults:
    """Strike the calls of one kind: the first fault at the first such call, and so on.

    A `path` ending in `*` means all that begin so. None lets a call through; so do all calls
    after the last fault.
    """
    waiting = list(faults)

    def strike(request: Request, _number: int) -> Fault | None:
        hit = (
            request.path.startswith(path[:-1]) if path.endswith("*") else request.path == path
        ) and request.method == method
        return waiting.pop(0) if hit and waiting else None

    return strike


def first_of(*scripts: Faults) -> Faults:
    """Ask several scripts, each exchange, until one has a fault."""

    def strike(request: Request, number: int) -> Fault | None:
        return next((fault for script in scripts if (fault := script(request, number))), None)

    return strike


EVERY_KIND: Sequence[Fault] = (
    Refuse(),
    *(Drop(acted=acted, how=how) for acted in (False, True) for how in (Break.CLOSED, Break.RESET)),
    Drop(acted=False, how=Break.WRITE),
    TimeOut(acted=False),
    TimeOut(acted=True),
    TimeOut(acted=False, how=Break.CONNECT_TIMEOUT),
    Truncate(),
    Truncate(keep=0),
    Html(status=502),
    Html(status=502, acted=True),
    Html(status=200),
    Garbage(acted=True),
    rate_limited(),
    rate_limited(None),
    *(server_error(acted=acted, status=status) for acted in (False, True) for status in (500, 503)),
)
"""A fault of each kind that a healthy client survives in the end."""


def chaos(seed: int, rate: float, kinds: Sequence[Fault] = EVERY_KIND) -> Faults:
    """Strike a share `rate` of all exchanges, by chance but the same for the same seed."""
    chance = random.Random(seed)

    def strike(_request: Request, _number: int) -> Fault | None:
        return chance.choice(kinds) if chance.random() < rate else None

    return strike
