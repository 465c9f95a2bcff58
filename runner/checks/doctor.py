"""What could keep runner from its work: the project, its ledger, its disks and this machine.

Each check is a sentence about how things stand, and one about what to do if they could stand
better. Nothing is changed and nothing is repaired: a ledger of an earlier version stays one.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from runner.errors import LedgerDamaged, LedgerError
from runner.ledger.connection import file_system, on_network_file_system
from runner.ledger.migrations import MIGRATIONS
from runner.ledger.peek import schema_number, sqlite_version
from runner.ledger.store import Ledger
from runner.outputs.provenance import git_state, tool_versions, uncommitted
from runner.reconcile.lock import holder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from runner.ledger.records import Run
    from runner.spec.job import Job, Specs
    from runner.spec.project import Project


_PYTHONS: Final = ((3, 11), (3, 13))
"""The first and the last version that the tests run on."""

_COPIES: Final = 3
"""How much disk an input may come to take: its answers as downloaded, sorted, and on their way."""

_LEAST_FREE: Final = 100_000_000
"""Bytes below which a disk counts as full."""

_GIGABYTE: Final = 1e9
_SHOWN: Final = 3


class CheckStatus(StrEnum):
    """How a check went; only a failure keeps runner from working."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check: what was looked at, how it stands, and what to do unless all is well."""

    check: str
    health: CheckStatus
    what: str
    remedy: str | None = None


def ok(check: str, what: str) -> CheckResult:
    """Return a finding that needs nothing done."""
    return CheckResult(check=check, health=CheckStatus.OK, what=what)


def warn(check: str, what: str, remedy: str) -> CheckResult:
    """Return a finding that deserves a look."""
    return CheckResult(check=check, health=CheckStatus.WARN, what=what, remedy=remedy)


def fail(check: str, what: str, remedy: str) -> CheckResult:
    """Return a finding that keeps runner from working."""
    return CheckResult(check=check, health=CheckStatus.FAIL, what=what, remedy=remedy)


def check_versions() -> Iterator[CheckResult]:
    """Look at what runs runner."""
    versions = tool_versions()
    first, last = _PYTHONS
    where = f"{versions.python} on {platform.system()} {platform.machine()}"
    if first <= sys.version_info[:2] <= last:
        yield ok("python", where)
    else:
        tested = f"{first[0]}.{first[1]} to {last[0]}.{last[1]}"
        yield warn("python", where, f"runner is tested with {tested}: use one of these")
    libraries = {"runner": versions.runner, **versions.dependencies, "SQLite": sqlite_version()}
    yield ok("versions", ", ".join(f"{name} {version}" for name, version in libraries.items()))


def check_project(project: Project, specs: Specs) -> Iterator[CheckResult]:
    """Look at what the project asks for, and whether git has it."""
    if project.config_file is None:
        yield ok("project", f"{project.root}, without runner.yaml: the defaults")
    else:
        yield ok("project", f"{project.root}")
    if specs.problems:
        count = _counted(len(specs.problems), "problem")
        yield fail("specs", f"{count} in the specs", "`runner validate` shows where")
    elif not specs.jobs:
        yield warn("specs", "there is no job", "write a spec, or begin with `runner init`")
    else:
        yield ok("specs", f"{_counted(len(specs.jobs), 'job')}, no problem")
    yield _git(project)


def _git(project: Project) -> CheckResult:
    state = git_state(project.root)
    if state is None:
        return warn(
            "git",
            "the project is in no git repository with a commit, or git is not there",
            "commit the specs, so that results can be traced to them: `git init`, `git add .`, "
            "`git commit`",
        )
    changed = uncommitted(project.root, project.specs)
    if changed is None:
        return warn("git", "git did not say what is committed", "look at `git status`")
    if changed:
        return warn(
            "git",
            f"not committed: {_some(changed)}",
            "commit the specs before you reconcile, so that results can be traced to them",
        )
    return ok("git", f"the specs are as in commit {state.commit[:12]}")


