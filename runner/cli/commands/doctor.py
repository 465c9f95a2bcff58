"""The command `runner doctor`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click

from runner.cli.exit_codes import Command
from runner.cli.options import json_option
from runner.cli.output import colours, width, write_json, write_output
from runner.cli.session import (
    find_project_here,
    open_specs,
    refuse_project_above,
    require_agreement,
)
from runner.errors import InvalidInput, UsageError
from runner.spec.permissions import needed_permissions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.api.client import Client
    from runner.checks.doctor import CheckResult
    from runner.spec.project import Provider, Secret


_TIMEOUT: Final = 10.0
"""Seconds for a provider to respond: less than in a pass, since a user waits for the result."""


@click.command(cls=Command)
@click.option(
    "--provider",
    metavar="NAME",
    help="Check this provider instead of those that the specs use.",
)
@click.option("--offline", is_flag=True, help="Connect to no provider, and run no command.")
@json_option("Print the checks as JSON.")
@click.pass_obj
def doctor(directory: Path, provider: str | None, *, offline: bool, as_json: bool) -> int:
    """Check the installation, the project and its providers, and say how to fix problems.

    Checks versions, specs, git, ledger, file system, lock, free space, links, and the settings
    `notify`, `ping` and `metrics`; for each provider its API key, whether it responds, and its
    clock. Changes nothing and sends no message; each provider gets one request, for its newest
    batches, and one for its files if it has no batches. Exits with 1 if a check fails, not for
    warnings. Without --offline, the user has to have agreed to what runner.yaml does; see `runner
    trust --help`.
    """
    from runner.checks.doctor import CheckStatus

    results = tuple(_run_checks(directory, provider, offline=offline))
    if as_json:
        from runner.report.doctor import doctor_json

        write_json(doctor_json(results))
    else:
        from runner.report.doctor import render_doctor

        write_output(render_doctor(results, width=width(), colours=colours()))
    return int(any(result.health is CheckStatus.FAIL for result in results))


def _run_checks(directory: Path, named: str | None, *, offline: bool) -> Iterator[CheckResult]:
    from runner.checks import doctor
    from runner.checks.doctor import check_hooks, check_provider, providers_in_use
    from runner.spec.job import Specs
    from runner.spec.project import Environment
    from runner.text import one_of

    yield from doctor.check_versions()
    try:
        project = find_project_here(directory)
    except InvalidInput as error:
        first, *others = error.problems
        more = f", and {len(others)} more" if others else ""
        yield doctor.fail("project", f"{first}{more}", "fix runner.yaml; the rest was not checked")
        return
    if offline:
        refuse_project_above(project, directory)
    else:
        require_agreement(project, directory)
    if named is not None and named not in project.providers:
        known = one_of(named, sorted(project.providers))
        raise UsageError(f'"{named}" is not a provider of this project; {known}')
    try:
        specs = open_specs(project, (), directory)
    except UsageError:  # the project has no specs folder
        specs = Specs(jobs=(), selected=(), problems=(), complete=False)
    yield from doctor.check_project(project, specs)
    permissions = needed_permissions(project, directory)
    yield from doctor.check_agreement(project, permissions, Environment())
    yield from doctor.check_ledger(project, time.time)
    yield from doctor.check_disk(project, specs, doctor.recorded_runs(project, time.time))
    yield from check_hooks(project, Environment())
    chosen = [project.providers[named]] if named else providers_in_use(project, specs)
    for each in chosen:
        yield from check_provider(each, Environment(), None if offline else _client)


def _client(provider: Provider, key: Secret | None) -> Client:
    """Open a client with a short timeout and without retries."""
    from runner.api.client import Client
    from runner.api.retry import RetryPolicy, Timeouts

    return Client(
        provider,
        key,
        policy=RetryPolicy(tries=1),
        timeouts=Timeouts(
            connect=_TIMEOUT, read=_TIMEOUT, write=_TIMEOUT, pool=_TIMEOUT, reply=3 * _TIMEOUT
        ),
    )
