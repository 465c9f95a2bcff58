"""A wire between the command and the provider that can be held in the middle of a message."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.http import Server

UPLOAD = re.compile(rb"POST /v1/files ")
DOWNLOAD = re.compile(rb"GET /v1/files/[^/ ]+/content ")
_PIECE = 4096


class Wire:
    """Carries bytes both ways, until the first connection with a certain request on it.

    On that one `after` bytes of the request (or of the answer, with `back`) go through and then
    nothing more, in that direction; `held` is set. Later connections are not hindered.
    """

    def __init__(self, server: Server) -> None:
        self.held = threading.Event()
        self.server = server
        self._wanted: re.Pattern[bytes] | None = None
        self._after, self._back = 0, False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._threads = [threading.Thread(target=self._accept)]
        self._ends: list[socket.socket] = []
        self._threads[0].start()

    def hold(self, wanted: re.Pattern[bytes], *, after: int, back: bool = False) -> None:
        """Arrange for the next connection with such a request to be held."""
        self._wanted, self._after, self._back = wanted, after, back

    def close(self) -> None:
        """End all connections and wait for their threads."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.server.port))
            self._ends += [near, far]
            connection = _Connection(self, near, far)
            for carry in (connection.there, connection.back):
                self._threads.append(threading.Thread(target=carry))
                self._threads[-1].start()

    def caught(self, request: bytes) -> tuple[int, bool] | None:
        """Say whether this is what is waited for: how many bytes pass, and which way."""
        if self._wanted is None or self._wanted.match(request) is None:
            return None
        self._wanted = None
        return self._after, self._back


class _Connection:
    """One connection: what comes from the command, and what comes back."""

    def __init__(self, wire: Wire, near: socket.socket, far: socket.socket) -> None:
        self._wire, self._near, self._far = wire, near, far
        self._left_there: int | None = None
        self._left_back: int | None = None

    def there(self) -> None:
        with suppress(OSError):
            while piece := self._near.recv(_PIECE):
                caught = self._wire.caught(piece)
                if caught is not None:
                    after, back = caught
                    self._left_back, self._left_there = (after, None) if back else (None, after)
                if self._left_there is not None:
                    piece, self._left_there = self._measured(piece, self._left_there)
                self._far.sendall(piece)
                if self._left_there == 0:
                    self._wire.held.set()
                    return
            self._far.shutdown(socket.SHUT_WR)

    def back(self) -> None:
        with suppress(OSError):
            while piece := self._far.recv(_PIECE):
                if self._left_back is not None:
                    piece, self._left_back = self._measured(piece, self._left_back)
                self._near.sendall(piece)
                if self._left_back == 0:
                    self._wire.held.set()
                    return
            self._near.shutdown(socket.SHUT_WR)

    @staticmethod
    def _measured(piece: bytes, left: int) -> tuple[bytes, int]:
        return piece[:left], max(left - len(piece), 0)


@contextmanager
def wired(server: Server) -> Iterator[Wire]:
    """Lay a wire to a server for as long as the block lasts."""
    with closing(Wire(server)) as wire:
        yield wire
