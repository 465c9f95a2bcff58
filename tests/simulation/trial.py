"""Run one seed as one story: a provider with random faults and crashes, until the job is done.

The real reconciler runs against the simulated provider in virtual time. The promises are checked
after every pass: one batch per submission key, no succeeded row submitted again, no final file
that is incomplete, a ledger that never moves backwards. Once faults stop, the job must end
automatically, and then nothing more may happen. Where it cannot, since a cancellation never ends or
the files of a batch do not hold what it has answered, the pass must say so; then the user cancels
or retries, and that must help. The same seed gives the same story, so that a failing one can be
repeated.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from runner.errors import LockHeld
from runner.ledger import run_transitions
from runner.ledger.records import RunState
from runner.reconcile import lock
from runner.reconcile.concurrency import InlineExecutor
from runner.reconcile.run_lifecycle import reopen
from tests.simulation.barriers import BARRED_JOB, Scope
from tests.simulation.behaviour import Behaviour, ListFault
from tests.simulation.census import befallen, marked
from tests.simulation.exchange import Request
from tests.simulation.mishaps import ENDS, POWER_CUTS, strike
from tests.simulation.power import Disk
from tests.simulation.promises import Watch
from tests.simulation.results import check_answers
from tests.simulation.scene import request_line, request_lines
from tests.simulation.site import SPEC, Site
from tests.simulation.story import SETTLING, drawn
from tests.simulation.thrift import blank_ledger, thrift
from tests.simulation.world import VirtualClock, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from runner.reconcile.context import Context
    from runner.reconcile.passes import PassReport
    from tests.simulation.behaviour import Row
    from tests.simulation.faults import Fault
    from tests.simulation.story import Story, Visit
    from tests.simulation.truth import Submission


BYSTANDER: Final = "other"
_BYSTANDER_LINES: Final = b"".join(request_line(f"o{n}", model="gpt-other") for n in range(2))
_BYSTANDER_SPEC: Final = """\
name: other
endpoint: /v1/chat/completions
input: other.jsonl
retry: {attempts: 8}
"""
_DAY: Final = 86_400.0
_RESTLESS: Final = 8
"""Passes after which something that changes at every look is taken for standing still."""
_UNHAD: Final = frozenset(
    {"runner_unmatched_response", "runner_batch_lost", "runner_malformed_line"}
)
"""The codes of requests that were answered, and whose answers could not be had."""


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
    """One machine: its project, its disk, and whether its job is done, as far as it knows.

    With `cancelled` the user has cancelled the job there.
    """

    site: Site
    disk: Disk
    watch: Watch
    done: bool = False
    cancelled: bool = False
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
    refusals: int = 0

    def __post_init__(self) -> None:
        story = self.story
        self.mishaps = dict(story.mishaps)
        self.ends = {end.moment: end for end in story.ends}
        self.barrier = story.barrier
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
        if self.story.barrier is not None:
            (root / "other.jsonl").write_bytes(_BYSTANDER_LINES)
            site.write_spec(_BYSTANDER_SPEC, BYSTANDER)
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
            self._wait_at_the_barrier(machine)
        self.barrier = None
        for machine in self.machines:
            self._finish(machine)
        for one in self.world.submissions():
            if one.withheld is not None:
                self.met[one.withheld] += 1
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
        report = self._pass(machine, self._cancel if visit.cancels else None)
        machine.done = report is not None and report.all_final
        if len(self.machines) > 1:
            self.met["two machines take turns"] += 1

    def _drop_ledger(self, machine: _Machine) -> None:
        machine.site.drop_ledger()
        machine.disk.forget_ledger()
        machine.watch.forget()

    def _pass(
        self, machine: _Machine, first: Callable[[Context], None] | None = None
    ) -> PassReport | None:
        """Make one pass as a process; None if it died. Checks every promise afterwards.

        `first` is what a command does before its pass.
        """
        site = machine.site
        self.at_work = machine
        report = None
        self.passes += 1
        site.told.append(f"-- pass {self.passes} at {site.clock():.0f}")
        if not site.ledger.exists():
            blank_ledger(site.ledger)
        # What a dead process had under way is not under way in the next.
        site.executor = InlineExecutor(self.story.executor)
        refused, made = self.refusals, self._made()
        with machine.disk.process(), lock.locked(site.ledger):
            if first is not None:
                with site.context() as (context, _specs):
                    first(context)
            report = site.reconcile()
        if machine.disk.dead:
            report = None
            site.told.append("-- it died")
            machine.disk.restart(machine.lot)
        if machine.disk.cut:
            site.told.append("-- of a power cut")
            machine.watch.forget()
        if first == self._cancel:
            machine.cancelled = machine.watch.is_cancelled("job")
        assert not machine.cancelled or self._made() == made, "a cancelled job submits once more"
        machine.watch.check()
        self._check_what_was_asked()
        if report is not None and self.refusals > refused and not self.mishaps:
            # Where a mishap takes its place, the call may pass.
            said = report.has_problem or report.stopped
            assert said, "a refusal that lasts is not said"
        return report

    def _check_what_was_asked(self) -> None:
        """Check the provider for breaches: only a new batch can be one."""
        made = len(self.world.calls("POST", "/batches"))
        if made != self.batches:
            self.world.check_exactly_once()
            self.batches = made

    def _made(self) -> int:
        """Count the batches of the job that have been made."""
        return sum(1 for one in self.world.asked() if one.startswith("r"))

    def _heal(self) -> None:
        self.world.conditions = dataclasses.replace(
            self.world.conditions, list_fault=ListFault.NONE
        )

    def _calm(self) -> None:
        """End all faults; a batch that is stuck is cancelled at the provider."""
        self.mishaps, self.intrusion = {}, None
        self._heal()
        self.ends = {}
        self.world.behaviour = Behaviour()
        for one in self.world.submissions():
            if one.over_at == float("inf"):
                self.world.handle(Request.json("POST", f"/batches/{one.batch_id}/cancel"))
                self.met["cancelled by somebody else"] += 1

    def _wait_at_the_barrier(self, machine: _Machine) -> None:
        """See that a refusal that lasts stops what it is about, says so, and nothing else."""
        if self.barrier is None:
            return
        scope = self.barrier[1].scope
        for _ in range(12):
            self.clock.sleep(300)
            report = self._pass(machine)
            assert report is not None
            if scope in (Scope.MODEL, Scope.MODEL_AT_UPLOAD):
                assert not report.stopped, "the refusal of a model stops its provider"
                if not report.states[BYSTANDER].final:
                    continue
            return
        raise AssertionError(f"another job has to wait: {machine.site.told[-5:]}")

    def _finish(self, machine: _Machine) -> None:
        """See a machine to its end, and assert that it is the right one and the last."""
        site = machine.site
        self.clock.sleep(SETTLING)
        report = self._settled(machine)
        state = report.states["job"]
        may_fail = self.story.loses_results or self.story.canary is not None
        assert state in (RunState.SUCCEEDED, RunState.PARTIAL) or may_fail or machine.cancelled, (
            state
        )
        self._check_results(machine, state)
        if self.story.barrier is not None:
            assert report.states[BYSTANDER] is RunState.SUCCEEDED
            site.check(["o0", "o1"], BYSTANDER)
        if self.story.retried and state is not RunState.SUCCEEDED:
            self._retry(machine)
        exchanges = len(self.world.requests)
        again = self._pass(machine)
        assert again is not None
        assert not again.changed, "a finished job changes once more"
        assert len(self.world.requests) == exchanges, "a finished job asks once more"

    def _check_results(self, machine: _Machine, state: RunState) -> None:
        """Check the final files: each request once, its own answer, and true words where none."""
        site = machine.site
        good, bad = site.results()
        assert (state is RunState.SUCCEEDED) == (not bad), f"{state}, but {len(bad)} errors"
        site.check([f"r{row}" for row in range(self.story.rows)])
        folder = site.root / "outputs" / "job" / "latest"
        assert check_answers((folder / "output.jsonl").read_bytes(), site.lines) == set(good)
        made = self.world.submissions()
        asked = Counter(row for one in made for row in one.rows)
        # The line of an earlier attempt comes before what runner says of a later one.
        kept = [one for one in made if one.known(self.clock())]
        answered = {row for one in kept for row in one.answered if asked[row] == 1}
        for line in filter(None, (folder / "errors.jsonl").read_bytes().split(b"\n")):
            document = json.loads(line)
            code = (document["error"] or {}).get("code")
            ended = code == "runner_batch_failed" and state is RunState.PARTIAL
            assert not ended, "a failure that passes has ended a request"
            # What another machine has asked for meanwhile, this one does not know.
            if document["custom_id"] in answered and len(self.machines) == 1:
                assert code in _UNHAD, f"{document['custom_id']} was answered, and is {line!r}"

    def _retry(self, machine: _Machine) -> None:
        """Let the user retry what has not succeeded: now it must, and nothing is paid twice.

        What cannot be had for good the user pays for again.
        """
        self.met["retried by the user"] += 1
        machine.cancelled = False
        # By a clock that was put forward by a day, any cancellation goes on for too long.
        late = any(visit.jump >= _DAY for visit in self.story.visits)
        self.world.excuse(machine.site.results()[1], unended=late)
        machine.watch.forget()
        report = self._pass(machine, _reopen)
        assert report is not None
        if not report.all_final:
            report = self._settled(machine)
        state = report.states["job"]
        assert state is RunState.SUCCEEDED, f"{state} after a retry"
        self._check_results(machine, state)

    def _settled(self, machine: _Machine) -> PassReport:
        """Make passes until the job is in a final state, and return the last."""
        for number in range(60):
            report = self._pass(machine)
            assert report is not None, "a process died though all trouble was over"
            if report.all_final:
                return report
            still = not report.changed or number > _RESTLESS
            if still and any(one.over_at == math.inf for one in self._known()):
                return self._give_up(machine)
            self.clock.sleep(300)
        raise AssertionError(f"never done: {machine.site.told[-5:]}")

    def _known(self) -> Iterator[Submission]:
        """Yield the batches that the provider has not forgotten."""
        return (one for one in self.world.submissions() if one.gone_at == math.inf)

    def _give_up(self, machine: _Machine) -> PassReport:
        """Wait for a cancellation that never ends; the pass must say so, and the user ends it."""
        for first in (None, self._cancel):
            report = self._pass(machine, first)
            for _ in range(5):
                if report is not None and report.all_final:
                    self.met["a cancellation given up"] += 1
                    return report
                self.clock.sleep(_DAY / 2)
                report = self._pass(machine)
            assert report is not None
            if first is None and any(one.status == "cancelling" for one in self._known()):
                assert report.has_problem
                reasons = [wait.reason for wait in report.waits]
                assert any("`runner cancel job`" in reason for reason in reasons), reasons
        raise AssertionError(f"never given up: {machine.site.told[-5:]}")

    def _cancel(self, context: Context) -> None:
        """Do what `runner cancel` does before its pass."""
        for run in context.ledger.runs():
            if run.job == "job" and not run.state.final:
                run_transitions.request_cancel(context.ledger, run)
                self.met["cancelled by the user"] += 1

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
        if not rows[0].custom_id.startswith("r"):
            return Behaviour()
        behaviour = self.story.behaviours(index, rows)
        self.met.update(marked(behaviour, rows))
        return behaviour

    def _fault(self, request: Request, number: int) -> Fault | None:
        if number == self.intrusion:
            self._intrude()
        mishap = self.mishaps.get(number)
        if mishap is None:
            return self._refuse(request, number)
        fault = strike(mishap, request, self.world.clock())
        if fault is not None:
            self.met[mishap.value] += 1
        if mishap in ENDS:
            self._die(power_cut=mishap in POWER_CUTS, lot=number)
        return fault

    def _refuse(self, request: Request, number: int) -> Fault | None:
        """Return what a barrier has against an exchange."""
        if self.barrier is None or number < self.barrier[0]:
            return None
        refusal = self.barrier[1].strike(request, self._filename(request))
        if refusal is not None and request.method != "DELETE":  # which is a remark at most
            self.refusals += 1
            self.met[f"refused: {self.barrier[1].scope.name}"] += 1
        return refusal

    def _filename(self, request: Request) -> str:
        """Return the name of the input that is uploaded, or that a batch is made from."""
        if request.form is not None and request.form.file is not None:
            return request.form.file.filename or ""
        if (request.method, request.path) != ("POST", "/batches"):
            return ""
        wanted = json.loads(request.body)["input_file_id"]
        return next((file.filename for file in self.world.files() if file.id == wanted), "")

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


def _reopen(context: Context) -> None:
    """Do what `runner retry` does before its pass."""
    for run in context.ledger.runs():
        if run.job == BARRED_JOB:
            assert run.state.final
            reopen(context, run, next_round=True, attempts=8)
