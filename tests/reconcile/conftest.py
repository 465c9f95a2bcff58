"""A project and a world for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tests.simulation.behaviour import in_turn
from tests.simulation.scene import request_lines
from tests.simulation.site import SPEC, Site
from tests.simulation.world import VirtualClock, World

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulation.behaviour import Behaviour, Conditions


class MakeSite(Protocol):
    """Makes a site: `rows` requests, `shard` a batch, batches behaving so in turn."""

    def __call__(
        self,
        *behaviours: Behaviour,
        rows: int = 6,
        shard: int = 50_000,
        conditions: Conditions | None = None,
        spec: str = SPEC,
    ) -> Site:
        """Make it."""


@pytest.fixture
def make_site(tmp_path: Path) -> MakeSite:
    """Give a maker of sites below the test's own folder."""

    def make(
        *behaviours: Behaviour,
        rows: int = 6,
        shard: int = 50_000,
        conditions: Conditions | None = None,
        spec: str = SPEC,
    ) -> Site:
        world = World(
            VirtualClock(),
            behaviour=in_turn(*behaviours) if behaviours else None,
            conditions=conditions,
        )
        root = tmp_path / "project"
        return Site(root, world, request_lines(rows), max_requests=shard, spec=spec)

    return make


def ids(count: int = 6) -> list[str]:
    """Return the custom_ids of a site with so many requests."""
    return [f"r{number}" for number in range(count)]