def check_ledger(project: Project, clock: Callable[[], float]) -> Iterator[CheckResult]:
    """Look at the ledger: whether it can be read and is whole, where it lies, who is at it."""
    path = project.ledger
    shown = _shown(path, project)
    number = schema_number(path)
    if number is not None and number < len(MIGRATIONS):
        yield warn(
            "ledger",
            f"{shown} is of an earlier version (schema {number} of {len(MIGRATIONS)})",
            "nothing: the next reconcile brings it up to date",
        )
    else:
        yield _ledger(path, shown, clock)
    kind = file_system(path) or "of a kind that cannot be told here"
    if on_network_file_system(path):
        yield warn(
            "file system",
            f"the ledger lies on {kind}, a network file system, where locks may not hold",
            "put it on a local disk: `ledger:` in runner.yaml",
        )
    else:
        yield ok("file system", f"of the ledger: {kind}")
    who = holder(path)
    yield ok("lock", "free" if who is None else f"held by {who}: a reconcile is at work")


def _ledger(path: Path, shown: str, clock: Callable[[], float]) -> CheckResult:
    try:
        ledger = Ledger.open_read_only(path, clock=clock)
        if ledger is None:
            return ok("ledger", f"{shown}: none yet; the first reconcile makes it")
        with ledger:
            ledger.check()
            runs = len(ledger.runs())
    except LedgerDamaged as error:
        return fail("ledger", str(error), "`runner rebuild`")
    except LedgerError as error:
        return fail("ledger", str(error), "mend that; a lost ledger is remade by `runner rebuild`")
    return ok("ledger", f"{shown}: whole, {_counted(runs, 'run')}")


def check_disk(project: Project, specs: Specs, runs: Sequence[Run]) -> Iterator[CheckResult]:
    """Look at where results go: whether they may, whether they fit, and where the links lead."""
    place = _existing(project.outputs)
    if project.outputs.exists() and not project.outputs.is_dir():
        yield fail("outputs", f"{project.outputs} is no folder", "move it, or name another folder")
    elif os.access(place, os.W_OK | os.X_OK):
        yield ok("outputs", f"{_shown(project.outputs, project)} can be written")
    else:
        yield fail(
            "outputs",
            f"{place} cannot be written",
            "change its owner or mode, or name another folder: `outputs:` in runner.yaml",
        )
    yield _room(place, _wanted(specs.jobs, runs))
    yield _links(project, specs.jobs)


def _room(place: Path, wanted: int) -> CheckResult:
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return warn("disk", f"how much is free cannot be told: {error.strerror}", "look with `df`")
    told = f"{free / _GIGABYTE:,.1f} GB free"
    if wanted >= _LEAST_FREE:
        told += f"; the jobs that are not finished may take {wanted / _GIGABYTE:,.1f} GB"
    if free < max(wanted, _LEAST_FREE):
        return warn(
            "disk", told, "make room: a full disk stops a reconcile, though nothing is lost"
        )
    return ok("disk", told)


def _wanted(jobs: Sequence[Job], runs: Sequence[Run]) -> int:
    """Estimate the bytes that jobs without a finished run will write."""
    finished = {run.job for run in runs if run.state.final}
    total = 0
    for job in jobs:
        if job.name not in finished:
            try:
                total += job.input.stat().st_size
            except OSError:  # it was there a moment ago: a pass will say so
                continue
    return total * _COPIES


def _links(project: Project, jobs: Sequence[Job]) -> CheckResult:
    astray = []
    count = 0
    for job in jobs:
        folder = project.root / job.output if job.output else project.outputs / job.name
        link = folder / "latest"
        if link.is_symlink() and link.exists():
            count += 1
        elif os.path.lexists(link):
            astray.append(_shown(link, project))
    if astray:
        return warn(
            "latest",
            f"no link to results: {_some(astray)}",
            "move it away; the next reconcile makes the link again",
        )
    return ok("latest", f"{_counted(count, 'link')} to results" if count else "no results yet")


def recorded_runs(project: Project, clock: Callable[[], float]) -> Sequence[Run]:
    """Return the runs in the ledger; none where it cannot be read as it is."""
    number = schema_number(project.ledger)
    if number != len(MIGRATIONS):
        return ()
    try:
        ledger = Ledger.open_read_only(project.ledger, clock=clock)
        if ledger is None:
            return ()
        with ledger:
            return ledger.runs()
    except LedgerError:  # `check_ledger` says so
        return ()


def _shown(path: Path, project: Project) -> str:
    """Name a path as the project does: from its root, if it lies inside."""
    return str(path.relative_to(project.root) if path.is_relative_to(project.root) else path)


def _existing(path: Path) -> Path:
    """Return a path, or the nearest folder above it that is there."""
    return next(each for each in (path, *path.parents) if each.exists() or each == each.parent)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
