"""The command `runner schedule`."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from runner.cli.exit_codes import Command
from runner.cli.output import note, print_problems, write_output
from runner.cli.session import open_project, open_specs
from runner.errors import UsageError
from runner.extras import named, requirement
from runner.spec.permissions import needed_permissions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.report.schedule import Scheduler
    from runner.spec.job import Specs
    from runner.spec.project import Project, Provider


_LONGEST_NAME: Final = 40
_UNQUOTED: Final = re.compile(r"[A-Za-z0-9._/-]+", re.ASCII)
_UNFIT: Final = re.compile(r"[^a-z0-9]+")


@click.command(cls=Command)
@click.option("--cron", is_flag=True, help="A line of a crontab.")
@click.option("--systemd", is_flag=True, help="A service and a timer of your user's systemd.")
@click.option("--github-actions", is_flag=True, help="A workflow of GitHub Actions.")
@click.option("--kubernetes", is_flag=True, help="A CronJob and the volume that keeps its state.")
@click.option(
    "--every",
    metavar="TIME",
    default="10m",
    show_default=True,
    help="The interval: a time that divides an hour or a day, such as 5m, 1h or 1d.",
)
@click.pass_obj
def schedule(
    directory: Path,
    *,
    cron: bool,
    systemd: bool,
    github_actions: bool,
    kubernetes: bool,
    every: str,
) -> int:
    """Print a cron, systemd, GitHub Actions or Kubernetes schedule.

    The schedule runs `runner reconcile` at an interval. It is on stdout, with the paths of this
    machine; the steps that put it into effect are on stderr. Changes nothing. Name exactly one of
    --cron, --systemd, --github-actions and --kubernetes.
    """
    from runner.report.schedule import (
        Interval,
        Scheduler,
        ScheduleTarget,
        render_schedule,
        schedule_notes,
    )

    options = {
        Scheduler.CRON: cron,
        Scheduler.SYSTEMD: systemd,
        Scheduler.GITHUB_ACTIONS: github_actions,
        Scheduler.KUBERNETES: kubernetes,
    }
    if sum(options.values()) != 1:
        raise click.UsageError("name one of --cron, --systemd, --github-actions, --kubernetes")
    [scheduler] = [name for name, given in options.items() if given]
    try:
        interval = Interval.parse(every)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--every") from error
    project = open_project(directory)
    extras = tuple(_extras(project))
    specs = open_specs(project, (), directory)
    print_problems(specs.problems)
    target = ScheduleTarget(
        name=_UNFIT.sub("-", project.root.name.lower()).strip("-")[:_LONGEST_NAME] or "project",
        program=_program(),
        folder=_printable(str(project.root)),
        variables=tuple(dict.fromkeys(_variables(project, specs))),
        package=named(extras),
        requirement=requirement(extras),
        every=interval,
        needs_agreement=bool(needed_permissions(project, directory)),
    )
    elsewhere = scheduler in (Scheduler.GITHUB_ACTIONS, Scheduler.KUBERNETES)
    if elsewhere:
        ledger, outputs = _state_folders(project)
        target = replace(
            target,
            repository_folder=_repository_folder(project.root),
            ledger=ledger,
            outputs=outputs,
            needs_agreement=bool(project.permissions),
        )
    write_output(render_schedule(scheduler, target, read_templates(scheduler)))
    for text in schedule_notes(scheduler, target):
        note(f"note: {text}")
    for text in _warnings(project, specs) if elsewhere else ():
        note(f"note: {text}")
    return 2 if specs.problems else 0


def read_templates(scheduler: Scheduler) -> list[str]:
    """Read the templates of a schedule."""
    from runner.report.schedule import TEMPLATES

    folder = resources.files("runner.cli").joinpath("template")
    return [folder.joinpath(name).read_text("utf-8") for name in TEMPLATES[scheduler]]


def _program() -> str:
    """Return the path of the installed command `runner`. Raises UsageError."""
    installed = Path(sys.executable).with_name("runner")
    found = str(installed) if os.access(installed, os.X_OK) else shutil.which("runner")
    if found is None:
        raise UsageError("the command `runner` is not on the PATH; install it")
    return _printable(str(Path(found).absolute()))


def _printable(path: str) -> str:
    """Return a path that can be written on one line. Raises UsageError for any other."""
    if not path.isprintable():
        raise UsageError(f"the path {path!r} cannot be written into a schedule; rename the folder")
    return path


def _repository_folder(root: Path) -> str:
    """Return the project's folder relative to its repository; `.` at its root, or without one."""
    for folder in (root, *root.parents):
        if (folder / ".git").exists():
            return _unquoted(root.relative_to(folder).as_posix())
    return "."


