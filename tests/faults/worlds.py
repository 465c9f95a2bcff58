"""The simulated providers of these tests, and the fault that kills at one of their exchanges."""

from __future__ import annotations

import os
import random
import signal
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.faults.project import KEY, PATIENCE
from tests.simulation.behaviour import Behaviour, Expire, Succeed
from tests.simulation.faults import Die
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.simulation.behaviour import Row
    from tests.simulation.exchange import Request

MORNING = 1_700_000_000.0


def stepping_world(*, text: str = "") -> World:
    """Make a provider whose clock moves a second with each exchange, and with nothing else.

    So a run takes the same exchanges on a fast machine as on a slow one. Batches work for two
    seconds; the first one with r5 expires with half of its requests done.
    Each answer is longer by `text`.
    """

    def now() -> float:
        return MORNING + len(world.requests)

    def behaviour(_index: int, rows: Sequence[Row]) -> Behaviour:
        expires = any(row.custom_id == "r5" and not row.earlier for row in rows)
        if expires:
            return Behaviour(validating=1, working=2, ending=Expire(), answer=answer)
        return Behaviour(validating=1, working=2, answer=answer)

    def answer(_row: Row) -> Succeed:
        return Succeed(text=text)

    world = World(now, behaviour=behaviour, key=KEY)
    return world


def check_all_asked_once(world: World, asked: Sequence[str], *, batches: int) -> None:
    """Assert that every request was submitted, none without need, with no batch too many."""
    world.check_exactly_once()
    world.check_nothing_lost(asked)
    world.check_uploads_once()
    assert len(world.submissions()) == batches


def _kill(pid: int) -> None:
    """Kill the client, unless another of its calls under way has had it killed already."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Killer:
    """A fault that kills the client's process at one exchange, the n-th of all.

    With `acted` the provider carries the request out, and the reply is lost.
    """

    def __init__(self, number: int, *, acted: bool) -> None:
        self.pid: Future[int] = Future()
        self._number = number
        self._acted = acted

    def __call__(self, _request: Request, number: int) -> Die | None:
        if number != self._number:
            return None
        _kill(self.pid.result(PATIENCE))
        return Die(acted=self._acted)


class KillerByChance:
    """A fault that kills the client's process by chance, but the same for the same seed."""

    def __init__(self, seed: int, rate: float) -> None:
        self.pid: Future[int] = Future()
        self._chance = random.Random(seed)
        self._rate = rate

    def __call__(self, _request: Request, _number: int) -> Die | None:
        if self._chance.random() >= self._rate:
            return None
        _kill(self.pid.result(PATIENCE))
        return Die(acted=self._chance.random() < 0.5)
