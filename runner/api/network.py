"""The network below the HTTP library: how long an exchange may take, and where it may lead.

The timeouts of that library are for one read or one write. A server that sends a byte now and then,
or interim replies (1xx) without end, never runs into one. So every read and write on a connection
asks the `Pace` of the exchange that it serves: a reply has to be there whole within a time, and the
content of a file has to move at a least rate.

A redirect is chosen by the server, and this machine may reach what the server cannot. So the
connection that follows one is made to an address that was checked, whatever its name was: a name
that is looked up twice could lead to two places.
"""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any, Final

from runner.imports import hidden_imports

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

with hidden_imports("rich"):  # httpx's command line would load it: 40 ms
    import httpcore
    import httpx

MOST_BEFORE_A_REPLY: Final = 256 * 1024
"""The most bytes of interim replies and headers: the HTTP library takes 100 kB of headers."""

_PIECE: Final = 64 * 1024
"""Bytes written before the rate is looked at."""

_NAT64: Final = IPv6Network("64:ff9b::/96")
"""Addresses that hold one of IPv4, for networks that have no other (RFC 6052, section 2.1)."""


class _Phase(Enum):
    CONNECTING = auto()
    SENDING = auto()
    AWAITING = auto()
    """Nothing of the reply is usable yet: interim replies, headers."""
    ANSWERING = auto()
    """The body of a reply that is read whole."""
    TRANSFERRING = auto()
    """The content of a file, of any length."""


class Pace:
    """How long one exchange may take.

    `reply` is the number of seconds from the end of the request until the reply, or the headers of
    a file's content, have come. The content has to move by `least_rate` bytes a second over each
    `window` seconds, and so has the request.
    """

    def __init__(self, *, reply: float, least_rate: float, window: float) -> None:
        self._reply = reply
        self._least_rate = least_rate
        self._window = window
        self._phase = _Phase.CONNECTING
        self._due = 0.0
        self._before_reply = 0
        self._given_up = False
        self._restart()

    @property
    def is_over(self) -> bool:
        """Whether it was not kept, so that another try would take as long."""
        awaited = self._phase in (_Phase.AWAITING, _Phase.ANSWERING)
        return self._given_up or (awaited and time.monotonic() >= self._due)

    @property
    def not_whole(self) -> str:
        """What is said of a reply that did not come in time."""
        return f"the reply was not there whole after {self._reply:,g} s"

    @contextmanager
    def kept(self) -> Iterator[Pace]:
        """Have every read and write of this thread keep it, until the block ends."""
        token = _kept.set(self)
        try:
            yield self
        finally:
            _kept.reset(token)

    def reply_begun(self) -> None:
        """Note that the headers of the reply are there."""
        self._phase = _Phase.ANSWERING

    def transfer(self) -> None:
        """Note that the rest of the reply is the content of a file."""
        self._phase = _Phase.TRANSFERRING
        self._restart()

    def moved(self, count: int) -> None:
        """Count bytes of content that have come: what only carries them does not count."""
        self._moved += count

    def sent(self, count: int) -> None:
        """Count bytes that were written; raises WriteTimeout if they move too slowly."""
        if self._phase is not _Phase.SENDING:  # also after the reply of a proxy
            self._phase = _Phase.SENDING
            self._restart()
        self._moved += count
        if self._is_too_slow():
            raise httpx.WriteTimeout(f"it takes {self._rate}")

    def time_to_read(self, timeout: float | None) -> float | None:
        """Return the seconds that a read may take; raises ReadTimeout if the time is over."""
        if self._phase is _Phase.TRANSFERRING:
            if self._is_too_slow():
                raise httpx.ReadTimeout(f"it sends {self._rate}")
            return timeout
        if self._phase in (_Phase.CONNECTING, _Phase.SENDING):
            self._phase = _Phase.AWAITING
            self._before_reply = 0
            self._due = time.monotonic() + self._reply
        left = self._due - time.monotonic()
        if left <= 0:
            raise httpx.ReadTimeout(self.not_whole)
        return left if timeout is None else min(timeout, left)

    def arrived(self, count: int) -> None:
        """Count bytes that were read; raises RemoteProtocolError if no reply comes of them."""
        self._before_reply += count
        if self._phase is _Phase.AWAITING and self._before_reply > MOST_BEFORE_A_REPLY:
            self._given_up = True
            raise httpx.RemoteProtocolError(
                f"{self._before_reply:,} bytes of interim replies and headers, and no end of them"
            )

    @property
    def _rate(self) -> str:
        return f"fewer than {self._least_rate:,.10g} bytes a second over {self._window:,g} s"

    def _restart(self) -> None:
        self._moved = 0
        self._looked_at = time.monotonic()

    def _is_too_slow(self) -> bool:
        if time.monotonic() - self._looked_at < self._window:
            return False
        if self._moved < self._least_rate * self._window:
            self._given_up = True
            return True
        self._restart()
        return False


