"""A ping: a check elsewhere hears of each pass, and notices when there are none.

The way of healthchecks.io and of what speaks like it: a POST to the check's URL says that a pass
went well, one to `/fail` below it that it did not, and the body says what there is to say. It is
short of patience and tried twice: the next pass pings again.
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

_LONGEST: Final = 10_000
"""Characters of a body that checks keep."""


def ping(
    address: Address,
    lines: Sequence[str],
    *,
    code: int,
    environ: Mapping[str, str],
    sleep: Callable[[float], None],
) -> None:
    """Tell the check how a pass has ended: its exit code, and a few lines. Raises NotDelivered."""
    from runner.api.webhook import post

    url = address.read(environ)
    body = "\n".join([f"exit code {code}", *lines])[:_LONGEST].encode()
    below = "/fail" if code else ""
    for left in range(_TRIES - 1, -1, -1):
        try:
            post(url, body, content_type="text/plain; charset=utf-8", below=below)
        except NotDelivered:
            if not left:
                raise
            sleep(_PAUSE)
        else:
            return
