"""What to do next about a provider's refusal or silence: the end of every sentence about one.

A provider says what it did not like, in words made for whoever wrote the request. Here it is said
what a person who runs jobs can do about it, if anything: most of what passes by itself needs
nobody, and saying so is worth as much.
"""

from __future__ import annotations

import errno
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from runner.api.error_messages import public_url, shown
from runner.errors import (
    FileNotVisible,
    MayHaveActed,
    NotFound,
    NotOffered,
    OutOfMoney,
    RateLimited,
    TooLarge,
    Transient,
    Unauthorized,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.api.error_messages import ErrorMessage
    from runner.api.responses import Call, Reply
    from runner.errors import ApiError
    from runner.spec.project import Provider

LOOK: Final = "it may have been carried out: the next pass looks before it sends it again"
LATER: Final = "the next pass tries again"

_ALWAYS: Final[Mapping[type[ApiError], str]] = {
    FileNotVisible: f"the uploaded file is not known there yet; {LATER}",
    MayHaveActed: LOOK,
    OutOfMoney: "add credit or raise the limit on the provider's billing page; no retry can help",
    RateLimited: f"too many requests for now; {LATER}",
    TooLarge: "smaller files may do: set max_bytes_per_batch in runner.yaml",
    Transient: f"trouble at the provider; {LATER}",
}


def refusal_advice(kind: type[ApiError], call: Call, reply: Reply, message: ErrorMessage) -> str:
    """Return what a person should know, or do, about a refusal beyond the provider's words."""
    if 300 <= reply.status < 400:  # noqa: PLR2004
        return _about_redirect(call, reply)
    if kind is Unauthorized:
        return _about_key(call, reply)
    if kind in _ALWAYS:
        return _ALWAYS[kind]
    if message.code == "model_not_found" or message.param in ("model", "body.model"):
        return "check the model's name in the input, and that the key may use it"
    if kind is NotOffered:
        return address_advice(call.provider)
    if kind is NotFound:
        return f"it does not exist, or was made with another key{_of_source(call)}"
    where = f": look at {message.param}" if message.param else ""
    return f"sending the same again would not help{where}"


def address_advice(provider: Provider) -> str:
    """Ask whether the address is that of an API at all."""
    address = public_url(provider.base_url)
    return f"is {address} really that of a Batch API? See base_url of {provider.name}"


def connection_advice(provider: Provider, error: BaseException) -> str:
    """Say where to look when no connection was made, by what the system said about it."""
    import socket  # both are loaded with the HTTP library alone
    import ssl

    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return "its certificate is not trusted here: SSL_CERT_FILE names those that are"
            case ssl.SSLError():
                return "no TLS is spoken there: should base_url begin with http://?"
            case socket.gaierror():
                return f"nobody knows the name {provider.host}: check base_url and the network"
            case OSError(errno=errno.ECONNREFUSED) if provider.loopback:
                return "nothing listens there: is the server running, and base_url its address?"
            case OSError(errno=errno.ECONNREFUSED):
                return "nothing listens there: is base_url right, and the server up?"
            case _:
                continue
    return f"check base_url, the network and HTTPS_PROXY; {LATER}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _about_key(call: Call, reply: Reply) -> str:
    source = call.provider.key_source
    if source is None:
        return "this provider has no api_key_env, api_key_file or api_key_command: no key was sent"
    if call.secret is None:
        return f"no key was sent: set {source}"
    if reply.status == HTTPStatus.FORBIDDEN:
        return f"check that the key in {source} may do this: its project, rights and region"
    return f"check that the key in {source} is right and may do this"


def _of_source(call: Call) -> str:
    source = call.provider.key_source
    return f" than that of {source}" if source is not None and call.secret is not None else ""


def _about_redirect(call: Call, reply: Reply) -> str:
    target = reply.headers.get("location", "")
    if not target:
        return "a redirect that does not say where to"
    place = shown(public_url(target), call.secret)
    return f"base_url redirects to {place}; set base_url to where the API really is"
