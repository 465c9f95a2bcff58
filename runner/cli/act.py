"""The commands that act: reconcile, cancel, retry."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import click

from runner.cli.look import print_problems
from runner.cli.project import find_job, open_project, open_specs, providers
from runner.errors import LockHeld, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runner.cli.project import Providers
    from runner.cli.voice import Voice
    from runner.reconcile.passes import PassReport
    from runner.reconcile.workshop import Workshop
    from runner.spec.job import Specs
    from runner.spec.project import Project

_LOCAL_SLICE = 5.0
"""Seconds that the embedded provider gets to work after a pass that does not wait."""


@click.command()
@click.argument("selectors", metavar="[SPEC]...", nargs=-1)
@click.option("--wait", is_flag=True, help="Make passes until every selected job is final.")
@click.option(
    "--poll-interval",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds between passes with --wait; default: adaptive.",
)
@click.option(
    "--if-locked",
    type=click.Choice(["skip", "wait", "fail"]),
    default="skip",
    show_default=True,
    help="What to do if another reconcile is at work.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="Say so, too, if there is nothing to do.")
@click.pass_obj
def reconcile(
    directory: Path,
    selectors: tuple[str, ...],
    *,
    wait: bool,
    poll_interval: float | None,
    if_locked: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Bring jobs nearer to what their specs ask for.

    One idempotent pass that never blocks on the provider's work: validates, uploads, submits,
    observes, collects, asks again what did not finish. SPEC is a spec file, a folder or a job
    name; all specs without one.
    """
    project = open_project(directory)
    specs = open_specs(project, selectors, directory)
    print_problems(specs.problems)
    with _workshop(project, quiet=quiet, verbose=verbose) as (shop, opened, voice):
        try:
            report = _passes(
                shop,
                opened,
                voice,
                specs,
                everything=not selectors,
                wait=wait,
                poll_interval=poll_interval,
                if_locked=if_locked,
            )
        except LockHeld as error:
            if if_locked == "fail":
                raise
            voice.say(f"{error}; skipped")
            return 2 if specs.problems else 0
        return _conclude(report, specs, voice)


@click.command()
@click.argument("job", metavar="JOB")
@click.pass_obj
def cancel(directory: Path, job: str) -> int:
    """Cancel what is in flight of JOB and collect what was answered."""
    from runner.ledger import runs as run_steps
    from runner.ledger.records import RunState

    project = open_project(directory)
    specs, name = _one_job(project, job, directory)
    with _workshop(project) as (shop, opened, voice):
        from runner.reconcile.lock import locked

        with locked(project.ledger, wait=True):
            open_runs = [
                run for run in shop.ledger.runs() if run.job == name and not run.state.final
            ]
            for run in open_runs:
                run_steps.request_cancel(shop.ledger, run)
        if not open_runs:
            voice.say(f"{name}: nothing is in flight")
            return 0
        report = _passes(shop, opened, voice, specs, everything=False, wait=False, if_locked="wait")
        left = [run for run in shop.ledger.runs() if run.job == name and not run.state.final]
        if left:
            voice.say(
                f"{name}: the provider may take some minutes; `runner reconcile` collects what "
                f"was answered"
            )
        elif report.states.get(name) is RunState.CANCELLED:
            voice.say(f"{name}: cancelled")
        return _conclude(report, specs, voice)


@click.command()
@click.argument("job", metavar="JOB")
@click.pass_obj
def retry(directory: Path, job: str) -> int:
    """Ask the unanswered requests of JOB again, permanent failures included."""
    from runner.ledger import runs as run_steps
    from runner.reconcile.overview import overview

    project = open_project(directory)
    specs, wanted = find_job(project, job, directory)
    with _workshop(project) as (shop, opened, voice):
        from runner.reconcile.lock import locked

        with locked(project.ledger, wait=True):
            [view] = overview(project, [wanted], shop.ledger)
            run = next(
                (
                    run
                    for run in shop.ledger.runs()
                    if run.job == wanted.name and run.short == view.revision
                ),
                None,
            )
            if run is None:
                raise UsageError(
                    f"{wanted.name} has never been run as its spec stands; run "
                    f"`runner reconcile {wanted.name}`"
                )
            if not run.state.final:
                voice.say(f"{wanted.name}: still {run.state}; it goes on by itself")
            elif run.succeeded == run.requests:
                voice.say(f"{wanted.name}: every request is answered; nothing to ask again")
                return 0
            else:
                run_steps.reopen_run(shop.ledger, run, next_round=True, attempts=wanted.attempts)
        report = _passes(shop, opened, voice, specs, everything=False, wait=False, if_locked="wait")
        return _conclude(report, specs, voice)


