"""Opening what a command works on: the project, its specs, its ledger, its providers."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import TYPE_CHECKING

from runner.errors import Unauthorized, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from runner.api.client import Client
    from runner.ledger.store import Ledger
    from runner.local.provider import LocalProvider
    from runner.spec.job import Job, Specs
    from runner.spec.project import Project


def open_project(directory: Path) -> Project:
    """Find the project that a folder belongs to. Raises UsageError or InvalidInput."""
    from runner.spec.credentials import Environment
    from runner.spec.project import find_project

    return find_project(directory, Environment())


def open_specs(
    project: Project, selectors: Sequence[str], directory: Path, *, known: Iterable[str] = ()
) -> Specs:
    """Read all specs and select some; selectors are tried from `directory` first.

    `known` are names of jobs that may be selected even if they have no spec any more.
    """
    from runner.spec.load import load_specs

    return load_specs(project, selectors, start=directory.absolute(), known=known)


def find_job(project: Project, name: str, directory: Path) -> tuple[Specs, Job]:
    """Return the specs with one job selected. Raises UsageError or InvalidInput."""
    from runner.errors import InvalidInput

    specs = open_specs(project, [name], directory)
    if len(specs.selected) == 1:
        return specs, specs.selected[0]
    if specs.problems:
        raise InvalidInput(specs.problems)
    raise UsageError(_not_one(name, [job.name for job in specs.selected]))


def find_known(
    project: Project, name: str, directory: Path, ledger: Ledger | None
) -> tuple[str, Job | None]:
    """Return a job's name and what its spec says, None where the ledger alone knows it.

    Raises UsageError or InvalidInput.
    """
    from runner.errors import InvalidInput

    specs = open_specs(project, [name], directory, known=recorded_jobs(ledger))
    found = [*((job.name, job) for job in specs.selected), *((gone, None) for gone in specs.gone)]
    if len(found) == 1:
        return found[0]
    if specs.problems:
        raise InvalidInput(specs.problems)
    raise UsageError(_not_one(name, [each for each, _ in found]))


def _not_one(selector: str, names: list[str]) -> str:
    from runner.text import listed, plural

    return f"{selector} names {plural(len(names), 'job')} ({listed(names)}); name one"


def recorded_jobs(ledger: Ledger | None) -> frozenset[str]:
    """Return the names of the jobs that something was done for."""
    from runner.ledger.queries import jobs_with_runs

    return frozenset() if ledger is None else jobs_with_runs(ledger)


@contextlib.contextmanager
def recorded(project: Project) -> Iterator[Ledger | None]:
    """Open the ledger for looking only; None if there is none yet. Raises LedgerError."""
    from runner.ledger.store import Ledger

    ledger = Ledger.open_read_only(project.ledger, clock=time.time)
    with ledger or contextlib.nullcontext():
        yield ledger


class Providers:
    """Opens providers by name, the embedded one with its server; closes them all at the end."""

    def __init__(
        self, project: Project, *, environ: Mapping[str, str], stack: contextlib.ExitStack
    ) -> None:
        self._project = project
        self._environ = environ
        self._stack = stack
        self.embedded: LocalProvider | None = None

    def open(self, name: str) -> Client:
        """Open a provider.

        Raises Unauthorized where its key cannot be had or the project does not know it (any
        more), MissingExtra where the embedded one lacks its libraries.
        """
        from runner.api.client import Client

        provider = self._project.providers.get(name)
        if provider is None:
            raise Unauthorized(
                f"provider {name} is not configured in runner.yaml any more; put it back, so that "
                f"what is in flight there can be collected",
                provider=name,
                call="open",
            )
        if provider.embedded:
            from runner.local.provider import LocalProvider

            self.embedded = self._stack.enter_context(
                LocalProvider(self._project.ledger.parent / "local")
            )
            provider = dataclasses.replace(provider, base_url=self.embedded.base_url)
        key = provider.api_key(self._environ)
        if provider.api_key_env is not None and key is None:
            raise Unauthorized(
                f"{provider.api_key_env} is not set, and provider {name} needs a key; nothing was "
                f"sent to it",
                provider=name,
                call="open",
            )
        return self._stack.enter_context(Client(provider, key, sleep=time.sleep))


@contextlib.contextmanager
def providers(project: Project) -> Iterator[Providers]:
    """Give a way to open the project's providers; closes what was opened."""
    from runner.spec.credentials import Environment

    with contextlib.ExitStack() as stack:
        yield Providers(project, environ=Environment(), stack=stack)


def clock() -> Callable[[], float]:
    """Return the clock of this machine, in Unix seconds."""
    return time.time
