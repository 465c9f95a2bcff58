"""A loopback HTTP server that replies as a test scripts it, also unlike any API."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlsplit

from runner.api.client import Client
from runner.api.retry import DEFAULT_POLICY, DEFAULT_TIMEOUTS
from runner.spec.project import Provider, Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    import httpx

    from runner.api.retry import RetryPolicy, Timeouts

KEY = "sk-test-4f1d2c9b8a7e6d5c"

NOW = 1_800_000_000.0
"""The time by the clock of the client, in Unix seconds."""

SERVER_DATE = "Fri, 15 Jan 2027 09:00:00 GMT"
"""The time by the clock of the server, an hour ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:  # noqa: ANN401
        return json.loads(self.body)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def _serve(self) -> None:
        step = self.server.next_step()
        if getattr(step, "before_reading", False):
            self.server.keep(self, b"")
            step(self)
            return
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        self.server.keep(self, body)
        step(self)

    do_GET = do_POST = do_DELETE = do_CONNECT = _serve  # noqa: N815 - the standard library's names

    def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002
        return SERVER_DATE

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


class Server(ThreadingHTTPServer):
    """Answers the n-th request with the n-th step; running out of steps is a 599."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.steps: list[Callable[[Handler], None]] = []
        self.received: list[Received] = []
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._connections: dict[int, int] = {}
        self._thread = threading.Thread(target=self.serve_forever, args=(0.002,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()
        self._thread.join()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def will(self, *steps: Callable[[Handler], None]) -> None:
        self.steps.extend(steps)

    def next_step(self) -> Callable[[Handler], None]:
        with self._lock:
            return self.steps.pop(0) if self.steps else answer(599, {"error": "no step left"})

    def keep(self, handler: Handler, body: bytes) -> None:
        parts = urlsplit(handler.path)
        with self._lock:
            number = self._connections.setdefault(handler.client_address[1], len(self._connections))
            self.received.append(
                Received(
                    method=handler.command,
                    path=parts.path,
                    query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                    headers={name.lower(): value for name, value in handler.headers.items()},
                    body=body,
                    connection=number,
                )
            )

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is part of the tests."""


def answer(
    status: int = 200,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    *,
    announced: int | None = None,
    then_close: bool = False,
) -> Callable[[Handler], None]:
    """Answer with bytes, text or JSON; `announced` sends a wrong length and hangs up."""
    if isinstance(body, str):
        content = body.encode()
    elif isinstance(body, bytes):
        content = body
    else:
        content = b"" if body is None else json.dumps(body).encode()

    def step(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content) if announced is None else announced))
        handler.end_headers()
        handler.wfile.write(content)
        handler.close_connection = then_close or announced is not None

    return step


def chunked(
    pieces: Iterable[bytes], headers: Mapping[str, str] | None = None, *, finish: bool = True
) -> Callable[[Handler], None]:
    """Answer 200 in chunks, without a length; hang up before the last where not `finish`."""

    def step(handler: Handler) -> None:
        handler.send_response(200)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in pieces:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if finish:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    return step


def drop(*, before_reading: bool = False) -> Callable[[Handler], None]:
    """Hang up without an answer, after or before the request's body was read."""

    def step(handler: Handler) -> None:
        handler.close_connection = True

    step.before_reading = before_reading  # type: ignore[attr-defined]
    return step


def stall(handler: Handler) -> None:
    """Say nothing until the test is over."""
    handler.server.over.wait(30)
    handler.close_connection = True


def garbage(handler: Handler) -> None:
    """Answer with what is not HTTP."""
    handler.wfile.write(b"\x15\x03\x03\x00\x02\x02\x46 hello\r\n\r\n")
    handler.close_connection = True


def batch(
    identifier: str = "batch_1", status: str = "validating", **more: object
) -> dict[str, Any]:
    return {"id": identifier, "object": "batch", "status": status, "created_at": 1, **more}


def file(identifier: str = "file-1", **more: object) -> dict[str, Any]:
    return {"id": identifier, "object": "file", "bytes": 4, "created_at": 1, **more}


@dataclass(slots=True)
class World:
    """A provider on loopback, and clients of it whose waits are written down, not waited."""

    server: Server
    naps: list[float] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)

    def provider(self, **changes: object) -> Provider:
        settings: dict[str, Any] = {
            "name": "lab",
            "base_url": f"{self.server.origin}/v1",
            "api_key_env": "LAB_KEY",
            **changes,
        }
        return Provider(**settings)

    def client(
        self,
        key: str | None = KEY,
        provider: Provider | None = None,
        *,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        policy: RetryPolicy = DEFAULT_POLICY,
        transport: httpx.BaseTransport | None = None,
    ) -> Client:
        client = Client(
            provider or self.provider(),
            None if key is None else Secret(key),
            clock=lambda: NOW,
            sleep=self.naps.append,
            random=lambda: 0.0,
            timeouts=timeouts,
            policy=policy,
            transport=transport,
        )
        self.clients.append(client)
        return client
