"""A project on a disk, reconciled against a simulated provider: the real code, virtual time.

Each pass is a process of its own: it opens the ledger, works, and closes it. `Death`, raised by
the provider at an exchange or by `Disk` at a commit or a file operation, ends a pass as SIGKILL
would: nothing runs after it but the closing of files, which the kernel would do.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.api.client import Client
from runner.ledger.store import Ledger
from runner.reconcile.concurrency import InlineExecutor
from runner.reconcile.context import Context, ProviderPool
from runner.reconcile.passes import reconcile_once, reconcile_until_done
from runner.spec.load import load_specs
from runner.spec.project import find_project
from runner.views.jobs import job_views
from runner.views.preview import preview
from tests.simulation.transport import WorldTransport
from tests.simulation.world import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from runner.planning.saved_plan import SavedPlan
    from runner.reconcile.concurrency import Executor
    from runner.reconcile.passes import PassReport
    from runner.spec.job import Specs
    from runner.spec.project import Project
    from runner.views.jobs import JobView
    from runner.views.preview import Preview
    from tests.simulation.world import World

SPEC = """\
name: job
endpoint: /v1/chat/completions
input: requests.jsonl
"""
SHORT_PATIENCE = "adoption_grace: 5\n"
"""A setting of a provider on this machine whose lists and files do not lag."""


@dataclass
class Site:
    """A project folder and the world it works against.

    `told` collects what passes said. `root` is made with one job of the given request lines,
    `max_requests` a shard. `skew` is by how many seconds the clock of this machine is ahead of
    the world's. With `frozen`, specs and configuration are read once and not at every pass:
    whoever makes thousands of passes says so, and changes neither. `executor` makes the calls that
    may run concurrently; `latency` is how many seconds of virtual time each exchange takes.
    """

    root: Path
    world: World
    lines: bytes
    max_requests: int = 50_000
    spec: str = SPEC
    told: list[str] = field(default_factory=list)
    skew: float = 0.0
    frozen: bool = False
    executor: Executor = field(default_factory=InlineExecutor)
    latency: float = 0.01
    _read: dict[tuple[str, ...], tuple[Project, Specs]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Write the project's files."""
        (self.root / "specs").mkdir(parents=True)
        self.write_spec(self.spec)
        (self.root / "requests.jsonl").write_bytes(self.lines)
        (self.root / "runner.yaml").write_text(
            "providers:\n  openai:\n    base_url: http://127.0.0.1:9/v1\n    api_key_env: KEY\n"
            f"    max_requests_per_batch: {self.max_requests}\n    {SHORT_PATIENCE}",
            encoding="utf-8",
        )

    @property
    def clock(self) -> VirtualClock:
        """The clock that the provider and the passes share."""
        assert isinstance(self.world.clock, VirtualClock)
        return self.world.clock

    def wall_clock(self) -> float:
        """Tell the time as this machine has it."""
        return self.clock() + self.skew

    @property
    def ledger(self) -> Path:
        """Where the ledger of this project is, or will be."""
        return self._specs(())[0].ledger

    def write_spec(self, text: str, name: str = "job") -> None:
        """Write one spec file."""
        (self.root / "specs" / f"{name}.yaml").write_text(text, encoding="utf-8")

    def drop_ledger(self) -> None:
        """Delete everything that runner keeps for itself."""
        shutil.rmtree(self.root / ".runner", ignore_errors=True)

    def reconcile(
        self, selectors: Sequence[str] = (), saved_plan: SavedPlan | None = None
    ) -> PassReport:
        """Make one pass, as a process of its own."""
        with self.context(selectors) as (context, specs):
            return reconcile_once(context, specs, everything=not selectors, saved_plan=saved_plan)

    def wait(self, selectors: Sequence[str] = ()) -> PassReport:
        """Make passes as `reconcile --wait` does, as a process of its own."""
        with self.context(selectors) as (context, specs):
            return reconcile_until_done(
                context, specs, everything=not selectors, sleep=self.clock.sleep
            )

    @contextlib.contextmanager
    def context(self, selectors: Sequence[str] = ()) -> Iterator[tuple[Context, Specs]]:
        """Open what a command works with, as a process of its own."""
        project, specs = self._specs(tuple(selectors))
        with contextlib.ExitStack() as stack:
            ledger = stack.enter_context(Ledger.open(project.ledger, clock=self.wall_clock))
            context = Context(
                project=project,
                ledger=ledger,
                providers=ProviderPool(self._opening(project, stack)),
                clock=self.wall_clock,
                executor=self.executor,
                report_notice=lambda notice: self.told.append(f"{notice.job}: {notice.message}"),
            )
            yield context, specs

    def preview(self) -> Preview:
        """Make the plan that `runner plan` shows, as a process of its own."""
        project, specs = self._specs(())
        with contextlib.ExitStack() as stack:
            ledger = Ledger.open_read_only(project.ledger, clock=self.wall_clock)
            if ledger is not None:
                stack.enter_context(ledger)
            return preview(
                project,
                specs,
                ledger,
                self._opening(project, stack),
                everything=True,
                clock=self.wall_clock,
            )

    def _opening(self, project: Project, stack: contextlib.ExitStack) -> Callable[[str], Client]:
        """Return a function that opens a provider by its name."""

        def open_api(name: str) -> Client:
            provider = project.providers[name]
            transport = WorldTransport(self.world, sleep=self.clock.sleep, latency=self.latency)
            return stack.enter_context(
                Client(
                    provider,
                    provider.api_key({"KEY": "sk-test"}),
                    transport=transport,
                    clock=self.wall_clock,
                    sleep=self.clock.sleep,
                    random=lambda: 0.5,
                )
            )

        return open_api

    def _specs(self, selectors: tuple[str, ...]) -> tuple[Project, Specs]:
        if not self.frozen or selectors not in self._read:
            project = find_project(self.root, {"KEY": "sk-test"})
            self._read[selectors] = (project, load_specs(project, selectors, start=self.root))
        return self._read[selectors]

    def until_done(self, *, passes: int = 60, pause: float = 30.0) -> PassReport:
        """Make passes, a pause apart, until all jobs are final; fails after too many."""
        report = self.reconcile()
        for _ in range(passes - 1):
            if report.all_final:
                return report
            self.clock.sleep(pause)
            report = self.reconcile()
        if report.all_final:
            return report
        raise AssertionError(f"not done after {passes} passes: {report.waits} {self.told[-5:]}")

    def views(self) -> tuple[JobView, ...]:
        """Return what `runner status` would show."""
        project = find_project(self.root, {"KEY": "sk-test"})
        ledger = Ledger.open_read_only(project.ledger, clock=self.clock)
        with contextlib.nullcontext() if ledger is None else ledger:
            return job_views(project, load_specs(project, (), start=self.root).selected, ledger)

    def results(self, job: str = "job") -> tuple[list[str], list[str]]:
        """Return the custom_ids of output.jsonl and errors.jsonl of a job's latest run."""
        folder = self.root / "outputs" / job / "latest"
        return (_ids(folder / "output.jsonl"), _ids(folder / "errors.jsonl"))

    def check(self, ids: Sequence[str], job: str = "job") -> None:
        """Assert the first promise: each request once over both files, nothing submitted twice."""
        good, bad = self.results(job)
        assert sorted(good + bad) == sorted(ids)
        assert good == [identifier for identifier in ids if identifier in set(good)]
        self.world.check_exactly_once()


def _ids(path: Path) -> list[str]:
    lines = path.read_bytes().split(b"\n")
    documents: list[Mapping[str, Any]] = [json.loads(line) for line in lines if line]
    return [str(document["custom_id"]) for document in documents]
