"""Read the address of a provider: refuse what cannot be one, and warn of what will hardly work.

Nothing is asked here: a check that needs the server is `runner doctor`'s.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from runner.spec.leaked_secrets import SECRET_PATTERN
from runner.spec.project import OPENAI_HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.spec.project import Provider

EXAMPLE: Final = "such as http://127.0.0.1:8000/v1"

_NOT_IN_URL: Final = re.compile(r"[^\x21-\x7e]")
_PORTS: Final = {"http": 80, "https": 443}
_VERSION: Final = re.compile(r"/v[0-9][0-9a-z]*(?=/|$)", re.IGNORECASE)
_VERSION_TWICE: Final = re.compile(r"(/v[0-9][0-9a-z]*)\1(?=/|$)", re.IGNORECASE)
_ENDPOINT: Final = re.compile(
    r"/v[0-9][0-9a-z]*(/chat/completions|/completions|/responses|/embeddings|/moderations|/models"
    r"|/files|/batches)$",
    re.IGNORECASE,
)

_OTHER_SHAPES: Final = frozenset(
    {
        "api.anthropic.com",
        "api.fireworks.ai",
        "api.mistral.ai",
        "api.together.ai",
        "api.together.xyz",
        "api.x.ai",
        "generativelanguage.googleapis.com",
    }
)
"""Hosts whose batches are made by other calls than OpenAI's (fact sheet, section 5)."""

_CHAT_ONLY: Final = {1234: "LM Studio", 11434: "Ollama"}
"""Servers without files and batches, by the port that they listen on unless told otherwise."""


def read_base_url(text: str) -> str:
    """Normalize a base URL: no trailing slash, no default port, the host in lower case.

    Raises ValueError with a message that does not repeat the text: it may contain a password.
    """
    if _NOT_IN_URL.search(text):
        raise ValueError(f"contains a character that is not allowed in a URL; write one {EXAMPLE}")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"is not a URL; write one {EXAMPLE}") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"is not an http or https URL with a host; write one {EXAMPLE}")
    if "@" in parts.netloc:
        raise ValueError(
            "contains a user or password; write the URL without it and name the variable of the"
            " API key in api_key_env"
        )
    if "?" in text or "#" in text:
        raise ValueError('contains a "?" or "#"; write only the part before it')
    path = parts.path.rstrip("/")
    if SECRET_PATTERN.search(path):
        raise ValueError(
            "contains what looks like an API key, and addresses are kept in the ledger and in"
            " records; name the variable of the key in api_key_env"
        )
    if endpoint := _ENDPOINT.search(path):
        raise ValueError(
            f'ends with the path of an endpoint; write only the part before "{endpoint[1]}"'
        )
    if parts.hostname == OPENAI_HOST and path != "/v1":
        raise ValueError(f'is not the address of the API at {OPENAI_HOST}; write "/v1" as its path')
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port_shown = "" if port is None or port == _PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{host}{port_shown}{path}"


def address_warnings(provider: Provider) -> Iterator[str]:
    """Yield what will hardly work about the address of a provider."""
    parts = urlsplit(provider.base_url)
    host, port = provider.host, parts.port
    if _VERSION_TWICE.search(parts.path):
        yield "its path has the version twice; write it once, as in /v1"
    elif not _VERSION.search(parts.path):
        yield (
            "its path names no version; most servers have their API below /v1:"
            f" `runner doctor --provider {provider.name}` asks this one"
        )
    if host in _OTHER_SHAPES:
        yield (
            f"the batches of {host} are not made by OpenAI's calls, which runner makes; name a"
            " gateway that translates them, or another provider"
        )
    elif port in _CHAT_ONLY:
        yield (
            f"{port} is usually the port of {_CHAT_ONLY[port]}, which has no Batch API:"
            f" `runner doctor --provider {provider.name}` asks the server"
        )
    may_send_key = parts.scheme == "https" or provider.loopback or provider.allow_key_over_http
    if provider.key_source is not None and not may_send_key:
        yield (
            f"its API key is not sent over plain http to {host}, where others can read it; use"
            " https, or no key, or, in a network that you trust, set allow_key_over_http: true for"
            f" {provider.name} in runner.yaml"
        )
