"""A network whose replies are taken from a fuzzed input.

It raises the exceptions of httpx's own transport, and asserts for every call that the API key is
sent to its provider only and that the number of requests is limited.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY: Final = "sk-fuzz-0123456789abcdef"
HOST: Final = b"127.0.0.1:9"
"""The address that receives the API key; nothing listens there."""

_MOST_EXCHANGES: Final = 120
_PIECE: Final = 4096
_FAILURES: Final[dict[bytes, type[httpx.RequestError]]] = {
    b"refused": httpx.ConnectError,
    b"timeout": httpx.ReadTimeout,
    b"broken": httpx.RemoteProtocolError,
    b"proxy": httpx.ProxyError,
}
_HARMLESS_FAILURES: Final = (b"refused", b"proxy")
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The result of one call: a reply, complete or not, or a failure."""

    failure: bytes | None
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    breaks: bool

    @classmethod
    def read(cls, part: bytes) -> Reply:
        head, _, body = part.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        number = re.search(rb"\d{3}", first)
        headers = [found.groups() for line in lines if (found := _HEADER.fullmatch(line.strip()))]
        if b"gzipped" in first:
            body = zlib.compress(body, wbits=31)
        return cls(
            failure=next((word for word in _FAILURES if word in first), None),
            # httpcore passes no informational reply on, and what is below 100 is no HTTP.
            status=max(200, int(number[0])) if number else 200,
            headers=[(name, value) for name, value in headers],
            body=body,
            breaks=b"short" in first,
        )

    @property
    def proves_nothing_made(self) -> bool:
        """Whether a call with this result certainly had no effect."""
        if self.failure is not None:
            return self.failure in _HARMLESS_FAILURES
        return 300 <= self.status < 500 and self.status != 408


class _Stream(httpx.SyncByteStream):
    """A body that arrives in pieces and may be incomplete."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def __iter__(self) -> Iterator[bytes]:
        body = self._reply.body
        for start in range(0, len(body), _PIECE):
            yield body[start : start + _PIECE]
        if self._reply.breaks:
            raise httpx.RemoteProtocolError("peer closed connection without the whole body")


@dataclass(slots=True)
class Network(httpx.BaseTransport):
    """Answers the n-th request with the n-th reply, and the rest with the last."""

    replies: list[Reply]
    given: list[Reply] = field(default_factory=list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.scheme not in {"http", "https"}:  # as httpx's own transport has it
            raise httpx.UnsupportedProtocol("no such protocol here", request=request)
        for _ in request.stream:  # type: ignore[union-attr]
            pass
        if KEY in request.headers.get("authorization", ""):
            assert request.url.netloc == b"127.0.0.1:9", (
                f"the key was sent to {request.url.netloc!r}"
            )
        reply = self.replies[min(len(self.given), len(self.replies) - 1)]
        self.given.append(reply)
        assert len(self.given) <= _MOST_EXCHANGES, "there is no end of exchanges"
        if reply.failure is not None:
            raise _FAILURES[reply.failure](f"it failed near {KEY}", request=request)
        return httpx.Response(reply.status, headers=reply.headers, stream=_Stream(reply))
