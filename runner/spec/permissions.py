"""The permissions that a project needs: what it runs, where it sends, what others can change in it.

A project that was cloned is data until its user agrees to these. Everything else in `runner.yaml`
is harmless: it can neither run something, nor send something to an address that the user has not
chosen, nor lead out of the project. No agreement is needed for a provider on this machine, as long
as no command is run for it, nor for a built-in provider with its own variable at its own address.

A new field of `runner.yaml` belongs to one of the two kinds; tests/spec/test_permissions.py fails
until it is there.

`runner.yaml`, the folders of the specs and the ledger have to belong to the user or to root, and
nobody else may be able to write there, as is asked of a key file. Otherwise they need agreement
too. On many systems each user has a group of their own, and files are writable for it. Nobody else
is in it, so that does not count: as OpenSSH on those systems sees it.
"""

from __future__ import annotations

import json
import os
import shlex
import stat
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from runner.errors import Problem
from runner.spec.notifications import ChatChannel, CommandChannel, WebhookChannel
from runner.spec.project import OPENAI_BASE_URL
from runner.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runner.spec.notifications import Address, Channel
    from runner.spec.project import Project, Provider
    from runner.spec.schema import ConfigSchema, ProviderSchema
    from runner.spec.yaml import tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Something that is used only with the user's agreement.

    `brief` and `full` say where it is written and what it does: `brief` for logs, with only the
    name of a command, since an argument may be a secret, and only the host of an address; `full`
    for the user who has to agree. `digest` changes with each value that matters.
    """

    brief: Problem
    full: Problem
    digest: str


At: TypeAlias = "Callable[[tree.Path, str], Problem]"
"""Returns the problem at a path of `runner.yaml`, with a message."""

_BUILT_IN: Final = {"openai": (OPENAI_BASE_URL, "OPENAI_API_KEY")}
"""The address of a built-in provider and the variable of its key, which go together."""

_WORK: Final = {
    "specs": "reads specs from",
    "outputs": "writes results into",
    "ledger": "keeps the ledger in",
    "metrics": "writes metrics to",
}
"""The fields that are paths, and what a pass does there."""


_ROOT: Final = 0


def digest_of(*values: object) -> str:
    """Return the digest of values that JSON can express."""
    text = json.dumps(values, separators=(",", ":"), sort_keys=True)
    return sha256(text.encode()).hexdigest()


def needed_permissions(project: Project, start: Path) -> tuple[Permission, ...]:
    """Return all permissions that a project needs; `start` is where the command looked for it."""
    found: dict[str, Permission] = {}
    for each in (
        *owner_permissions_above(project, start),
        *owner_permissions(project),
        *project.permissions,
    ):
        found.setdefault(each.digest, each)
    return tuple(found.values())


def find_permissions(project: Project, parsed: ConfigSchema, at: At) -> tuple[Permission, ...]:
    """Return the permissions that a valid `runner.yaml` needs, in the order of its fields."""
    found = list(_of_paths(project, at))
    for name, declaration in parsed.providers.items():
        found += _of_provider(project.providers[name], declaration, at)
    for number, hook in enumerate(project.hooks):
        found.append(_of_channel(hook.channel, ("notify", number), at))
    if project.ping is not None:
        what = "sends a message after each pass to the URL in"
        found.append(_of_address(project.ping, "url", what, ("ping",), at))
    return tuple(found)


def _permission(
    at: At, path: tree.Path, brief: str, full: str, *, value: Sequence[object]
) -> Permission:
    """Return a permission; what no terminal can show is escaped, so that nothing is hidden."""
    return Permission(
        brief=at(path, printable(brief, mark=None)),
        full=at(path, printable(full, mark=None)),
        digest=digest_of(*(step for step in path if isinstance(step, str)), *value),
    )


def _of_paths(project: Project, at: At) -> Iterator[Permission]:
    """Yield a permission for each path that leads out of the project, also through a link."""
    root = os.path.realpath(project.root)
    paths: Mapping[str, Path | None] = {
        "specs": project.specs,
        "outputs": project.outputs,
        "ledger": project.ledger,
        "metrics": project.metrics,
    }
    for field, path in paths.items():
        if path is None:
            continue
        real = os.path.realpath(path)
        if os.path.commonpath((root, real)) != root:
            text = f"{_WORK[field]} {real}, outside the project"
            yield _permission(at, (field,), text, text, value=[real])


def _of_provider(provider: Provider, declared: ProviderSchema, at: At) -> Iterator[Permission]:
    """Yield what a provider needs: for its address, its key and the command that prints the key."""
    name, host, command = provider.name, provider.host, provider.api_key_command
    here = ("providers", name)
    address, variable = _BUILT_IN.get(name, (None, None))
    at_own_address = declared.base_url is None or provider.base_url == address
    target = (declared.base_url, declared.allow_key_over_http)
    keys = {"api_key_env": declared.api_key_env, "api_key_file": declared.api_key_file}
    if not provider.loopback:
        is_plain = declared.allow_key_over_http and provider.base_url.startswith("http:")
        in_clear = ", over plain http" if is_plain else ""
        if not at_own_address:
            # Without this in the digest, a field of a key could be removed to send another one.
            has_own = command is not None or any(keys.values())
            inherited = None if has_own else provider.api_key_env
            with_key = f", with the API key in {inherited}{in_clear}" if inherited else ""
            brief = f"sends requests to {host}{with_key}"
            full = f"sends requests to {provider.base_url}{with_key}"
            yield _permission(at, (*here, "base_url"), brief, full, value=[*target, inherited])
        for field, value in keys.items():
            if value is not None and not (at_own_address and value == variable):
                what = f"sends the API key in {value} to"
                brief, full = f"{what} {host}{in_clear}", f"{what} {provider.base_url}{in_clear}"
                yield _permission(at, (*here, field), brief, full, value=[value, *target])
    if command is not None:
        words = shlex.join(command.arguments)
        full = f"runs `{words}` and sends what it prints to {provider.base_url}"
        yield _permission(
            *(at, (*here, "api_key_command"), f"runs {command}", full),
            value=[command.arguments, *target],
        )


def _of_channel(channel: Channel, here: tree.Path, at: At) -> Permission:
    """Return what a hook needs; its number is no part of it, since their order does not matter."""
    match channel:
        case CommandChannel(arguments=arguments):
            brief = f"runs {Path(arguments[0]).name}"
            full = f"runs `{shlex.join(arguments)}` for each message"
            return _permission(at, (*here, "command"), brief, full, value=arguments)
        case WebhookChannel(address=address):
            return _of_address(address, "webhook", "sends messages to the URL in", here, at)
        case ChatChannel(address=address):
            return _of_address(address, "apprise", "sends messages to the URL in", here, at)
        case _:
            assert_never(channel)


def _of_address(address: Address, field: str, what: str, here: tree.Path, at: At) -> Permission:
    """Return what a secret URL needs, by the name of its variable or file."""
    field = f"{field}_env" if address.file is None else f"{field}_file"
    text = f"{what} {address}"
    return _permission(at, (*here, field), text, text, value=[str(address)])


def owner_permissions(project: Project) -> tuple[Permission, ...]:
    """Return a permission for each part of the project that others can change."""
    paths = [*_spec_folders(project), project.ledger.parent, project.ledger]
    if project.config_file is not None:
        paths.insert(0, project.config_file)
    return tuple(_check_owners(paths, project.root))


def _spec_folders(project: Project) -> list[Path]:
    """Return the folder of the specs and those below it, or behind a link in it, that have any."""
    from runner.spec.discovery import find_specs

    found = find_specs(project.specs, root=project.root, skip={os.fspath(project.outputs)})
    return sorted({project.specs, *(Path(file).parent for file in found.files)})


def owner_permissions_above(project: Project, start: Path) -> tuple[Permission, ...]:
    """Return those of a `runner.yaml` in a folder above `start`, and of that folder; else none.

    A command looks for `runner.yaml` in the folders above the one it was started in. Anybody can
    create a file in some of those, such as /tmp.
    """
    folder = os.path.abspath(start)  # noqa: PTH100 - Path.resolve() follows links
    if project.config_file is None or folder == os.fspath(project.root):
        return ()
    return tuple(_check_owners([project.root, project.config_file], Path(folder)))


def _check_owners(paths: list[Path], base: Path) -> Iterator[Permission]:
    """Yield a permission for each path that others can change; what is not there is nobody's."""
    from runner.spec.discovery import shown_path

    for path in paths:
        try:
            # A link, which another user may have made to a file of this one, and where it leads.
            statuses = [path.lstat(), path.stat()]
        except OSError:  # whoever opens it says why it cannot be opened
            continue
        for status in statuses:
            if flaw := _find_flaw(status):
                problem = Problem(path=shown_path(path, base), message=flaw)
                digest = digest_of("owner", os.path.realpath(path), flaw)
                yield Permission(brief=problem, full=problem, digest=digest)
                break


def _find_flaw(status: os.stat_result) -> str | None:
    """Return who else can change a file, or None if nobody can but its user and root."""
    if status.st_uid not in (os.geteuid(), _ROOT):
        return f"belongs to another user of this machine (uid {status.st_uid})"
    if stat.S_ISLNK(status.st_mode):
        return None  # the mode of a link means nothing
    mode = stat.S_IMODE(status.st_mode)
    if mode & stat.S_IWOTH:
        return f"can be changed by every user of this machine (mode {mode:04o}; see chmod o-w)"
    if mode & stat.S_IWGRP and not _is_private(status.st_gid):
        return f"can be changed by the group {status.st_gid} (mode {mode:04o}; see chmod g-w)"
    return None


def _is_private(group: int) -> bool:
    """Return whether a group is the user's own: the first one, of the same name, nobody else's."""
    import grp
    import pwd

    try:
        user, entry = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:  # one of them has no name, as in many containers
        return False
    own = user.pw_gid == group and entry.gr_name == user.pw_name
    return own and set(entry.gr_mem) <= {user.pw_name}