_kept: Final[ContextVar[Pace | None]] = ContextVar("_kept", default=None)


class Reach(Enum):
    """From where an address can be reached."""

    WORLD = "the internet"
    PRIVATE = "a private network"
    LINK = "the link that this machine is on"
    MACHINE = "this machine"


class AddressRefused(Exception):
    """A redirect leads to an address that its provider has no business with."""


class Frontier:
    """Which addresses the redirects of one provider may lead to, by where `host` is.

    The whole internet is allowed; a private network, the link or this machine only where the
    provider is there too, and a private network to a provider on this machine as well.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._allowed: frozenset[Reach] | None = None

    def check(self, address: str) -> None:
        """Raise AddressRefused if a numeric address is not allowed."""
        reach = reach_of(address)
        if reach is Reach.WORLD:
            return
        if self._allowed is None:
            self._allowed = self._around()
        if reach not in self._allowed:
            raise AddressRefused(f"{address} is an address of {reach.value}")

    def _around(self) -> frozenset[Reach]:
        try:
            own = {reach_of(each) for each in _addresses(self._host)}
        except (OSError, UnicodeError):  # only a proxy knows the name
            return frozenset()
        return frozenset(own | ({Reach.PRIVATE} if Reach.MACHINE in own else set()))


def reach_of(address: str) -> Reach:
    """Return from where a numeric address can be reached; an IPv4 address in IPv6 counts itself."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        found = _inner(found) or found
    if found.is_loopback or found.is_unspecified:
        return Reach.MACHINE
    if found.is_link_local:
        return Reach.LINK
    return Reach.WORLD if found.is_global and not found.is_multicast else Reach.PRIVATE


def _inner(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def check_numeric(frontier: Frontier, host: str) -> None:
    """Raise AddressRefused if `host` is a number, in any form, or `localhost`, and not allowed.

    This is for where a proxy makes the connection, and looks up every other name.
    """
    if host == "localhost" or host.endswith(".localhost"):
        host = "127.0.0.1"
    try:
        found = _addresses(host, numeric=True)
    except (OSError, UnicodeError):
        return
    for address in found:
        frontier.check(address)


def _addresses(host: str, *, numeric: bool = False) -> list[str]:
    """Return the addresses of a host, each once; raises OSError, or UnicodeError for no name."""
    flags = socket.AI_NUMERICHOST if numeric else 0
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def keep_watch(client: httpx.Client, frontier: Frontier | None = None) -> httpx.Client:
    """Have each connection of a new client keep the pace of the exchange that it serves.

    Only addresses that `frontier` allows are connected to, except by a proxy. Returns the client.
    """
    # There is no public way to give the HTTP library a network. A version without these fields
    # fails here: no bound is lost in silence.
    direct = client._transport  # noqa: SLF001
    for transport in (direct, *client._mounts.values()):  # noqa: SLF001
        if isinstance(transport, httpx.HTTPTransport):
            pool: Any = transport._pool  # noqa: SLF001
            pool._network_backend = _Network(  # noqa: SLF001
                pool._network_backend,  # noqa: SLF001
                frontier if transport is direct else None,
            )
    return client


class _Network:
    """Makes connections as the HTTP library's own network does, and watches them."""

    def __init__(self, inner: httpcore.NetworkBackend, frontier: Frontier | None) -> None:
        self._inner = inner
        self._frontier = frontier

    def connect_tcp(self, host: str, port: int, **options: Any) -> _Connection:  # noqa: ANN401
        if self._frontier is None:
            return _Connection(self._inner.connect_tcp(host, port, **options))
        try:
            addresses = _addresses(host)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(str(error)) from error
        for address in addresses:
            self._frontier.check(address)
        return _Connection(self._first(addresses, port, options))

    def _first(
        self, addresses: Iterable[str], port: int, options: dict[str, Any]
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers; raises the error of the last one."""
        failure: Exception | None = None
        for address in addresses:
            try:
                return self._inner.connect_tcp(address, port, **options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpx.ConnectError("the host has no address")


class _Connection:
    """A connection whose reads and writes keep the pace of the exchange that it serves."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        pace = _kept.get()
        if pace is None:
            return self._inner.read(max_bytes, timeout)
        try:
            data = self._inner.read(max_bytes, pace.time_to_read(timeout))
        except httpcore.ReadTimeout as error:
            if pace.is_over:
                raise httpx.ReadTimeout(pace.not_whole) from error
            raise
        pace.arrived(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        pace = _kept.get()
        for start in range(0, len(buffer), _PIECE):
            piece = buffer[start : start + _PIECE]
            self._inner.write(piece, timeout)
            if pace is not None:
                pace.sent(len(piece))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> _Connection:
        return _Connection(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401
        return self._inner.get_extra_info(info)
