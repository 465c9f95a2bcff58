"""A project and a provider for each test."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.failures.scene import LOOPBACK
from tests.simulation.behaviour import in_turn
from tests.simulation.scene import request_lines
from tests.simulation.site import SHORT_PATIENCE, SPEC, Site
from tests.simulation.world import VirtualClock, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.behaviour import Behaviour, Conditions


class MakeSite(Protocol):
    """Makes a project with one job on a provider whose batches behave so in turn.

    The input has `rows` requests, or is `lines`; `config` is added to the provider's settings.
    A `world` given brings its own behaviour and conditions.
    """

    def __call__(
        self,
        *behaviours: Behaviour,
        rows: int = 6,
        lines: bytes | None = None,
        shard: int = 50_000,
        conditions: Conditions | None = None,
        spec: str = SPEC,
        base_url: str = LOOPBACK,
        config: str = "",
        world: World | None = None,
    ) -> Site:
        """Make it."""


MEMORY = Path("/dev/shm")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give a folder in memory where there is such a thing: no story here is about the disk."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as memory:
        yield Path(memory)


@pytest.fixture
def make_site(folder: Path) -> MakeSite:
    """Give a maker of sites below the test's own folder."""

    def make(
        *behaviours: Behaviour,
        rows: int = 6,
        lines: bytes | None = None,
        shard: int = 50_000,
        conditions: Conditions | None = None,
        spec: str = SPEC,
        base_url: str = LOOPBACK,
        config: str = "",
        world: World | None = None,
    ) -> Site:
        site = Site(
            folder / "project",
            world
            or World(
                VirtualClock(),
                behaviour=in_turn(*behaviours) if behaviours else None,
                conditions=conditions,
            ),
            request_lines(rows) if lines is None else lines,
            max_requests=shard,
            spec=spec,
        )
        written = site.root / "runner.yaml"
        text = written.read_text(encoding="utf-8").replace(LOOPBACK, base_url)
        if base_url != LOOPBACK or "adoption_grace" in config:
            text = text.replace(f"    {SHORT_PATIENCE}", "")
        written.write_text(text + config, encoding="utf-8")
        return site

    return make
