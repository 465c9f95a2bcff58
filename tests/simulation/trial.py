"""Run one seed as one story: a provider with random faults and crashes, until the job is done.

The real reconciler runs against the simulated provider in virtual time. The promises are checked
after every pass: one batch per submission key, no succeeded row submitted again, no final file
that is incomplete, a ledger that never moves backwards. Once faults stop, the job must end
automatically, and then nothing more may happen. The same seed gives the same story, so that a
failing one can be repeated.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner.errors import LockHeld
from runner.ledger.records import RunState
from runner.reconcile import lock
from runner.reconcile.concurrency import InlineExecutor
from tests.simulation.behaviour import Behaviour, ListFault
from tests.simulation.census import befallen, marked
from tests.simulation.exchange import Request
from tests.simulation.faults import never
from tests.simulation.mishaps import ENDS, POWER_CUTS, strike
from tests.simulation.power import Disk
from tests.simulation.promises import Watch
from tests.simulation.results import check_answers
from tests.simulation.scene import request_lines
from tests.simulation.site import SPEC, Site
from tests.simulation.story import SETTLING, drawn
from tests.simulation.thrift import blank_ledger, thrift
from tests.simulation.world import VirtualClock, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from runner.reconcile.passes import PassReport
    from tests.simulation.behaviour import Row
    from tests.simulation.faults import Fault
    from tests.simulation.story import Story, Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The result of a story; `met` counts the faults that occurred."""

    site: Site
    passes: int
    deaths: int
    power_cuts: int
    lost_ledgers: int
    met: Counter[str]


def trial(seed: int, folder: Path) -> Trial:
    """Tell the story of one seed below an empty folder; raises AssertionError with it."""
    try:
        return tell(drawn(seed), folder)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error


def tell(story: Story, folder: Path) -> Trial:
    """Run a story in an empty folder. Raises AssertionError with all output and requests."""
    telling = _Telling(story, folder)
    try:
        with thrift():
            return telling.all()
    except Exception as error:
        said = [f"{number}: {text}" for number, one in telling.all_told() for text in one]
        asked = [str(each)[:160] for each in telling.world.requests[-80:]]
        problem = str(error) or type(error).__name__
        raise AssertionError("\n".join([problem, *said[-160:], *asked])) from error


@dataclass(slots=True)
class _Machine:
    """One machine: its project, its disk, and whether its job is done as far as it knows."""

    site: Site
    disk: Disk
    watch: Watch
    done: bool = False
    lot: int = 0


