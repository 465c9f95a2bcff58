"""The command `runner notify`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from runner.cli.exit_codes import Command
from runner.cli.output import colours, note, width, write_output
from runner.cli.session import open_project, require_agreement
from runner.errors import MissingExtra, NotDelivered

if TYPE_CHECKING:
    from pathlib import Path

    from runner.cli.session import TrustedProject
    from runner.spec.project import Project


@click.command(cls=Command)
@click.option("--test", is_flag=True, help="Send a test message to each hook.")
@click.pass_obj
def notify(directory: Path, *, test: bool) -> int:
    """List the notification hooks of runner.yaml, and whether their last messages arrived.

    With --test, sends a test message to each hook and exits with 1 if one does not accept it.
    """
    project = open_project(directory)
    if not project.hooks:
        note("no notification hooks; add them under `notify` in runner.yaml")
        return 0
    if test:
        return _send_sample_messages(require_agreement(project, directory))
    return _list(project)


def _list(project: Project) -> int:
    from runner.ledger.notifications import subscribers
    from runner.ledger.store import Ledger
    from runner.report.hooks import render_hooks

    known = {}
    ledger = Ledger.open_read_only(project.ledger, clock=time.time)
    if ledger is not None:
        with ledger:
            known = subscribers(ledger)
    pairs = [(hook, known.get(hook.id)) for hook in project.hooks]
    write_output(render_hooks(pairs, width=width(), colours=colours()))
    return 0


def _send_sample_messages(project: TrustedProject) -> int:
    from runner.notify.deliver import error_with_output, send
    from runner.notify.message import sample_message
    from runner.report.hooks import render_sample
    from runner.spec.project import Environment

    message = sample_message(project=project.root.name, at=time.time())
    failed = False
    for hook in project.hooks:
        problem = None
        try:
            send(hook.channel, message, project, Environment())
        except (NotDelivered, MissingExtra) as error:
            problem, failed = error_with_output(error), True
        write_output(render_sample(hook, problem, colours=colours()))
    return int(failed)
