"""The proxy of the environment that carries a call, and what its failures mean.

Which proxy that is, the HTTP library decides (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in
either case of letters). It is asked for its decision, so that no message names another way than the
one that was taken.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.request import getproxies

if TYPE_CHECKING:
    import httpx

_AFTER_THE_HOST: Final = re.compile(r"[/?#\\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentProxy:
    """A proxy as messages name it: its variable, and its address without user and password."""

    variable: str
    address: str
    has_user: bool

    def __str__(self) -> str:
        """Render as `the proxy http://proxy.example:3128 of HTTPS_PROXY`."""
        return f"the proxy {self.address} of {self.variable}"

    def refusal(self, answer: str) -> tuple[str, str]:
        """Return what a refusal of the proxy means, and what to do. `answer` is `403 Forbidden`."""
        if not answer.startswith(str(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED.value)):
            what = f"{self} refuses to carry it there: {answer}"
            return what, f"ask who runs the proxy; {self._other_way}"
        if self.has_user:
            what = f"{self} does not accept the user and password in {self.variable}: {answer}"
            return what, f"correct them in {self.variable}, percent-encoded"
        what = f"{self} asks for a user and password: {answer}"
        scheme, _, host = self.address.partition("://")
        return what, f"write them into {self.variable}, as in {scheme}://USER:PASSWORD@{host}"

    def absence(self, what: str) -> tuple[str, str]:
        """Return what it means that the proxy cannot be reached, and what to do."""
        text = f"the way leads through {self}, and nothing can be reached there: {what}"
        return text, f"is the proxy up, and is {self.variable} right? {self._other_way}"

    @property
    def _other_way(self) -> str:
        return "NO_PROXY names the hosts that are reached without it"


def proxy_for(client: httpx.Client, url: httpx.URL) -> EnvironmentProxy | None:
    """Return the proxy through which a client sends a request to `url`; None without one."""
    # The client's own table has the answer; there is no public way to ask for it.
    for pattern, mounted in client._mounts.items():  # noqa: SLF001
        if pattern.matches(url):
            return None if mounted is None else _of_scheme(pattern.pattern.partition(":")[0])
    return None


def socks_proxies() -> tuple[EnvironmentProxy, ...]:
    """Return the proxies of the environment that speak SOCKS."""
    found = [_of_scheme(scheme) for scheme in ("http", "https", "all")]
    return tuple(proxy for proxy in found if proxy and proxy.address.startswith("socks"))


def _of_scheme(scheme: str) -> EnvironmentProxy | None:
    value = getproxies().get(scheme)
    if not value:
        return None
    kind, _, rest = value.rpartition("://")
    # The last "@" of all: a password with a slash must not be taken for a host and a path.
    user, _, host = rest.rpartition("@")
    return EnvironmentProxy(
        variable=_variable(scheme),
        address=f"{kind or 'http'}://{_AFTER_THE_HOST.split(host, maxsplit=1)[0]}",
        has_user=bool(user),
    )


def _variable(scheme: str) -> str:
    """Return the variable that names a proxy; the one in lower case takes precedence."""
    lower = f"{scheme}_proxy"
    names = [lower, *(name for name in os.environ if name.lower() == lower)]
    return next((name for name in names if os.environ.get(name)), "this system's settings")
