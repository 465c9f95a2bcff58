"""Opening what a command works on: the project, its specs, its ledger, its providers.

What the acting commands share: the workshop they act in, their passes, how they conclude.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from runner.cli.output import FORMATS, OPTION
from runner.errors import LockHeld, Unauthorized, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from runner.api.client import Client
    from runner.cli.console import Console
    from runner.errors import Problem
    from runner.ledger.store import Ledger
    from runner.local.provider import LocalProvider
    from runner.planning.saved_plan import SavedPlan
    from runner.reconcile.context import Context
    from runner.reconcile.passes import PassReport
    from runner.spec.job import Job, Specs
    from runner.spec.project import Project


def open_project(directory: Path) -> Project:
    """Find the project that a folder belongs to. Raises UsageError or InvalidInput."""
    from runner.spec.credentials import Environment
    from runner.spec.project import find_project

    return find_project(directory, Environment())


def open_specs(
    project: Project, selectors: Sequence[str], directory: Path, *, known: Iterable[str] = ()
) -> Specs:
    """Read all specs and select some; selectors are tried from `directory` first.

    `known` are names of jobs that may be selected even if they have no spec any more.
    """
    from runner.spec.load import load_specs

    return load_specs(project, selectors, start=directory.absolute(), known=known)


def find_job(project: Project, name: str, directory: Path) -> tuple[Specs, Job]:
    """Return the specs with one job selected. Raises UsageError or InvalidInput."""
    from runner.errors import InvalidInput

    specs = open_specs(project, [name], directory)
    if len(specs.selected) == 1:
        return specs, specs.selected[0]
    if specs.problems:
        raise InvalidInput(specs.problems)
    raise UsageError(_not_one(name, [job.name for job in specs.selected]))


def find_known(
    project: Project, name: str, directory: Path, ledger: Ledger | None
) -> tuple[str, Job | None]:
    """Return a job's name and what its spec says, None where the ledger alone knows it.

    Raises UsageError or InvalidInput.
    """
    from runner.errors import InvalidInput

    specs = open_specs(project, [name], directory, known=recorded_jobs(ledger))
    found = [*((job.name, job) for job in specs.selected), *((gone, None) for gone in specs.gone)]
    if len(found) == 1:
        return found[0]
    if specs.problems:
        raise InvalidInput(specs.problems)
    raise UsageError(_not_one(name, [each for each, _ in found]))


def _not_one(selector: str, names: list[str]) -> str:
    from runner.text import listed, plural

    return f"{selector} names {plural(len(names), 'job')} ({listed(names)}); name one"


def recorded_jobs(ledger: Ledger | None) -> frozenset[str]:
    """Return the names of the jobs that something was done for."""
    from runner.ledger.queries import jobs_with_runs

    return frozenset() if ledger is None else jobs_with_runs(ledger)


@contextlib.contextmanager
def recorded(project: Project) -> Iterator[Ledger | None]:
    """Open the ledger for looking only; None if there is none yet. Raises LedgerError."""
    from runner.ledger.store import Ledger

    ledger = Ledger.open_read_only(project.ledger, clock=time.time)
    with ledger or contextlib.nullcontext():
        yield ledger


class Providers:
    """Opens providers by name, the embedded one with its server; closes them all at the end."""

    def __init__(
        self, project: Project, *, environ: Mapping[str, str], stack: contextlib.ExitStack
    ) -> None:
        self._project = project
        self._environ = environ
        self._stack = stack
        self.embedded: LocalProvider | None = None

    def open(self, name: str) -> Client:
        """Open a provider.

        Raises Unauthorized where its key cannot be had or the project does not know it (any
        more), MissingExtra where the embedded one lacks its libraries.
        """
        from runner.api.client import Client

        provider = self._project.providers.get(name)
        if provider is None:
            raise Unauthorized(
                f"provider {name} is not configured in runner.yaml any more; put it back, so that "
                f"what is in flight there can be collected",
                provider=name,
                call="open",
            )
        if provider.embedded:
            from runner.local.provider import LocalProvider

            self.embedded = self._stack.enter_context(
                LocalProvider(self._project.ledger.parent / "local")
            )
            provider = dataclasses.replace(provider, base_url=self.embedded.base_url)
        key = provider.api_key(self._environ)
        if provider.api_key_env is not None and key is None:
            raise Unauthorized(
                f"{provider.api_key_env} is not set, and provider {name} needs a key; nothing was "
                f"sent to it",
                provider=name,
                call="open",
            )
        return self._stack.enter_context(Client(provider, key, sleep=time.sleep))


@contextlib.contextmanager
def providers(project: Project) -> Iterator[Providers]:
    """Give a way to open the project's providers; closes what was opened."""
    from runner.spec.credentials import Environment

    with contextlib.ExitStack() as stack:
        yield Providers(project, environ=Environment(), stack=stack)


def clock() -> Callable[[], float]:
    """Return the clock of this machine, in Unix seconds."""
    return time.time


_LOCAL_SLICE: Final = 5.0
"""Seconds that the embedded provider gets to work after a pass that does not wait."""

_AT_ONCE: Final = 8
"""Calls that may be under way at once."""

_TOLD_APART: Final = 60.0
"""Seconds between the passes of one command that are told of; the last one is in any case."""

_LOCAL_BUSY: Final = 0.5
"""Seconds between tries while another process uses the embedded provider."""

log_format = click.option(
    OPTION,
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    show_default=True,
    expose_value=False,  # it was heeded before the command line was parsed
    help="What stderr gets: sentences, or a JSON object an event, a line each.",
)


