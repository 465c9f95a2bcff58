"""The commands for what went another way than runner's: adopt, rebuild, orphans."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import click

from runner.cli.completion import complete_jobs
from runner.cli.exit_codes import Command
from runner.cli.output import colours, note, print_problems, width, write_json, write_output
from runner.cli.project import find_job, open_project, open_specs, providers
from runner.cli.session import log_format, open_context
from runner.errors import InvalidInput, LedgerDamaged, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from runner.planning.state import DesiredRun
    from runner.reconcile.context import Context
    from runner.spec.job import Specs
    from runner.spec.project import Project


@click.command(cls=Command)
@click.argument("batch_id", metavar="BATCH_ID")
@click.option(
    "--job",
    metavar="NAME",
    required=True,
    shell_complete=complete_jobs,
    help="The job whose requests it asks.",
)
@log_format
@click.pass_obj
def adopt(directory: Path, batch_id: str, *, job: str) -> int:
    """Take over a batch that a notebook or another tool has made.

    Its requests are compared with those of the job, one by one; the next reconcile then follows
    and collects it as if runner had made it, and asks only what it leaves unanswered. Nothing is
    submitted.
    """
    from runner.reconcile.adopt_external import adopt_external
    from runner.reconcile.lock import locked

    if not batch_id.isprintable() or not batch_id.strip():
        raise UsageError("BATCH_ID is no id of a batch: it is empty or holds strange characters")
    project = open_project(directory)
    specs, _wanted = find_job(project, job, directory)
    with (
        open_context(project) as (context, _opened, _voice),
        locked(project.ledger, wait=True),
    ):
        context.ledger.require_in_place()
        adopt_external(context, _desired_run(context, specs), batch_id)
    return 0


def _desired_run(context: Context, specs: Specs) -> DesiredRun:
    """Return what the one selected job asks for. Raises InvalidInput or LocalFileError."""
    from runner.errors import LocalFileError
    from runner.reconcile.desired import resolve_desired

    made = resolve_desired(
        context.project, specs.selected, context.ledger.runs(), None, context.ledger, writing=True
    )
    if made.problems:
        raise InvalidInput(made.problems)
    for why in made.unread.values():
        raise LocalFileError(why)
    [desired] = made.desired_runs
    return desired


@click.command(cls=Command)
@click.option("--force", is_flag=True, help="Do so even if the ledger that is there is sound.")
@log_format
@click.pass_obj
def rebuild(directory: Path, *, force: bool) -> int:
    """Make the ledger anew from the outputs on disk and from what the providers list.

    The ledger that is there is kept under another name. Submits nothing, collects nothing;
    `runner reconcile` then goes on. Needed only for a damaged ledger: a reconcile that finds none
    does the same for the jobs of the specs.
    """
    from runner.reconcile.lock import locked
    from runner.reconcile.rebuild import rebuild as fill
    from runner.reconcile.rebuild import set_aside
    from runner.text import plural

    project = open_project(directory)
    specs = open_specs(project, (), directory)
    print_problems(specs.problems)
    with locked(project.ledger):
        runs = None if force else _sound(project)
        if runs is not None:
            raise UsageError(
                f"the ledger {project.ledger} is sound and knows {plural(runs, 'run')}; to put it "
                f"aside and make a new one all the same, say --force"
            )
        aside = set_aside(project.ledger, now=time.time())
        if aside is not None:
            note(f"the ledger that was there is {aside} now")
        with open_context(project) as (context, _opened, console):
            made = fill(context, specs)
            report = made.report
            console.clear_display()
            console.troubles(report)
            print_problems(report.problems)
    found = sum(1 for state in report.states.values() if not state.final and state != "pending")
    note(
        f"rebuilt {project.ledger}: {plural(made.restored, 'finished run')} from the outputs, "
        f"{plural(found, 'job')} with batches at a provider; nothing was submitted"
    )
    if specs.problems or report.problems:
        return 2
    return int(report.trouble or made.left_out > 0)


def _sound(project: Project) -> int | None:
    """Return how many runs a usable ledger knows; None for none, an empty or a damaged one."""
    from runner.ledger.store import Ledger

    with contextlib.suppress(LedgerDamaged):
        ledger = Ledger.open_read_only(project.ledger, clock=time.time)
        if ledger is not None:
            with ledger:
                ledger.check()
                return len(ledger.runs()) or None
    return None


@click.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.pass_obj
def orphans(directory: Path, *, to_json: bool) -> int:
    """List batches and files at the providers that carry runner's keys and belong to no job here.

    Another ledger's, those of a spec that is gone, or made twice by hand. Deletes nothing.
    Exits with 1 if a provider could not be asked.
    """
    from runner.ledger.store import Ledger
    from runner.reconcile.desired import resolve_desired
    from runner.report.orphans import orphans_json, render_orphans
    from runner.views.orphans import find_orphans

    project = open_project(directory)
    specs = open_specs(project, (), directory)
    print_problems(specs.problems)
    with contextlib.ExitStack() as stack:
        ledger = Ledger.open_read_only(project.ledger, clock=time.time)
        if ledger is not None:
            stack.enter_context(ledger)
        runs = ledger.runs() if ledger is not None else ()
        made = resolve_desired(project, specs.selected, runs, None, ledger, writing=False)
        print_problems(made.problems)
        names = {job.provider.name for job in specs.selected} | {run.provider for run in runs}
        named = {
            name for name, provider in project.providers.items() if name not in ("openai", "local")
        }
        asked = sorted((names | named) & project.providers.keys()) or [project.default_provider]
        opened = stack.enter_context(providers(project))
        found = find_orphans(made.desired_runs, ledger, asked, opened.open)
    for name, why in found.unasked.items():
        note(f"{name}: {why}")
    if to_json:
        write_json(orphans_json(found))
    else:
        write_output(render_orphans(found, width=width(), colours=colours()))
    if specs.problems or made.problems:
        return 2
    return int(bool(found.unasked))
