"""The checks of `runner doctor`: the installation, the project, its providers and its hooks.

Each result says what was checked and, if something is wrong, what the user can do about it.
Nothing is changed: a ledger of an earlier version is not migrated.

A provider gets one request, for the first page of its batches, which costs nothing. It shows
whether the provider can be reached, accepts the API key and lists batches, by which lost ones are
found, and what its clock says. A server that does not know the path is asked for its files too:
without these either, it has no Batch API. Offline no request is made, and no command is run for an
API key. No message is sent and no hook is run; `runner notify --test` does that. Passes work
without notifications, so a problem with these is only a warning. No result contains an API key or
the URL of a hook; it says where they come from.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from runner.checks.agreement import AGREES, not_agreed
from runner.errors import (
    ApiError,
    InvalidInput,
    LedgerDamaged,
    LedgerError,
    NotDelivered,
    NotOffered,
    Unauthorized,
    Unreachable,
)
from runner.extras import how_to_install
from runner.ledger.connection import file_system, on_network_file_system
from runner.ledger.migrations import MIGRATIONS
from runner.ledger.peek import schema_number, sqlite_version
from runner.ledger.store import Ledger
from runner.outputs.files import read_latest
from runner.outputs.provenance import git_state, tool_versions, uncommitted
from runner.reconcile.lock import holder
from runner.spec.notifications import ChatChannel, CommandChannel
from runner.text import listed, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from runner.api.client import Client
    from runner.ledger.records import Run
    from runner.spec.job import Job, Specs
    from runner.spec.notifications import Address, Hook
    from runner.spec.permissions import Permission
    from runner.spec.project import Project, Provider, Secret


_PYTHONS: Final = ((3, 11), (3, 13))
"""The first and the last version that the tests run on."""

_COPIES: Final = 3
"""Disk space for a job, in sizes of its input: results downloaded, sorted and being written."""

_LEAST_FREE: Final = 100_000_000
"""Free bytes below which a disk counts as full."""

_GIGABYTE: Final = 1e9
_NOT_FOUND: Final = 404


class CheckStatus(StrEnum):
    """The status of a check; only with a failure runner cannot work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The result of one check; `remedy` is what the user can do, None if all is well."""

    check: str
    health: CheckStatus
    what: str
    remedy: str | None = None


def ok(check: str, what: str) -> CheckResult:
    """Return a result that requires no action."""
    return CheckResult(check=check, health=CheckStatus.OK, what=what)


def warn(check: str, what: str, remedy: str) -> CheckResult:
    """Return a result that the user should look into."""
    return CheckResult(check=check, health=CheckStatus.WARN, what=what, remedy=remedy)


def fail(check: str, what: str, remedy: str) -> CheckResult:
    """Return a result with which runner cannot work."""
    return CheckResult(check=check, health=CheckStatus.FAIL, what=what, remedy=remedy)


def check_versions() -> Iterator[CheckResult]:
    """Check the versions of Python and of the libraries."""
    versions = tool_versions()
    first, last = _PYTHONS
    python = f"{versions.python} on {platform.system()} {platform.machine()}"
    if first <= sys.version_info[:2] <= last:
        yield ok("python", python)
    else:
        tested = f"{first[0]}.{first[1]} to {last[0]}.{last[1]}"
        yield warn("python", python, f"runner is tested with {tested}: use one of these")
    libraries = {"runner": versions.runner, **versions.dependencies, "SQLite": sqlite_version()}
    yield ok("versions", ", ".join(f"{name} {version}" for name, version in libraries.items()))


def check_project(project: Project, specs: Specs) -> Iterator[CheckResult]:
    """Check the specs, and whether they are committed."""
    if project.config_file is None:
        yield ok("project", f"{project.root}, without runner.yaml: the defaults")
    else:
        yield ok("project", f"{project.root}")
    if specs.problems:
        count = plural(len(specs.problems), "problem")
        yield fail("specs", f"{count} in the specs", "`runner validate` shows where")
    elif not specs.jobs:
        yield warn("specs", "there is no job", "write a spec, or begin with `runner init`")
    else:
        yield ok("specs", f"{plural(len(specs.jobs), 'job')}, no problem")
    yield _check_git(project)


def check_agreement(
    project: Project, permissions: Sequence[Permission], environ: Mapping[str, str]
) -> Iterator[CheckResult]:
    """Check whether the user has agreed to what the project runs and sends, if it needs that."""
    try:
        missing = not_agreed(project, permissions, environ)
    except InvalidInput as error:
        yield fail("trust", str(error), f"do that, or set {AGREES}")
        return
    if missing:
        yield warn(
            "trust",
            f"you have not agreed to {plural(len(missing), 'permission')} that the project needs",
            "`runner trust --show` lists them, `runner trust` agrees: until then no pass is made",
        )
    elif permissions:
        yield ok("trust", f"you have agreed to {plural(len(permissions), 'permission')}")


def _check_git(project: Project) -> CheckResult:
    state = git_state(project.root)
    if state is None:
        return warn(
            "git",
            "the project is in no git repository with a commit, or git is not installed",
            "commit the specs, so that results can be traced to them: `git init`, `git add .`, "
            "`git commit`",
        )
    changed = uncommitted(project.root, project.specs)
    if changed is None:
        return warn("git", "git could not list the uncommitted files", "check `git status`")
    if changed:
        return warn(
            "git",
            f"not committed: {listed(changed)}",
            "commit the specs before you reconcile, so that results can be traced to them",
        )
    return ok("git", f"the specs are as in commit {state.commit[:12]}")


def check_ledger(project: Project, clock: Callable[[], float]) -> Iterator[CheckResult]:
    """Check the ledger: that it can be read and is whole, its file system, and its lock."""
    path = project.ledger
    shown = _relative(path, project)
    number = schema_number(path)
    if number is not None and number < len(MIGRATIONS):
        yield warn(
            "ledger",
            f"{shown} is of an earlier version (schema {number} of {len(MIGRATIONS)})",
            "nothing to do: the next reconcile migrates it",
        )
    else:
        yield _check_ledger_file(path, shown, clock)
    kind = file_system(path) or "of an unknown kind"
    if on_network_file_system(path):
        yield warn(
            "file system",
            f"the ledger is on {kind}, a network file system, where locks may not hold",
            "put it on a local disk: `ledger:` in runner.yaml",
        )
    else:
        yield ok("file system", f"of the ledger: {kind}")
    found = holder(path)
    yield ok("lock", "free" if found is None else f"held by {found}: a reconcile is running")


def _check_ledger_file(path: Path, shown: str, clock: Callable[[], float]) -> CheckResult:
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
        return fail("ledger", str(error), "fix that; `runner rebuild` makes a lost ledger again")
    return ok("ledger", f"{shown}: intact, {plural(runs, 'run')}")


def check_disk(project: Project, specs: Specs, runs: Sequence[Run]) -> Iterator[CheckResult]:
    """Check the outputs folder: that it can be written, its free space, and the `latest` links."""
    folder = _nearest_existing(project.outputs)
    if project.outputs.exists() and not project.outputs.is_dir():
        yield fail("outputs", f"{project.outputs} is no folder", "move it, or name another folder")
    elif os.access(folder, os.W_OK | os.X_OK):
        yield ok("outputs", f"{_relative(project.outputs, project)} can be written")
    else:
        yield fail(
            "outputs",
            f"{folder} cannot be written",
            "change its owner or mode, or name another folder: `outputs:` in runner.yaml",
        )
    yield _check_free_space(folder, _needed_bytes(specs.jobs, runs))
    yield _check_links(project, specs.jobs)


def _check_free_space(folder: Path, needed: int) -> CheckResult:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return warn("disk", f"the free space is not known: {error.strerror}", "check with `df`")
    text = f"{free / _GIGABYTE:,.1f} GB free"
    if needed >= _LEAST_FREE:
        text += f"; the jobs that are not finished may take {needed / _GIGABYTE:,.1f} GB"
    if free < max(needed, _LEAST_FREE):
        return warn(
            "disk", text, "make room: a full disk stops a reconcile, though nothing is lost"
        )
    return ok("disk", text)


def _needed_bytes(jobs: Sequence[Job], runs: Sequence[Run]) -> int:
    """Estimate the bytes that jobs without a finished run will write."""
    finished = {run.job for run in runs if run.state.final}
    total = 0
    for job in jobs:
        if job.name not in finished:
            try:
                total += job.input.stat().st_size
            except OSError:  # removed since the specs were read: a pass reports it
                continue
    return total * _COPIES


def _check_links(project: Project, jobs: Sequence[Job]) -> CheckResult:
    not_links = []
    count = 0
    for job in jobs:
        folder = project.root / job.output if job.output else project.outputs / job.name
        link = folder / "latest"
        named = read_latest(folder)
        if named is not None and (folder / named).exists():
            count += 1
        elif os.path.lexists(link):
            not_links.append(_relative(link, project))
    if not_links:
        return warn(
            "latest",
            f"no link to results: {listed(not_links)}",
            "move it away; the next reconcile makes the link again",
        )
    return ok("latest", f"{plural(count, 'link')} to results" if count else "no results yet")


def recorded_runs(project: Project, clock: Callable[[], float]) -> Sequence[Run]:
    """Return the runs in the ledger; none if it cannot be read or has an earlier schema."""
    number = schema_number(project.ledger)
    if number != len(MIGRATIONS):
        return ()
    try:
        ledger = Ledger.open_read_only(project.ledger, clock=clock)
        if ledger is None:
            return ()
        with ledger:
            return ledger.runs()
    except LedgerError:  # reported by `check_ledger`
        return ()


def _relative(path: Path, project: Project) -> str:
    """Return a path relative to the root of the project, if it is inside."""
    return str(path.relative_to(project.root) if path.is_relative_to(project.root) else path)


def _nearest_existing(path: Path) -> Path:
    """Return a path, or the nearest folder above it that exists."""
    return next(each for each in (path, *path.parents) if each.exists() or each == each.parent)


_MOST_APART: Final = 30.0
"""Seconds that two clocks may differ without a warning."""

_LOCAL: Final = ("numpy", "python_multipart", "safetensors", "starlette", "tokenizers", "uvicorn")
"""The libraries of the extra `local`, by the names of their modules."""


def providers_in_use(project: Project, specs: Specs) -> Sequence[Provider]:
    """Return the providers that the specs name; the default provider if there is no spec."""
    names = {job.provider.name for job in specs.jobs} or {project.default_provider}
    return [project.providers[name] for name in sorted(names)]


def check_provider(
    provider: Provider,
    environ: Mapping[str, str],
    open_client: Callable[[Provider, Secret | None], Client] | None,
) -> Iterator[CheckResult]:
    """Check one provider; if `open_client` is None, no request is sent to it."""
    if provider.max_enqueued_tokens is not None and find_spec("toktok") is None:
        yield warn(
            f"{provider.name}: tokens",
            "max_enqueued_tokens is set, and prompt tokens are estimated, not counted",
            f"for exact counts: {how_to_install('tokens')}",
        )
    if provider.embedded:
        yield _check_extra(provider)
        return
    if open_client is None and provider.api_key_command is not None:
        yield ok(f"{provider.name}: key", f"{provider.key_source}, which was not run")
        return
    try:
        key = provider.api_key(environ)
    except Unauthorized as error:
        yield fail(f"{provider.name}: key", str(error), "fix that, or name another source")
        return
    found = _check_key(provider, key)
    yield found
    if found.remedy is None and open_client is not None:
        with open_client(provider, key) as client:
            yield from _check_list(provider, client)


def _check_extra(provider: Provider) -> CheckResult:
    missing = [name for name in _LOCAL if find_spec(name) is None]
    if missing:
        return fail(
            f"{provider.name}: extra",
            f"not installed: {', '.join(missing)}",
            how_to_install("local"),
        )
    return ok(f"{provider.name}: extra", "its libraries are installed")


def _check_key(provider: Provider, key: Secret | None) -> CheckResult:
    check = f"{provider.name}: key"
    source = provider.key_source
    if source is None:
        return ok(check, "none is configured, and none is sent")
    if key is None:
        return fail(
            check,
            f"{source} is not set",
            f"set it in the environment that runner starts in, as in `export {source}=...`; cron "
            f"has an environment of its own",
        )
    account = "".join(f"; {each.variable} is {each.value!r}" for each in provider.account)
    return ok(check, f"from {source}; it is not shown{account}")


def _check_list(provider: Provider, client: Client) -> Iterator[CheckResult]:
    check = f"{provider.name}: list"
    try:
        listing = client.list_batches(enough=lambda _: True)
    except NotOffered as error:
        if _is_unknown(error) and _has_no_files(client):
            yield fail(
                check,
                f"this server has no Batch API: it knows neither GET /batches nor GET /files at "
                f"{provider.base_url}",
                "check base_url, which ends with /v1 at most servers; if it is right, choose "
                "another provider",
            )
        else:
            yield warn(
                check,
                str(error),
                "check base_url; at a provider without a list of batches, a response that is lost "
                "leaves a job to you",
            )
    except Unauthorized as error:
        yield fail(check, str(error), "use another API key, or give this one more rights")
    except Unreachable as error:
        yield fail(check, str(error), "fix base_url or the network")
    except ApiError as error:
        yield fail(
            check, str(error), "try again later; if the error stays the same, contact the provider"
        )
    else:
        if listing.invalid:
            yield warn(
                check,
                f"answers, but {listing.invalid:,} of the entries in its list cannot be read as a "
                f"batch ({'; '.join(listing.unreadable)})",
                "check base_url: is this a Batch API? If it is, ask the provider to correct or "
                "remove them: until then nothing is submitted",
            )
        else:
            yield ok(check, "responds, accepts the API key, lists its batches")
    if client.ahead is not None:
        yield _check_clock(provider, client.ahead)


def _is_unknown(error: NotOffered) -> bool:
    """Return whether the server does not know the path: one that knows it for POST answers 405."""
    return error.status == _NOT_FOUND


def _has_no_files(client: Client) -> bool:
    try:
        client.list_files(enough=lambda _: True)
    except ApiError as error:  # any other error says nothing about what the server offers
        return isinstance(error, NotOffered) and _is_unknown(error)
    return False


def _check_clock(provider: Provider, ahead: float) -> CheckResult:
    check = f"{provider.name}: clock"
    if abs(ahead) <= _MOST_APART:
        return ok(check, "agrees with this machine's")
    direction = "behind" if ahead > 0 else "ahead of"
    return warn(
        check,
        f"this machine's clock is {abs(ahead):,.0f} s {direction} the provider's",
        "set it, best by NTP: deadlines and the search for lost batches depend on it",
    )


def check_hooks(project: Project, environ: Mapping[str, str]) -> Iterator[CheckResult]:
    """Check the hooks, the ping and the file of metrics, if the project has them."""
    if project.hooks:
        found = [(hook, _hook_problem(hook, environ)) for hook in project.hooks]
        missing = [f"{hook}: {problem}" for hook, problem in found if problem is not None]
        if missing:
            yield warn(
                "notify",
                "; ".join(missing),
                "fix that; cron has an environment of its own. `runner notify --test` then sends "
                "a sample to each",
            )
        else:
            names = ", ".join(map(str, project.hooks))
            yield ok("notify", f"{names}; `runner notify --test` sends a sample")
    if project.ping is not None:
        problem = _address_problem(project.ping, environ)
        if problem is None:
            yield ok("ping", f"to the URL in {project.ping}; it is not shown")
        else:
            yield warn("ping", problem, "fix that, or the check is not pinged")
    if project.metrics is not None:
        path = project.metrics
        if path.exists() and not path.is_file():
            yield warn("metrics", f"{path} is no file", "name another one in runner.yaml")
        else:
            yield ok("metrics", f"in {path}, written by each pass")


def _hook_problem(hook: Hook, environ: Mapping[str, str]) -> str | None:
    """Return the problem of a hook; None if there is none."""
    channel = hook.channel
    if isinstance(channel, CommandChannel):
        program = channel.arguments[0]
        if "/" in program:
            program = os.fspath(channel.folder / program)
        found = shutil.which(program, path=environ.get("PATH", os.defpath))
        return None if found else "the program does not exist or is not executable"
    if isinstance(channel, ChatChannel) and find_spec("apprise") is None:
        return f"e-mail and chats need apprise: {how_to_install('notify')}"
    return _address_problem(channel.address, environ)


def _address_problem(address: Address, environ: Mapping[str, str]) -> str | None:
    try:
        address.read(environ)
    except NotDelivered as error:
        return str(error)
    return None
