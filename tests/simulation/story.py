"""A story: everything random about one provider, one job and the processes that work on it.

A story is a value, and running it (`trial`) draws nothing more. So a seed and a search of
hypothesis draw the same kind of value, and a failing one can be reduced to its cause.

The faults of a story stay within docs/design.md, section *Limits*: a ledger is deleted, and two
machines alternate, only when the lists have caught up; nothing lags beyond the grace time, which
is 5 s for a provider on this machine; a clock is set while the outcome of no recent call is
unknown.
"""

from __future__ import annotations

import dataclasses
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.simulation.barriers import Barrier, Scope
from tests.simulation.behaviour import (
    CANNOT_FIND_FILE,
    EVERY_ANSWER,
    TOKEN_LIMIT,
    Behaviour,
    Cancelled,
    Cancelling,
    Complete,
    Conditions,
    Counts,
    Expire,
    Fail,
    ListFault,
    ListShape,
    NoFile,
    SaidSize,
    Several,
    Spoil,
    Spoiled,
    Stuck,
    Succeed,
    Vanish,
)
from tests.simulation.mishaps import ENDS, SURVIVED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.simulation.behaviour import Answer, Behaviours, Ending, Row
    from tests.simulation.mishaps import Mishap

LAG: Final = 4.0
"""Seconds by which lists and files may lag; below the grace time on loopback, 5 s."""

SETTLING: Final = LAG + 1.0
MOST_ROWS: Final = 12
EXCHANGES: Final = 300
"""How many exchanges of a story may meet a mishap; few have more."""
MOMENTS: Final = 600
"""How many commits and file operations a process may end at."""

ENDINGS: Final[Sequence[Ending]] = (
    Complete(),
    Expire(fraction=0.0),
    Expire(fraction=0.6),
    Cancelled(fraction=0.4),
    Fail(problems=(TOKEN_LIMIT,)),
    Fail(problems=(CANNOT_FIND_FILE,), late=True),
    Fail(problems=(CANNOT_FIND_FILE,), fraction=0.6),
    Fail(problems=(TOKEN_LIMIT,), fraction=1.0),
    Stuck(fraction=0.5),
    Vanish(after=700.0),
)
UNENDING: Final = tuple(each for each in Cancelling if each is not Cancelling.ENDS)
CANCELLED: Final[Sequence[Ending]] = (Stuck(fraction=0.5), Stuck(), Cancelled(fraction=0.4))
"""Endings in which a batch is cancelled by somebody, sooner or later."""
LIST_FAULTS: Final = (ListFault.ENDLESS, ListFault.REPEATED, ListFault.HOLE)
STATUS_WORDS: Final[Sequence[Mapping[str, str]]] = (
    {},
    {"in_progress": "in_queue"},
    {"validating": "queued"},
)
PHASES: Final = (0.0, 1.0, 600.0)
PAUSES: Final = (1.0, 1.0, 5.0, 30.0, 300.0, 4000.0)
HASTE: Final = (1.0, 1.0, 5.0)
"""Pauses of somebody who starts again at once whatever has ended: before lists have caught up."""

AMPLE: Final = 200_000_000
SCARCE: Final = 500
"""Bytes of an upload: room for two requests."""

DEADLINES: Final = ("{after: 10m, action: resubmit}", "{after: 90m}", "{action: wait}")
SPOILED_FOR: Final = (0.5, math.inf, math.inf, math.inf)
"""Seconds; the short one is over before runner gives a file up, whatever else lags."""

