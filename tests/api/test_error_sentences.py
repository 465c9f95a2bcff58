"""Every kind of error reply and failure, and the exact sentence about it."""

from __future__ import annotations

import errno
import json
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from runner.api.responses import (
    Call,
    CallKind,
    Reply,
    connection_advice,
    decode_reply,
    status_error,
)
from runner.errors import ApiError, Transient, Unreachable
from runner.spec.project import KeyCommand, Provider, Secret
from tests.api.scripted import KEY, NOW, drop
from tests.report.golden_files import check_golden

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.api.scripted import World

GOLDEN: Final = Path(__file__).parent / "golden" / "errors.txt"
LAB: Final = Provider(name="lab", base_url="https://lab.example/v1", api_key_env="LAB_KEY")
HERE: Final = Provider(name="lab", base_url="http://127.0.0.1:8000/v1")
CALLS: Final = {
    CallKind.LISTING: ("GET", "/batches"),
    CallKind.OBJECT: ("GET", "/batches/batch_1"),
    CallKind.UPLOAD: ("POST", "/files"),
    CallKind.CREATION: ("POST", "/batches"),
}


def told(
    kind: CallKind,
    status: int,
    body: object = b"",
    *,
    provider: Provider = LAB,
    key: str | None = KEY,
    headers: Mapping[str, str] | None = None,
) -> str:
    """Return the message about a reply."""
    method, path = CALLS[kind]
    secret = None if key is None else Secret(key)
    call = Call(provider=provider, secret=secret, kind=kind, method=method, path=path)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = Reply(status=status, headers={"x-request-id": "req_1", **(headers or {})}, body=content)
    if reply.successful:
        with pytest.raises(ApiError) as caught:
            decode_reply(call, reply, now=NOW)
        return str(caught.value)
    return str(status_error(call, reply, now=NOW))


def fault(message: str, **more: object) -> dict[str, Any]:
    return {"error": {"message": message, "type": None, "param": None, "code": None, **more}}


def connection(error: Exception, provider: Provider = LAB) -> str:
    """Return the advice when no connection was made; the HTTP library wraps the cause."""
    wrapped = RuntimeError("no connection")
    wrapped.__cause__ = RuntimeError("of the library below")
    wrapped.__cause__.__context__ = error
    return connection_advice(provider, wrapped)


