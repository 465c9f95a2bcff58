"""HTTP exchanges with one provider, and the meaning of their failures.

Errors of httpx are classified by one question: can the request have arrived? A connection that was
never made (refused, no DNS, TLS) carried nothing; after any later failure the call may have acted.

Requests that act never use a connection that has been idle. A server may close an idle connection
at any moment, and the client then sees a broken connection *after* the request was sent: harmless
for a GET, but for a POST the outcome would be unknown without need. So they have a pool of their
own that keeps no connection alive; a handshake costs milliseconds.

The API key is sent only to the origin of the provider's base URL, and unencrypted to another
machine only where the project allows that by name. Proxies of the environment are used except for
loopback hosts.

Redirects are followed for the content of files only, and never to where they could do harm: from
https to http, or to an address that the server has no business with (runner/api/network.py).

A few kilobytes of gzip can stand for a thousand times as many, and a second layer for a million
times. So there is one layer of content encoding at most, and it is undone piece by piece: each has
a bounded length, and whoever takes them can stop at any, however much the rest stands for.
"""

from __future__ import annotations

import ssl
import threading
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cached_property
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Final

from runner import __version__
from runner.api.network import AddressRefused, Frontier, Pace, check_numeric, keep_watch
from runner.api.proxy import proxy_for, socks_proxies
from runner.api.redaction import Bearer, is_header_safe, strip_frames
from runner.api.responses import (
    WILL_BE_CHECKED,
    WILL_BE_RETRIED,
    Call,
    Reply,
    connection_advice,
    is_tls,
    public_url,
    sent_at,
    shown,
    status_error,
    unusable_reply_error,
)
from runner.errors import (
    ApiError,
    MayHaveActed,
    Rejected,
    Transient,
    Unauthorized,
    Unreachable,
)
from runner.imports import hidden_imports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from runner.api.proxy import EnvironmentProxy
    from runner.api.responses import CallKind
    from runner.api.retry import Timeouts
    from runner.spec.project import Provider, Secret


with hidden_imports("rich"):  # httpx's command line would load it: 40 ms
    import httpx

LONGEST_REFUSAL: Final = 1024 * 1024
MOST_REDIRECTS: Final = 5

ACCEPTED: Final = "gzip"
"""The value of the Accept-Encoding header."""

LONGEST_PIECE: Final = 256 * 1024
"""The most bytes of a piece."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_TAKEN: Final = 16 * 1024
"""Bytes decoded at a time: what follows a member of gzip is copied for each one."""

_NOTHING_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
)
_ADDRESS_UNUSABLE: Final = (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A request's body; `length` is sent first, so that a server notices a body that breaks off."""

    content_type: str
    length: int
    content: bytes | Iterator[bytes]


class _Pool(Enum):
    """The kinds of connections; a request never uses a connection of another kind."""

    READING = auto()
    ACTING = auto()
    OTHER_ORIGIN = auto()


