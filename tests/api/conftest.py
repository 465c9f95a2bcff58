from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.api.scripted import Server, World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with Server() as server:
        world = World(server)
        yield world
        for client in world.clients:
            client.close()


@pytest.fixture
def elsewhere() -> Iterator[Server]:
    """A second server: another port, so another origin."""
    with Server() as server:
        yield server
