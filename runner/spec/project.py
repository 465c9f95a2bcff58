"""A project: where its files lie and which providers it may ask.

The folder with `runner.yaml` is the project; without that file the current folder is one, and
everything has a default, so that a spec, an input and `OPENAI_API_KEY` are enough to begin.

A key is never part of a project. A provider knows where its key is to be found (the *name* of a
variable, a file, a command), and the key is wrapped in `Secret` from the moment it is read, so
that no message, repr or log can show it by accident.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.spec.notifications import Address, Hook

PROJECT_FILE: Final = "runner.yaml"
OPENAI_HOST: Final = "api.openai.com"
OPENAI_BASE_URL: Final = f"https://{OPENAI_HOST}/v1"
MAX_EXPIRES_AFTER: Final = 30 * 86_400
"""Seconds: the longest that `expires_after` can say (fact sheet, section 2)."""
EMBEDDED_BASE_URL: Final = "http://local.invalid/v1"
"""What `local` has for an address until it is started: `.invalid` never resolves (RFC 2606)."""

_LOOPBACK_GRACE: Final = 5.0
_REMOTE_GRACE: Final = 60.0


class Secret:
    """A string that shows itself to nobody who does not ask with `reveal`.

    Equal by value, usable as a dictionary key, refused by pickle and copy.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself, to be put into a request and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is neither pickled nor copied")


def is_loopback(host: str) -> bool:
    """Whether a host, in lower case and without brackets, is this machine.

    Whoever answers for names: `localhost` stands in the hosts file of every system.
    `lab.localhost` should be looked up nowhere else either (RFC 6761, section 6.3), but many
    resolvers ask the network for it, where anybody may answer: it gets no secret in the clear.
    """
    from ipaddress import ip_address

    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large one batch of a provider may be (fact sheet, section 2).

    Bytes are counted as sent. OpenAI says 200 MB without saying which; the smaller reading is
    the safe one. `max_line_bytes` is None where a provider names no limit for one request.
    `max_embedding_inputs` counts the texts of a batch of embeddings, several a request.
    """

    max_requests: int = 50_000
    max_bytes: int = 200_000_000
    max_line_bytes: int | None = None
    max_embedding_inputs: int = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCommand:
    """A command that prints a key: its arguments, without a shell, and where it runs."""

    arguments: tuple[str, ...]
    folder: Path

    def __str__(self) -> str:
        """Name the program alone: an argument may be what should not be shown."""
        return Path(self.arguments[0]).name


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Somebody with a Batch API: a name in the project, an address, the rules for batches there.

    `base_url` has no trailing slash, query or user. `adoption_grace` (seconds) is None where
    the project does not set it; `grace` then knows the rule. `max_active_batches` and
    `max_enqueued_tokens` (of one model) bound what is in flight at once; None does not.
    `…_expires_after` (seconds) is what a provider is told about the life of files; None says
    nothing, and leaves it to the provider; at OpenAI's own address it is 30 days.
    `embedded` marks the built-in `local`, whose address is made up when it is started.
    """

    name: str
    base_url: str
    api_key_env: str | None = None
    api_key_file: Path | None = None
    api_key_command: KeyCommand | None = None
    limits: Limits = Limits()
    adoption_grace: float | None = None
    max_active_batches: int | None = None
    max_enqueued_tokens: int | None = None
    input_expires_after: int | None = None
    output_expires_after: int | None = None
    embedded: bool = False

    def api_key(self, environ: Mapping[str, str]) -> Secret | None:
        """Read the key from where the project says; a variable that is unset or blank is None.

        Raises Unauthorized where a file or a command gives no key. A command runs once a process.
        """
        if self.api_key_file is not None:
            from runner.spec.credentials import read_key_file

            return read_key_file(self.api_key_file, provider=self.name)
        if self.api_key_command is not None:
            from runner.spec.credentials import run_key_command

            return run_key_command(self.api_key_command, environ, provider=self.name)
        value = environ.get(self.api_key_env, "").strip() if self.api_key_env else ""
        return Secret(value) if value else None

    @property
    def key_source(self) -> str | None:
        """Where the key comes from, as messages name it; None where none is configured."""
        if self.api_key_file is not None:
            return str(self.api_key_file)
        if self.api_key_command is not None:
            return f"what {self.api_key_command} prints"
        return self.api_key_env

    @property
    def host(self) -> str:
        """The host of `base_url`, in lower case, without port and brackets."""
        from urllib.parse import urlsplit

        return urlsplit(self.base_url).hostname or ""

    @property
    def loopback(self) -> bool:
        """Whether the provider is on this machine."""
        return self.embedded or is_loopback(self.host)

    @property
    def grace(self) -> float:
        """Seconds after a lost call during which a listing may not show what it made."""
        if self.adoption_grace is not None:
            return self.adoption_grace
        if self.embedded:
            return 0.0
        return _LOOPBACK_GRACE if self.loopback else _REMOTE_GRACE

    @property
    def identity(self) -> dict[str, str | None]:
        """What of a provider can change an answer: its name, and its address unless embedded."""
        return {"provider": self.name, "base_url": None if self.embedded else self.base_url}


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A folder of specs and what belongs to it. All paths are absolute.

    `providers` always holds the built-in `openai` and `local`. `config_file` is None where
    there is no `runner.yaml`. `hooks` are told of what has changed, `ping` says where the URL of
    a check is that hears of each pass, and `metrics` is a file that each pass writes.
    """

    root: Path
    specs: Path
    outputs: Path
    ledger: Path
    default_provider: str
    providers: Mapping[str, Provider]
    config_file: Path | None
    hooks: tuple[Hook, ...] = ()
    ping: Address | None = None
    metrics: Path | None = None


def find_project(start: Path, environ: Mapping[str, str]) -> Project:
    """Find the project that `start` lies in: the nearest `runner.yaml` upward, else `start`.

    `environ` gives `OPENAI_BASE_URL`; an empty variable counts as unset. A base_url that
    `runner.yaml` gives to `openai` wins over the variable: what is in git is what was meant.

    Raises UsageError if `start` is no folder, InvalidInput with every problem of `runner.yaml`.
    """
    from runner.spec.config import read_config

    if not os.path.isdir(start):  # noqa: PTH112 - Path.is_dir() raises where nobody may look
        raise UsageError(f"no such folder: {start}")
    root, config = find_root(start)
    return read_config(root, config, environ)


def find_root(start: Path) -> tuple[Path, Path | None]:
    """Return the folder of the project that `start` lies in, and its `runner.yaml` if any.

    Reads nothing; without a `runner.yaml` above it, `start` is a project of its own.
    """
    # os.path: Path.resolve() follows links, and Path's questions raise where nobody may look.
    folder = Path(os.path.abspath(start))  # noqa: PTH100
    for root in (folder, *folder.parents):
        config = root / PROJECT_FILE
        if os.path.isfile(config):  # noqa: PTH113
            return root, config
    return folder, None
