"""The command that has passes made by something else: schedule."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from runner.cli.answer import answer, note, print_problems
from runner.cli.codes import Command
from runner.cli.project import open_project, open_specs
from runner.errors import UsageError
from runner.extras import named, requirement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.spec.job import Specs
    from runner.spec.project import Project, Provider

_LONGEST_NAME: Final = 40
_SIMPLE: Final = re.compile(r"[A-Za-z0-9._/-]+", re.ASCII)
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
    help="How often: a time that divides an hour or a day, such as 5m, 1h or 1d.",
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
    """Print what lets passes be made every so often, ready to be put in its place.

    The snippet is on stdout, with the paths of this machine; what to do with it on stderr. Changes
    nothing. Exactly one of the four is to be named.
    """
    from runner.report import schedule as here
    from runner.report import schedule_elsewhere as there

    wanted = {
        here.cron: cron,
        here.systemd: systemd,
        there.github_actions: github_actions,
        there.kubernetes: kubernetes,
    }
    if sum(wanted.values()) != 1:
        raise click.UsageError("name one of --cron, --systemd, --github-actions, --kubernetes")
    try:
        how_often = here.Every.read(every)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--every") from error
    project = open_project(directory)
    extras = tuple(_extras(project))
    specs = open_specs(project, (), directory)
    print_problems(specs.problems)
    elsewhere = github_actions or kubernetes
    place = here.Placement(
        name=_UNFIT.sub("-", project.root.name.lower()).strip("-")[:_LONGEST_NAME] or "project",
        program=_program(),
        folder=_fit(str(project.root)),
        within=_within_repository(project.root) if elsewhere else ".",
        state=_state(project) if elsewhere else (),
        variables=tuple(dict.fromkeys(_variables(project, specs))),
        package=named(extras),
        requirement=requirement(extras),
        every=how_often,
    )
    [render] = [snippet for snippet, asked in wanted.items() if asked]
    snippet, notes = render(place)
    answer(snippet)
    for told in [*notes, *(_warnings(project, specs) if elsewhere else ())]:
        note(f"note: {told}")
    return 2 if specs.problems else 0


def _program() -> str:
    """Return the path of the command as it is installed here; raises UsageError."""
    beside = Path(sys.executable).with_name("runner")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("runner")
    if found is None:
        raise UsageError(
            "the command `runner` is not installed where it could be found; install it"
        )
    return _fit(str(Path(found).absolute()))


def _fit(path: str) -> str:
    """Return a path that fits into a line of text; raises UsageError for any other."""
    if not path.isprintable():
        raise UsageError(f"the path {path!r} cannot be written into a snippet; rename the folder")
    return path


def _within_repository(root: Path) -> str:
    """Return the project's folder seen from its repository; `.` where it is that, or in none."""
    for folder in (root, *root.parents):
        if (folder / ".git").exists():
            return _simple(root.relative_to(folder).as_posix())
    return "."


def _simple(path: str) -> str:
    """Return a path that needs no quotes in any of three languages; raises UsageError."""
    if not _SIMPLE.fullmatch(path):
        raise UsageError(
            f"{path} cannot be written into a workflow or a manifest; rename the folder to letters,"
            " digits, dots, dashes and underscores"
        )
    return path


def _state(project: Project) -> tuple[str, ...]:
    """Return the folders of ledger and outputs, seen from the project; raises UsageError.

    They have to outlast what runs a pass elsewhere, and nothing else of the project may.
    """
    folders = []
    kept = (
        ("ledger", "is not in a folder of its own", project.ledger.parent),
        ("outputs", "are not in a folder of their own", project.outputs),
    )
    for name, flaw, folder in kept:
        folder = Path(os.path.abspath(folder))  # noqa: PTH100, PLW2901 -- links stay as they are
        if folder == project.root or not folder.is_relative_to(project.root):
            raise UsageError(
                f"the {name} of this project {flaw} inside it ({folder}): name one under "
                f"`{name}` in runner.yaml"
            )
        folders.append(_simple(folder.relative_to(project.root).as_posix()))
    return tuple(folders)


def _asked(project: Project, specs: Specs) -> list[Provider]:
    """Return the providers that the specs ask; the default one where there is no spec yet."""
    names = {job.provider.name for job in specs.jobs} or {project.default_provider}
    return [project.providers[name] for name in sorted(names)]


def _variables(project: Project, specs: Specs) -> Iterator[str]:
    """Name the variables that a pass needs."""
    for provider in _asked(project, specs):
        if provider.api_key_env is not None:
            yield provider.api_key_env
        if provider.name == "openai" and os.environ.get("OPENAI_BASE_URL", "").strip():
            yield "OPENAI_BASE_URL"
    addresses = [getattr(hook.way, "address", None) for hook in project.hooks]
    for address in (*addresses, project.ping):
        if address is not None and address.variable is not None:
            yield address.variable


def _extras(project: Project) -> Iterator[str]:
    """Name the extras that a pass over the project uses elsewhere."""
    from runner.spec.hooks import Chat

    if any(isinstance(hook.way, Chat) for hook in project.hooks):
        yield "notify"
    if any(provider.max_enqueued_tokens for provider in project.providers.values()):
        yield "tokens"


def _warnings(project: Project, specs: Specs) -> Iterator[str]:
    """Say what of the project is on this machine only."""
    for provider in _asked(project, specs):
        if provider.embedded:
            yield f"the provider {provider.name} works only while a pass does, and on its machine"
        elif provider.loopback:
            yield f"the provider {provider.name} is on this machine, at {provider.base_url}"
        if provider.api_key_env is None and provider.key_source is not None:
            yield f"the key of {provider.name} is to be in {provider.key_source} there, too"
    for address in [*(getattr(hook.way, "address", None) for hook in project.hooks), project.ping]:
        if address is not None and address.file is not None:
            yield f"a URL is to be in {address.file} there, too"