SHORTENING: Final = frozenset({Spoil.SHORTENED, Spoil.CUT, Spoil.EMPTIED})
SILENT: Final = frozenset({Counts.EMPTY, Counts.NULL_MEMBERS, Counts.NULL})
JUMPS: Final = (-3600.0, -40.0, 40.0, 86_400.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """How one batch ends; `wrong` has, by row of the input, those not simply answered."""

    behaviour: Behaviour
    wrong: tuple[tuple[int, Answer], ...] = ()

    def of(self, rows: Sequence[Row]) -> Behaviour:
        """Return the behaviour of the batch with these rows.

        Of a file that is shortened something must say so: its size, or the counts of its batch. And
        where one row has several lines, what is left of them says nothing of the others.
        """
        behaviour, spoiled = self.behaviour, self.behaviour.spoiled
        wrong = {f"r{row}": answer for row, answer in self.wrong}
        fine: Answer = Succeed()
        if spoiled is not None:
            wrong = {
                row: fine if isinstance(answer, Several) else answer
                for row, answer in wrong.items()
            }
            if spoiled.how in SHORTENING and behaviour.counts in SILENT:
                spoiled = dataclasses.replace(spoiled, size=SaidSize.WHOLE)
        met = {row.custom_id: wrong.get(row.custom_id, fine) for row in rows}
        return dataclasses.replace(
            behaviour, spoiled=spoiled, answer=lambda row: met[row.custom_id]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One pass: after a pause of seconds, on one of the machines.

    Before it the ledger may be deleted, or the machine's clock put forward or back by `jump`
    seconds. A second process tries the same ledger at the exchange of the pass that `intruder`
    names. With `cancels` the user cancels the job first.
    """

    pause: float = 30.0
    machine: int = 0
    loses_ledger: bool = False
    jump: float = 0.0
    intruder: int | None = None
    cancels: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of a process at a commit or a file operation, the `moment`th of the story.

    With `power_cut` all that is not durable by then may be lost; `lot` decides what is.
    """

    moment: int
    power_cut: bool = False
    lot: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything that a trial needs.

    Attributes:
        seed: names the provider's ids and shuffles its lines; decides nothing.
        rows, shard: requests of the job, and the most that go into one batch.
        machines: how many work on the job, each with a ledger and outputs of its own.
        hands: how many calls of a pass may be under way side by side.
        conditions: the provider's dialect and delays.
        healed: the pass from which on its lists can be read to their end.
        fates: how the first batches end; all later ones are good.
        mishaps: what befalls which exchange, counted from 0.
        ends: where processes end.
        visits: the passes while faults last.
        encore: the ledger is deleted once more when everything is done.
        canary, deadline: what the spec says of them.
        tidy: the spec says `keep_remote: false`.
        barrier: a refusal that lasts, from which exchange on; a second job, with another model,
            works beside the first one then.
        retried: what has not succeeded in the end is retried by the user.

    """

    seed: int = 0
    rows: int = 1
    shard: int = 50
    machines: int = 1
    executor: int = 1
    conditions: Conditions = dataclasses.field(default_factory=Conditions)
    healed: int = 0
    fates: tuple[Fate, ...] = ()
    mishaps: tuple[tuple[int, Mishap], ...] = ()
    ends: tuple[End, ...] = ()
    visits: tuple[Visit, ...] = ()
    encore: bool = False
    canary: int | None = None
    deadline: str | None = None
    delete_remote_files: bool = False
    barrier: tuple[int, Barrier] | None = None
    retried: bool = False

    @property
    def desired_runs(self) -> str:
        """Return the extra fields of the spec."""
        said = "retry: {attempts: 8}\n"
        said += "" if self.canary is None else f"canary: {self.canary}\n"
        said += "" if self.deadline is None else f"deadline: {self.deadline}\n"
        return said + ("keep_remote: false\n" if self.delete_remote_files else "")

    @property
    def vanishing(self) -> bool:
        """Whether the provider forgets a batch, so that its results are lost."""
        return any(isinstance(fate.behaviour.ending, Vanish) for fate in self.fates)

    @property
    def loses_results(self) -> bool:
        """Whether a job may fail as a whole, since what a batch has answered cannot be had."""
        return self.vanishing or any(
            fate.behaviour.spoiled is not None and fate.behaviour.spoiled.how is Spoil.REFUSAL
            for fate in self.fates
        )

    @property
    def behaviours(self) -> Behaviours:
        """Return how each batch ends, by its number."""
        well = Fate(behaviour=Behaviour())
        return lambda index, rows: (self.fates[index] if index < len(self.fates) else well).of(rows)


def drawn(seed: int) -> Story:
    """Draw the story of a seed."""
    lot = random.Random(seed)
    rows = lot.choice((1, 2, 3, 5, 8, MOST_ROWS))
    fates = tuple(_fate(lot, rows) for _ in range(lot.choice((0, 1, 2, 3, 3, 5))))
    machines = lot.choice((1, 1, 1, 1, 2))
    losses = lot.choice((0.0, 0.0, 0.05))
    if machines > 1 or losses:
        # What one machine, or a deleted ledger, has seen before it vanished is known to nobody.
        fates = tuple(map(_kept, fates))
    conditions = _conditions(lot)
    cancelled = machines == 1 and not losses and lot.random() < 0.1
    mortality = lot.choice((0.0, 0.01, 0.05, 0.15))
    power = lot.choice((0.0, 0.5, 1.0))
    return Story(
        seed=seed,
        rows=rows,
        shard=lot.choice((2, 3, 5, 50)),
        machines=machines,
        executor=lot.choice((1, 1, 2, 4)),
        conditions=conditions,
        healed=lot.choice((0, 2, 5)),
        fates=fates,
        mishaps=tuple(_mishaps(lot, lot.choice((0.0, 0.05, 0.2)), mortality, power)),
        ends=tuple(
            End(moment=moment, power_cut=lot.random() < power, lot=lot.randrange(1000))
            for moment in range(MOMENTS)
            if lot.random() < mortality
        ),
        visits=tuple(_visits(lot, machines, losses, cancelled=cancelled)),
        encore=lot.random() < 0.1,
        canary=lot.choice((None, None, None, 1, 3)),
        deadline=lot.choice((None, None, *DEADLINES)),
        # What one machine deletes another cannot read any more.
        delete_remote_files=machines == 1 and lot.random() < 0.2,
        barrier=_barrier(lot) if lot.random() < 0.15 else None,
        retried=lot.random() < 0.4,
    )


def _kept(fate: Fate) -> Fate:
    if not isinstance(fate.behaviour.ending, Vanish):
        return fate
    return dataclasses.replace(
        fate, behaviour=dataclasses.replace(fate.behaviour, ending=Complete())
    )


def _fate(lot: random.Random, rows: int) -> Fate:
    wrong = lot.choice((0.0, 0.2, 0.6))
    ending = Complete() if lot.random() < 0.4 else lot.choice(ENDINGS)
    cancels = Cancelling.ENDS
    if lot.random() < 0.12:
        cancels, ending = lot.choice(UNENDING), lot.choice(CANCELLED)
    return Fate(
        behaviour=Behaviour(
            validating=lot.choice(PHASES),
            working=lot.choice(PHASES),
            finalizing=lot.choice(PHASES),
            cancelling=lot.choice(PHASES),
            ending=ending,
            lists_unrun=lot.random() < 0.7,
            shuffled=lot.random() < 0.7,
            counts=lot.choice(tuple(Counts)),
            no_output=lot.choice(tuple(NoFile)),
            no_error=lot.choice(tuple(NoFile)),
            files_after=lot.choice((0.0, 0.0, LAG / 2)),
            content_after=lot.choice((0.0, 0.0, LAG / 2)),
            final_newline=lot.random() < 0.8,
            spoiled=_spoiled(lot) if lot.random() < 0.15 else None,
            cancels=cancels,
        ),
        wrong=tuple((row, lot.choice(EVERY_ANSWER)) for row in range(rows) if lot.random() < wrong),
    )


def _barrier(lot: random.Random) -> tuple[int, Barrier]:
    scope = lot.choice(tuple(Scope))
    return lot.choice((0, 0, 10, 30)), lot.choice([each for each in Barrier if each.scope is scope])


def _spoiled(lot: random.Random) -> Spoiled:
    return Spoiled(
        how=lot.choice(tuple(Spoil)),
        lasts=lot.choice(SPOILED_FOR),
        size=lot.choice(tuple(SaidSize)),
    )


def _conditions(lot: random.Random) -> Conditions:
    return Conditions(
        list_lag=lot.choice((0.0, lot.uniform(0.0, LAG), LAG)),
        list_stale=lot.choice((0.0, lot.uniform(0.0, LAG))),
        list_fault=lot.choice((ListFault.NONE, ListFault.NONE, *LIST_FAULTS)),
        list_shape=lot.choice(tuple(ListShape)),
        list_parameters=lot.random() < 0.8,
        oldest_first=lot.random() < 0.1,
        create_blind=lot.choice((0.0, lot.uniform(0.0, LAG))),
        file_blind=lot.choice((0.0, lot.uniform(0.0, LAG / 2))),
        batch_blind=lot.choice((0.0, lot.uniform(0.0, LAG))),
        status_words=lot.choice(STATUS_WORDS),
        metadata=lot.random() < 0.9,
        classic=lot.random() < 0.5,
        create_status=lot.choice((200, 201)),
        conflict_status=lot.choice((409, 400)),
        chunked=lot.random() < 0.3,
        max_bytes=lot.choice((AMPLE, AMPLE, AMPLE, SCARCE)),
    )


def _mishaps(
    lot: random.Random, rate: float, mortality: float, power: float
) -> list[tuple[int, Mishap]]:
    """Draw the faults of the exchanges; half of the stories have only a few kinds."""
    kinds = SURVIVED if lot.random() < 0.5 else lot.sample(SURVIVED, 3)
    found: list[tuple[int, Mishap]] = []
    for number in range(EXCHANGES):
        chance = lot.random()
        if chance < mortality:
            cut = lot.random() < power
            found.append((number, ENDS[(2 if cut else 0) + lot.randrange(2)]))
        elif chance < mortality + rate:
            found.append((number, lot.choice(kinds)))
    return found


def _visits(lot: random.Random, machines: int, losses: float, *, cancelled: bool) -> list[Visit]:
    jumps = lot.choice((0.0, 0.0, 0.1))
    intruders = lot.choice((0.0, 0.0, 0.2))
    pauses = lot.choice((PAUSES, PAUSES, HASTE))
    return [
        Visit(
            pause=lot.choice(pauses),
            machine=lot.randrange(machines),
            loses_ledger=lot.random() < losses,
            jump=lot.choice(JUMPS) if lot.random() < jumps else 0.0,
            intruder=lot.randrange(6) if lot.random() < intruders else None,
            cancels=cancelled and lot.random() < 0.3,
        )
        for _ in range(lot.choice((3, 8, 20)))
    ]
