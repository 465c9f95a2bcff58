"""What a provider says went wrong, made fit to be read by people.

The reference gives one envelope, `{"error": {message, type, param, code}}`; dialects and the
proxies before them send half a dozen others (fact sheet, section 4). All of them are read; none
is trusted: a text from outside may hold terminal control characters, be megabytes long, or echo
the very key that it refuses.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from runner.text import printable

if TYPE_CHECKING:
    from runner.spec.project import Secret


LONGEST_TEXT: Final = 500
"""Characters of a provider's text that are worth showing."""

_LONGEST_NAME: Final = 200
_LONGEST_PAGE: Final = 64 * 1024
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_TITLE: Final = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)
"""Looks at no character twice, however many titles begin and do not end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMessage:
    """The provider's own words on a refusal; every member has been through `shown`."""

    text: str = ""
    type: str | None = None
    code: str | None = None
    param: str | None = None


def shown(text: str, secret: Secret | None, *, longest: int = LONGEST_TEXT) -> str:
    """Return text from outside as one printable line without the secret, cut to `longest`."""
    key = secret.reveal() if secret is not None else ""
    if key:
        text = text.replace(key, "***")
    return printable(text, longest, mark=" ")


def public_url(url: str) -> str:
    """Return a URL without what may be secret in it: user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is no URL"
    host = parts.netloc.rpartition("@")[2]
    return shown(parts._replace(netloc=host, query="", fragment="").geturl(), None, longest=200)


def decode_json(body: bytes) -> object:
    """Decode one JSON document, with or without a byte order mark.

    Raises ValueError, saying what is amiss, for whatever is not JSON in UTF-8.
    """
    text = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        if b"\\u" not in text:
            raise ValueError(str(error)) from error
        return _decode_mended(text, error)
    except UnicodeDecodeError as error:
        raise ValueError("the text is not UTF-8") from error
    except RecursionError as error:
        raise ValueError("JSON nested too deeply to be a reply") from error


def _decode_mended(text: bytes, error: Exception) -> object:
    """Decode JSON with half a surrogate pair in it, which becomes a question mark.

    A server that cuts its messages to a length cuts characters in two (fact sheet, failure 30).
    One such message would hide every other batch of its list.
    """
    try:
        whole = json.dumps(json.loads(text), ensure_ascii=False, allow_nan=False)
        return msgspec.json.decode(whole.encode(errors="replace"))
    except (ValueError, RecursionError):
        raise ValueError(str(error)) from error


def read_error_message(body: bytes, secret: Secret | None) -> ErrorMessage:
    """Read the body of a refusal in any of the forms that are about; never raises."""
    try:
        decoded = decode_json(body)
    except ValueError:
        return ErrorMessage(text=shown(describe_text(body), secret))
    if not isinstance(decoded, dict):
        return ErrorMessage(text=shown(_plain(decoded), secret))
    fault = decoded.get("error")
    if fault is None:
        fault = decoded.get("detail", decoded.get("message"))
    if not isinstance(fault, dict):
        # Some put the code beside the text instead of inside: {"error": "...", "code": 5}.
        text = _plain(decoded if fault is None else fault)
        fault = decoded
    else:
        text = _plain(fault.get("message", fault))
    return ErrorMessage(
        text=shown(text, secret),
        type=_name(fault.get("type"), secret),
        code=_name(fault.get("code"), secret),
        param=_name(fault.get("param"), secret),
    )


def describe_text(body: bytes) -> str:
    """Return what a body that is not JSON shows a reader: a page's title, or its first words."""
    text = body[:_LONGEST_PAGE].decode("utf-8", errors="replace").strip()
    if not text.startswith("<"):
        return text
    title = _TITLE.search(text)
    return f"an HTML page titled {title.group(1).strip()!r}" if title else f"a page: {text}"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _name(value: object, secret: Secret | None) -> str | None:
    """Return a code as text; some dialects send integers (llm-d)."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return shown(str(value), secret, longest=_LONGEST_NAME)
