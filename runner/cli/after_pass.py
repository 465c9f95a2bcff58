"""What follows a pass: who is told of it, the ping, the metrics, and what is said of troubles."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from runner.errors import LocalFileError, NotDelivered

if TYPE_CHECKING:
    from runner.cli.console import Console
    from runner.errors import RunnerError
    from runner.notify.alerts import AlertChanges
    from runner.reconcile.context import Context
    from runner.reconcile.passes import PassReport
    from runner.spec.job import Specs
    from runner.spec.project import Project


def after_pass(
    context: Context,
    console: Console,
    specs: Specs,
    report: PassReport,
    *,
    everything: bool,
    code: int,
    seconds: float,
    in_short: bool = False,
) -> None:
    """Record which troubles there are, and tell everybody who wants to know of the pass.

    `code` is the exit code that it came to, `seconds` what it took. None of it changes either;
    what does not work is a sentence, said once. `in_short` leaves out what is told of each pass
    and not of what has changed: the ping and the metrics. Raises LedgerError.
    """
    _troubles(context, console, specs, report, everything=everything)
    project = context.project
    if project.hooks:
        from runner.notify.deliver import deliver
        from runner.spec.credentials import Environment

        deliver(context.ledger, project, environ=Environment(), warn=console.warn)
    if in_short:
        return
    if project.metrics is not None:
        _metrics(context, console, specs, code=code, seconds=seconds)
    if project.ping is not None:
        _ping(context, console, specs, report, code=code)


def tell_failure(project: Project, error: RunnerError) -> None:
    """Ping that a pass could not be made at all; the hooks' memory is what may be broken."""
    from runner.cli.output import note
    from runner.notify.ping import ping
    from runner.report.safe_text import plain
    from runner.spec.credentials import Environment

    if project.ping is None:
        return
    try:
        ping(
            project.ping,
            [plain(f"error: {error}")],
            code=error.exit_code,
            environ=Environment(),
            sleep=time.sleep,
        )
    except NotDelivered as failure:
        note(f"ping: {failure}")


def _troubles(
    context: Context, console: Console, specs: Specs, report: PassReport, *, everything: bool
) -> None:
    from runner.ledger.notifications import record_problems
    from runner.notify.alerts import collect_alerts, compare_alerts

    troubles = collect_alerts(report, specs, stopped=report.stopped)
    found = compare_alerts(
        context.ledger,
        troubles,
        report,
        specs,
        answered=context.providers.responded,
        everything=everything,
    )
    again = _said_again(found, console, now=context.clock())
    if found.began or found.over or again:
        record_problems(
            context.ledger,
            began={trouble.subject: trouble.what for trouble in found.began},
            over=found.over,
            said=again,
        )


def _said_again(found: AlertChanges, console: Console, *, now: float) -> list[str]:
    """Let the voice say what there is to say; returns what it says once more after a while."""
    if console.remind is None:
        return []
    from runner.text import span

    again = [
        trouble.subject
        for trouble, before in found.lasting
        if now - before.said_at >= console.remind
    ]
    console.suppress(
        sentence
        for trouble, _before in found.lasting
        if trouble.subject not in again
        for sentence in trouble.sentences
    )
    for trouble in found.over:
        console.say(f"over after {span(now - trouble.began_at)}: {trouble.what}")
    return again


def _metrics(
    context: Context, console: Console, specs: Specs, *, code: int, seconds: float
) -> None:
    from runner import __version__
    from runner.notify.metrics_file import write
    from runner.notify.subscribers import METRICS
    from runner.report.metrics import render_metrics
    from runner.views.totals import project_totals

    if context.project.metrics is None:
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
        write(context.project.metrics, text)
    except LocalFileError as error:
        _failed(context, console, METRICS, error)
    else:
        _worked(context, METRICS)


def _ping(
    context: Context, console: Console, specs: Specs, report: PassReport, *, code: int
) -> None:
    from runner.notify.ping import ping
    from runner.notify.subscribers import PING
    from runner.report.metrics import pass_lines
    from runner.spec.credentials import Environment

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
        _failed(context, console, PING, error)
    else:
        _worked(context, PING)


def _failed(context: Context, console: Console, name: str, error: RunnerError) -> None:
    """Say the first failure of several in a row."""
    from runner.ledger.notifications import record_failed_delivery, subscribers

    subscriber = subscribers(context.ledger).get(name)
    if subscriber is None or not subscriber.failures:
        console.warn(f"{name}: {error}; it is tried again")
    if subscriber is not None:
        record_failed_delivery(context.ledger, subscriber, str(error))


def _worked(context: Context, name: str) -> None:
    from runner.ledger.notifications import record_recovery, subscribers

    subscriber = subscribers(context.ledger).get(name)
    if subscriber is not None and subscriber.failures:
        record_recovery(context.ledger, subscriber)
