"""E-mail and chats, by way of apprise: the extra `notify`."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

from runner.errors import MissingExtra, NotDelivered
from runner.extras import how_to_install

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.spec.project import Secret

_TONES: Final = {
    "succeeded": "success",
    "recovered": "success",
    "failed": "failure",
    "trouble": "failure",
    "partial": "warning",
    "cancelled": "warning",
    "overdue": "warning",
}
"""How serious each kind is, in apprise's words; anything else is `info`."""


def send(url: Secret, *, kind: str, title: str, text: str) -> None:
    """Send a message to whoever the URL names.

    Raises MissingExtra without the extra `notify`, NotDelivered, without the URL, if it was not
    taken.
    """
    try:
        import apprise
    except ImportError as error:
        raise MissingExtra(
            f"e-mail and chats need {error.name}: {how_to_install('notify')}"
        ) from error
    with _silent():
        post = apprise.Apprise()
        if not post.add(url.reveal()):
            raise NotDelivered("what stands there is no URL that apprise knows")
        taken = post.notify(
            body=text,
            title=title,
            notify_type=apprise.NotifyType(_TONES.get(kind, "info")),
            body_format=apprise.NotifyFormat.TEXT,
        )
    if not taken:
        raise NotDelivered("apprise could not hand it over")


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Let nothing be logged: apprise writes addresses and answers there, passwords and all."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
