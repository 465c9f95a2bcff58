"""Servers that others wrote, each a process on a free port of this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx

from tests.faults.project import PATIENCE, ROOT, until
from tests.faults.relay import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.foreign.upstream import Upstream

INSTALLED: Final = ROOT / "build/foreign"
NODE: Final = INSTALLED / "node/node_modules"
START_UP: Final = 180.0
"""Seconds after which a server that has not begun to answer is thought not to do so."""
TERMINAL: Final = ("completed", "failed", "expired", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign(Home):
    """A foreign server; `upstream` counts what it asks, where it asks somebody.

    `key` is the API key that it insists on, if it does.
    """

    embedder: str
    key: str | None = None
    upstream: Upstream | None = None

    @property
    def base_url(self) -> str:
        return str(self.client.base_url).rstrip("/")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert isinstance(port, int)
        return port


@contextmanager
def running(
    command: Sequence[object],
    folder: Path,
    address: str,
    *,
    end: signal.Signals = signal.SIGTERM,
    key: str | None = None,
) -> Iterator[httpx.Client]:
    """Run a server until the block ends, and give a client of it once it lists its batches.

    It is ended by a signal. What it says is in `server.log` in its folder, which is its home, too.
    """
    assert INSTALLED.is_dir(), "the servers are not installed: make foreign"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    with (
        log.open("wb") as stream,
        httpx.Client(
            base_url=address,
            headers={} if key is None else {"Authorization": f"Bearer {key}"},
            trust_env=False,
            timeout=PATIENCE,
        ) as client,
        subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(folder),
                "DO_NOT_TRACK": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        ) as process,
    ):

        def answers() -> bool:
            assert process.poll() is None, log.read_text("utf-8", "replace")[-4000:]
            try:
                return client.get("/batches").is_success
            except httpx.TransportError:
                return False

        try:
            until(answers, patience=START_UP, pause=0.1)
            yield client
        finally:
            process.send_signal(end)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def settling(client: httpx.Client) -> Callable[[], None]:
    """Return what waits until every batch of a server has ended."""

    def ended() -> bool:
        page = client.get("/batches", params={"limit": 100}).json()
        return all(batch["status"] in TERMINAL for batch in page["data"])

    return lambda: until(ended, pause=0.02)
