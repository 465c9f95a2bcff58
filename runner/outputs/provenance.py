"""The provenance of a run: versions of runner, Python and libraries, and the state of git."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from runner.outputs.record import ToolVersions

_DEPENDENCIES: Final = ("httpx", "msgspec", "pydantic", "pyyaml", "sqlite-utils", "tenacity")
GIT_TIMEOUT: Final = 10.0
"""Seconds for each git command; a working tree on a network disk can take forever."""

_READ_ONLY: Final = {
    "GIT_OPTIONAL_LOCKS": "0",  # no index refresh: reading changes no file
    "GIT_NO_LAZY_FETCH": "1",  # a partial clone is not completed over the network
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}

_NO_PROGRAMS: Final = (
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "protocol.allow=never"),  # for a git that does not know GIT_NO_LAZY_FETCH
    *("-c", "safe.bareRepository=explicit"),  # files of a clone that look like a repository
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GitState:
    """The state of a git repository, as `run.json` has it (`RecordedGit`).

    `branch` is None on a detached head, `dirty` if git took too long.
    """

    commit: str
    branch: str | None
    dirty: bool | None


def tool_versions() -> ToolVersions:
    """Return the versions of runner, Python, the platform and the installed libraries."""
    import platform
    from importlib import metadata

    from runner.outputs.record import ToolVersions

    dependencies: dict[str, str] = {}
    for name in _DEPENDENCIES:
        try:
            dependencies[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # vendored or left out of an installation
            continue
    return ToolVersions(
        runner=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        dependencies=dependencies,
    )


def git_state(root: Path) -> GitState | None:
    """Return the state of the repository that holds `root`.

    None where there is no repository, no commit, or no git. Changes nothing and starts no hook,
    filter or file monitor of the repository's configuration. Ignores the environment variables by
    which git's hooks name another repository.
    """
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if not commit:
        return None
    branch = _git(root, "symbolic-ref", "--quiet", "--short", "HEAD")
    changes = _status(root, "--untracked-files=no")
    return GitState(
        commit=commit, branch=branch or None, dirty=None if changes is None else bool(changes)
    )


def git_json(root: Path) -> str | None:
    """Return the state of the repository that holds `root` as the ledger stores it: JSON."""
    state = git_state(root)
    return None if state is None else json.dumps(dataclasses.asdict(state))


def uncommitted(root: Path, folder: Path) -> tuple[str, ...] | None:
    """Return the files below a folder with uncommitted changes, without the ignored files.

    Paths are relative to the repository's root. None without a repository or git, or if git took
    too long.
    """
    listing = _status(root, "-z", "--untracked-files=all", "--", str(folder))
    if listing is None:
        return None
    # Each entry is two letters, a space and the path; a renamed file's old path follows bare.
    return tuple(entry[3:] for entry in listing.split("\0") if entry[2:3] == " ")


def _status(root: Path, *arguments: str) -> str | None:
    """Run `git status` without the filters that the repository itself defines.

    git runs them to compare a file whose time has changed. Submodules have a configuration of
    their own, so they are not entered. Source: gitattributes(5), "filter".
    """
    filters = _filters_off(root)
    if filters is None:
        return None
    changes = ("status", "--porcelain", "--ignore-submodules=dirty", *arguments)
    return _git(root, *filters, *changes)


def _filters_off(root: Path) -> list[str] | None:
    """Return options that replace the repository's filters by the user's own, or by none.

    None if git cannot list them, or if one has a name that no option can have.
    """
    listing = _git(root, "config", "--show-scope", "--null", "--list")
    if listing is None:
        return None
    # Each entry is the scope and, after a NUL, the key and its value on lines of their own.
    fields = listing.split("\0")
    own: dict[str, str] = {}
    theirs: dict[str, str] = {}
    for scope, entry in zip(fields[::2], fields[1::2], strict=False):
        key, _, value = entry.partition("\n")
        if key.startswith("filter."):
            (own if scope in {"system", "global"} else theirs)[key] = value
    if any("=" in key for key in theirs):
        return None
    none = {key: "false" if key.endswith(".required") else "" for key in theirs}
    replaced = none | {key: own[key] for key in theirs if key in own}
    return [part for key, value in replaced.items() for part in ("-c", f"{key}={value}")]


def _git(root: Path, *arguments: str) -> str | None:
    """Run git and return its output; None if it failed, is not installed or took too long."""
    try:
        done = subprocess.run(  # noqa: S603
            git_command(root, *arguments),
            env=git_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=GIT_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").rstrip() if done.returncode == 0 else None


def git_command(root: Path, *arguments: str) -> list[str]:
    """Return the command line for git in the repository that holds `root`."""
    return ["git", *_NO_PROGRAMS, "-C", str(root), *arguments]


def git_environment() -> dict[str, str]:
    """Return an environment in which git changes nothing and does not prompt.

    The variables of git itself are left out: inside a hook of git, `GIT_DIR` and others name the
    repository of the hook, not that of the job.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return environment | _READ_ONLY
