"""Stories that once broke a promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulation.behaviour import Behaviour, Conditions
from tests.simulation.mishaps import Mishap
from tests.simulation.story import Fate, Story, Visit
from tests.simulation.trial import tell

if TYPE_CHECKING:
    from pathlib import Path

DENIED_ONCE = Story(
    rows=4,
    shard=2,
    conditions=Conditions(create_blind=4.0, batch_blind=4.0),
    fates=(Fate(behaviour=Behaviour(working=600.0)),),
    mishaps=((6, Mishap.RATE_LIMITED_LONG),),
    visits=(Visit(pause=1.0), Visit(pause=1.0)),
)
"""One 404 at the beginning of a pass that takes long is no long denial."""

TWO_FILES_OF_ONE_NAME = Story(
    rows=1,
    machines=2,
    conditions=Conditions(metadata=False),
    mishaps=((2, Mishap.DEATH_BEFORE), (5, Mishap.DEATH_BEFORE)),
    visits=tuple(Visit(machine=machine) for machine in (0, 1, 0, 0, 0, 1, 1)),
)
"""Where metadata are dropped, the file that a batch was made from need not be the newest."""


@pytest.mark.parametrize("story", [DENIED_ONCE, TWO_FILES_OF_ONE_NAME])
def test_a_story_that_broke_a_promise_once(story: Story, tmp_path: Path) -> None:
    tell(story, tmp_path)
