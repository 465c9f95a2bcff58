"""What follows a pass: who is told of it, the ping, the metrics, and what is said of troubles."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from runner.errors import LocalFileError, NotDelivered

if TYPE_CHECKING:
    from runner.cli.console import Voice
    from runner.errors import RunnerError
    from runner.notify.alerts import Development
    from runner.reconcile.context import Workshop
    from runner.reconcile.passes import PassReport
    from runner.spec.job import Specs
    from runner.spec.project import Project


def after_pass(
    shop: Workshop,
    voice: Voice,
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
    _troubles(shop, voice, specs, report, everything=everything)
    project = shop.project
    if project.hooks:
        from runner.notify.deliver import deliver
        from runner.spec.credentials import Environment

        deliver(shop.ledger, project, environ=Environment(), warn=voice.warn)
    if in_short:
        return
    if project.metrics is not None:
        _metrics(shop, voice, specs, code=code, seconds=seconds)
    if project.ping is not None:
        _ping(shop, voice, specs, report, code=code)


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
    shop: Workshop, voice: Voice, specs: Specs, report: PassReport, *, everything: bool
) -> None:
    from runner.ledger.notifications import note_troubles
    from runner.notify.alerts import develop, met

    troubles = met(report, specs, stopped=shop.stopped)
    found = develop(
        shop.ledger, troubles, report, specs, answered=shop.answered, everything=everything
    )
    again = _said_again(found, voice, now=shop.clock())
    if found.began or found.over or again:
        note_troubles(
            shop.ledger,
            began={trouble.subject: trouble.what for trouble in found.began},
            over=found.over,
            said=again,
        )


def _said_again(found: Development, voice: Voice, *, now: float) -> list[str]:
    """Let the voice say what there is to say; returns what it says once more after a while."""
    if voice.remind is None:
        return []
    from runner.text import span

    again = [
        trouble.subject for trouble, before in found.lasting if now - before.said_at >= voice.remind
    ]
    voice.hush(
        sentence
        for trouble, _before in found.lasting
        if trouble.subject not in again
        for sentence in trouble.sentences
    )
    for trouble in found.over:
        voice.say(f"over after {span(now - trouble.began_at)}: {trouble.what}")
    return again


def _metrics(shop: Workshop, voice: Voice, specs: Specs, *, code: int, seconds: float) -> None:
    from runner import __version__
    from runner.notify.metrics_file import write
    from runner.notify.subscribers import METRICS
    from runner.report.metrics import render_metrics
    from runner.views.totals import figures

    if shop.project.metrics is None:
        return
    text = render_metrics(
        figures(specs.jobs, shop.ledger),
        project=str(shop.project.root),
        version=__version__,
        ended_at=shop.clock(),
        seconds=seconds,
        code=code,
    )
    try:
        write(shop.project.metrics, text)
    except LocalFileError as error:
        _failed(shop, voice, METRICS, error)
    else:
        _worked(shop, METRICS)


def _ping(shop: Workshop, voice: Voice, specs: Specs, report: PassReport, *, code: int) -> None:
    from runner.notify.ping import ping
    from runner.notify.subscribers import PING
    from runner.report.summary import pass_lines
    from runner.spec.credentials import Environment

    if shop.project.ping is None:
        return
    try:
        ping(
            shop.project.ping,
            pass_lines(report, specs.problems),
            code=code,
            environ=Environment(),
            sleep=time.sleep,
        )
    except NotDelivered as error:
        _failed(shop, voice, PING, error)
    else:
        _worked(shop, PING)


def _failed(shop: Workshop, voice: Voice, name: str, error: RunnerError) -> None:
    """Say the first failure of several in a row."""
    from runner.ledger.notifications import listeners, not_told

    listener = listeners(shop.ledger).get(name)
    if listener is None or not listener.failures:
        voice.warn(f"{name}: {error}; it is tried again")
    if listener is not None:
        not_told(shop.ledger, listener, str(error))


def _worked(shop: Workshop, name: str) -> None:
    from runner.ledger.notifications import listeners, works

    listener = listeners(shop.ledger).get(name)
    if listener is not None and listener.failures:
        works(shop.ledger, listener)
