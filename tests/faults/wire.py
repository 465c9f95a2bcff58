"""A connection between the command and the provider that can be held, slowed down, or changed."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.simulation.http import Server

UPLOAD = re.compile(rb"POST /v1/files ")
CREATION = re.compile(rb"POST /v1/batches ")
LIST = re.compile(rb"GET /v1/batches\?")
DOWNLOAD = re.compile(rb"GET /v1/files/[^/ ]+/content ")
_PIECE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mishap:
    """What happens to the connections with a certain request.

    In one direction (`back`: that of the answer) bytes go through in pieces of `piece`, with a
    `pause` before each, and after `after` of them no more. With `instead` the request goes
    nowhere, and that is the answer.
    """

    wanted: re.Pattern[bytes]
    times: int
    back: bool = True
    after: int | None = None
    piece: int = _PIECE
    pause: float = 0.0
    instead: Callable[[], Iterable[bytes]] | None = None


class Transport:
    """Carries bytes both ways, but for what is arranged for certain requests.

    `held` is set when something has been arranged and has come to pass; `spouted` counts the
    bytes that were made up.
    """

    def __init__(self, server: Server) -> None:
        self.held = threading.Event()
        self.spouted = 0
        self.server = server
        self._mishap: _Mishap | None = None
        self._left = 0
        self.closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._threads = [threading.Thread(target=self._accept)]
        self._ends: list[socket.socket] = []
        self._threads[0].start()

    def hold(self, wanted: re.Pattern[bytes], *, after: int, back: bool = False) -> None:
        """Let the next such request, or the answer to it, come so far and no further."""
        self._arrange(_Mishap(wanted=wanted, times=1, back=back, after=after))

    def slow(
        self, wanted: re.Pattern[bytes], *, piece: int, pause: float, back: bool = True
    ) -> None:
        """Let all such requests, or the answers to them, come in pieces and with pauses."""
        self._arrange(_Mishap(wanted=wanted, times=1000, back=back, piece=piece, pause=pause))

    def lie(
        self,
        wanted: re.Pattern[bytes],
        answer: Callable[[], Iterable[bytes]],
        *,
        times: int = 1000,
    ) -> None:
        """Answer such requests with these bytes; the provider does not receive them."""
        self._arrange(_Mishap(wanted=wanted, times=times, instead=answer))

    def mend(self) -> None:
        """Arrange for nothing more."""
        self._mishap = None

    def _arrange(self, mishap: _Mishap) -> None:
        self.held.clear()
        self._left = mishap.times
        self._mishap = mishap

    def close(self) -> None:
        """End all connections and wait for their threads."""
        self.closing.set()
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
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            far = socket.create_connection(("127.0.0.1", self.server.port))
            self._ends += [near, far]
            connection = _Connection(self, near, far)
            for carry in (connection.there, connection.back):
                self._threads.append(threading.Thread(target=carry))
                self._threads[-1].start()

    def caught(self, request: bytes) -> _Mishap | None:
        """Return the fault of this request, if any."""
        mishap = self._mishap
        if mishap is None or not self._left or mishap.wanted.match(request) is None:
            return None
        self._left -= 1
        return mishap


class _Connection:
    """One connection: what comes from the command, and what comes back."""

    def __init__(self, wire: Transport, near: socket.socket, far: socket.socket) -> None:
        self._wire, self._near, self._far = wire, near, far
        self._mishap: _Mishap | None = None
        self._through = 0

    def there(self) -> None:
        with suppress(OSError):
            while piece := self._near.recv(_PIECE):
                mishap = self._mishap = self._wire.caught(piece) or self._mishap
                if mishap is not None and mishap.instead is not None:
                    self._spout(mishap.instead())
                    return
                if not self._carry(piece, self._far, None if mishap and mishap.back else mishap):
                    return
            self._far.shutdown(socket.SHUT_WR)

    def back(self) -> None:
        with suppress(OSError):
            while piece := self._far.recv(_PIECE):
                mishap = self._mishap
                if not self._carry(piece, self._near, mishap if mishap and mishap.back else None):
                    return
            self._near.shutdown(socket.SHUT_WR)

    def _carry(self, content: bytes, to: socket.socket, mishap: _Mishap | None) -> bool:
        """Pass bytes on; False if no more of them are to come through."""
        if mishap is None:
            to.sendall(content)
            return True
        rest = None if mishap.after is None else mishap.after - self._through
        through = content[:rest]
        self._through += len(through)
        for start in range(0, len(through), mishap.piece):
            if self._wire.closing.wait(mishap.pause):
                return False
            to.sendall(through[start : start + mishap.piece])
        if self._through == mishap.after or mishap.after is None:
            self._wire.held.set()
        return self._through != mishap.after

    def _spout(self, answer: Iterable[bytes]) -> None:
        self._wire.held.set()
        try:
            for piece in answer:
                self._near.sendall(piece)
                self._wire.spouted += len(piece)
        finally:
            for end in (self._near, self._far):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


@contextmanager
def wired(server: Server) -> Iterator[Transport]:
    """Lay a wire to a server for as long as the block lasts."""
    with closing(Transport(server)) as wire:
        yield wire
