"""The simulated provider under an httpx client, without sockets, threads or real time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, assert_never

import httpx

from tests.simulation.exchange import Content, Request
from tests.simulation.faults import Break, Death

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.simulation.exchange import Response
    from tests.simulation.faults import Sent
    from tests.simulation.world import World


def _no_sleep(_seconds: float) -> None:
    """Let no time pass."""


class WorldTransport(httpx.BaseTransport):
    """Pass a client's requests to the provider, and its faults to the client.

    `sleep` lets virtual time pass for delays and time-outs, and `latency` seconds of it for
    every exchange. The errors are those httpx raises over a real connection.
    """

    def __init__(
        self,
        world: World,
        *,
        sleep: Callable[[float], None] = _no_sleep,
        latency: float = 0.0,
    ) -> None:
        self.world = world
        self.closed = False
        self._sleep = sleep
        self._latency = latency

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request, or raise what a real transport would."""
        if self._latency:
            self._sleep(self._latency)
        sent = self.world.exchange(
            Request.of(
                request.method,
                request.url.raw_path.decode("ascii"),
                {name.decode().lower(): value.decode() for name, value in request.headers.raw},
                Content.of(request.read()),
            )
        )
        patience = request.extensions.get("timeout", {}).get("read")
        if sent.delay:
            if patience is not None and sent.delay > patience:
                self._sleep(patience)
                raise httpx.ReadTimeout("timed out", request=request)
            self._sleep(sent.delay)
        if sent.broken is not None:
            if sent.broken is Break.READ_TIMEOUT and patience is not None:
                self._sleep(patience)
            _break(sent.broken, request)
        if sent.reply is None:
            raise AssertionError("the world neither answered nor broke the connection")
        return _reply(sent, sent.reply, request)

    def close(self) -> None:
        self.closed = True


class _CutShort(httpx.SyncByteStream):
    """A body whose connection ends before it does."""

    def __init__(self, body: Content, sent: Sent, request: httpx.Request) -> None:
        self._body = body
        self._sent = sent
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        yield from self._body.chunks(self._sent.cut)
        if self._sent.declared and self._sent.cut is not None and self._sent.cut < len(self._body):
            raise httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body "
                f"(received {self._sent.cut} bytes, expected {len(self._body)})",
                request=self._request,
            )


def _reply(sent: Sent, reply: Response, request: httpx.Request) -> httpx.Response:
    headers = dict(reply.headers)
    if sent.declared:
        headers["content-length"] = str(len(reply.body))
    else:
        headers["transfer-encoding"] = "chunked"
    return httpx.Response(
        reply.status, headers=headers, stream=_CutShort(reply.body, sent, request), request=request
    )


def _break(broken: Break, request: httpx.Request) -> NoReturn:
    match broken:
        case Break.REFUSED:
            raise httpx.ConnectError("[Errno 111] Connection refused", request=request)
        case Break.CLOSED:
            raise httpx.RemoteProtocolError(
                "Server disconnected without sending a response.", request=request
            )
        case Break.RESET:
            raise httpx.ReadError("[Errno 104] Connection reset by peer", request=request)
        case Break.WRITE:
            raise httpx.WriteError("[Errno 32] Broken pipe", request=request)
        case Break.CONNECT_TIMEOUT:
            raise httpx.ConnectTimeout("timed out", request=request)
        case Break.WRITE_TIMEOUT:
            raise httpx.WriteTimeout("timed out", request=request)
        case Break.READ_TIMEOUT:
            raise httpx.ReadTimeout("timed out", request=request)
        case Break.DEATH:
            raise Death
        case _:
            assert_never(broken)