def sentences() -> dict[str, str]:
    refused = fault(f"Incorrect API key provided: {KEY}.", code="invalid_api_key")
    by_file = Provider(name="lab", base_url="https://lab.example/v1", api_key_file=Path("k"))
    by_command = Provider(
        name="lab",
        base_url="https://lab.example/v1",
        api_key_command=KeyCommand(arguments=("pass", "show", "lab"), folder=Path()),
    )
    bare = Provider(name="lab", base_url="https://lab.example/v1")
    model = fault("The model `gpt-0` does not exist.", code="model_not_found", param="model")
    quota = fault("You exceeded your current quota.", code="insufficient_quota")
    window = fault("Invalid value: '1h'.", param="completion_window", code="invalid_value")
    moved = {"location": "https://lab.example/api/v1/batches?key=x"}
    file_not_visible = fault(
        "Cannot find file file-1, or organization org-1 has no access.", param="file_id"
    )
    return {
        "key refused": told(CallKind.LISTING, 401, refused),
        "key of a file refused": told(CallKind.LISTING, 401, refused, provider=by_file),
        "key of a command refused": told(CallKind.LISTING, 401, refused, provider=by_command),
        "key not set": told(CallKind.LISTING, 401, fault("No key."), key=None),
        "no key configured": told(CallKind.LISTING, 401, fault("No key."), provider=bare, key=None),
        "key without the right": told(CallKind.CREATION, 403, fault("Missing scopes.")),
        "money": told(CallKind.CREATION, 429, quota),
        "payment required": told(CallKind.CREATION, 402, {"error": "no credits"}),
        "rate limit": told(
            CallKind.CREATION, 429, fault("Slow down."), headers={"retry-after": "20"}
        ),
        "model": told(CallKind.CREATION, 404, model),
        "model, with 400": told(CallKind.CREATION, 400, model),
        "parameter": told(CallKind.CREATION, 400, window),
        "request, no reason": told(CallKind.CREATION, 400),
        "file not known yet": told(CallKind.CREATION, 400, file_not_visible),
        "file too large": told(CallKind.UPLOAD, 413, b"<html><title>413 Too Large</title></html>"),
        "no such batch": told(CallKind.OBJECT, 404, fault("No batch found.")),
        "no such call": told(CallKind.LISTING, 404, {"detail": "Not Found"}),
        "not allowed": told(CallKind.CREATION, 405, b""),
        "redirect": told(CallKind.LISTING, 308, headers=moved),
        "server error": told(CallKind.LISTING, 503, b"upstream connect error"),
        "server error, after a creation": told(
            CallKind.CREATION, 502, b"<title>Bad Gateway</title>"
        ),
        "strange status": told(CallKind.LISTING, 529, fault("Overloaded.")),
        "too much JSON": told(CallKind.LISTING, 200, b"[%s0]" % (b"{}," * 400_000)),
        "too much JSON, after a creation": told(CallKind.CREATION, 200, b"[" * 50_000),
        "a page": told(CallKind.LISTING, 200, b"<html><title>Sign in</title></html>"),
        "a redirect to sign in": told(
            CallKind.LISTING, 302, headers={"location": "https://portal.example/login?next=/v1"}
        ),
        "a page with a password": told(
            CallKind.LISTING, 200, b"<html><title>Welcome</title><input type='password'>"
        ),
        "a page, after a creation": told(CallKind.CREATION, 200, b"<html><title>Hi</title></html>"),
        "long words": told(CallKind.LISTING, 400, fault("word " * 500)),
        "hostile words": told(CallKind.LISTING, 400, fault("a\x1b[2Jb\u202ec\r\nd")),
        "refused connection, here": connection(
            ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), HERE
        ),
        "refused connection": connection(
            ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        ),
        "unknown name": connection(socket.gaierror(-2, "Name or service not known")),
        "certificate": connection(ssl.SSLCertVerificationError(1, "certificate verify failed")),
        "no TLS": connection(ssl.SSLError(1, "wrong version number")),
        "time-out": connection(TimeoutError("timed out")),
    }


def test_every_sentence_about_an_error() -> None:
    text = "".join(f"{name}:\n    {said}\n" for name, said in sentences().items())
    # The name of status 413 in RFC 9110, which Python has since 3.13.
    text = text.replace("413 Request Entity Too Large", "413 Content Too Large")

    check_golden(GOLDEN, text)
    assert KEY not in text


@pytest.mark.parametrize("name", [name for name, said in sentences().items() if "answered" in said])
def test_a_refusal_says_what_was_asked_and_who_can_be_asked_about_it(name: str) -> None:
    said = sentences()[name]

    assert said.startswith("lab answered ")
    assert "GET /batches" in said or "POST /batches" in said or "POST /files" in said
    assert said.endswith(" [request req_1]")
    assert "(" in said, "the next step"


def test_a_connection_that_was_refused_says_so_with_the_call_and_the_next_step(
    world: World,
) -> None:
    gone = world.provider(base_url="http://127.0.0.1:1/v1")

    with pytest.raises(Unreachable) as caught:
        world.client(provider=gone).retrieve_batch("batch_1")

    assert str(caught.value) == (
        "lab cannot be reached at http://127.0.0.1:1/v1 for GET /batches/batch_1: "
        f"[Errno {errno.ECONNREFUSED}] Connection refused "
        "(nothing listens there: is the server running, and is base_url its address?)"
    )


def test_an_answer_that_broke_off_says_what_comes_next(world: World) -> None:
    world.server.will(*[drop()] * 5)

    with pytest.raises(Transient, match=r"to GET /batches/batch_1: .*the next pass tries again"):
        world.client().retrieve_batch("batch_1")
