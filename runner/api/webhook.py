"""Sending a message to a webhook or a ping URL, which is itself a secret.

Knowing the URL is enough to post there. So it is treated like an API key: revealed at the last
moment, shown only as its host, never used without TLS to another machine. Redirects are not
followed: the message would go to a host that is not configured. The body of the reply is not read;
its status is enough, and it has to come within a time, however many bytes come before it.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from runner import __version__
from runner.api.network import Pace, keep_watch
from runner.api.redaction import redact_from_logs, strip_frames
from runner.errors import NotDelivered
from runner.imports import hidden_imports
from runner.spec.project import Secret, is_loopback

with hidden_imports("rich"):  # httpx's command line would load it: 40 ms
    import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

_REDIRECTS: Final = range(300, 400)
_LEAST_RATE: Final = 100.0
"""Bytes a second; a message has a few thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTimeouts:
    """Seconds after which sending fails; a later pass sends it again.

    `answer` is the time for the reply, from the moment when the message has been sent.
    """

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
    """Send one message and return once it was accepted with a status of 2xx.

    `below` is appended to the URL's path. Raises NotDelivered with a text that does not hold the
    URL.
    """
    target_or_problem = _target(url, below)
    if isinstance(target_or_problem, str):
        raise NotDelivered(target_or_problem)
    target, host = target_or_problem
    loopback = is_loopback(host)
    try:
        with (
            Pace(reply=timeouts.answer, least_rate=_LEAST_RATE, window=timeouts.answer).kept(),
            keep_watch(
                httpx.Client(
                    transport=transport,
                    verify=_certificates(target),
                    trust_env=not loopback,
                    follow_redirects=False,
                    timeout=httpx.Timeout(
                        timeouts.answer, connect=timeouts.connect, pool=timeouts.connect
                    ),
                    headers={"User-Agent": f"batch-runner/{__version__}", "Connection": "close"},
                )
            ) as client,
        ):
            # In one expression: a request in a variable would show the URL in a traceback.
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
        raise NotDelivered(f"{host} did not accept it: {what}") from strip_frames(error)
    except (httpx.InvalidURL, UnicodeError, ValueError, ImportError, OSError) as error:
        # Only the type of the error: its text may hold the URL, or a proxy's password.
        raise NotDelivered(
            f"it cannot be sent to {host} ({type(error).__name__}): check the URL, and the "
            f"proxy and certificate settings of this environment"
        ) from None
    if response.status_code in _REDIRECTS:
        raise NotDelivered(
            f"{host} answered {response.status_code}, a redirect, and redirects are not followed"
        )
    if not response.is_success:
        raise NotDelivered(f"{host} answered {response.status_code} {response.reason_phrase}")


def _target(url: Secret, below: str) -> tuple[Secret, str] | str:
    """Return the full URL and its host, or a text that says why it cannot be used.

    It does not raise: a traceback would show the URL in its variables.
    """
    try:
        parts = urlsplit(url.reveal())
        host = (parts.hostname or "").lower()
        port = parts.port
    except ValueError:
        return "the configured value is not a URL"
    if parts.scheme not in ("http", "https") or not host or not host.isprintable():
        return "the configured value is not an http or https URL with a host"
    if parts.scheme == "http" and not is_loopback(host):
        return (
            f"{host} is another machine, and others could read the URL on its way there: use https"
        )
    path = parts.path.rstrip("/") + below if below else parts.path
    full_url = Secret(parts._replace(path=path, fragment="").geturl())
    for secret in (full_url, Secret(parts.path.strip("/")), Secret(parts.query)):
        redact_from_logs(secret)
    return full_url, host if port is None else f"{host}:{port}"


def _certificates(target: Secret) -> ssl.SSLContext:
    """Return the TLS context; loading the certificates takes tens of milliseconds."""
    if target.reveal().startswith("https:"):
        return httpx.create_ssl_context()
    # Never used for TLS; if it were, it would trust no server.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
