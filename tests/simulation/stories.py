"""Stories for hypothesis: the same value as a seed draws, built so that it can be reduced.

Everything shrinks towards a provider without faults and a machine without crashes, so what stays
of a failing story is what breaks the promise.
"""

from __future__ import annotations

import dataclasses
import itertools

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.simulation.barriers import Barrier
from tests.simulation.behaviour import (
    EVERY_ANSWER,
    Behaviour,
    Cancelling,
    Complete,
    Conditions,
    Counts,
    ListFault,
    ListShape,
    NoFile,
    SaidSize,
    Spoil,
    Spoiled,
    Vanish,
)
from tests.simulation.mishaps import Mishap
from tests.simulation.story import (
    AMPLE,
    DEADLINES,
    ENDINGS,
    JUMPS,
    LAG,
    LIST_FAULTS,
    MOST_ROWS,
    PAUSES,
    PHASES,
    SCARCE,
    SPOILED_FOR,
    STATUS_WORDS,
    End,
    Fate,
    Story,
    Visit,
)
from tests.simulation.thrift import quick_folder
from tests.simulation.trial import tell

_EXCHANGES = st.integers(0, 60)
_MOMENTS = st.integers(0, 200)
_LAGS = st.sampled_from((0.0, 1.5, LAG))
_SHORT_LAGS = st.sampled_from((0.0, 1.0, LAG / 2))
_FLAGS = st.booleans()


def _conditions() -> st.SearchStrategy[Conditions]:
    return st.builds(
        Conditions,
        list_lag=_LAGS,
        list_stale=_LAGS,
        list_fault=st.sampled_from((ListFault.NONE, *LIST_FAULTS)),
        list_shape=st.sampled_from(ListShape),
        oldest_first=_FLAGS,
        create_blind=_LAGS,
        file_blind=_SHORT_LAGS,
        batch_blind=_LAGS,
        metadata=st.sampled_from((True, False)),
        list_parameters=st.sampled_from((True, False)),
        max_bytes=st.sampled_from((AMPLE, SCARCE)),
        status_words=st.sampled_from(STATUS_WORDS),
        classic=_FLAGS,
        create_status=st.sampled_from((200, 201)),
        conflict_status=st.sampled_from((409, 400)),
        chunked=_FLAGS,
    )


def _fates(rows: int, *, vanishing: bool) -> st.SearchStrategy[Fate]:
    endings = (
        Complete(),
        *(each for each in ENDINGS if vanishing or not isinstance(each, Vanish)),
    )
    spoiled = st.builds(
        Spoiled,
        how=st.sampled_from(Spoil),
        lasts=st.sampled_from(SPOILED_FOR),
        size=st.sampled_from(SaidSize),
    )
    behaviour = st.builds(
        Behaviour,
        validating=st.sampled_from(PHASES),
        working=st.sampled_from(PHASES),
        finalizing=st.sampled_from(PHASES),
        cancelling=st.sampled_from(PHASES),
        ending=st.sampled_from(endings),
        lists_unrun=st.sampled_from((True, False)),
        shuffled=st.sampled_from((True, False)),
        counts=st.sampled_from(Counts),
        no_output=st.sampled_from(NoFile),
        no_error=st.sampled_from(NoFile),
        files_after=_SHORT_LAGS,
        content_after=_SHORT_LAGS,
        final_newline=st.sampled_from((True, False)),
        spoiled=st.none() | spoiled,
        cancels=st.sampled_from(Cancelling),
    )
    wrong = st.dictionaries(st.integers(0, rows - 1), st.sampled_from(EVERY_ANSWER), max_size=rows)
    return st.builds(
        Fate,
        behaviour=behaviour,
        wrong=wrong.map(lambda found: tuple(sorted(found.items(), key=lambda one: one[0]))),
    )


def _visits(machines: int, *, losses: bool, cancels: bool) -> st.SearchStrategy[Visit]:
    return st.builds(
        Visit,
        pause=st.sampled_from(PAUSES),
        machine=st.integers(0, machines - 1),
        loses_ledger=_FLAGS if losses else st.just(value=False),
        jump=st.sampled_from((0.0, 0.0, 0.0, *JUMPS)),
        intruder=st.none() | st.integers(0, 5),
        cancels=_FLAGS if cancels else st.just(value=False),
    )


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Draw a story."""
    rows = draw(st.integers(1, MOST_ROWS))
    machines = draw(st.integers(1, 2))
    losses = draw(_FLAGS)
    fates = _fates(rows, vanishing=machines == 1 and not losses)
    cancels = machines == 1 and not losses and draw(_FLAGS)
    visits = _visits(machines, losses=losses, cancels=cancels)
    mishaps = st.dictionaries(_EXCHANGES, st.sampled_from(Mishap), max_size=20)
    ends = st.lists(
        st.builds(End, moment=_MOMENTS, power_cut=_FLAGS, lot=st.integers(0, 7)), max_size=8
    )
    return Story(
        rows=rows,
        shard=draw(st.sampled_from((50, 5, 3, 2))),
        machines=machines,
        executor=draw(st.sampled_from((1, 2, 4))),
        conditions=draw(_conditions()),
        healed=draw(st.integers(0, 5)),
        fates=tuple(draw(st.lists(fates, max_size=5))),
        mishaps=tuple(draw(mishaps).items()),
        ends=tuple(draw(ends)),
        visits=tuple(draw(st.lists(visits, max_size=20))),
        encore=draw(_FLAGS),
        canary=draw(st.none() | st.integers(1, MOST_ROWS)),
        deadline=draw(st.none() | st.sampled_from(DEADLINES)),
        delete_remote_files=machines == 1 and draw(_FLAGS),
        barrier=draw(st.none() | st.tuples(st.sampled_from((0, 10, 30)), st.sampled_from(Barrier))),
        retried=draw(_FLAGS),
    )


def search(examples: int, *, derandomize: bool = False, shrink: bool = True) -> str | None:
    """Look for a story that breaks a promise; returns the smallest found, and what it broke."""
    numbers = itertools.count()
    found: list[str] = []
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    with quick_folder() as home:

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=derandomize,
            phases=phases,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )
        @given(stories())
        def look(story: Story) -> None:
            folder = home / str(next(numbers))
            try:
                tell(story, folder)
            except AssertionError as error:
                found.append(f"{in_short(story)}\n{error}")
                raise

        try:
            look()
        except AssertionError:
            return found[-1]
    return None


def in_short(story: Story) -> str:
    """Return a story, or a part of one, as text without default values."""
    return _short(story)


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_short, value))})"
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return str(value) if isinstance(value, Mishap) else repr(value)
    plain = _plainest(type(value))
    parts = [
        f"{field.name}={_short(getattr(value, field.name))}"
        for field in dataclasses.fields(value)
        if plain is None or getattr(value, field.name) != getattr(plain, field.name)
    ]
    return f"{type(value).__name__}({', '.join(parts)})"


def _plainest(kind: type) -> object | None:
    """Return the value of a kind with all defaults; None where something has none."""
    fields = dataclasses.fields(kind)
    unsaid = (dataclasses.MISSING,)
    told = all(
        field.default not in unsaid or field.default_factory not in unsaid for field in fields
    )
    return kind() if told else None
