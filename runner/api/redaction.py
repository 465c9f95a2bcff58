"""The key on its way out, and the places in which it must not be seen on the way.

A key is put into a request by the HTTP library, at the last moment, so that no frame of ours
ever holds it unwrapped. What that library logs, and the frames of its own that a traceback with
local variables would show, are dealt with here as well.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from runner.spec.project import Secret


_HEADER_SAFE: Final = re.compile(r"[\x21-\x7e]+")
_LOGGERS: Final = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.proxy",
    "httpcore.socks",
)


class _Request(Protocol):
    """What is needed of a request."""

    @property
    def headers(self) -> MutableMapping[str, str]:
        """The headers that will be sent."""


_Sent = TypeVar("_Sent", bound=_Request)
_Error = TypeVar("_Error", bound=BaseException)


class Bearer:
    """Puts a key into a request when it is sent."""

    def __init__(self, key: Secret) -> None:
        self._key = key
        hide(key)

    def __call__(self, request: _Sent) -> _Sent:
        """Return the request with its header."""
        request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request


def hide(secret: Secret) -> None:
    """Take a secret out of whatever the HTTP libraries log from now on."""
    if secret.reveal():
        _hidden.add(secret)


def sendable(key: Secret) -> bool:
    """Whether a key can be a header's value."""
    return _HEADER_SAFE.fullmatch(key.reveal()) is not None


def strip_frames(error: _Error) -> _Error:
    """Take the frames of the HTTP libraries from an error: their variables hold the key.

    What happened stays, and so do our own frames, in which the error is raised anew.
    """
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


class _Hiding(logging.Filter):
    """Takes keys out of what the HTTP libraries log: at DEBUG, all headers of a reply."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        for key in _hidden:
            text = text.replace(key.reveal(), "***")
        record.msg, record.args = text, ()
        return True


_hidden: Final[set[Secret]] = set()
_HIDING: Final = _Hiding()
for _name in _LOGGERS:
    # A logger's own filter: those of a logger above are not asked for what is logged below.
    logging.getLogger(_name).addFilter(_HIDING)
