"""The ping: one HTTP request after each pass, to a monitoring service such as healthchecks.io.

The service sends an alert when no pings arrive. A POST to the URL reports that a pass succeeded, a
POST to `/fail` below it that it failed; the body is a short text. A ping is tried only twice, with
a short timeout, since the next pass sends another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.errors import NotDelivered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runner.spec.notifications import Address

_TRIES: Final = 2
_PAUSE: Final = 1.0
"""Seconds between the tries."""

_MAX_BODY: Final = 10_000
"""Characters of a body that such services keep."""


def ping(
    address: Address,
    lines: Sequence[str],
    *,
    code: int,
    environ: Mapping[str, str],
    sleep: Callable[[float], None],
) -> None:
    """Send the exit code of a pass and a few lines about it. Raises NotDelivered."""
    from runner.api.webhook import post

    url = address.read(environ)
    body = "\n".join([f"exit code {code}", *lines])[:_MAX_BODY].encode()
    below = "/fail" if code else ""
    for remaining in range(_TRIES - 1, -1, -1):
        try:
            post(url, body, content_type="text/plain; charset=utf-8", below=below)
        except NotDelivered:
            if not remaining:
                raise
            sleep(_PAUSE)
        else:
            return