def _unquoted(path: str) -> str:
    """Return a path that needs no quotes in YAML and the shell. Raises UsageError."""
    if not _UNQUOTED.fullmatch(path):
        raise UsageError(
            f"{path} cannot be written into a workflow or a manifest; rename the folder to letters,"
            " digits, dots, dashes and underscores"
        )
    return path


def _state_folders(project: Project) -> list[str]:
    """Return the folders of the ledger and of the outputs, relative to the project.

    The schedule keeps these two folders between passes, and no other file of the project. Raises
    UsageError where one of them is not a folder of its own inside the project.
    """
    folders = []
    kept = (
        ("ledger", "is not in a folder of its own", project.ledger.parent),
        ("outputs", "are not in a folder of their own", project.outputs),
    )
    for name, flaw, folder in kept:
        folder = Path(os.path.abspath(folder))  # noqa: PTH100, PLW2901 -- keeps links
        if folder == project.root or not folder.is_relative_to(project.root):
            raise UsageError(
                f"the {name} of this project {flaw} inside it ({folder}): name one under "
                f"`{name}` in runner.yaml"
            )
        folders.append(_unquoted(folder.relative_to(project.root).as_posix()))
    return folders


def _providers(project: Project, specs: Specs) -> list[Provider]:
    """Return the providers of the specs; the default one if there is no spec yet."""
    names = {job.provider.name for job in specs.jobs} or {project.default_provider}
    return [project.providers[name] for name in sorted(names)]


def _variables(project: Project, specs: Specs) -> Iterator[str]:
    """Yield the names of the environment variables that a pass needs."""
    for provider in _providers(project, specs):
        if provider.api_key_env is not None:
            yield provider.api_key_env
        if provider.name == "openai" and os.environ.get("OPENAI_BASE_URL", "").strip():
            yield "OPENAI_BASE_URL"
        yield from (header.variable for header in provider.account)
    addresses = [getattr(hook.channel, "address", None) for hook in project.hooks]
    for address in (*addresses, project.ping):
        if address is not None and address.variable is not None:
            yield address.variable


def _extras(project: Project) -> Iterator[str]:
    """Yield the extras that a pass over the project needs on another machine."""
    from runner.spec.notifications import ChatChannel

    if any(isinstance(hook.channel, ChatChannel) for hook in project.hooks):
        yield "notify"
    if any(provider.max_enqueued_tokens for provider in project.providers.values()):
        yield "tokens"


def _warnings(project: Project, specs: Specs) -> Iterator[str]:
    """Yield a warning for each part of the project that is only on this machine."""
    for provider in _providers(project, specs):
        if provider.embedded:
            yield f"the provider {provider.name} runs only during a pass, on the same machine"
        elif provider.loopback:
            yield f"the provider {provider.name} is on this machine, at {provider.base_url}"
        if provider.api_key_env is None and provider.key_source is not None:
            yield f"the API key of {provider.name} must be in {provider.key_source} there, too"
    for address in [
        *(getattr(hook.channel, "address", None) for hook in project.hooks),
        project.ping,
    ]:
        if address is not None and address.file is not None:
            yield f"a URL must be in {address.file} there, too"
