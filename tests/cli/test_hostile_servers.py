"""A provider that means harm: every command ends, with words and the right exit code."""

from __future__ import annotations

import gzip
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from runner.api.client import Client
from runner.api.retry import Timeouts
from tests.api.scripted import Server, answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.api.scripted import Handler
    from tests.cli.conftest import Run
    from tests.cli.shell import Folder


def hint_without_end(handler: Handler) -> None:
    with suppress(OSError):
        for _ in range(500):
            handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            if handler.server.over.wait(0.01):
                break
        answer(200, {"data": [], "has_more": False})(handler)
    handler.close_connection = True


def say_it_byte_by_byte(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n")
    with suppress(OSError):
        for _ in range(598):
            handler.wfile.write(b" ")
            if handler.server.over.wait(0.01):
                break
        handler.wfile.write(b"[]")
    handler.close_connection = True


pack_it_twice = answer(
    200,
    gzip.compress(gzip.compress(b'{"data": [], "has_more": false}' + b" " * 10**7)),
    {"Content-Encoding": "gzip, gzip"},
)
fill_the_memory = answer(200, b'{"data": [' + b"{}," * 2_000_000 + b"0]}")


@pytest.fixture
def bully(folder: Folder) -> Iterator[Server]:
    with Server() as server:
        folder.write(
            "runner.yaml",
            "default_provider: lab\n"
            f"providers: {{lab: {{base_url: {server.origin}/v1, api_key_env: LAB_KEY}}}}\n",
        )
        folder.env["LAB_KEY"] = "sk-test-0123456789abcdef"
        folder.job()
        yield server


@pytest.mark.parametrize(
    ("conduct", "words"),
    [
        (hint_without_end, "gave no complete reply to"),
        (say_it_byte_by_byte, "gave no complete reply to"),
        (pack_it_twice, "more than one layer of compression: gzip, gzip"),
        (fill_the_memory, "bytes of memory"),
    ],
)
@pytest.mark.usefixtures("quick")
def test_a_pass_ends_and_says_why(
    run: Run,
    bully: Server,
    monkeypatch: pytest.MonkeyPatch,
    conduct: Callable[[Handler], None],
    words: str,
) -> None:
    hasty = Timeouts(reply=0.1, act_reply=0.1, listing=0.1)
    defaults = Client.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "timeouts", hasty)
    monkeypatch.setattr("runner.cli.commands.doctor._TIMEOUT", 0.05)
    bully.will(*[conduct] * 200)
    for command in (["reconcile"], ["reconcile"], ["orphans"], ["doctor"]):
        done = run(*command)
        assert done.code == 1, done
        assert "Traceback" not in done.err
        assert words in " ".join((done.out + done.err).split())
    assert bully.received
