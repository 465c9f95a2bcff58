"""The simulated provider over real HTTP on the loopback interface, with faults on the socket.

Each connection has a thread for as long as the server lives; the provider handles one request at
a time. A refused connection cannot be simulated for a client that is already connected: there
`Refuse` is a reset before acting, and `Server.down` is a real refusal.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import sys
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mmap import ACCESS_READ, mmap
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, assert_never

from tests.simulation.exchange import CHUNK, Content, Request
from tests.simulation.faults import Break
from tests.simulation.replies import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.exchange import Response
    from tests.simulation.faults import Sent
    from tests.simulation.world import World

_IN_MEMORY = 1024 * 1024


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = CHUNK
    server: _Listener

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base's name)
        """Print nothing: the simulated provider keeps the log."""

    def _serve(self) -> None:
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            request = Request.of(self.command, self.path, headers, body)
        except ValueError as error:
            self._send_body(Refusal(400, str(error)).reply())
            return
        with self.server.world.lock:
            sent = self.server.world.exchange(request)
        if sent.delay:
            self.server.stopping.wait(sent.delay)
        if sent.broken is not None:
            self._break(sent.broken)
        elif sent.reply is not None:
            self._send(sent, sent.reply)

    def _body(self) -> Content:
        """Take the request's body, in a file on disk where it is large."""
        with SpooledTemporaryFile(_IN_MEMORY) as spool:
            for piece in self._pieces():
                spool.write(piece)
            if not spool.tell():
                return Content.of(b"")
            if spool.tell() <= _IN_MEMORY:
                spool.seek(0)
                return Content.of(spool.read())
            spool.flush()
            return Content.of(mmap(spool.fileno(), 0, access=ACCESS_READ))

    def _pieces(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            while size := int(self._line().partition(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return
        left = int(self.headers.get("content-length", "0"))
        while left:
            piece = self.rfile.read(min(left, CHUNK))
            if not piece:
                raise ConnectionResetError("the client left while sending")
            left -= len(piece)
            yield piece

    def _line(self) -> bytes:
        line = self.rfile.readline()
        if not line:
            raise ConnectionResetError("the client left while sending")
        return line

    def _send_body(self, reply: Response) -> None:
        self._head(reply, ("content-length", str(len(reply.body))))
        for piece in reply.body.chunks():
            self.wfile.write(piece)
        self.wfile.flush()

    def _send(self, sent: Sent, reply: Response) -> None:
        if sent.declared:
            if sent.cut is None:
                self._send_body(reply)
                return
            self._head(reply, ("content-length", str(len(reply.body))))
            for piece in reply.body.chunks(sent.cut):
                self.wfile.write(piece)
            self.wfile.flush()
            self.close_connection = True
            return
        self._head(reply, ("transfer-encoding", "chunked"))
        for piece in reply.body.chunks(sent.cut):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _head(self, reply: Response, length: tuple[str, str]) -> None:
        self.send_response_only(reply.status)
        for name, value in (*reply.headers.items(), length):
            self.send_header(name, value)
        self.end_headers()

    def _break(self, broken: Break) -> None:
        self.close_connection = True
        match broken:
            case Break.CLOSED | Break.DEATH:
                pass
            case Break.REFUSED | Break.RESET | Break.WRITE | Break.CONNECT_TIMEOUT:
                # Closed with a linger time of nought the kernel sends a reset at once.
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                self.server.forget(self.connection)
                os.close(self.connection.detach())
            case Break.READ_TIMEOUT | Break.WRITE_TIMEOUT:
                with selectors.DefaultSelector() as selector:
                    selector.register(self.connection, selectors.EVENT_READ)
                    selector.select()  # readable: the client gave up, or the server stops
            case _:
                assert_never(broken)


class _Listener(ThreadingHTTPServer):
    """The listening socket, and all connections that came from it."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, port: int, world: World) -> None:
        self.world = world
        self.stopping = threading.Event()
        self.failures: list[BaseException] = []
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._guard:
            self._connections.add(connection)
        return connection, address

    def forget(self, connection: socket.socket) -> None:
        with self._guard:
            self._connections.discard(connection)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401  (the base's own type)
        self.forget(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        """Keep what a handler raised, unless it only means that the client has gone."""
        error = sys.exception()
        if error is not None and not isinstance(error, ConnectionError):
            self.failures.append(error)

    def stop(self) -> None:
        """Refuse new connections, end those there are, and wait for their threads."""
        self.stopping.set()
        self.shutdown()
        with self._guard:
            for connection in self._connections:
                with suppress(OSError):  # already ended by the client
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()
        self._thread.join()


class Server:
    """A running server; `base_url` ends in `/v1`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._listener = _Listener(0, world)
        self.port: int = self._listener.server_address[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"

    @contextmanager
    def down(self) -> Iterator[None]:
        """Close the port inside the block: connections are really refused."""
        self._stop()
        try:
            yield
        finally:
            self._listener = _Listener(self.port, self.world)

    def _stop(self) -> None:
        self._listener.stop()
        if self._listener.failures:
            raise ExceptionGroup(
                "the simulated provider broke",
                [error for error in self._listener.failures if isinstance(error, Exception)],
            )


@contextmanager
def serve(world: World) -> Iterator[Server]:
    """Serve the provider until the block ends; errors of the simulation are raised then."""
    server = Server(world)
    try:
        yield server
    finally:
        server._stop()


def unused_port() -> int:
    """Return a port of the loopback interface that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
