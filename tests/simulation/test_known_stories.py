"""Stories that once broke a promise, and one of each kind of fault that a seed may miss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from tests.simulation.barriers import Barrier
from tests.simulation.behaviour import (
    AnswerLocation,
    Behaviour,
    Cancelling,
    Conditions,
    Counts,
    HttpError,
    SaidSize,
    Spoil,
    Spoiled,
    Stuck,
)
from tests.simulation.mishaps import Mishap
from tests.simulation.mutations import (
    buying_before_looking_again,
    letting_one_refusal_stop_all,
    taking_what_comes,
    waiting_for_ever_for_a_cancellation,
)
from tests.simulation.story import SCARCE, SHORTENING, SILENT, End, Fate, Story, Visit
from tests.simulation.trial import tell

if TYPE_CHECKING:
    from collections.abc import Callable
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

LAST_LINE_CUT = Story(
    rows=1,
    fates=(Fate(behaviour=Behaviour(counts=Counts.NULL, spoiled=Spoiled(how=Spoil.CUT))),),
    retried=True,
)
"""A request whose only line is cut has a line, and yet its answer did not come."""

ERRORS_AMONG_THE_ANSWERS = Story(
    rows=4,
    fates=(
        Fate(
            behaviour=Behaviour(
                shuffled=False, spoiled=Spoiled(how=Spoil.SHORTENED, size=SaidSize.UNSAID)
            ),
            wrong=tuple(
                (row, HttpError(status=500, place=AnswerLocation.OUTPUT)) for row in (0, 1)
            ),
        ),
    ),
    retried=True,
)
"""An error line is no response, in the output file either."""


PARTS_OF_TWO_MACHINES = Story(
    rows=4,
    machines=2,
    conditions=Conditions(max_bytes=SCARCE),
    mishaps=((4, Mishap.GARBAGE_BEFORE),),
    ends=(End(moment=15, power_cut=True),),
    visits=(Visit(), Visit(machine=1)),
)
"""Of two parts of a shard one machine has sent the second; the other sends the first as a third."""


@pytest.mark.parametrize(
    "story",
    [
        DENIED_ONCE,
        TWO_FILES_OF_ONE_NAME,
        LAST_LINE_CUT,
        ERRORS_AMONG_THE_ANSWERS,
        PARTS_OF_TWO_MACHINES,
    ],
)
def test_a_story_that_broke_a_promise_once(story: Story, tmp_path: Path) -> None:
    tell(story, tmp_path)


def spoiled(spoiled: Spoiled, counts: Counts = Counts.TRUE) -> Story:
    return Story(
        rows=5,
        shard=3,
        fates=(Fate(behaviour=Behaviour(spoiled=spoiled, counts=counts)),),
        visits=(Visit(),),
        retried=True,
    )


EVIDENT = [
    (how, size, counts)
    for how in Spoil
    for size in SaidSize
    for counts in (Counts.TRUE, Counts.NULL)
    if not (how in SHORTENING and counts in SILENT) or size is SaidSize.WHOLE
]
"""Where neither counts nor size say that a file is short, nobody can know it."""


@pytest.mark.parametrize(("how", "size", "counts"), EVIDENT)
def test_files_spoiled_for_good_are_paid_for_again_only_on_request(
    how: Spoil, size: SaidSize, counts: Counts, tmp_path: Path
) -> None:
    trial = tell(spoiled(Spoiled(how=how, size=size), counts), tmp_path)

    # A line that is nobody's, beside all of its own, takes nothing away.
    again = how is not Spoil.MIXED
    assert trial.met["retried by the user"] == again
    assert len(trial.site.world.submissions()) == (3 if again else 2)


def test_files_spoiled_for_a_while_are_waited_for(tmp_path: Path) -> None:
    trial = tell(spoiled(Spoiled(how=Spoil.NAMELESS, lasts=0.5)), tmp_path)

    assert not trial.met["retried by the user"]
    assert len(trial.site.world.submissions()) == 2


LATE_ANSWERS = Story(
    rows=2,
    fates=(Fate(behaviour=Behaviour(spoiled=Spoiled(how=Spoil.NAMELESS, lasts=12.0))),),
    visits=(Visit(), Visit(pause=1.0), Visit(pause=6.0)),
    retried=True,
)
"""The file is as it should be once it has been given up, and before the user retries."""


def test_a_retry_takes_the_answers_that_have_come_too_late(tmp_path: Path) -> None:
    trial = tell(LATE_ANSWERS, tmp_path)

    assert trial.met["retried by the user"] == 1
    assert len(trial.site.world.submissions()) == 1


def stuck(how: Cancelling, deadline: str | None = None, *, cancels: bool = False) -> Story:
    return Story(
        rows=3,
        fates=(Fate(behaviour=Behaviour(ending=Stuck(), cancels=how)),),
        visits=(Visit(), Visit(pause=4000.0, cancels=cancels), Visit(), Visit()),
        deadline=deadline,
        retried=True,
    )


@pytest.mark.parametrize("cancels", [False, True])
@pytest.mark.parametrize("deadline", [None, "{after: 10m, action: resubmit}"])
@pytest.mark.parametrize("how", [each for each in Cancelling if each is not Cancelling.ENDS])
def test_a_cancellation_that_never_ends_is_given_up_on_request(
    how: Cancelling,
    deadline: str | None,
    cancels: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    trial = tell(stuck(how, deadline, cancels=cancels), tmp_path)

    assert trial.met["a cancellation given up"] == 1
    assert trial.met["retried by the user"] == 1
    assert len(trial.site.world.submissions()) == 2
    assert trial.site.clock() - trial.site.world.submissions()[0].created > 86_400


def barred(barrier: Barrier) -> Story:
    return Story(rows=3, shard=2, barrier=(0, barrier), visits=(Visit(), Visit()))


@pytest.mark.parametrize("barrier", Barrier)
def test_a_refusal_stops_what_it_is_about_and_ends_nothing(
    barrier: Barrier, tmp_path: Path
) -> None:
    trial = tell(barred(barrier), tmp_path)

    assert trial.met[f"refused: {barrier.scope.name}"]


NOTICED: list[tuple[Callable[[pytest.MonkeyPatch], None], Story]] = [
    (taking_what_comes, spoiled(Spoiled(how=Spoil.NAMELESS))),
    (taking_what_comes, spoiled(Spoiled(how=Spoil.SHORTENED, lasts=math.inf))),
    (buying_before_looking_again, LATE_ANSWERS),
    (waiting_for_ever_for_a_cancellation, stuck(Cancelling.STUCK)),
    (waiting_for_ever_for_a_cancellation, stuck(Cancelling.IGNORED)),
    (letting_one_refusal_stop_all, barred(Barrier.MODEL_403)),
    (letting_one_refusal_stop_all, barred(Barrier.ROOM_400)),
    (letting_one_refusal_stop_all, barred(Barrier.QUOTA_409)),
]


@pytest.mark.parametrize(("mutate", "story"), NOTICED)
def test_these_stories_notice_what_is_missing(
    mutate: Callable[[pytest.MonkeyPatch], None],
    story: Story,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mutate(monkeypatch)

    with pytest.raises(AssertionError):
        tell(story, tmp_path)
