"""A real HTTP server on loopback that misbehaves in one of very many ways.

How it treats a request is drawn from the number of a case, one habit of each kind: how it reads,
what it sends before the reply, its status, headers, framing, packing, body and tempo.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import zlib
from contextlib import suppress
from itertools import count, repeat
from random import Random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_PIECE: Final = 32 * 1024
_PAUSE: Final = 0.01
_SILENCE: Final = 30.0
_MOST: Final = 64 * 1024 * 1024
"""Bytes after which even an endless body ends, so that no server outlives its case for long."""

_NORMAL: Final = 8
"""How often a habit is a harmless one, of ten: else nothing would get beyond the first."""


class Case:
    """The habits of the servers for one call."""

    def __init__(self, kind: str, number: int, *, origins: Sequence[str]) -> None:
        self.kind = kind
        self.number = number
        self._origins = origins
        self._requests = count()

    def __str__(self) -> str:
        return " | ".join(str(self._conduct(request)) for request in range(3))

    def next(self) -> Conduct:
        """Return how the next request is treated; the third way is repeated."""
        return self._conduct(min(next(self._requests), 2))

    def _conduct(self, request: int) -> Conduct:
        return Conduct(Random(f"{self.kind} {self.number} {request}"), self.kind, self._origins)


class Conduct:
    """How one request is treated: a choice of each kind."""

    def __init__(self, random: Random, kind: str, origins: Sequence[str]) -> None:
        self._random = random
        self._kind = kind
        self._origins = origins
        self.reading = self._choose("all", ["slow", "nothing", "refuse", "part"])
        self.before = self._choose(
            "nothing",
            ["100 flood", "103 flood", "slow 103", "some 102", "101", "garbage", "blanks"],
        )
        self.status = self._choose(
            random.choice(["200", "201"]),
            ["204", "206", "301", "307", "308", "400", "401", "404", "429", "500", "503", "999"],
        )
        self.headers = self._choose(
            "few",
            ["many", "long", "too long", "endless", "slow", "cookies", "same", "retry", "odd"],
        )
        self.framing = self._choose(
            random.choice(["length", "chunked", "close"]),
            ["too much", "too little", "twice", "both", "extensions", "negative", "trailers"],
        )
        self.packing = self._choose(
            "none", ["gzip", "bomb", "gzip, gzip", "damaged", "cut", "empties", "br", "unsaid"]
        )
        self.body = self._choose(
            "honest",
            [
                "objects", "deep", "deep objects", "one long text", "wide text", "half pairs",
                "blanks", "digits", "entries", "nothing", "page of HTML", "error", "same key",
                "escapes",
            ],
        )  # fmt: skip
        self.size = random.choice([2_000, 200_000, 2_000_000, 20_000_000, _MOST])
        self.tempo = self._choose("at once", ["slow", "silent", "cut", "reset"])
        self.cut_at = random.choice([0, 1, 40, 400, 40_000])

    def __str__(self) -> str:
        return ", ".join(
            f"{name} {value}" for name, value in vars(self).items() if not name.startswith("_")
        )

    def _choose(self, normal: str, others: list[str]) -> str:
        return normal if self._random.randrange(10) < _NORMAL else self._random.choice(others)

    # What is sent.

    def reply(self) -> Iterator[bytes | float]:
        """Make the bytes to send, and the seconds to wait between them."""
        yield from self._before()
        yield f"HTTP/1.1 {self.status} Fine\r\n".encode()
        body = self._packed(self._body())
        yield from self._headers()
        yield from self._framed(body)

    def _before(self) -> Iterator[bytes | float]:
        match self.before:
            case "100 flood":
                yield from repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 500, 200)
            case "103 flood":
                yield from repeat(b"HTTP/1.1 103 Hints\r\nLink: </x>\r\n\r\n" * 500, 200)
            case "slow 103":
                for _ in range(1000):
                    yield b"HTTP/1.1 103 Hints\r\n\r\n"
                    yield _PAUSE
            case "some 102":
                yield b"HTTP/1.1 102 Processing\r\n\r\n" * 3
            case "101":
                yield b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"
            case "garbage":
                yield self._random.randbytes(300)
            case "blanks":
                yield b"\r\n" * 50

    def _headers(self) -> Iterator[bytes | float]:
        if self.status.startswith("3"):
            yield f"Location: {self._location()}\r\n".encode()
        if self.packing not in {"none", "unsaid"}:
            layers = self.packing if self.packing in {"gzip, gzip", "br"} else "gzip"
            yield f"Content-Encoding: {layers}\r\n".encode()
        match self.headers:
            case "endless":
                yield from repeat(b"X-Y: zzzzzzzz\r\n" * 1000, 2000)
            case "slow":
                for _ in range(1000):
                    yield b"X-Y: z\r\n"
                    yield _PAUSE
            case "retry":
                later = self._random.choice(["9", "99999999999999999999", "-1", "1e9", "x" * 999])
                yield f"Retry-After: {later}\r\nDate: {later}\r\n".encode()
            case "odd":
                yield self._random.choice(_ODD_HEADERS)
            case _:
                yield _HEADERS[self.headers]

    def _location(self) -> str:
        here, elsewhere = self._origins
        return self._random.choice(
            [
                f"{here}/v1/again", "again", f"{elsewhere}/x?signature=s", f"{elsewhere}/x",
                elsewhere.replace("127.0.0.1", "localhost"), f"{elsewhere}/{'x' * 60_000}",
                elsewhere.replace("://", "://user:password@"), "https://127.0.0.1:9/",
                "http://169.254.169.254/latest", "http://10.0.0.1:9/", "http://[::1]:9/",
                "http://[::ffff:169.254.169.254]/", "http://2852039166/", "file:///etc/passwd",
                "//", "http://", "http://[bad", "http://127.0.0.1:99999/", "http://\u2460.2",
                "javascript:1", "", "?" * 3_000, "http://" + "a." * 200 + "b/",
            ]
        )  # fmt: skip

    def _framed(self, body: Iterator[bytes]) -> Iterator[bytes | float]:
        if self.framing == "close":
            yield b"Connection: close\r\n\r\n"
            yield from body
        elif self.framing in _LENGTHS:
            # The length must be known first, and an endless body has none.
            known = b"".join(_first(body, 500_000))
            for length in _LENGTHS[self.framing](len(known)):
                yield b"Content-Length: %d\r\n" % length
            yield b"\r\n"
            yield known
        else:
            yield from self._chunked(body)

    def _chunked(self, body: Iterator[bytes]) -> Iterator[bytes]:
        yield b"Transfer-Encoding: chunked\r\n"
        if self.framing == "both":
            yield b"Content-Length: 5\r\n"
        yield b"\r\n"
        extension = b";" + b"x" * 60_000 if self.framing == "extensions" else b""
        size = 1 if extension else _PIECE
        for piece in body:
            for start in range(0, len(piece), size):
                part = piece[start : start + size]
                yield b"%x%s\r\n%s\r\n" % (len(part), extension, part)
        yield b"0\r\n"
        if self.framing == "trailers":
            yield from repeat(b"X-Y: z\r\n" * 1000, 200)
        yield b"\r\n"

    def _packed(self, body: Iterator[bytes]) -> Iterator[bytes]:
        match self.packing:
            case "none" | "unsaid" | "br":
                packed = body
            case "bomb":
                packed = _gzip(repeat(bytes(_PIECE), 100 * _MOST // _PIECE))
            case "empties":
                packed = repeat(zlib.compress(b"", wbits=31) * 500, _MOST // 10_000)
            case "gzip, gzip":
                packed = _gzip(_gzip(body))
            case "damaged":
                packed = (piece.replace(b"\x00", b"\x01") for piece in _gzip(body))
            case "cut":
                packed = _first(_gzip(body), self.cut_at)
            case _:
                packed = _gzip(body)
        return _gzip(packed) if self.packing == "unsaid" else packed

    def _body(self) -> Iterator[bytes]:
        match self.body:
            case "honest":
                yield self._honest()
            case "nothing":
                return
            case "page of HTML":
                yield b"<html><title>%s</title><input type=password>" % (b"t" * 3_000)
            case "error":
                code = self._random.choice(["rate_limit_exceeded", "5", "insufficient_quota", 429])
                yield json.dumps({"error": {"message": "no " * 9_000, "code": code}}).encode()
            case "entries":
                # Each page is new, and so is each of its entries; the list never ends.
                start = self._random.randrange(10**12)
                entries = [
                    {"id": f"b{start + n}", "status": "x", "created_at": 1, "k": [{}] * 20}
                    for n in range(100)
                ]
                yield json.dumps({"data": entries, "has_more": True}).encode()
            case _:
                head, piece, tail = _BODIES[self.body]
                yield head
                yield from repeat(piece * (_PIECE // len(piece)), max(1, self.size // _PIECE))
                yield tail

    def _honest(self) -> bytes:
        if self._kind == "download":
            return b'{"custom_id": "a", "response": {}, "error": null}\n' * 100
        batch = {"id": "batch_1", "object": "batch", "status": "completed", "created_at": 1}
        file = {"filename": "x", "bytes": 4, "deleted": True}
        return json.dumps(batch | file | {"data": [batch], "has_more": False}).encode()

    def timed(self, reply: Iterator[bytes | float]) -> Iterator[bytes | float]:
        """Give a reply its tempo; a negative number of seconds resets the connection."""
        if self.tempo == "at once":
            yield from reply
        elif self.tempo == "slow":
            for piece in _cut_up(reply, 200):
                yield piece
                yield _PAUSE
        else:
            left = self.cut_at
            for piece in _cut_up(reply, 20):
                yield piece
                left -= len(piece) if isinstance(piece, bytes) else 0
                if left <= 0:
                    break
            if self.tempo != "cut":
                yield _SILENCE if self.tempo == "silent" else -1.0


_LONG: Final = b"x" * 200_000
_HEADERS: Final = {
    "few": b"",
    "many": b"".join(b"X-%d: y\r\n" % number for number in range(5_000)),
    "long": b"X-Request-Id: %s\r\n" % _LONG[:60_000],
    "too long": b"X-Request-Id: %s\r\n" % _LONG,
    "cookies": b"".join(b"Set-Cookie: c%d=%s\r\n" % (n, _LONG[:30]) for n in range(1_000)),
    "same": b"X-Y: z\r\n" * 5_000,
}
_ODD_HEADERS: Final = [
    b"X Y: z\r\n",
    b": z\r\n",
    b"X-Y\r\n",
    b" folded\r\n",
    b"X-Y: \x00\r\n",
    b"X-Y: \xff\r\n",
    b"Content-Type: text/html\r\n",
    b"Date: 99 99 9999999\r\n",
]
_LENGTHS: Final[dict[str, Callable[[int], Sequence[int]]]] = {
    "length": lambda length: [length],
    "too much": lambda length: [length + 1000],
    "too little": lambda length: [max(0, length - 7)],
    "negative": lambda length: [-length - 1],
    "twice": lambda length: [length, length + 1],
}
_BODIES: Final[dict[str, tuple[bytes, bytes, bytes]]] = {
    "objects": (b'{"data": [', b"{},", b"0]}"),
    "deep": (b'{"id": ', b"[", b""),
    "deep objects": (b"", b'{"a":', b""),
    "one long text": (b'{"id": "', b"x", b'"}'),
    "wide text": ('{"id": "\U0001f600'.encode(), b"x", b'"}'),
    "half pairs": (b'{"id": "', b"\\ud800", b'"}'),
    "blanks": (b"", b" ", b"{}"),
    "digits": (b'{"id": ', b"1", b"}"),
    "same key": (b"{", b'"":0,', b'"":0}'),
    "escapes": (b'{"error": "', b'\\"', b'"}'),
}


def _cut_up(reply: Iterator[bytes | float], size: int) -> Iterator[bytes | float]:
    """Cut what is sent into pieces of a size."""
    for piece in reply:
        if isinstance(piece, float):
            yield piece
        else:
            yield from (piece[start : start + size] for start in range(0, len(piece), size))


def _gzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(level=1, wbits=31)
    for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def _first(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    for piece in pieces:
        yield piece[:most]
        most -= len(piece)
        if most <= 0:
            return


class Misconduct:
    """A server that treats each request as the case has it, and keeps what it heard."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._case: Case | None = None
        self._over = threading.Event()
        self._heard: list[bytes] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def heard(self) -> bytes:
        """The beginnings of all requests of this case."""
        return b"\n".join(self._heard)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def begin(self, case: Case) -> None:
        self._over = threading.Event()
        self._heard = []
        self._case = case

    def end(self) -> None:
        """Have every connection of the case come to its end."""
        self._over.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                arguments = (connection, self._case, self._over, self._heard)
                threading.Thread(target=_converse, args=arguments, daemon=True).start()


