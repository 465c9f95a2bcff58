"""Everything that can go wrong with one exchange of a story, by name.

A story is data that can be drawn, counted and reduced, so it holds names of faults. What a name
means on the wire is computed when it happens, since a date in a reply depends on the hour.
"""

from __future__ import annotations

from email.utils import formatdate
from enum import Enum
from typing import TYPE_CHECKING, Final

from tests.simulation.faults import (
    Break,
    Delay,
    Die,
    Drop,
    Garbage,
    Html,
    Refuse,
    Status,
    TimeOut,
    Truncate,
    rate_limited,
    server_error,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.simulation.exchange import Request
    from tests.simulation.faults import Fault


class Mishap(Enum):
    """What goes wrong with an exchange and, if it matters, before or after the provider acted."""

    REFUSED = "connection refused"
    NOT_CONNECTED = "no connection in time"
    BROKEN_SENDING = "broken while the request was being sent"
    BROKEN_BEFORE = "closed before the provider acted"
    BROKEN_AFTER = "closed after the provider acted"
    RESET_BEFORE = "reset before the provider acted"
    RESET_AFTER = "reset after the provider acted"
    TIMED_OUT_BEFORE = "no answer in time, and not acted"
    TIMED_OUT_AFTER = "no answer in time, though acted"
    DELAYED = "answered late"
    DELAYED_TOO_LONG = "acted, and answered when nobody listened any more"
    TRUNCATED = "answer cut in half"
    TRUNCATED_UNSEEN = "answer cut in half, and no length declared"
    EMPTIED = "answer cut before its first byte"
    HTML_BEFORE = "a page of HTML with 502, not acted"
    HTML_AFTER = "a page of HTML with 502, though acted"
    HTML_WITH_200 = "a page of HTML with 200, not acted"
    GARBAGE_BEFORE = "200 and garbage, not acted"
    GARBAGE_AFTER = "200 and garbage, though acted"
    RATE_LIMITED = "429 without a time"
    RATE_LIMITED_SECONDS = "429, Retry-After in seconds"
    RATE_LIMITED_DATE = "429, Retry-After as a date"
    RATE_LIMITED_LONG = "429, Retry-After beyond all patience"
    ERROR_BEFORE = "500 before the provider acted"
    ERROR_AFTER = "500 after the provider acted"
    UNAVAILABLE_BEFORE = "503 before the provider acted"
    UNAVAILABLE_AFTER = "503 after the provider acted"
    UNKNOWN_STATUS_BEFORE = "599 before the provider acted"
    UNKNOWN_STATUS_AFTER = "520 after the provider acted"
    UNKNOWN_REFUSAL = "418 to a question"
    DEATH_BEFORE = "killed at an exchange before the provider acted"
    DEATH_AFTER = "killed at an exchange after the provider acted"
    POWER_CUT_BEFORE = "power cut at an exchange before the provider acted"
    POWER_CUT_AFTER = "power cut at an exchange after the provider acted"


ENDS: Final = (
    Mishap.DEATH_BEFORE,
    Mishap.DEATH_AFTER,
    Mishap.POWER_CUT_BEFORE,
    Mishap.POWER_CUT_AFTER,
)
POWER_CUTS: Final = (Mishap.POWER_CUT_BEFORE, Mishap.POWER_CUT_AFTER)
SURVIVED: Final[Sequence[Mishap]] = tuple(mishap for mishap in Mishap if mishap not in ENDS)

_FAULTS: Final[dict[Mishap, Fault]] = {
    Mishap.REFUSED: Refuse(),
    Mishap.NOT_CONNECTED: TimeOut(acted=False, how=Break.CONNECT_TIMEOUT),
    Mishap.BROKEN_SENDING: Drop(acted=False, how=Break.WRITE),
    Mishap.BROKEN_BEFORE: Drop(acted=False),
    Mishap.BROKEN_AFTER: Drop(acted=True),
    Mishap.RESET_BEFORE: Drop(acted=False, how=Break.RESET),
    Mishap.RESET_AFTER: Drop(acted=True, how=Break.RESET),
    Mishap.TIMED_OUT_BEFORE: TimeOut(acted=False),
    Mishap.TIMED_OUT_AFTER: TimeOut(acted=True),
    Mishap.DELAYED: Delay(seconds=20.0),
    Mishap.DELAYED_TOO_LONG: Delay(seconds=3600.0),
    Mishap.TRUNCATED: Truncate(),
    Mishap.TRUNCATED_UNSEEN: Truncate(clean=True),
    Mishap.EMPTIED: Truncate(keep=0),
    Mishap.HTML_BEFORE: Html(),
    Mishap.HTML_AFTER: Html(acted=True),
    Mishap.HTML_WITH_200: Html(status=200),
    Mishap.GARBAGE_BEFORE: Garbage(),
    Mishap.GARBAGE_AFTER: Garbage(acted=True),
    Mishap.RATE_LIMITED: rate_limited(None),
    Mishap.RATE_LIMITED_SECONDS: rate_limited("2"),
    Mishap.RATE_LIMITED_LONG: rate_limited("900"),
    Mishap.ERROR_BEFORE: server_error(acted=False),
    Mishap.ERROR_AFTER: server_error(acted=True),
    Mishap.UNAVAILABLE_BEFORE: server_error(acted=False, status=503),
    Mishap.UNAVAILABLE_AFTER: server_error(acted=True, status=503),
    Mishap.UNKNOWN_STATUS_BEFORE: server_error(acted=False, status=599),
    Mishap.UNKNOWN_STATUS_AFTER: server_error(acted=True, status=520),
    Mishap.UNKNOWN_REFUSAL: Status(status=418, message="I am a teapot."),
    Mishap.DEATH_BEFORE: Die(acted=False),
    Mishap.DEATH_AFTER: Die(acted=True),
    Mishap.POWER_CUT_BEFORE: Die(acted=False),
    Mishap.POWER_CUT_AFTER: Die(acted=True),
}


def strike(mishap: Mishap, request: Request, now: float) -> Fault | None:
    """Return the fault of a mishap at this exchange; None where it cannot happen.

    An unknown refusal is final for the call that was refused, so it happens to reads only. A
    result file that is cut between two lines twice, in the same way, cannot be noticed.
    """
    if mishap is Mishap.RATE_LIMITED_DATE:
        return rate_limited(formatdate(now + 3.0, usegmt=True))
    if mishap is Mishap.UNKNOWN_REFUSAL and request.method != "GET":
        return None
    if mishap is Mishap.TRUNCATED_UNSEEN and request.path.endswith("/content"):
        return Truncate()
    return _FAULTS[mishap]
