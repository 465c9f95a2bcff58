"""The permissions that `runner.yaml` needs: what it runs, where it sends, what it uses elsewhere.

A project that was cloned is data until its user agrees to these. Everything else in the file is
harmless: it can neither run something, nor send something to an address that the user has not
chosen, nor lead out of the project. No agreement is needed for a provider on this machine, as long
as no command is run for it, nor for a built-in provider with its own variable at its own address.

A new field of `runner.yaml` belongs to one of the two kinds; tests/spec/test_permissions.py fails
until it is there.
"""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from runner.spec.notifications import ChatChannel, CommandChannel, WebhookChannel
from runner.spec.project import OPENAI_BASE_URL
from runner.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runner.errors import Problem
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


def digest_of(*values: object) -> str:
    """Return the digest of values that JSON can express."""
    text = json.dumps(values, separators=(",", ":"), sort_keys=True)
    return sha256(text.encode()).hexdigest()


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
