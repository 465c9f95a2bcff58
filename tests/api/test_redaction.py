"""API keys: where they may be sent, and the places in which they must not appear."""

from __future__ import annotations

import dataclasses
import json
import logging
import pickle
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest

from runner.errors import ApiError, Rejected, Transient, Unauthorized, Unreachable
from runner.spec.project import AccountHeader, KeyCommand
from tests.api.scripted import KEY, answer, batch, drop

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.api.client import Client
    from tests.api.scripted import Handler, Server, World


def create(client: Client) -> None:
    client.create_batch(
        input_file_id="file-1", endpoint="/v1/x", completion_window="24h", metadata={}
    )


def unused(_: httpx.Request) -> httpx.Response:
    pytest.fail("something was sent")


def test_a_key_is_a_bearer_token(world: World) -> None:
    world.server.will(answer(200, batch()))
    world.client().retrieve_batch("b")
    assert world.server.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_without_a_key_none_is_sent(world: World) -> None:
    world.server.will(answer(200, batch()))
    world.client(None).retrieve_batch("b")
    assert "authorization" not in world.server.received[0].headers


@pytest.mark.parametrize("scheme", ["http", "HTTP"])
def test_a_key_is_not_sent_in_the_clear_to_another_machine(world: World, scheme: str) -> None:
    provider = world.provider(base_url=f"{scheme}://lab.example/v1")
    client = world.client(provider=provider, transport=httpx.MockTransport(unused))
    with pytest.raises(Unauthorized, match="not sent over plain http to") as caught:
        client.retrieve_batch("b")
    assert KEY not in str(caught.value)
    assert "set allow_key_over_http: true for lab in runner.yaml" in str(caught.value)
    assert world.naps == []


def test_a_key_is_sent_in_the_clear_where_that_is_allowed(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """To the provider alone: not to where it redirects a download."""
    monkeypatch.setenv("http_proxy", world.server.origin)
    world.server.will(
        answer(200, batch()),
        answer(302, headers={"Location": "http://bucket.example/x"}),
        answer(200, b"{}"),
    )
    provider = world.provider(base_url="http://gateway:8000/v1", allow_key_over_http=True)
    client = world.client(provider=provider)
    client.retrieve_batch("b")
    client.download("file-1", tmp_path / "x", expected_bytes=2)
    *own, another = world.server.received
    assert [one.headers["authorization"] for one in own] == [f"Bearer {KEY}"] * 2
    assert another.headers["host"] == "bucket.example"
    assert "authorization" not in another.headers


@pytest.mark.parametrize(
    ("key", "base_url"),
    [
        (KEY, "http://127.0.0.1:1/v1"),
        (KEY, "http://[::1]:1/v1"),
        (KEY, "http://localhost:1/v1"),
        (KEY, "https://lab.example/v1"),
        (None, "http://lab.example/v1"),
    ],
)
def test_where_a_key_may_go(world: World, key: str | None, base_url: str) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers.get("authorization") == (None if key is None else f"Bearer {key}")
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(batch()).encode()))

    client = world.client(
        key, world.provider(base_url=base_url), transport=httpx.MockTransport(handle)
    )
    assert client.retrieve_batch("b").id == "batch_1"


@pytest.mark.parametrize("key", ["", "two words", "line\n", "schlüssel", "\x00", "a\r\nX-Evil: 1"])
def test_a_key_that_is_none_is_refused_with_words(world: World, key: str) -> None:
    client = world.client(key, transport=httpx.MockTransport(unused))
    with pytest.raises(Unauthorized, match="the API key in LAB_KEY is empty or holds") as caught:
        client.retrieve_batch("b")
    if key:
        assert key not in str(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        answer(401, {"error": {"message": f"Incorrect key {KEY}", "code": KEY, "param": KEY}}),
        answer(400, f"{KEY}"),
        answer(500, f"<html><title>{KEY}</title>", {"X-Request-Id": KEY}),
        answer(200, f"<html>{KEY}</html>"),
        answer(302, None, {"Location": f"https://x.example/{KEY}?{KEY}"}),
        drop(),
    ],
)
def test_no_error_repr_traceback_or_log_shows_the_key(
    world: World, caplog: pytest.LogCaptureFixture, reply: Callable[[Handler], None]
) -> None:
    caplog.set_level(logging.INFO)
    world.server.will(*[reply] * 9)
    client = world.client()
    with pytest.raises(ApiError) as caught:
        client.retrieve_batch("b")
    error = caught.value
    seen = [
        str(error),
        repr(error),
        repr(vars(error)),
        repr(client),
        repr(vars(client)),
        repr(vars(client._transport)),
        "".join(traceback.format_exception(error)),
        caplog.text,
    ]
    assert not [text for text in seen if KEY in text]


