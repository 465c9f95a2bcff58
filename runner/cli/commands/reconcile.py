"""The command `runner reconcile`."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from runner.cli.exit_codes import Command
from runner.cli.options import DURATION, SECONDS, log_format_option, specs_argument
from runner.cli.output import print_error
from runner.cli.session import (
    all_passes,
    conclude,
    one_pass,
    open_context,
    open_specs,
    open_trusted_project,
    retry_while_locked,
)
from runner.errors import InvalidInput, LockHeld, Problem, RunnerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.cli.session import TrustedProject
    from runner.planning.saved_plan import SavedPlan
    from runner.reconcile.passes import PassReport

_LONGEST_PASS: Final = 3600
"""Seconds after which a lock that is still held is a problem: a pass waits for no batch."""


@contextlib.contextmanager
def _pinging_failure(project: TrustedProject) -> Iterator[None]:
    """Ping an error that ends the pass; a lock held by another reconcile is not an error."""
    try:
        yield
    except LockHeld:
        raise
    except RunnerError as error:
        from runner.cli.after_pass import ping_failure

        ping_failure(project, error)
        raise


@click.command(cls=Command)
@specs_argument
@click.option("--wait", is_flag=True, help="Make passes until all selected jobs are final.")
@click.option(
    "--poll-interval",
    metavar="SECONDS",
    type=SECONDS,
    help="Seconds between passes with --wait; adaptive by default.",
)
@click.option(
    "--if-locked",
    type=click.Choice(["skip", "wait", "fail"]),
    default="skip",
    show_default=True,
    help="What to do while another reconcile holds the lock.",
)
@click.option(
    "--plan",
    "plan_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Apply the plan in FILE, saved by `runner plan -o FILE`; fail if it is out of date.",
)
@click.option(
    "--remind",
    metavar="TIME",
    type=DURATION,
    help="Without a terminal, repeat an ongoing problem at most once per TIME, such as 1d.",
)
@click.option(
    "--metrics",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write metrics for Prometheus to FILE after each pass.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
@click.option("-v", "--verbose", is_flag=True, help="Also report when there was nothing to do.")
@log_format_option
@click.pass_obj
def reconcile(  # noqa: PLR0913 -- its options
    directory: Path,
    selectors: tuple[str, ...],
    *,
    wait: bool,
    poll_interval: float | None,
    if_locked: str,
    plan_file: Path | None,
    remind: float | None,
    metrics: Path | None,
    quiet: bool,
    verbose: bool,
) -> int:
    """Make a pass: submit, observe and collect batches as the specs require.

    A pass is idempotent and does not wait for batches to finish: it validates specs and inputs,
    uploads and submits requests, observes batches, collects responses, and resubmits requests that
    did not succeed. SPEC is a spec file, a folder, a job name or a pattern of names such as
    'sent*'. Without SPEC, the pass is for all specs.
    """
    project = open_trusted_project(directory)
    saved_plan = None if plan_file is None else _load_plan(plan_file, selectors)
    if saved_plan is not None:
        selectors = saved_plan.terms.selection.selectors
        directory = project.root / saved_plan.terms.selection.folder
    if metrics is not None:
        project = dataclasses.replace(project, metrics=metrics.absolute())
    specs = open_specs(project, selectors, directory)
    with (
        _pinging_failure(project),
        open_context(
            project, quiet=quiet, verbose=verbose, remind=remind, problems=specs.problems
        ) as (
            context,
            opened,
            console,
        ),
    ):

        def passes() -> PassReport:
            everything, wait_for_lock = not selectors, if_locked == "wait"
            if wait:
                return all_passes(
                    context,
                    opened,
                    console,
                    specs,
                    everything=everything,
                    wait_for_lock=wait_for_lock,
                    poll_interval=poll_interval,
                    saved_plan=saved_plan,
                )
            return one_pass(
                context,
                opened,
                console,
                specs,
                everything=everything,
                wait_for_lock=wait_for_lock,
                saved_plan=saved_plan,
            )

        try:
            report = retry_while_locked(passes) if if_locked == "wait" else passes()
        except LockHeld as error:
            if if_locked == "fail":
                raise
            if error.since is not None and time.time() - error.since > _LONGEST_PASS:
                print_error(LockHeld(f"{error}: that is long for one pass; see whether it hangs"))
                return 2 if specs.problems else 1
            console.info(f"{error}; skipped", event="skipped")
            return 2 if specs.problems else 0
        return conclude(report, specs, console)


def _load_plan(path: Path, selectors: Sequence[str]) -> SavedPlan:
    """Read a plan that `runner plan -o FILE` has saved.

    Raises UsageError if SPECs are named as well, InvalidInput if the file is no plan that this
    version of runner has made.
    """
    from runner.planning.saved_plan import NO_PLAN, SavedPlan

    if selectors:
        raise UsageError(
            f"--plan {path} says which SPECs it is for; leave out {' '.join(selectors)}"
        )
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise InvalidInput([Problem(path=str(path), message=message)]) from error
    except UnicodeDecodeError as error:
        raise InvalidInput([Problem(path=str(path), message=NO_PLAN)]) from error
    return SavedPlan.read(text, shown=str(path))
