"""The hooks and the ping of a project: the fields `notify` and `ping` of `runner.yaml`.

The URL of a webhook, a chat or a ping is a secret: it allows anyone to write there. So it is
treated like an API key: the project names the variable or private file that contains it, and it
is wrapped in `Secret` when it is read.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, assert_never, get_args

from runner.errors import NotDelivered
from runner.spec.project import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runner.spec.schema import HookSchema, PingSchema
    from runner.spec.yaml import tree


Kind: TypeAlias = Literal[
    "succeeded", "partial", "failed", "cancelled", "overdue", "trouble", "recovered"
]
"""Kinds of messages: the end of a job, an overdue batch, a problem and its end."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

EXAMPLE_COMMAND: Final = "[mail, -s, runner, you@example.org]"
"""A command for error messages."""

_CHANNEL_FIELDS: Final = ("command", "webhook_env", "webhook_file", "apprise_env", "apprise_file")
_NOT_A_PATH: Final = "is not a path; write the path of a file that contains the URL"
_ID_DIGITS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The source of a secret URL: a variable, or a file that only its owner can read."""

    variable: str | None = None
    file: Path | None = None

    def __str__(self) -> str:
        return self.variable or str(self.file)

    def read(self, environ: Mapping[str, str]) -> Secret:
        """Return the URL. Raises NotDelivered if there is none."""
        from runner.spec.credentials import read_secret_file

        if self.file is None:
            value = environ.get(self.variable or "", "").strip()
            if not value:
                raise NotDelivered(f"{self} is not set")
            return Secret(value)
        found = read_secret_file(self.file)
        if isinstance(found, str):
            raise NotDelivered(f"{self} {found}")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandChannel:
    """A program that is run in `folder`, without a shell."""

    arguments: tuple[str, ...]
    folder: Path

    def __str__(self) -> str:
        """Return the name of the program only: an argument may be a secret."""
        return f"command {Path(self.arguments[0]).name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChannel:
    """A URL that receives messages as JSON."""

    address: Address

    def __str__(self) -> str:
        return f"webhook in {self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatChannel:
    """A URL for apprise (extra `notify`): e-mail, or a chat service."""

    address: Address

    def __str__(self) -> str:
        return f"apprise in {self.address}"


Channel: TypeAlias = CommandChannel | WebhookChannel | ChatChannel


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A channel, and the messages that are sent to it.

    `when` lists some of `KINDS`. `jobs` is a pattern for the names of jobs, None for all jobs;
    messages that concern no particular job are sent in either case.
    """

    channel: Channel
    when: tuple[Kind, ...] = KINDS
    jobs: str | None = None

    def __str__(self) -> str:
        return str(self.channel)

    @property
    def id(self) -> str:
        """The identity of the hook in the ledger: it changes with channel, kinds and pattern."""
        content = json.dumps([_identity(self.channel), sorted(self.when), self.jobs])
        return sha256(content.encode()).hexdigest()[:_ID_DIGITS]


def _identity(channel: Channel) -> list[str]:
    match channel:
        case CommandChannel(arguments=arguments):
            return ["command", *arguments]
        case WebhookChannel(address=address):
            return ["webhook", str(address)]
        case ChatChannel(address=address):
            return ["apprise", str(address)]
        case _:
            assert_never(channel)


AddProblem: TypeAlias = "Callable[[tree.Path, str], None]"


def read_hooks(root: Path, entries: list[HookSchema], add_problem: AddProblem) -> tuple[Hook, ...]:
    """Return the hooks of a project; report the problems of each to `add_problem`."""
    hooks: dict[str, Hook] = {}
    for number, entry in enumerate(entries):
        here = ("notify", number)
        given = [name for name in _CHANNEL_FIELDS if getattr(entry, name) is not None]
        if len(given) != 1:
            found = f"{given[0]} and {given[1]}" if given else "none"
            add_problem(here, f"needs exactly one of {', '.join(_CHANNEL_FIELDS)}; found {found}")
            continue
        name = given[0]
        if name.endswith("_file") and "://" in getattr(entry, name):
            add_problem((*here, name), _NOT_A_PATH)
            continue
        try:
            hook = Hook(
                channel=_channel(root, name, entry),
                when=KINDS if entry.when is None else tuple(entry.when),
                jobs=entry.jobs,
            )
        except (ValueError, RuntimeError) as error:
            add_problem((*here, name), str(error))
            continue
        if hook.id in hooks:
            add_problem(here, "is the same as an earlier one; remove one of them")
        hooks[hook.id] = hook
    return tuple(hooks.values())


def read_ping(root: Path, entry: PingSchema, add_problem: AddProblem) -> Address | None:
    """Return the source of the URL to ping; report problems to `add_problem`."""
    if (entry.url_env is None) == (entry.url_file is None):
        found = "none" if entry.url_env is None else "both"
        add_problem(("ping",), f"needs exactly one of url_env, url_file; found {found}")
        return None
    if entry.url_file is not None and "://" in entry.url_file:
        add_problem(("ping", "url_file"), _NOT_A_PATH)
        return None
    try:
        return _address(root, entry.url_env, entry.url_file)
    except RuntimeError as error:
        add_problem(("ping", "url_file"), str(error))
        return None


def _channel(root: Path, name: str, entry: HookSchema) -> Channel:
    """Return the channel of a hook. Raises ValueError or RuntimeError about its value."""
    if entry.command is not None:
        return CommandChannel(arguments=arguments(entry.command, EXAMPLE_COMMAND), folder=root)
    if name.startswith("webhook"):
        return WebhookChannel(address=_address(root, entry.webhook_env, entry.webhook_file))
    return ChatChannel(address=_address(root, entry.apprise_env, entry.apprise_file))


def _address(root: Path, variable: str | None, file: str | None) -> Address:
    """Return the source of a URL. Raises RuntimeError for the home folder of an unknown user."""
    if file is None:
        return Address(variable=variable)
    return Address(file=root / Path(file).expanduser())


def arguments(command: str | list[str], example: str) -> tuple[str, ...]:
    """Split a command into arguments as a shell does; a list is split already.

    Raises ValueError with a message that does not quote the command.
    """
    try:
        words = shlex.split(command) if isinstance(command, str) else command
    except ValueError:
        words = []
    if not words:
        raise ValueError(f"is not a command; write a list of arguments, such as {example}")
    return tuple(words)