def dump(error: BaseException) -> str:
    """Return a traceback with the local variables of every frame, as crash reporters send it."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


ECHOES = [
    answer(401, {"error": {"message": f"Incorrect key {KEY}"}}, {"X-Echo": f"Bearer {KEY}"}),
    answer(500, f"<html>Bearer {KEY}</html>", {"X-Request-Id": KEY}),
    answer(200, f"<html>{KEY}</html>"),
    answer(302, None, {"Location": f"https://x.example/{KEY}"}),
    answer(404, {"error": KEY}, announced=1000),
    drop(),
]


@pytest.mark.parametrize("reply", ECHOES)
@pytest.mark.parametrize("call", [create, lambda client: client.retrieve_batch("b")])
def test_no_variable_of_a_frame_shows_the_key(
    world: World, reply: Callable[[Handler], None], call: Callable[[Client], object]
) -> None:
    world.server.will(*[reply] * 9)
    client = world.client()
    with pytest.raises(ApiError) as caught:
        call(client)
    assert KEY not in dump(caught.value)


@pytest.mark.parametrize("failure", [httpx.WriteError, httpx.ReadError, httpx.ConnectError])
def test_no_variable_of_the_http_library_shows_the_key(
    world: World, failure: type[httpx.RequestError]
) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        sent = dict(request.headers)
        assert sent["authorization"] == f"Bearer {KEY}"
        raise failure("broken")

    client = world.client(transport=httpx.MockTransport(handle))
    with pytest.raises(ApiError) as caught:
        client.retrieve_batch("b")
    assert isinstance(caught.value.__cause__, failure)
    assert KEY not in dump(caught.value)


def test_a_bug_below_shows_no_key_in_frames_of_ours(world: World) -> None:
    def handle(_: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    client = world.client(transport=httpx.MockTransport(handle))
    with pytest.raises(ZeroDivisionError) as caught:
        client.retrieve_batch("b")
    shown = dump(caught.value)
    assert "transport.py" in shown
    assert KEY not in shown


def test_what_the_http_libraries_log_shows_no_key(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world.server.will(
        answer(200, batch(), {"X-Echo": f"Bearer {KEY}"}),
        answer(401, {"error": KEY}, {f"X-{KEY}": KEY}),
    )
    client = world.client()
    client.retrieve_batch("b")
    with pytest.raises(Unauthorized):
        client.retrieve_batch("b")
    assert "receive_response_headers.complete" in caplog.text
    assert "x-echo" in caplog.text.lower()
    assert KEY not in caplog.text
    assert not [record for record in caplog.records if KEY in repr(vars(record))]


def test_an_object_that_is_kept_holds_no_key(world: World) -> None:
    key = "sk-with/slashes+0123456789"
    told = json.dumps(batch("batch_1", "failed", errors={"data": [{"message": f"bad {key}"}]}))
    for text in (told, told.replace("/", "\\/")):
        world.server.will(answer(200, text))
        found = world.client(key).retrieve_batch("b")
        assert found.raw["errors"] == {"data": [{"message": "bad ***"}]}


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (
            {"api_key_file": Path("/somewhere/lab.key")},
            "the API key in /somewhere/lab.key is right",
        ),
        (
            {"api_key_command": KeyCommand(arguments=("/bin/pass", "x"), folder=Path("/"))},
            "the API key in the output of pass is right",
        ),
        ({"api_key_env": "LAB_KEY"}, "the API key in LAB_KEY is right"),
    ],
)
def test_a_refused_key_is_named_by_where_it_comes_from(
    world: World, place: dict[str, object], said: str
) -> None:
    world.server.will(answer(401, {"error": "no"}))
    with pytest.raises(Unauthorized, match=said):
        world.client(provider=world.provider(**{"api_key_env": None, **place})).retrieve_batch("b")


def test_a_client_is_not_pickled_with_its_key(world: World) -> None:
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(world.client())


# Proxies: honoured, but not for this machine.


def test_a_loopback_provider_is_never_asked_through_a_proxy(
    world: World, elsewhere: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, elsewhere.origin)
    world.server.will(answer(200, batch()))
    assert world.client().retrieve_batch("b").id == "batch_1"
    assert elsewhere.received == []


def test_a_proxy_is_used_for_other_machines(
    world: World, elsewhere: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", elsewhere.origin)
    elsewhere.will(answer(200, batch()))
    client = world.client(None, world.provider(base_url="http://lab.invalid/v1"))
    assert client.retrieve_batch("b").id == "batch_1"
    assert elsewhere.received[0].headers["host"] == "lab.invalid"


def refusing_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("user", ["", "user:secret-pass@", "user:secret/pass@"])
def test_a_proxy_that_is_down_is_named_without_its_password(
    world: World, monkeypatch: pytest.MonkeyPatch, variable: str, user: str
) -> None:
    port = refusing_port()
    if "/" in user:
        user = quote(user, safe=":@")
    monkeypatch.setenv(variable, f"http://{user}127.0.0.1:{port}/")
    provider = world.provider(base_url="http://lab.example/v1")
    with pytest.raises(Unreachable) as caught:
        world.client(None, provider).retrieve_batch("b")
    text = str(caught.value)
    assert f"through the proxy http://127.0.0.1:{port} of {variable}, and nothing" in text
    assert "secret" not in text
    assert "base_url" not in text


def test_a_host_of_no_proxy_is_not_said_to_be_behind_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{refusing_port()}")
    monkeypatch.setenv("no_proxy", "lab.invalid")
    provider = world.provider(base_url="http://lab.invalid/v1")
    with pytest.raises(Unreachable) as caught:
        world.client(None, provider).retrieve_batch("b")
    assert "the proxy" not in str(caught.value)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", "asks for a user and password"),
        ("user:secret-pass@", "does not accept the user and password in http_proxy"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_407_is_the_proxys_and_not_the_providers(
    world: World,
    elsewhere: Server,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    user: str,
    expected: str,
) -> None:
    place = elsewhere.origin.partition("://")[2]
    monkeypatch.setenv(f"{scheme}_proxy", f"http://{user}{place}")
    elsewhere.will(*[answer(407, "<html>who are you?</html>")] * 5)
    provider = world.provider(base_url=f"{scheme}://lab.example/v1")
    with pytest.raises(Unreachable) as caught:
        world.client(None, provider).create_batch(
            input_file_id="f", endpoint="/v1/e", completion_window="24h", metadata={}
        )
    assert expected.replace("http_proxy", f"{scheme}_proxy") in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "lab answered" not in str(caught.value)


@pytest.mark.parametrize("status", [403, 502, 503])
def test_a_proxy_that_refuses_to_connect_is_named(
    world: World, elsewhere: Server, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", elsewhere.origin)
    elsewhere.will(*[answer(status)] * 5)
    provider = world.provider(base_url="https://lab.example/v1")
    with pytest.raises(Unreachable) as caught:
        world.client(None, provider).retrieve_batch("b")
    assert f"{elsewhere.origin} of HTTPS_PROXY refuses to carry it there: {status}" in str(
        caught.value
    )


def test_a_407_without_a_proxy_in_the_environment(world: World) -> None:
    world.server.will(*[answer(407)] * 5)
    with pytest.raises(Unreachable, match="a proxy on the way asks for a user and password"):
        world.client().retrieve_batch("b")


def test_a_socks_proxy_without_its_package_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", "socks5://user:secret-pass@proxy.example:1080")
    provider = world.provider(base_url="https://lab.example/v1")
    with pytest.raises(Rejected, match="install socksio") as caught:
        world.client(None, provider).retrieve_batch("b")
    assert "the proxy socks5://proxy.example:1080 of ALL_PROXY needs SOCKS" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["foo://user:secret-pass@proxy.example", "http://proxy:port"])
def test_a_proxy_that_cannot_be_used_is_said_without_its_password(
    world: World, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    client = world.client(provider=world.provider(base_url="https://lab.invalid/v1"))
    with pytest.raises(Rejected, match="ALL_PROXY") as caught:
        client.retrieve_batch("b")
    assert "secret-pass" not in "".join(traceback.format_exception(caught.value))


def test_certificates_that_cannot_be_read_are_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent.pem")
    client = world.client(provider=world.provider(base_url="https://lab.invalid/v1"))
    with pytest.raises(Rejected, match="SSL_CERT_FILE"):
        client.retrieve_batch("b")


def test_plain_http_does_not_load_certificates(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httpx, "create_ssl_context", lambda: pytest.fail("loaded"))
    world.server.will(answer(200, batch()))
    world.client().retrieve_batch("b")


def test_https_is_verified(world: World) -> None:
    # A plain server where TLS is expected: the handshake fails and nothing is sent.
    provider = world.provider(base_url=world.server.origin.replace("http:", "https:"))
    with pytest.raises(Transient, match="cannot be reached"):
        world.client(provider=provider).retrieve_batch("b")
    assert world.server.received == []


ACCOUNT = (AccountHeader(variable="OPENAI_ORG_ID", name="OpenAI-Organization", value="org-blue"),)


def test_the_account_is_sent_with_each_call_and_not_to_another_origin(
    world: World, elsewhere: Server, tmp_path: Path
) -> None:
    world.server.will(
        answer(200, batch()),
        answer(200, batch()),
        answer(302, headers={"Location": f"{elsewhere.origin}/x"}),
    )
    elsewhere.will(answer(200, b"{}"))
    client = world.client(provider=world.provider(account=ACCOUNT))
    client.retrieve_batch("b")
    create(client)
    client.download("file-1", tmp_path / "x", expected_bytes=2)
    assert [one.headers.get("openai-organization") for one in world.server.received] == [
        "org-blue"
    ] * 3
    assert "openai-organization" not in elsewhere.received[0].headers


@pytest.mark.parametrize("value", ["org\r\nX-Evil: 1", "org blue", "org-\u00e9"])
def test_an_account_that_no_header_can_hold_is_refused(world: World, value: str) -> None:
    account = (dataclasses.replace(ACCOUNT[0], value=value),)
    with pytest.raises(Unauthorized, match="the value of OPENAI_ORG_ID holds spaces"):
        create(world.client(provider=world.provider(account=account)))
    assert world.server.received == []
