"""Sending to a webhook: accepted or not, and its secret URL is never shown."""

from __future__ import annotations

import io
import logging
import socket
import traceback
from typing import TYPE_CHECKING

import pytest

from runner.api.webhook import WebhookTimeouts, post
from runner.errors import NotDelivered
from runner.spec.project import Secret
from tests.notify.catcher import catching

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.notify.catcher import Catcher


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    with catching() as catcher:
        yield catcher


def refusal(url: Secret, *, answer: float = 5.0) -> str:
    """Send to a URL that does not take it, and return what is said of that."""
    with pytest.raises(NotDelivered) as caught:
        post(
            url,
            b"{}",
            content_type="application/json",
            timeouts=WebhookTimeouts(connect=5, answer=answer),
        )
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "5ecre7" not in "".join(shown.format())
    return str(caught.value)


def test_a_message_arrives_as_it_was_sent(catcher: Catcher) -> None:
    post(
        Secret(f"{catcher.url}?token=5ecre7"),
        b'{"text": "gr\xc3\xb6\xc3\x9fe"}',
        content_type="application/json",
        headers={"Idempotency-Key": "17"},
    )

    [caught] = catcher.caught
    assert caught.path == "/hook/5ecre7?token=5ecre7"
    assert caught.body == b'{"text": "gr\xc3\xb6\xc3\x9fe"}'
    assert caught.headers["content-type"] == "application/json"
    assert caught.headers["idempotency-key"] == "17"
    assert caught.headers["user-agent"].startswith("batch-runner/")


@pytest.mark.parametrize(
    ("url", "path"),
    [("/fail", "/hook/5ecre7/fail"), ("", "/hook/5ecre7"), ("/7", "/hook/5ecre7/7")],
)
def test_a_place_below_goes_before_the_query(catcher: Catcher, url: str, path: str) -> None:
    post(Secret(f"{catcher.url}?a=b#c"), b"", content_type="text/plain", below=url)

    assert catcher.paths == [f"{path}?a=b"]


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_status_that_is_no_success_is_told(catcher: Catcher, status: int) -> None:
    catcher.status = status

    assert f"answered {status}" in refusal(Secret(catcher.url))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(catcher: Catcher, status: int) -> None:
    catcher.status = status
    catcher.location = f"{catcher.url}/elsewhere"

    assert "a redirect, and redirects are not followed" in refusal(Secret(catcher.url))
    assert len(catcher.caught) == 1


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://hooks.example.org/5ecre7", "hooks.example.org is another machine"),
        ("http://localhost.example.org/5ecre7", "is another machine"),
        ("http://lab.localhost/5ecre7", "is another machine"),
        ("ftp://127.0.0.1/5ecre7", "not an http or https URL"),
        ("5ecre7", "not an http or https URL"),
        ("https:///5ecre7", "not an http or https URL"),
        ("https://[5ecre7", "is not a URL"),
        ("https://127.0.0.1:99999/5ecre7", "is not a URL"),
    ],
)
def test_an_address_that_will_not_do_is_refused_before_anything_is_sent(
    url: str, told: str
) -> None:
    assert told in refusal(Secret(url))


def test_nobody_there_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        told = refusal(Secret(f"http://127.0.0.1:{taken.getsockname()[1]}/5ecre7"))

    assert "127.0.0.1:" in told
    assert "refused" in told


def test_somebody_who_says_nothing_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        told = refusal(Secret(f"http://127.0.0.1:{mute.getsockname()[1]}/5ecre7"), answer=0.1)

    assert told.endswith("did not accept it: ReadTimeout")


def test_what_the_http_libraries_log_does_not_hold_the_address(catcher: Catcher) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        post(Secret(catcher.url), b"", content_type="text/plain")
    finally:
        root.removeHandler(handler)
        root.setLevel(before)

    assert "HTTP Request: POST" in written.getvalue()
    assert "5ecre7" not in written.getvalue()