def _one_job(project: Project, job: str, directory: Path) -> tuple[Specs, str]:
    """Return the specs that select a job; one whose spec is gone selects nothing but its name."""
    try:
        specs, wanted = find_job(project, job, directory)
    except UsageError:
        from runner.ledger.store import Ledger
        from runner.spec.job import Specs

        ledger = Ledger.open_read_only(project.ledger, clock=time.time)
        if ledger is None:
            raise
        with ledger:
            if not any(run.job == job for run in ledger.runs()):
                raise
        everything = open_specs(project, (), directory)
        return (
            Specs(jobs=everything.jobs, selected=(), problems=(), complete=everything.complete),
            job,
        )
    return specs, wanted.name


@contextlib.contextmanager
def _workshop(
    project: Project, *, quiet: bool = False, verbose: bool = False
) -> Iterator[tuple[Workshop, Providers, Voice]]:
    from runner.cli.voice import Voice
    from runner.ledger.store import Ledger
    from runner.reconcile.workshop import Workshop

    voice = Voice(quiet=quiet, verbose=verbose)
    with (
        voice,
        Ledger.open(project.ledger, clock=time.time) as ledger,
        providers(project) as opened,
    ):
        yield (
            Workshop(
                project=project,
                ledger=ledger,
                open_api=opened.open,
                clock=time.time,
                tell=voice.tell,
                progress=voice.progress,
            ),
            opened,
            voice,
        )


def _passes(
    shop: Workshop,
    opened: Providers,
    voice: Voice,
    specs: Specs,
    *,
    everything: bool,
    wait: bool,
    if_locked: str,
    poll_interval: float | None = None,
) -> PassReport:
    """Make one pass, or passes to the end; the embedded provider gets time to work."""
    from runner.reconcile.lock import locked
    from runner.reconcile.loop import reconcile_until_done
    from runner.reconcile.passes import reconcile_once

    if wait:
        return reconcile_until_done(
            shop,
            specs,
            everything=everything,
            sleep=_sleeper(opened),
            poll_interval=poll_interval,
            wait_for_lock=if_locked == "wait",
            waiting=voice.waiting,
        )
    with locked(shop.ledger.path, wait=if_locked == "wait"):
        report = reconcile_once(shop, specs, everything=everything)
        if opened.embedded is not None and not report.settled:
            opened.embedded.work(_LOCAL_SLICE)
            report = reconcile_once(shop, specs, everything=everything)
    return report


def _sleeper(opened: Providers) -> Callable[[float], None]:
    """Return a sleep that ends early when the embedded provider has nothing left to do."""

    def sleep(seconds: float) -> None:
        if opened.embedded is None or opened.embedded.work(seconds):
            time.sleep(seconds if opened.embedded is None else 0)

    return sleep


def _conclude(report: PassReport, specs: Specs, voice: Voice) -> int:
    """Say what is left to say, and choose the exit code."""
    from runner.ledger.records import RunState
    from runner.report.words import plural

    print_problems(report.problems)
    states = list(report.states.values())
    if not report.changed and not report.trouble:
        voice.idle(
            f"nothing to do: {plural(len(states), 'job')} as the specs ask for"
            if report.settled
            else f"nothing to do now: {plural(len(report.waits), 'batch')} in flight"
        )
    if specs.problems or report.problems:
        return 2
    bad = any(state in (RunState.FAILED, RunState.PARTIAL) for state in states)
    return int(bad or report.trouble)
