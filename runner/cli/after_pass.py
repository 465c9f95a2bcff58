"""The work after a pass: its exit code, its problems in the ledger, hooks, metrics and the ping."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from runner.errors import LocalFileError, NotDelivered
from runner.ledger.records import RunState

if TYPE_CHECKING:
    from runner.cli.console import Console
    from runner.cli.session import TrustedProject
    from runner.errors import RunnerError
    from runner.ledger.notifications import OpenProblem
    from runner.notify.alerts import AlertChanges
    from runner.reconcile.context import Context
    from runner.reconcile.passes import PassReport
    from runner.spec.job import Specs


def after_pass(
    context: Context,
    console: Console,
    specs: Specs,
    report: PassReport,
    *,
    everything: bool,
    seconds: float,
    changes_only: bool = False,
) -> PassReport:
    """Record the problems of a pass, notify the hooks, write the metrics and send the ping.

    `seconds` is the duration of the pass. A failure here does not change its exit code; it is
    printed once. `changes_only` leaves out the metrics and the ping, which belong to a pass and
    not to a change. Returns the report with the problems that are still open. Raises LedgerError.
    """
    report = _record_problems(context, console, specs, report, everything=everything)
    project = context.project
    if project.hooks:
        from runner.notify.deliver import deliver
        from runner.spec.project import Environment

        deliver(context.ledger, project, environ=Environment(), warn=console.warn)
    if changes_only:
        return report
    code = exit_code(report, specs)
    if project.metrics is not None:
        _write_metrics(context, console, specs, code=code, seconds=seconds)
    if project.ping is not None:
        _send_ping(context, console, specs, report, code=code)
    return report


def unresolved_text(problem: OpenProblem) -> str:
    """Return the message about a problem of an earlier pass that may not be over."""
    return f"not known to work again yet: {problem.what}"


def exit_code(report: PassReport, specs: Specs) -> int:
    """Return the exit code of a pass over these specs."""
    if specs.problems or report.problems:
        return 2
    bad = any(state in (RunState.FAILED, RunState.PARTIAL) for state in report.states.values())
    return int(bad or report.has_problem)


def ping_failure(project: TrustedProject, error: RunnerError) -> None:
    """Ping that a pass could not be made. Hooks are left out: their state is in the ledger."""
    from runner.cli.output import note
    from runner.notify.ping import ping
    from runner.spec.project import Environment
    from runner.text import printable

    if project.ping is None:
        return
    try:
        ping(
            project.ping,
            [printable(f"error: {error}")],
            code=error.exit_code,
            environ=Environment(),
            sleep=time.sleep,
        )
    except NotDelivered as failure:
        note(f"ping: {failure}", level="warning")


def _record_problems(
    context: Context, console: Console, specs: Specs, report: PassReport, *, everything: bool
) -> PassReport:
    from runner.ledger.notifications import record_problems
    from runner.notify.alerts import collect_alerts, compare_alerts

    alerts = collect_alerts(report, specs, stopped=report.stopped)
    changes = compare_alerts(context.ledger, alerts, report, specs, everything=everything)
    repeated = _print_problems(changes, console, now=context.clock())
    reworded = {
        alert.subject: alert.what
        for alert, recorded in changes.ongoing
        if alert.what != recorded.what
    }
    if changes.began or changes.over or changes.dropped or repeated or reworded:
        record_problems(
            context.ledger,
            began={alert.subject: alert.what for alert in changes.began},
            over=changes.over,
            reworded=reworded,
            dropped=changes.dropped,
            repeated=repeated,
        )
    return dataclasses.replace(report, unresolved=changes.unresolved)


def _print_problems(changes: AlertChanges, console: Console, *, now: float) -> list[str]:
    """Print the problems that are new, due for a reminder or over.

    Returns the subjects of which the user was reminded. Without reminders nothing is printed:
    the console has printed each problem when it occurred.
    """
    if console.remind_after is None:
        return []
    from runner.report.history import over_text

    open_problems = [
        *((recorded, alert.messages) for alert, recorded in changes.ongoing),
        *((problem, {unresolved_text(problem)}) for problem in changes.unresolved),
    ]
    repeated = [
        recorded.subject
        for recorded, _messages in open_problems
        if now - recorded.notified_at >= console.remind_after
    ]
    console.suppress(
        message
        for recorded, messages in open_problems
        if recorded.subject not in repeated
        for message in messages
    )
    for gone, problems in ((False, changes.over), (True, changes.dropped)):
        for problem in problems:
            lasted = now - problem.began_at
            console.info(over_text(problem.subject, problem.what, lasted, gone=gone))
    return repeated


def _write_metrics(
    context: Context, console: Console, specs: Specs, *, code: int, seconds: float
) -> None:
    from runner import __version__
    from runner.notify.alerts import METRICS
    from runner.notify.metrics_file import write
    from runner.report.metrics import render_metrics
    from runner.views.totals import project_totals

    path = context.project.metrics
    if path is None:
        return
    text = render_metrics(
        project_totals(specs.jobs, context.ledger),
        project=str(context.project.root),
        version=__version__,
        ended_at=context.clock(),
        seconds=seconds,
        code=code,
    )
    try:
        write(path, text, within=context.project.base_of(path.parent))
    except LocalFileError as error:
        _record_failure(context, console, METRICS, error)
    else:
        _record_success(context, METRICS)


def _send_ping(
    context: Context, console: Console, specs: Specs, report: PassReport, *, code: int
) -> None:
    from runner.notify.alerts import PING
    from runner.notify.ping import ping
    from runner.report.metrics import pass_lines
    from runner.spec.project import Environment

    if context.project.ping is None:
        return
    try:
        ping(
            context.project.ping,
            pass_lines(report, specs.problems),
            code=code,
            environ=Environment(),
            sleep=time.sleep,
        )
    except NotDelivered as error:
        _record_failure(context, console, PING, error)
    else:
        _record_success(context, PING)


def _record_failure(context: Context, console: Console, name: str, error: RunnerError) -> None:
    """Record a failed ping or metrics file; print the first of several in a row."""
    from runner.ledger.notifications import record_failed_delivery, subscribers

    subscriber = subscribers(context.ledger).get(name)
    if subscriber is None or not subscriber.failures:
        console.warn(f"{name}: {error}; the next pass tries again")
    if subscriber is not None:
        record_failed_delivery(context.ledger, subscriber, str(error))


def _record_success(context: Context, name: str) -> None:
    from runner.ledger.notifications import record_recovery, subscribers

    subscriber = subscribers(context.ledger).get(name)
    if subscriber is not None and subscriber.failures:
        record_recovery(context.ledger, subscriber)
