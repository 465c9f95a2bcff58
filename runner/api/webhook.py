"""A message on its way to an address that is itself a secret.

The URL of a webhook, or of a check that is pinged, is all that is needed to write there. So it is
treated as a key is: unwrapped at the last moment, never shown beyond its host, never used in the
clear to another machine. Redirects are not followed: they would take the message to somebody whom
nobody has named. What is answered is not read: its status says all that matters here.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from runner import __version__
from runner.api.redaction import hide, strip_frames
from runner.errors import NotDelivered
from runner.imports import no_progress
from runner.spec.project import Secret, is_loopback

with no_progress("rich"):  # its command line would load it: 40 ms
    import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

_REDIRECTS: Final = range(300, 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTimeouts:
    """Seconds without any progress after which a message is given up: it is sent again later."""

    connect: float = 5.0
    answer: float = 10.0


WEBHOOK_TIMEOUTS: Final = WebhookTimeouts()


def post(
    url: Secret,
    body: bytes,
    *,
    content_type: str,
    below: str = "",
    headers: Mapping[str, str] | None = None,
    timeouts: WebhookTimeouts = WEBHOOK_TIMEOUTS,
    transport: httpx.BaseTransport | None = None,
) -> None:
    """Send one message; returns once it was taken, which is what a status of 2xx says.

    `below` is put behind the URL's path. Raises NotDelivered, without the URL.
    """
    found = _target(url, below)
    if isinstance(found, str):
        raise NotDelivered(found)
    target, host = found
    near = is_loopback(host)
    try:
        with httpx.Client(
            transport=transport,
            verify=_certificates(target),
            trust_env=not near,
            follow_redirects=False,
            timeout=httpx.Timeout(timeouts.answer, connect=timeouts.connect, pool=timeouts.connect),
            headers={"User-Agent": f"batch-runner/{__version__}", "Connection": "close"},
        ) as client:
            # In one expression: a request that stood in a variable would show the URL.
            response = client.send(
                client.build_request(
                    "POST",
                    target.reveal(),
                    content=body,
                    headers={"Content-Type": content_type, **(headers or {})},
                ),
                stream=True,
            )
            response.close()
    except httpx.RequestError as error:
        what = str(error) if isinstance(error, httpx.ConnectError) else type(error).__name__
        raise NotDelivered(f"{host} did not take it: {what}") from strip_frames(error)
    except (httpx.InvalidURL, UnicodeError, ValueError, ImportError, OSError) as error:
        # Only the kind of error: its text may hold the URL, or a proxy's password.
        raise NotDelivered(
            f"it cannot be sent to {host} ({type(error).__name__}): look at the URL, and at the "
            f"proxy and certificate settings of this environment"
        ) from None
    if response.status_code in _REDIRECTS:
        raise NotDelivered(
            f"{host} answered {response.status_code}, a redirect, and those are not followed"
        )
    if not response.is_success:
        raise NotDelivered(f"{host} answered {response.status_code} {response.reason_phrase}")


def _target(url: Secret, below: str) -> tuple[Secret, str] | str:
    """Return the URL to send to and its host for people, or why there is none.

    Nothing is raised here, where variables hold the URL.
    """
    try:
        parts = urlsplit(url.reveal())
        host = (parts.hostname or "").lower()
        port = parts.port
    except ValueError:
        return "what stands there is no URL"
    if parts.scheme not in ("http", "https") or not host or not host.isprintable():
        return "what stands there is no http or https URL with a host"
    if parts.scheme == "http" and not is_loopback(host):
        return (
            f"{host} is another machine, and others could read the URL on its way there: use https"
        )
    path = parts.path.rstrip("/") + below if below else parts.path
    whole = Secret(parts._replace(path=path, fragment="").geturl())
    for secret in (whole, Secret(parts.path.strip("/")), Secret(parts.query)):
        hide(secret)
    return whole, host if port is None else f"{host}:{port}"


def _certificates(target: Secret) -> ssl.SSLContext:
    """Return what verifies a server; loading the certificates takes tens of milliseconds."""
    if target.reveal().startswith("https:"):
        return httpx.create_ssl_context()
    # Never used for TLS; were it, it trusts nobody.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
