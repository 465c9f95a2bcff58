"""Sending the API key, and keeping it out of logs and tracebacks.

The HTTP library puts the API key into a request at the last moment, so that none of our stack
frames holds it as plain text. This module also removes secrets from what that library logs, and
removes its frames from errors: a traceback with local variables would show the key.
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


class _HasHeaders(Protocol):
    """A request of the HTTP library: any object with headers."""

    @property
    def headers(self) -> MutableMapping[str, str]:
        """The headers that will be sent."""


_HttpRequest = TypeVar("_HttpRequest", bound=_HasHeaders)
_Error = TypeVar("_Error", bound=BaseException)


class Bearer:
    """An authorization that adds the API key to a request when it is sent."""

    def __init__(self, key: Secret) -> None:
        self._key = key
        redact_from_logs(key)

    def __call__(self, request: _HttpRequest) -> _HttpRequest:
        """Add the Authorization header to the request and return it."""
        request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request


def redact_from_logs(secret: Secret) -> None:
    """Replace a secret in everything that the HTTP libraries log from now on."""
    if secret.reveal():
        _redacted.add(secret)


def is_header_safe(key: Secret | str) -> bool:
    """Whether an API key, or a name, has only characters that a header value may have."""
    value = key if isinstance(key, str) else key.reveal()
    return _HEADER_SAFE.fullmatch(value) is not None


def strip_frames(error: _Error) -> _Error:
    """Remove the stack frames of the HTTP libraries from an error: their variables hold the key.

    The messages stay, and so do our own frames: the caller raises another error from this one.
    """
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


class _RedactingFilter(logging.Filter):
    """A filter that replaces secrets in log records: at DEBUG they hold all headers of a reply."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        for key in _redacted:
            text = text.replace(key.reveal(), "***")
        record.msg, record.args = text, ()
        return True


_redacted: Final[set[Secret]] = set()
_FILTER: Final = _RedactingFilter()
for _name in _LOGGERS:
    # Each logger needs the filter: filters of a parent logger do not apply to its children.
    logging.getLogger(_name).addFilter(_FILTER)
