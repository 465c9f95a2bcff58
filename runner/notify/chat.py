"""Messages by e-mail and chat, with the library apprise: the extra `notify`."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

from runner.errors import MissingExtra, NotDelivered
from runner.extras import how_to_install

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.spec.project import Secret

_SEVERITIES: Final = {
    "succeeded": "success",
    "recovered": "success",
    "failed": "failure",
    "trouble": "failure",
    "partial": "warning",
    "cancelled": "warning",
    "overdue": "warning",
}
"""The severity of each kind of message, as a NotifyType of apprise; otherwise `info`."""


def send(url: Secret, *, kind: str, title: str, text: str) -> None:
    """Send a message to a service URL of apprise.

    Raises MissingExtra without the extra `notify`, and NotDelivered if the message was not
    accepted; the error does not contain the URL.
    """
    try:
        import apprise
    except ImportError as error:
        raise MissingExtra(
            f"e-mail and chats need {error.name}: {how_to_install('notify')}"
        ) from error
    with _silent():
        client = apprise.Apprise()
        if not client.add(url.reveal()):
            raise NotDelivered("it does not contain a URL that apprise supports")
        delivered = client.notify(
            body=text,
            title=title,
            notify_type=apprise.NotifyType(_SEVERITIES.get(kind, "info")),
            body_format=apprise.NotifyFormat.TEXT,
        )
    if not delivered:
        raise NotDelivered("apprise could not deliver it")


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Disable logging: apprise logs addresses and responses, passwords included."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