class Transport:
    """The HTTP connections to one provider, for any thread; opened on first use."""

    def __init__(
        self,
        provider: Provider,
        key: Secret | None,
        *,
        transport: httpx.BaseTransport | None,
        clock: Callable[[], float],
        timeouts: Timeouts,
    ) -> None:
        self.provider = provider
        self.clock = clock
        self._key = key
        self._transport = transport
        self._timeouts = timeouts
        self._pools: dict[_Pool, httpx.Client] = {}
        self._pools_lock = threading.Lock()
        self._certificates: ssl.SSLContext | None = None
        self.ahead: float | None = None

    @property
    def secret(self) -> Secret | None:
        """The API key, to keep it out of what is shown."""
        return self._key

    def close(self) -> None:
        """Close every connection; the next exchange opens new ones."""
        while self._pools:
            self._pools.popitem()[1].close()

    def call(self, kind: CallKind, method: str, path: str) -> Call:
        """Return a call to this provider; `path` is relative to the base URL and already quoted."""
        return Call(provider=self.provider, secret=self._key, kind=kind, method=method, path=path)

    def exchange(
        self,
        call: Call,
        *,
        body: Body | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request and read its whole reply, whatever its status; follow no redirect.

        Raises Unauthorized or Rejected if the request cannot be sent as configured, Unreachable if
        it did not arrive. If it may have arrived: MayHaveActed for a call that acts, Transient for
        any other.
        """
        pool = _Pool.ACTING if call.method == "POST" else _Pool.READING
        url = self._url(call)
        headers = {"Accept": "application/json"} | self._account(call)
        if body is not None:
            headers |= {"Content-Type": body.content_type, "Content-Length": str(body.length)}
        with self._response(
            call,
            pool,
            url,
            headers=headers,
            auth=self._authorization(call),
            parameters=parameters,
            content=body.content if body is not None else None,
        ) as (response, _pace):
            reply = _read(call, response)
        sent = sent_at(reply.headers)
        if sent is not None:
            self.ahead = sent - self.clock()
        return reply

    @contextmanager
    def stream_content(self, call: Call) -> Iterator[tuple[httpx.Response, Pace]]:
        """Open a file's content for reading, following up to five redirects.

        Whoever reads it tells the pace how much has come. Neither the API key nor the account is
        sent to another origin. Raises as `exchange` does, the error of any status but 2xx, and
        Rejected for a redirect that must not be followed.
        """
        headers = {"Accept": "*/*"}
        first_url = url = self._url(call)
        other_origin = False
        for _ in range(MOST_REDIRECTS + 1):
            pool = _Pool.OTHER_ORIGIN if other_origin else _Pool.READING
            auth = None if other_origin else self._authorization(call)
            account = {} if other_origin else self._account(call)
            with self._response(call, pool, url, headers=headers | account, auth=auth) as found:
                response, pace = found
                following = response.next_request
                if following is None:
                    self._require_success(call, response, other_origin=other_origin)
                    pace.transfer()
                    yield response, pace
                    return
                if url.scheme == "https" and following.url.scheme == "http":
                    raise self._redirect_error(
                        call, following.url, "others could read the results on their way over http"
                    )
                url = following.url
            # After a redirect to another origin, that origin chooses the next URL: never send the
            # API key again, not even to the provider.
            other_origin = other_origin or _origin(url) != _origin(first_url)
        raise Rejected(
            f"{self.provider.name} redirects {call} more than {MOST_REDIRECTS} times, last to"
            f" {shown(public_url(str(url)), self._key)}",
            provider=self.provider.name,
            call=str(call),
        )

    def _redirect_error(self, call: Call, url: httpx.URL, why: str) -> Rejected:
        place = shown(public_url(str(url)), self._key)
        return Rejected(
            f"{self.provider.name} redirects {call} to {place}, which is not followed: {why} (ask"
            " who runs the server, or check base_url in runner.yaml)",
            provider=self.provider.name,
            call=str(call),
        )

    @contextmanager
    def _response(
        self,
        call: Call,
        pool: _Pool,
        url: httpx.URL,
        *,
        headers: Mapping[str, str],
        auth: Bearer | None,
        parameters: Mapping[str, str] | None = None,
        content: bytes | Iterator[bytes] | None = None,
    ) -> Iterator[tuple[httpx.Response, Pace]]:
        """Send one request and yield its reply, with the body not read yet, and its pace."""
        client = self._client(call, pool)
        timeouts = self._timeouts
        pace = Pace(
            reply=timeouts.act_reply if call.acts else timeouts.reply,
            least_rate=timeouts.least_rate,
            window=timeouts.window,
        )
        with pace.kept():
            try:
                if pool is _Pool.OTHER_ORIGIN and proxy_for(client, url) is not None:
                    check_numeric(self._frontier, url.host)
                request = client.build_request(
                    call.method,
                    url,
                    headers=headers,
                    params=parameters,
                    content=content,
                    timeout=self._timeout(call),
                )
                response = client.send(request, auth=auth, stream=True, follow_redirects=False)
            except AddressRefused as refused:
                raise self._redirect_error(
                    call, url, f"{refused}, and {self.provider.name} is not there"
                ) from strip_frames(refused)
            except _ADDRESS_UNUSABLE as error:
                raise self._unsendable_error(call, error) from strip_frames(error)
            except httpx.RequestError as error:
                failure = self._exchange_error(call, error, client, url)
                failure.too_slow = pace.is_over
                raise failure from strip_frames(error)
            pace.reply_begun()
            try:
                if response.status_code == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
                    raise self._proxy_asks_error(call, client, url)
                yield response, pace
            except httpx.RequestError as error:
                failure = self._exchange_error(call, error, client, url)
                failure.too_slow = pace.is_over
                raise failure from strip_frames(error)
            finally:
                response.close()

    def _require_success(self, call: Call, response: httpx.Response, *, other_origin: bool) -> None:
        if response.is_success:
            return
        reply = _read(call, response)
        if other_origin and reply.status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            # The signed URL has expired, not the API key: the next try gets a new URL.
            place = shown(public_url(str(response.url)), self._key)
            raise unusable_reply_error(call, f"a redirect to {place}, which refused it", reply)
        raise status_error(call, reply, now=self.clock())

    def _authorization(self, call: Call) -> Bearer | None:
        """Return the authorization; raises Unauthorized if the API key must not be sent."""
        if self._key is None:
            return None
        scheme = public_url(self.provider.base_url).partition("://")[0].lower()
        if scheme != "https" and not (self.provider.loopback or self.provider.allow_key_over_http):
            raise self._unauthorized(
                call,
                f"the API key of {self.provider.name} is not sent over plain http to"
                f" {public_url(self.provider.base_url)}, where others can read it:"
                " use https, or no key, or, in a network that you trust, such as that of containers"
                f" on one machine, set allow_key_over_http: true for {self.provider.name} in"
                " runner.yaml",
            )
        if not is_header_safe(self._key):
            raise self._unauthorized(
                call,
                f"the API key in {self.provider.key_source} is empty or holds spaces, line breaks"
                " or other characters that no key has: correct it there",
            )
        return Bearer(self._key)

    def _account(self, call: Call) -> dict[str, str]:
        """Return the headers of the account; raises Unauthorized if they cannot be sent."""
        for header in self.provider.account:
            if not is_header_safe(header.value):
                raise self._unauthorized(
                    call,
                    f"the value of {header.variable} holds spaces, line breaks or other characters"
                    " that no header may have: correct it, or unset it",
                )
        return {header.name: header.value for header in self.provider.account}

    def _unauthorized(self, call: Call, text: str) -> Unauthorized:
        text = f"{text} ({call} was not sent)"
        return Unauthorized(text, provider=self.provider.name, call=str(call))

    def _url(self, call: Call) -> httpx.URL:
        try:
            return httpx.URL(self.provider.base_url + call.path)
        except httpx.InvalidURL as error:
            raise self._unsendable_error(call, error) from error

    def _unsendable_error(self, call: Call, error: Exception) -> Rejected:
        address = public_url(self.provider.base_url)
        return Rejected(
            f"{call} cannot be sent to {self.provider.name} at {address}:"
            f" {shown(str(error), self._key)} (check base_url in runner.yaml)",
            provider=self.provider.name,
            call=str(call),
        )

    def _exchange_error(
        self, call: Call, error: httpx.RequestError, client: httpx.Client, url: httpx.URL
    ) -> ApiError:
        """Return the error for a failed exchange, by whether the request can have arrived."""
        what = shown(str(error), self._key) or type(error).__name__
        through = self._proxy_error(call, error, what, proxy_for(client, url))
        if through is not None:
            return through
        if isinstance(error, _NOTHING_SENT):
            kind: type[ApiError] = Unreachable
            address = public_url(self.provider.base_url)
            advice = connection_advice(self.provider, error)
            text = f"{self.provider.name} cannot be reached at {address} for {call}: {what}"
        elif call.acts:
            kind = MayHaveActed
            advice = WILL_BE_CHECKED
            text = f"{self.provider.name} gave no complete reply to {call}: {what}"
        else:
            kind = Transient
            advice = WILL_BE_RETRIED
            text = f"{self.provider.name} gave no complete reply to {call}: {what}"
        return kind(f"{text} ({advice})", provider=self.provider.name, call=str(call))

    def _proxy_error(
        self,
        call: Call,
        error: httpx.RequestError,
        what: str,
        proxy: EnvironmentProxy | None,
    ) -> Unreachable | None:
        """Return the error if it is one of the proxy on the way: the request did not arrive."""
        if proxy is None:
            return None
        if isinstance(error, httpx.ProxyError):
            meaning, advice = proxy.refusal(what)
        elif isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) and not is_tls(error):
            meaning, advice = proxy.absence(what)
        else:
            return None
        return self._not_carried(call, meaning, advice)

    def _proxy_asks_error(self, call: Call, client: httpx.Client, url: httpx.URL) -> Unreachable:
        """Return the error for a 407: no provider sends it, only a proxy in front of it."""
        proxy = proxy_for(client, url)
        if proxy is not None:
            return self._not_carried(call, *proxy.refusal("407 Proxy Authentication Required"))
        return self._not_carried(
            call,
            "a proxy on the way asks for a user and password: 407 Proxy Authentication Required",
            "write it into HTTPS_PROXY, as in http://USER:PASSWORD@PROXY:PORT, or ask who runs the"
            " network",
        )

    def _not_carried(self, call: Call, meaning: str, advice: str) -> Unreachable:
        address = public_url(self.provider.base_url)
        return Unreachable(
            f"{self.provider.name} cannot be reached at {address} for {call}: {meaning} ({advice};"
            f" {WILL_BE_RETRIED})",
            provider=self.provider.name,
            call=str(call),
        )

    def _client(self, call: Call, pool: _Pool) -> httpx.Client:
        try:
            with self._pools_lock:
                if pool not in self._pools:
                    self._pools[pool] = self._open(pool)
                return self._pools[pool]
        except ImportError as error:
            proxies = ", ".join(map(str, socks_proxies()))
            raise Rejected(
                f"{proxies or 'a proxy of this environment'} needs SOCKS, for which a package is"
                " missing: install socksio where runner is installed, or name an HTTP proxy"
                f" ({call} was not sent)",
                provider=self.provider.name,
                call=str(call),
            ) from error
        except (ValueError, OSError, httpx.InvalidURL) as error:
            # Only the type of the error: its text may hold a proxy's password.
            raise Rejected(
                "the proxy or certificate settings of this environment cannot be used"
                f" ({type(error).__name__}): check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY,"
                f" NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR ({call} was not sent)",
                provider=self.provider.name,
                call=str(call),
            ) from None

    def _open(self, pool: _Pool) -> httpx.Client:
        client = httpx.Client(
            transport=self._transport,
            verify=self._ssl_context(pool),
            trust_env=not self.provider.loopback,
            limits=httpx.Limits(max_keepalive_connections=0 if pool is _Pool.ACTING else 4),
            headers={
                "User-Agent": f"batch-runner/{__version__}",
                "Accept-Encoding": ACCEPTED,
                "Connection": "close" if pool is _Pool.ACTING else "keep-alive",
            },
        )
        # No Batch API needs a cookie, and a server could send them without end.
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
        return keep_watch(client, self._frontier if pool is _Pool.OTHER_ORIGIN else None)

    @cached_property
    def _frontier(self) -> Frontier:
        """Where redirects may lead."""
        return Frontier(self.provider.host)

    def _timeout(self, call: Call) -> httpx.Timeout:
        return httpx.Timeout(
            connect=self._timeouts.connect,
            read=self._timeouts.act if call.acts else self._timeouts.read,
            write=self._timeouts.write,
            pool=self._timeouts.pool,
        )

    def _ssl_context(self, pool: _Pool) -> ssl.SSLContext:
        """Return the TLS context; loading the certificates takes tens of milliseconds."""
        if pool is not _Pool.OTHER_ORIGIN and self.provider.base_url.startswith("http://"):
            # Never used for TLS; if it were, it would trust no server.
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self._certificates is None:
            self._certificates = httpx.create_ssl_context()
        return self._certificates


def _read(call: Call, response: httpx.Response) -> Reply:
    """Read a reply, up to a limit.

    An error reply whose body breaks off still counts by its status: the call has not acted.
    """
    limit = call.longest_reply if response.is_success else LONGEST_REFUSAL
    reply = Reply(
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        body=b"",
    )
    body = bytearray()
    whole = True
    try:
        for piece in decoded(call, reply, response.iter_raw()):
            body += piece
            if max(len(body), response.num_bytes_downloaded) > limit:
                whole = False
                break
    except (httpx.RequestError, ApiError):
        if response.is_success:
            raise
        whole = False
    del body[limit:]
    return replace(reply, body=bytes(body), whole=whole)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    ports = {"http": 80, "https": 443}
    return url.scheme, url.host, url.port or ports.get(url.scheme)


def decoded(call: Call, reply: Reply, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Undo the content encoding of a body that arrives in `chunks`; a piece may be empty.

    Raises the error of `unusable_reply_error` if it is not one layer of gzip, is damaged or ends
    early. `reply` has the headers.
    """
    layers = [
        layer
        for each in reply.headers.get("content-encoding", "").lower().split(",")
        if (layer := each.strip()) not in {"", "identity"}
    ]
    if len(layers) > 1:
        raise unusable_reply_error(
            call, f"more than one layer of compression: {', '.join(layers)}", reply
        )
    if layers and layers[0] not in {"gzip", "x-gzip"}:
        raise unusable_reply_error(
            call, f"a content encoding that was not requested: {layers[0]}", reply
        )
    return _unzipped(call, reply, chunks) if layers else iter(chunks)


def _unzipped(call: Call, reply: Reply, chunks: Iterable[bytes]) -> Iterator[bytes]:
    member = zlib.decompressobj(wbits=_GZIP)
    begun = False
    for chunk in chunks:
        for start in range(0, len(chunk), _TAKEN):
            rest = chunk[start : start + _TAKEN]
            while rest:
                if member.eof:
                    member = zlib.decompressobj(wbits=_GZIP)
                begun = True
                try:
                    plain = member.decompress(rest, LONGEST_PIECE)
                except zlib.error as error:
                    raise unusable_reply_error(
                        call, f"a damaged gzip body ({error})", reply
                    ) from error
                rest = member.unconsumed_tail or member.unused_data
                if plain:
                    yield plain
        yield b""  # whoever counts what has arrived has to hear of it
    if begun and not member.eof:
        raise unusable_reply_error(call, "a gzip body that breaks off", reply)
