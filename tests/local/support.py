"""Shared by the tests of the server: a clock under control, and the usual steps of a client."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import httpx
from openai import OpenAI

from runner.local.provider import LocalProvider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from openai.types import Batch

Lines = Iterable[Mapping[str, object]]
Endpoint = Literal["/v1/chat/completions", "/v1/embeddings"]
CHAT: Final = "/v1/chat/completions"
EMBEDDINGS: Final = "/v1/embeddings"
START = 1_700_000_000
PATIENCE = 20.0


@dataclass
class Clock:
    """A clock that stands still, and can hold the worker at one of its looks.

    The worker looks once before it validates, once when it begins, then once before each chunk.
    """

    now: float = START
    hold_at: int | None = None
    held: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    looks: int = 0

    def __call__(self) -> float:
        if threading.current_thread().name == "local batches":
            self.looks += 1
            if self.looks == self.hold_at:
                self.held.set()
                assert self.released.wait(PATIENCE)
        return self.now

    def hold_before_chunk(self, number: int) -> None:
        """Hold the worker when it has decided nothing about this chunk but that it goes on."""
        self.hold_at = self.looks + 2 + number


def chat_lines(count: int) -> list[dict[str, Any]]:
    return [chat_line(f"row-{number}", f"hello number {number}") for number in range(count)]


def chat_line(custom_id: str, text: str, **body: object) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return request(custom_id, CHAT, **({"model": "echo", "messages": messages} | body))


def request(custom_id: str, url: str, **body: object) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def jsonl(lines: Lines) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def authorization(provider: LocalProvider) -> dict[str, str]:
    """Return the header that every request to a provider needs."""
    return {"Authorization": f"Bearer {provider.api_key.reveal()}"}


@contextmanager
def served(state: Path, clock: Clock | None = None) -> Iterator[Bench]:
    """Run a provider on this state, with clients that are closed before it."""
    clock = clock or Clock()
    with (
        LocalProvider(state, clock=clock) as provider,
        OpenAI(
            base_url=provider.base_url, api_key=provider.api_key.reveal(), max_retries=0
        ) as client,
        httpx.Client(
            base_url=provider.base_url,
            headers=authorization(provider),
            verify=False,
            trust_env=False,
        ) as http,
    ):
        yield Bench(provider=provider, client=client, http=http, clock=clock)
        clock.released.set()


@dataclass
class Bench:
    """A running provider, the official client pointed at it, and a plain one for the rest."""

    provider: LocalProvider
    client: OpenAI
    http: httpx.Client
    clock: Clock

    def upload(self, content: bytes, name: str = "input.jsonl") -> str:
        return self.client.files.create(file=(name, content), purpose="batch").id

    def create(self, lines: Lines | bytes, endpoint: Endpoint = CHAT) -> Batch:
        content = lines if isinstance(lines, bytes) else jsonl(lines)
        return self.client.batches.create(
            input_file_id=self.upload(content),
            endpoint=endpoint,
            completion_window="24h",
        )

    def finished(self, batch: Batch) -> Batch:
        assert self.provider.work(PATIENCE)
        return self.client.batches.retrieve(batch.id)

    def run(self, lines: Lines | bytes, endpoint: Endpoint = CHAT) -> Batch:
        return self.finished(self.create(lines, endpoint))

    def rows(self, file_id: str | None) -> list[dict[str, Any]]:
        if file_id is None:
            return []
        content = self.client.files.content(file_id).read()
        assert content.endswith(b"\n")
        return [json.loads(line) for line in content[:-1].split(b"\n")]

    def answers(self, batch: Batch) -> list[dict[str, Any]]:
        return self.rows(batch.output_file_id)

    def failures(self, batch: Batch) -> list[dict[str, Any]]:
        return self.rows(batch.error_file_id)
