"""The command `runner schedule`."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from runner import __version__
from runner.cli.exit_codes import Command
from runner.cli.output import note, print_problems, write_output
from runner.cli.session import open_project, open_specs
from runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.spec.job import Specs
    from runner.spec.project import Project, Provider


_MAX_NAME: Final = 40
_SIMPLE: Final = re.compile(r"[A-Za-z0-9._/-]+", re.ASCII)
_UNFIT: Final = re.compile(r"[^a-z0-9]+")


@click.command(cls=Command)
@click.option("--cron", is_flag=True, help="Print a line for a crontab.")
@click.option(
    "--systemd", is_flag=True, help="Print a service and a timer for the systemd of your user."
)
@click.option("--github-actions", is_flag=True, help="Print a workflow for GitHub Actions.")
@click.option(
    "--kubernetes", is_flag=True, help="Print a CronJob and a volume claim for its state."
)
@click.option(
    "--every",
    metavar="TIME",
    default="10m",
    show_default=True,
    help="The time between passes; it must divide an hour or a day, such as 5m, 1h or 1d.",
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
    """Print a cron, systemd, GitHub Actions or Kubernetes schedule for passes.

    The schedule goes to stdout, with the paths of this machine; instructions go to stderr. Changes
    nothing. Exactly one of --cron, --systemd, --github-actions and --kubernetes is required.
    """
    from runner.report import schedule as local
    from runner.report import schedule_elsewhere as remote

    renderers = {
        local.cron: cron,
        local.systemd: systemd,
        remote.github_actions: github_actions,
        remote.kubernetes: kubernetes,
    }
    if sum(renderers.values()) != 1:
        raise click.UsageError("name one of --cron, --systemd, --github-actions, --kubernetes")
    try:
        interval = local.Interval.read(every)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--every") from error
    project = open_project(directory)
    specs = open_specs(project, (), directory)
    print_problems(specs.problems)
    is_remote = github_actions or kubernetes
    target = local.ScheduleTarget(
        name=_UNFIT.sub("-", project.root.name.lower()).strip("-")[:_MAX_NAME] or "project",
        program=_program(),
        folder=_printable(str(project.root)),
        within=_within_repository(project.root) if is_remote else ".",
        state=_state(project) if is_remote else (),
        variables=tuple(dict.fromkeys(_variables(project, specs))),
        requirement=_requirement(project),
        every=interval,
    )
    [render] = [renderer for renderer, chosen in renderers.items() if chosen]
    snippet, notes = render(target)
    write_output(snippet)
    for message in [*notes, *(_warnings(project, specs) if is_remote else ())]:
        note(f"note: {message}")
    return 2 if specs.problems else 0


def _program() -> str:
    """Return the path of the installed command `runner`. Raises UsageError."""
    next_to_python = Path(sys.executable).with_name("runner")
    found = str(next_to_python) if os.access(next_to_python, os.X_OK) else shutil.which("runner")
    if found is None:
        raise UsageError(
            "the command `runner` is neither next to this Python nor on PATH; install it"
        )
    return _printable(str(Path(found).absolute()))


def _printable(path: str) -> str:
    """Return a path that can be printed in one line. Raises UsageError for any other."""
    if not path.isprintable():
        raise UsageError(
            f"the path {path!r} contains characters that cannot be printed; rename the folder"
        )
    return path


def _within_repository(root: Path) -> str:
    """Return the path of the project in its git repository; `.` at the root or without one."""
    for folder in (root, *root.parents):
        if (folder / ".git").exists():
            return _simple(root.relative_to(folder).as_posix())
    return "."


def _simple(path: str) -> str:
    """Return a path that needs no quotes in YAML, shell or git patterns. Raises UsageError."""
    if not _SIMPLE.fullmatch(path):
        raise UsageError(
            f"{path} cannot be used in a workflow or a manifest; rename the folder: only letters,"
            " digits, dots, dashes and underscores are allowed"
        )
    return path


def _state(project: Project) -> tuple[str, ...]:
    """Return the folders of the ledger and the outputs, as paths in the project.

    These folders must be kept between passes on another machine, and no other file may be in them.
    Raises UsageError if one is the project itself or outside it.
    """
    folders = []
    kept = (
        ("ledger", "is not in its own folder", project.ledger.parent),
        ("outputs", "are not in their own folder", project.outputs),
    )
    for name, flaw, folder in kept:
        folder = Path(os.path.abspath(folder))  # noqa: PTH100, PLW2901 -- links stay as they are
        if folder == project.root or not folder.is_relative_to(project.root):
            raise UsageError(
                f"the {name} of this project {flaw} inside it ({folder}): set one with `{name}` "
                f"in runner.yaml"
            )
        folders.append(_simple(folder.relative_to(project.root).as_posix()))
    return tuple(folders)


def _used_providers(project: Project, specs: Specs) -> list[Provider]:
    """Return the providers that the specs use; the default provider if there is no spec yet."""
    names = {job.provider.name for job in specs.jobs} or {project.default_provider}
    return [project.providers[name] for name in sorted(names)]


def _variables(project: Project, specs: Specs) -> Iterator[str]:
    """Yield the names of the environment variables that a pass needs."""
    for provider in _used_providers(project, specs):
        if provider.api_key_env is not None:
            yield provider.api_key_env
        if provider.name == "openai" and os.environ.get("OPENAI_BASE_URL", "").strip():
            yield "OPENAI_BASE_URL"
    addresses = [getattr(hook.way, "address", None) for hook in project.hooks]
    for address in (*addresses, project.ping):
        if address is not None and address.variable is not None:
            yield address.variable


def _requirement(project: Project) -> str:
    """Return the requirement that pip must install, with the extras that the project uses."""
    from runner.spec.notifications import ChatChannel

    extras = []
    if any(isinstance(hook.way, ChatChannel) for hook in project.hooks):
        extras.append("notify")
    if any(provider.max_enqueued_tokens for provider in project.providers.values()):
        extras.append("tokens")
    listed = f"[{','.join(extras)}]" if extras else ""
    return f"batch-runner{listed}=={__version__}"


def _warnings(project: Project, specs: Specs) -> Iterator[str]:
    """Yield a warning for each thing that the project needs and only this machine has."""
    for provider in _used_providers(project, specs):
        if provider.embedded:
            yield f"the provider {provider.name} works only during a pass, on its machine"
        elif provider.loopback:
            yield f"the provider {provider.name} runs on this machine, at {provider.base_url}"
        if provider.api_key_env is None and provider.key_source is not None:
            yield f"the API key of {provider.name} must be in {provider.key_source} there as well"
    for address in [*(getattr(hook.way, "address", None) for hook in project.hooks), project.ping]:
        if address is not None and address.file is not None:
            yield f"the URL in {address.file} must be in that file there as well"