@dataclass
class _Telling:
    """A story while it runs."""

    story: Story
    folder: Path
    met: Counter[str] = field(default_factory=Counter)
    passes: int = 0
    moment: int = 0
    batches: int = 0
    at_work: _Machine | None = None
    intrusion: int | None = None

    def __post_init__(self) -> None:
        story = self.story
        self.mishaps = dict(story.mishaps)
        self.ends = {end.moment: end for end in story.ends}
        self.clock = VirtualClock()
        self.world = World(
            self.clock,
            seed=story.seed,
            behaviour=self._behaviour,
            conditions=story.conditions,
            faults=self._fault,
        )
        power = any(end.power_cut for end in story.ends) or any(
            mishap in POWER_CUTS for _, mishap in story.mishaps
        )
        lines = request_lines(story.rows)
        self.machines = [
            self._machine(self.folder / f"machine{number}", lines, power=power)
            for number in range(story.machines)
        ]

    def _machine(self, root: Path, lines: bytes, *, power: bool) -> _Machine:
        spec = SPEC + self.story.desired_runs
        site = Site(root, self.world, lines, self.story.shard, spec, frozen=True)
        aside = root.with_name(f"{root.name}-aside")
        aside.mkdir()
        disk = Disk(root=root, ledger=site.ledger, aside=aside, pulse=self._pulse, power=power)
        return _Machine(site, disk, Watch(ledger=site.ledger, outputs=root / "outputs"))

    def all(self) -> Trial:
        """Tell the story: the storm, the calm after it, and what must then be true."""
        self.met.update(befallen(self.story))
        for number, visit in enumerate(self.story.visits):
            if number == self.story.healed:
                self._heal()
            self._visit(visit)
            if all(machine.done for machine in self.machines):
                break
        self._calm()
        for machine in self.machines:
            self._finish(machine)
        if self.story.encore and not self.story.delete_remote_files:
            self._encore(self.machines[0])
        return Trial(
            site=self.machines[0].site,
            passes=self.passes,
            deaths=sum(count for kind, count in self.met.items() if kind.startswith("killed")),
            power_cuts=sum(count for kind, count in self.met.items() if kind.startswith("power")),
            lost_ledgers=self.met["ledger deleted"],
            met=self.met,
        )

    def all_told(self) -> Iterator[tuple[int, list[str]]]:
        """Yield what each machine has said."""
        yield from enumerate(machine.site.told for machine in self.machines)

    def _visit(self, visit: Visit) -> None:
        machine = self.machines[visit.machine % len(self.machines)]
        site = machine.site
        pause = visit.pause
        if visit.loses_ledger or visit.jump or machine is not (self.at_work or machine):
            pause += SETTLING
        self.clock.sleep(pause)
        if visit.loses_ledger:
            self._drop_ledger(machine)
            self.met["ledger deleted"] += 1
            site.told.append("-- the ledger is deleted")
        if visit.jump:
            site.skew += visit.jump
            self.met["clock put forward" if visit.jump > 0 else "clock put back"] += 1
            site.told.append(f"-- the clock jumps by {visit.jump:g} s")
        self.intrusion = (
            None if visit.intruder is None else len(self.world.requests) + visit.intruder
        )
        report = self._pass(machine)
        machine.done = report is not None and report.all_final
        if len(self.machines) > 1:
            self.met["two machines take turns"] += 1

    def _drop_ledger(self, machine: _Machine) -> None:
        machine.site.drop_ledger()
        machine.disk.forget_ledger()
        machine.watch.forget()

    def _pass(self, machine: _Machine) -> PassReport | None:
        """Make one pass as a process; None if it died. Checks every promise afterwards."""
        site = machine.site
        self.at_work = machine
        report = None
        self.passes += 1
        site.told.append(f"-- pass {self.passes} at {site.clock():.0f}")
        if not site.ledger.exists():
            blank_ledger(site.ledger)
        # What a dead process had under way is not under way in the next.
        site.executor = InlineExecutor(self.story.executor)
        with machine.disk.process(), lock.locked(site.ledger):
            report = site.reconcile()
        if machine.disk.dead:
            report = None
            site.told.append("-- it died")
            machine.disk.restart(machine.lot)
        if machine.disk.cut:
            site.told.append("-- of a power cut")
            machine.watch.forget()
        machine.watch.check()
        self._check_what_was_asked()
        return report

    def _check_what_was_asked(self) -> None:
        """Check the provider for breaches: only a new batch can be one."""
        made = len(self.world.calls("POST", "/batches"))
        if made != self.batches:
            self.world.check_exactly_once()
            self.batches = made

    def _heal(self) -> None:
        self.world.conditions = dataclasses.replace(
            self.world.conditions, list_fault=ListFault.NONE
        )

    def _calm(self) -> None:
        """End all faults; a batch that is stuck is cancelled at the provider."""
        self.world.faults = never
        self._heal()
        self.ends = {}
        self.world.behaviour = Behaviour()
        for one in self.world.submissions():
            if one.over_at == float("inf"):
                self.world.handle(Request.json("POST", f"/batches/{one.batch_id}/cancel"))
                self.met["cancelled by somebody else"] += 1

    def _finish(self, machine: _Machine) -> None:
        """See a machine to its end, and assert that it is the right one and the last."""
        site = machine.site
        self.clock.sleep(SETTLING)
        state = self._settled(machine).states["job"]
        good, bad = site.results()
        may_fail = self.story.vanishing or self.story.canary is not None
        assert state in (RunState.SUCCEEDED, RunState.PARTIAL) or may_fail, state
        assert (state is RunState.SUCCEEDED) == (not bad), f"{state}, but {len(bad)} errors"
        site.check([f"r{row}" for row in range(self.story.rows)])
        output = site.root / "outputs" / "job" / "latest" / "output.jsonl"
        assert check_answers(output.read_bytes(), site.lines) == set(good)
        exchanges = len(self.world.requests)
        again = self._pass(machine)
        assert again is not None
        assert not again.changed, "a finished job changes once more"
        assert len(self.world.requests) == exchanges, "a finished job asks once more"

    def _settled(self, machine: _Machine) -> PassReport:
        """Make passes until the job is in a final state, and return the last."""
        for _ in range(60):
            report = self._pass(machine)
            assert report is not None, "a process died though all trouble was over"
            if report.all_final:
                return report
            self.clock.sleep(300)
        raise AssertionError(f"never done: {machine.site.told[-5:]}")

    def _encore(self, machine: _Machine) -> None:
        """Delete the ledger of a job that is done: its outputs say all that has to be known."""
        exchanges = len(self.world.requests)
        self._drop_ledger(machine)
        report = self._pass(machine)
        assert report is not None
        assert report.all_final, "a finished job is not restored from its outputs"
        assert len(self.world.requests) == exchanges, "a finished job is asked for once more"
        self.met["ledger deleted after the end"] += 1

    # What the world and the disks ask while a pass is at work -----------------------------

    def _behaviour(self, index: int, rows: Sequence[Row]) -> Behaviour:
        behaviour = self.story.behaviours(index, rows)
        self.met.update(marked(behaviour, rows))
        return behaviour

    def _fault(self, request: Request, number: int) -> Fault | None:
        if number == self.intrusion:
            self._intrude()
        mishap = self.mishaps.get(number)
        if mishap is None:
            return None
        fault = strike(mishap, request, self.world.clock())
        if fault is not None:
            self.met[mishap.value] += 1
        if mishap in ENDS:
            self._die(power_cut=mishap in POWER_CUTS, lot=number)
        return fault

    def _pulse(self, what: str) -> None:
        end = self.ends.get(self.moment)
        self.moment += 1
        if end is not None:
            self.met[f"{'power cut' if end.power_cut else 'killed'} at a {what}"] += 1
            self._die(power_cut=end.power_cut, lot=end.lot)

    def _die(self, *, power_cut: bool, lot: int) -> None:
        assert self.at_work is not None
        self.at_work.lot = lot
        self.at_work.disk.die(power_cut=power_cut)

    def _intrude(self) -> None:
        """Let a second process try the ledger that another one is at work on."""
        assert self.at_work is not None
        try:
            with lock.locked(self.at_work.site.ledger):
                raise AssertionError("two processes hold the lock of one ledger")
        except LockHeld:
            self.met["two processes on one ledger"] += 1
