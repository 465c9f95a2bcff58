"""E-mail and chats by way of apprise: taken or not, and nothing of an address in any log."""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import TYPE_CHECKING

import pytest

from runner.errors import MissingExtra, NotDelivered
from runner.extras import how_to_install
from runner.notify.chat import send
from runner.spec.project import Secret
from tests.notify.catcher import catching

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.notify.catcher import Catcher

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
"""apprise makes do without it where it is gone."""


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    with catching() as catcher:
        yield catcher


def address(catcher: Catcher) -> Secret:
    return Secret(catcher.url.replace("http://", "json://"))


@pytest.mark.parametrize(
    ("kind", "tone"),
    [("failed", "failure"), ("succeeded", "success"), ("partial", "warning"), ("test", "info")],
)
def test_a_message_arrives(catcher: Catcher, kind: str, tone: str) -> None:
    send(address(catcher), kind=kind, title="runner: hello", text="hello: <b>größe</b> *x*")

    [caught] = catcher.caught
    body = json.loads(caught.body)
    assert (body["title"], body["message"], body["type"]) == (
        "runner: hello",
        "hello: <b>größe</b> *x*",
        tone,
    )


def test_one_that_is_not_taken_is_told_and_nothing_is_logged(
    catcher: Catcher, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    catcher.status = 500

    with caplog.at_level(logging.DEBUG), pytest.raises(NotDelivered, match="could not deliver"):
        send(address(catcher), kind="failed", title="", text="x")

    assert len(catcher.caught) == 1
    assert "5ecre7" not in caplog.text + "".join(capfd.readouterr())
    assert logging.root.manager.disable == 0


def test_what_is_no_address_is_told_without_it() -> None:
    with pytest.raises(NotDelivered, match="not contain a URL that apprise supports") as caught:
        send(Secret("nonsense://5ecre7"), kind="failed", title="", text="x")

    assert "5ecre7" not in str(caught.value)


def test_without_the_extra_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)

    with pytest.raises(MissingExtra, match=re.escape(how_to_install("notify"))):
        send(Secret("json://127.0.0.1"), kind="failed", title="", text="x")
