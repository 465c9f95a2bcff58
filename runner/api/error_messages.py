"""The error message in the body of a provider's reply, made safe to print.

The reference has one format, `{"error": {message, type, param, code}}`; other providers and the
proxies in front of them send half a dozen others (fact sheet, section 4). All are read and none is
trusted: text from outside may hold terminal control characters, be megabytes long, or repeat the
API key that was refused.
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
"""The most characters of a provider's message that are shown."""

_LONGEST_NAME: Final = 200
_LONGEST_PAGE: Final = 64 * 1024
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_TITLE: Final = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)
"""Takes linear time, however many `<title` without an end there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMessage:
    """The provider's message about an error; every member has been through `shown`."""

    text: str = ""
    type: str | None = None
    code: str | None = None
    param: str | None = None


def shown(text: str, secret: Secret | None, *, longest: int = LONGEST_TEXT) -> str:
    """Return text from outside as one printable line without the secret.

    The line has at most `longest` characters.
    """
    key = secret.reveal() if secret is not None else ""
    if key:
        text = text.replace(key, "***")
    return printable(text, longest, mark=" ")


def public_url(url: str) -> str:
    """Return a URL without the parts that may be secret: user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is no URL"
    host = parts.netloc.rpartition("@")[2]
    return shown(parts._replace(netloc=host, query="", fragment="").geturl(), None, longest=200)


def decode_json(body: bytes) -> object:
    """Decode one JSON document, with or without a byte order mark.

    Raises ValueError with the reason if the body is not JSON in UTF-8.
    """
    text = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        if b"\\u" not in text:
            raise ValueError(str(error)) from error
        return _decode_repaired(text, error)
    except UnicodeDecodeError as error:
        raise ValueError("the text is not UTF-8") from error
    except RecursionError as error:
        raise ValueError("JSON nested too deeply to be a reply") from error


def _decode_repaired(text: bytes, error: Exception) -> object:
    """Decode JSON that holds half a surrogate pair, which becomes a question mark.

    A server that truncates its messages may cut a character in two (fact sheet, failure 30).
    Without this, one such message would make every other batch of a list unreadable.
    """
    try:
        whole = json.dumps(json.loads(text), ensure_ascii=False, allow_nan=False)
        return msgspec.json.decode(whole.encode(errors="replace"))
    except (ValueError, RecursionError):
        raise ValueError(str(error)) from error


def read_error_message(body: bytes, secret: Secret | None) -> ErrorMessage:
    """Read the error message in a reply body, in any known format; never raises."""
    try:
        decoded = decode_json(body)
    except ValueError:
        return ErrorMessage(text=shown(describe_text(body), secret))
    if not isinstance(decoded, dict):
        return ErrorMessage(text=shown(_as_text(decoded), secret))
    error_object = decoded.get("error")
    if error_object is None:
        error_object = decoded.get("detail", decoded.get("message"))
    if not isinstance(error_object, dict):
        # Some providers put the code next to the text: {"error": "...", "code": 5}.
        text = _as_text(decoded if error_object is None else error_object)
        error_object = decoded
    else:
        text = _as_text(error_object.get("message", error_object))
    return ErrorMessage(
        text=shown(text, secret),
        type=_name(error_object.get("type"), secret),
        code=_name(error_object.get("code"), secret),
        param=_name(error_object.get("param"), secret),
    )


def describe_text(body: bytes) -> str:
    """Return a description of a body that is not JSON: an HTML page's title, or the text."""
    text = body[:_LONGEST_PAGE].decode("utf-8", errors="replace").strip()
    if not text.startswith("<"):
        return text
    title = _TITLE.search(text)
    return f"an HTML page titled {title.group(1).strip()!r}" if title else f"a page: {text}"


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _name(value: object, secret: Secret | None) -> str | None:
    """Return a code as text; some providers send integers (llm-d)."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return shown(str(value), secret, longest=_LONGEST_NAME)