def _converse(
    connection: socket.socket, case: Case | None, over: threading.Event, heard: list[bytes]
) -> None:
    """Treat the requests of one connection until it ends, or the case does."""
    connection.settimeout(1.0)
    with suppress(OSError), connection:
        while case is not None and not over.is_set():
            conduct = case.next()
            if conduct.reading == "refuse":
                return
            if conduct.reading != "nothing" and not _read(connection, conduct, over, heard):
                return
            for step in conduct.timed(conduct.reply()):
                if over.is_set():
                    return
                if isinstance(step, bytes):
                    connection.sendall(step)
                elif step < 0:
                    linger = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    return
                else:
                    over.wait(step)
            if conduct.tempo != "at once" or conduct.framing == "close":
                return


def _read(
    connection: socket.socket, conduct: Conduct, over: threading.Event, heard: list[bytes]
) -> bool:
    """Read one request, or a part of it; return whether there was one."""
    request = b""
    while b"\r\n\r\n" not in request:
        piece = connection.recv(_PIECE)
        if not piece:
            return False
        request += piece
    head, _, begun = request.partition(b"\r\n\r\n")
    heard.append(head)
    length = next(
        (int(line.partition(b":")[2]) for line in head.lower().split(b"\r\n")
         if line.startswith(b"content-length:")),
        0,
    )  # fmt: skip
    left = length - len(begun)
    if conduct.reading == "part":
        left //= 2
    while left > 0 and not over.is_set():
        piece = connection.recv(min(left, 2_000 if conduct.reading == "slow" else _PIECE))
        if not piece:
            return False
        left -= len(piece)
        if conduct.reading == "slow":
            over.wait(_PAUSE)
    return True
