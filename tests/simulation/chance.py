"""Providers with random faults, for tests that need any fault rather than a chosen one.

The same seed draws the same faults. A client that never acts blindly can always bring every row to
an end if it retries often enough: nothing is stuck, refused or gone permanently.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.simulation.behaviour import (
    CANNOT_FIND_FILE,
    EVERY_ANSWER,
    TOKEN_LIMIT,
    Behaviour,
    Cancelled,
    Complete,
    Conditions,
    Counts,
    Expire,
    Fail,
    ListFault,
    ListShape,
    NoFile,
    Succeed,
    by_chance,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.simulation.behaviour import Answer, Behaviours, Ending, Row

ENDINGS: Sequence[Ending] = (
    Complete(),
    Complete(),
    Complete(),
    Expire(fraction=0.0),
    Expire(fraction=0.6),
    Cancelled(fraction=0.4),
    Fail(problems=(TOKEN_LIMIT,)),
    Fail(problems=(CANNOT_FIND_FILE,)),
    Fail(problems=(CANNOT_FIND_FILE,), fraction=0.6),
)


def behaviours(seed: int, *, wrong_rows: float = 0.2, troubled: int = 3) -> Behaviours:
    """Draw a behaviour for each batch; from the `troubled`th on all of them are good.

    `wrong_rows` is the share of rows in those batches that are not simply answered.
    """

    def draw(index: int, _rows: Sequence[Row]) -> Behaviour:
        chance = random.Random(f"{seed}/{index}")
        phases = [chance.choice((0.0, 1.0, 600.0)) for _ in range(4)]
        well = index >= troubled
        return Behaviour(
            validating=phases[0],
            working=phases[1],
            finalizing=phases[2],
            cancelling=phases[3],
            ending=Complete() if well else chance.choice(ENDINGS),
            answer=_well if well else by_chance(seed, wrong_rows, EVERY_ANSWER),
            lists_unrun=chance.random() < 0.7,
            counts=chance.choice(tuple(Counts)),
            no_output=chance.choice(tuple(NoFile)),
            no_error=chance.choice(tuple(NoFile)),
            files_after=0.0,
            content_after=chance.choice((0.0, 0.0, 30.0)),
            final_newline=chance.random() < 0.8,
        )

    return draw


def conditions(seed: int, *, lag: float = 10.0) -> Conditions:
    """Draw the provider's dialect, and delays of visibility up to `lag` seconds."""
    chance = random.Random(f"{seed}/conditions")
    return Conditions(
        list_lag=chance.choice((0.0, chance.uniform(0.0, lag))),
        list_stale=chance.choice((0.0, chance.uniform(0.0, lag))),
        list_fault=chance.choice((ListFault.NONE, ListFault.NONE, ListFault.ENDLESS)),
        list_shape=chance.choice(tuple(ListShape)),
        create_blind=chance.choice((0.0, chance.uniform(0.0, lag))),
        file_blind=chance.choice((0.0, chance.uniform(0.0, lag))),
        status_words=chance.choice(({}, {"in_progress": "in_queue"}, {"validating": "queued"})),
        classic=chance.random() < 0.5,
        create_status=chance.choice((200, 201)),
        conflict_status=chance.choice((409, 400)),
        chunked=chance.random() < 0.3,
    )


def _well(_row: Row) -> Answer:
    return Succeed()