@contextlib.contextmanager
def open_context(
    project: Project,
    *,
    quiet: bool = False,
    verbose: bool = False,
    remind: float | None = None,
    problems: Sequence[Problem] = (),
) -> Iterator[tuple[Context, Providers, Console]]:
    """Say what is wrong with the specs, open what acting needs, and close it. Raises LedgerError.

    `remind` is as `Console` has it.
    """
    from runner.cli.console import Console
    from runner.ledger.store import Ledger
    from runner.notify.subscribers import register
    from runner.reconcile.concurrency import ThreadExecutor
    from runner.reconcile.context import Context, ProviderPool

    console = Console(quiet=quiet, verbose=verbose, remind=remind)
    with console:
        console.problems(problems)
        with (
            Ledger.open(
                project.ledger, clock=time.time, warn=partial(console.say, event="remark")
            ) as ledger,
            providers(project) as opened,
        ):
            register(ledger, project)
            yield (
                Context(
                    project=project,
                    ledger=ledger,
                    providers=ProviderPool(opened.open),
                    clock=time.time,
                    tell=console.tell,
                    moving=console.moving,
                    executor=ThreadExecutor(_AT_ONCE),
                ),
                opened,
                console,
            )


def one_pass(
    context: Context,
    opened: Providers,
    console: Console,
    specs: Specs,
    *,
    everything: bool = False,
    wait_for_lock: bool = True,
    saved_plan: SavedPlan | None = None,
) -> PassReport:
    """Make one pass; the embedded provider gets time to work, and a second pass collects.

    Raises LockHeld where another process uses the embedded provider, and unless
    `wait_for_lock` where another reconcile is at work.
    """
    from runner.cli.after_pass import after_pass
    from runner.reconcile.lock import locked
    from runner.reconcile.passes import reconcile_once

    began = time.monotonic()
    with locked(context.ledger.path, wait=wait_for_lock):
        report = reconcile_once(context, specs, everything=everything, saved_plan=saved_plan)
        if opened.embedded is not None and not report.settled:
            console.waiting(report, _LOCAL_SLICE)
            opened.embedded.work(_LOCAL_SLICE)
            report = reconcile_once(context, specs, everything=everything)
    after_pass(
        context,
        console,
        specs,
        report,
        everything=everything,
        code=exit_code(report, specs),
        seconds=time.monotonic() - began,
    )
    return report


def all_passes(
    context: Context,
    opened: Providers,
    console: Console,
    specs: Specs,
    *,
    everything: bool,
    wait_for_lock: bool,
    poll_interval: float | None,
    saved_plan: SavedPlan | None = None,
) -> PassReport:
    """Make passes until every selected job is final. Raises LockHeld as `one_pass` does."""
    from runner.cli.after_pass import after_pass
    from runner.reconcile.passes import reconcile_until_done

    began = told = time.monotonic()

    def follow(report: PassReport, *, last: bool) -> None:
        nonlocal told
        now = time.monotonic()
        in_short = not last and now - told < _TOLD_APART
        after_pass(
            context,
            console,
            specs,
            report,
            everything=everything,
            code=exit_code(report, specs),
            seconds=now - began,
            in_short=in_short,
        )
        told = told if in_short else now

    def waiting(report: PassReport, pause: float) -> None:
        follow(report, last=False)
        console.waiting(report, pause)

    def sleep(seconds: float) -> None:
        nonlocal began
        pause(seconds)
        began = time.monotonic()

    pause = _sleeper(opened)
    report = reconcile_until_done(
        context,
        specs,
        everything=everything,
        sleep=sleep,
        poll_interval=poll_interval,
        wait_for_lock=wait_for_lock,
        waiting=waiting,
        saved_plan=saved_plan,
    )
    follow(report, last=True)
    return report


def patiently(passes: Callable[[], PassReport]) -> PassReport:
    """Make passes after whoever uses the embedded provider now.

    Whoever does may need the ledger's lock to come to its end, so that one is not held while
    waiting.
    """
    while True:
        try:
            return passes()
        except LockHeld:
            time.sleep(_LOCAL_BUSY)


def _sleeper(opened: Providers) -> Callable[[float], None]:
    """Return a sleep that ends early when the embedded provider has done all it had to do.

    Only once, though: what is still being waited for after another look is elsewhere.
    """
    looked = False

    def sleep(seconds: float) -> None:
        nonlocal looked
        embedded = opened.embedded
        if embedded is not None and not embedded.work(0):
            embedded.work(seconds)
            looked = False
        elif embedded is not None and not looked:
            looked = True
        else:
            time.sleep(seconds)

    return sleep


def conclude(report: PassReport, specs: Specs, console: Console) -> int:
    """Say what is left to say, and choose the exit code."""
    console.clear_display()
    console.troubles(report)
    console.problems(report.problems)
    console.flush()
    if not report.changed and not report.has_problem:
        console.nothing_to_do(_nothing_done(report))
    return exit_code(report, specs)


def exit_code(report: PassReport, specs: Specs) -> int:
    """Return what a pass over these specs comes to."""
    from runner.ledger.records import RunState

    if specs.problems or report.problems:
        return 2
    bad = any(state in (RunState.FAILED, RunState.PARTIAL) for state in report.states.values())
    return int(bad or report.has_problem)


def _nothing_done(report: PassReport) -> str:
    from runner.ledger.records import RunState
    from runner.text import listed, plural

    if not report.settled:
        return f"nothing to do now: {plural(len(report.waits), 'batch')} in flight"
    told = f"nothing to do: {plural(len(report.states), 'job')} as the specs ask for"
    for state in (RunState.FAILED, RunState.PARTIAL, RunState.CANCELLED):
        names = [name for name, its_state in report.states.items() if its_state is state]
        if names:
            told += f"; {state}: {listed(names)}"
    return told
