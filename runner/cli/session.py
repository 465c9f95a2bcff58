"""What commands share: opening the project, specs, ledger and providers, and making passes.

Commands that only read take a `Project`. What opens a provider, notifies a hook or makes a pass
takes a `TrustedProject`, and only `require_agreement` makes one of a project.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NewType

from runner.errors import InvalidInput, LockHeld, Unauthorized, UsageError
from runner.spec.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from runner.api.client import Client
    from runner.cli.console import Console
    from runner.errors import Problem
    from runner.ledger.records import Run
    from runner.ledger.store import Ledger
    from runner.local.provider import LocalProvider
    from runner.planning.saved_plan import SavedPlan
    from runner.reconcile.context import Context
    from runner.reconcile.passes import PassReport
    from runner.spec.job import Job, Specs
    from runner.spec.permissions import Permission
    from runner.spec.project import Provider, Secret

TrustedProject = NewType("TrustedProject", Project)
"""A project to whose permissions the user has agreed."""


def open_project(directory: Path) -> Project:
    """Return the project that a folder belongs to, for a command that runs and sends nothing.

    Raises UsageError, InvalidInput, and LocalFileError if a link leads to its outputs or ledger.
    """
    project = find_project_here(directory)
    refuse_project_above(project, directory)
    return project


def find_project_here(directory: Path) -> Project:
    """Return the project that a folder belongs to, before anything is known about its owner.

    Raises UsageError, InvalidInput, and LocalFileError if a link leads to its outputs or ledger.
    """
    from runner.files import require_no_link
    from runner.spec.project import Environment, find_project

    project = find_project(directory, Environment())
    for place in (project.ledger, project.outputs):
        require_no_link(place, within=project.base_of(place))
    return project


def open_trusted_project(directory: Path) -> TrustedProject:
    """Return the project that a folder belongs to, once the user has agreed to what it does.

    Raises UsageError or InvalidInput.
    """
    return require_agreement(find_project_here(directory), directory)


def require_agreement(project: Project, start: Path) -> TrustedProject:
    """Return the project once the user has agreed to all permissions that it needs.

    In a terminal the user is asked. Raises InvalidInput, with a problem for each permission, if the
    user has not agreed and says no or cannot be asked.
    """
    from runner.spec.permissions import needed_permissions
    from runner.spec.project import Environment

    permissions = needed_permissions(project, start)
    if permissions:
        from runner.checks.agreement import agree, not_agreed, refusal

        missing = not_agreed(project, permissions, Environment())
        if missing and not _says_yes(project, missing):
            raise refusal(missing)
        if missing:
            agree(project, permissions, Environment())
    return TrustedProject(project)


def refuse_project_above(project: Project, start: Path) -> None:
    """Raise InvalidInput for a `runner.yaml` above `start` that others can change.

    Nobody has named its folder: it was only found on the way up. This is for all commands, also for
    those that run and send nothing.
    """
    from runner.spec.permissions import owner_permissions_above
    from runner.spec.project import Environment

    if permissions := owner_permissions_above(project, start):
        from runner.checks.agreement import not_agreed, refusal

        if missing := not_agreed(project, permissions, Environment()):
            raise refusal(missing)


def _says_yes(project: Project, missing: Sequence[Permission]) -> bool:
    """Show the permissions and ask; False if there is nobody at a terminal."""
    import click

    from runner.cli.output import is_terminal, note, wants_json

    if wants_json() or not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        return False
    note(f"You have not agreed yet to what the project {project.root} does:")
    for each in missing:
        note(f"  {each.full}")
    return click.confirm("Do you agree?", err=True)


def open_specs(
    project: Project, selectors: Sequence[str], directory: Path, *, known: Iterable[str] = ()
) -> Specs:
    """Read all specs and select some of them; paths in selectors start at `directory`.

    `known` are the names of jobs that can be selected without a spec.
    """
    from runner.spec.load import load_specs

    return load_specs(project, selectors, start=directory.absolute(), known=known)


def find_job(project: Project, name: str, directory: Path) -> tuple[Specs, Job]:
    """Return the specs with one job selected. Raises UsageError or InvalidInput."""
    specs = open_specs(project, [name], directory)
    if len(specs.selected) == 1:
        return specs, specs.selected[0]
    if specs.problems:
        raise InvalidInput(specs.problems)
    raise UsageError(_several_jobs(name, [job.name for job in specs.selected]))


def find_known(
    project: Project, name: str, directory: Path, ledger: Ledger | None
) -> tuple[str, Job | None]:
    """Return the name of a job and its spec; None as the spec of a job that is only in the ledger.

    Raises UsageError or InvalidInput.
    """
    specs = open_specs(project, [name], directory, known=recorded_jobs(ledger))
    found = [
        *((job.name, job) for job in specs.selected),
        *((jobs_without_spec, None) for jobs_without_spec in specs.jobs_without_spec),
    ]
    if len(found) == 1:
        return found[0]
    if specs.problems:
        raise InvalidInput(specs.problems)
    raise UsageError(_several_jobs(name, [each for each, _ in found]))


def _several_jobs(selector: str, names: list[str]) -> str:
    from runner.text import listed, plural

    return f"{selector} selects {plural(len(names), 'job')} ({listed(names)}); select one"


def recorded_jobs(ledger: Ledger | None) -> frozenset[str]:
    """Return the names of the jobs that have runs in the ledger."""
    from runner.ledger.queries import jobs_with_runs

    return frozenset() if ledger is None else jobs_with_runs(ledger)


def current_run(project: Project, specs: Specs, ledger: Ledger, runs: Sequence[Run]) -> Run | None:
    """Return the run, out of `runs`, of the revision that the selected spec describes now.

    Raises InvalidInput if its input is invalid.
    """
    from runner.reconcile.desired import resolve_desired

    resolved = resolve_desired(project, specs.selected, runs, None, ledger, writing=False)
    if resolved.problems:
        raise InvalidInput(resolved.problems)
    revisions = {(desired.job.name, desired.revision) for desired in resolved.desired_runs}
    return next((run for run in runs if (run.job, run.revision) in revisions), None)


@contextlib.contextmanager
def read_ledger(project: Project) -> Iterator[Ledger | None]:
    """Open the ledger read-only; None if it does not exist yet. Raises LedgerError."""
    from runner.ledger.store import Ledger

    ledger = Ledger.open_read_only(project.ledger, clock=time.time)
    with ledger or contextlib.nullcontext():
        yield ledger


class Providers:
    """Opens providers by name, and the server of the embedded provider; `stack` closes them."""

    def __init__(
        self, project: TrustedProject, *, environ: Mapping[str, str], stack: contextlib.ExitStack
    ) -> None:
        self._project = project
        self._environ = environ
        self._stack = stack
        self.embedded: LocalProvider | None = None

    def open(self, name: str) -> Client:
        """Open a provider.

        Raises Unauthorized if its API key is missing or runner.yaml does not configure it,
        MissingExtra if the libraries of the embedded provider are not installed.
        """
        provider = self._project.providers.get(name)
        if provider is None:
            raise Unauthorized(
                f"provider {name} is not configured in runner.yaml any more; configure it again to "
                f"collect its batches in flight",
                provider=name,
                call="open",
            )
        if provider.embedded:
            from runner.local.provider import LocalProvider

            self.embedded = self._stack.enter_context(
                LocalProvider(self._project.ledger.parent / "local")
            )
            provider = dataclasses.replace(provider, base_url=self.embedded.base_url)
            return self._connect(provider, self.embedded.api_key)
        key = provider.api_key(self._environ)
        if provider.api_key_env is not None and key is None:
            raise Unauthorized(
                f"{provider.api_key_env} is not set, and provider {name} needs an API key; nothing "
                f"was sent to it",
                provider=name,
                call="open",
            )
        return self._connect(provider, key)

    def _connect(self, provider: Provider, key: Secret | None) -> Client:
        from runner.api.client import Client

        return self._stack.enter_context(Client(provider, key, sleep=time.sleep))


@contextlib.contextmanager
def providers(project: TrustedProject) -> Iterator[Providers]:
    """Yield the providers of a project, unopened; close at the end those that were opened."""
    from runner.spec.project import Environment

    with contextlib.ExitStack() as stack:
        yield Providers(project, environ=Environment(), stack=stack)


_LOCAL_SLICE: Final = 5.0
"""Seconds that the embedded provider may work after a pass without --wait."""

_CONCURRENT_CALLS: Final = 8
"""Calls to providers that may run at the same time."""

_SUMMARY_INTERVAL: Final = 60.0
"""Seconds between two passes of `--wait` that write metrics and ping; the last pass always does."""

_LOCAL_BUSY: Final = 0.5
"""Seconds between attempts while another process uses the embedded provider."""


@contextlib.contextmanager
def open_context(
    project: TrustedProject,
    *,
    quiet: bool = False,
    verbose: bool = False,
    remind: float | None = None,
    problems: Sequence[Problem] = (),
) -> Iterator[tuple[Context, Providers, Console]]:
    """Print the problems of the specs, then open the ledger and a context for passes.

    `remind` is `remind_after` of the Console. Raises LedgerError.
    """
    from runner.cli.console import Console
    from runner.ledger.store import Ledger
    from runner.notify.alerts import register
    from runner.reconcile.concurrency import ThreadExecutor
    from runner.reconcile.context import Context, ProviderPool

    console = Console(quiet=quiet, verbose=verbose, remind_after=remind)
    with console:
        console.problems(problems)
        with (
            Ledger.open(
                project.ledger, clock=time.time, warn=partial(console.info, event="remark")
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
                    report_notice=console.notice,
                    report_warnings=console.warnings,
                    report_progress=console.progress,
                    executor=ThreadExecutor(_CONCURRENT_CALLS),
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
    """Make one pass; with the embedded provider, let it work and make a second pass.

    Raises LockHeld if another process uses the embedded provider, or if another reconcile holds
    the lock and `wait_for_lock` is false.
    """
    from runner.cli.after_pass import after_pass
    from runner.reconcile.lock import locked
    from runner.reconcile.passes import reconcile_once

    began = time.monotonic()
    with locked(context.ledger.path, wait=wait_for_lock, waiting=console.waiting_for_lock):
        report = reconcile_once(context, specs, everything=everything, saved_plan=saved_plan)
        if opened.embedded is not None and not report.all_final:
            console.waiting(report, _LOCAL_SLICE)
            opened.embedded.work(_LOCAL_SLICE)
            report = reconcile_once(context, specs, everything=everything)
    return after_pass(
        context,
        console,
        specs,
        report,
        everything=everything,
        seconds=time.monotonic() - began,
    )


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

    began = summarized = time.monotonic()

    def finish_pass(report: PassReport, *, last: bool) -> PassReport:
        nonlocal summarized
        now = time.monotonic()
        changes_only = not last and now - summarized < _SUMMARY_INTERVAL
        report = after_pass(
            context,
            console,
            specs,
            report,
            everything=everything,
            seconds=now - began,
            changes_only=changes_only,
        )
        summarized = summarized if changes_only else now
        return report

    def waiting(report: PassReport, pause: float) -> None:
        finish_pass(report, last=False)
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
    return finish_pass(report, last=True)


def retry_while_locked(passes: Callable[[], PassReport]) -> PassReport:
    """Call `passes` again until no other process holds the lock of the embedded provider.

    The ledger's lock is not held between two attempts: the other process may need it to finish.
    """
    while True:
        try:
            return passes()
        except LockHeld:
            time.sleep(_LOCAL_BUSY)


def _sleeper(opened: Providers) -> Callable[[float], None]:
    """Return a sleep function that returns early once when the embedded provider has become idle.

    Only once: what the pass after that still waits for is at another provider.
    """
    reported_idle = False

    def sleep(seconds: float) -> None:
        nonlocal reported_idle
        embedded = opened.embedded
        if embedded is not None and not embedded.work(0):
            embedded.work(seconds)
            reported_idle = False
        elif embedded is not None and not reported_idle:
            reported_idle = True
        else:
            time.sleep(seconds)

    return sleep


def conclude(report: PassReport, specs: Specs, console: Console) -> int:
    """Print the problems of the last pass, and return the exit code."""
    from runner.cli.after_pass import exit_code, unresolved_text
    from runner.reconcile.context import Notice

    console.clear_display()
    console.held(report)
    for problem in report.unresolved:
        kind, _, name = problem.subject.partition(" ")
        console.notice(
            Notice(
                job=name if kind == "job" else "",
                provider=name if kind == "provider" else None,
                message=unresolved_text(problem),
                is_problem=True,
                event="held",
            )
        )
    console.problems(report.problems)
    console.flush()
    if not report.changed and not report.has_problem:
        console.nothing_to_do(_nothing_done(report))
    return exit_code(report, specs)


def _nothing_done(report: PassReport) -> str:
    from runner.ledger.records import RunState
    from runner.text import listed, plural

    if not report.all_final:
        return f"nothing to do now: {plural(len(report.waits), 'batch')} in flight"
    message = f"nothing to do: {plural(len(report.states), 'job')} up to date"
    for state in (RunState.FAILED, RunState.PARTIAL, RunState.CANCELLED):
        names = [name for name, its_state in report.states.items() if its_state is state]
        if names:
            message += f"; {state}: {listed(names)}"
    return message
