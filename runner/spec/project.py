"""A project: its files and folders, its providers, and the sources of their API keys.

The folder with `runner.yaml` is the project. Without that file the current folder is the project
and every setting has its default: a spec, an input and `OPENAI_API_KEY` are enough to begin.

A file that is there and cannot be used is never taken for one that is not there: it may name the
provider, and doing without it would send the data to another company.

A project contains no API key. A provider has the source of its key (the *name* of a variable, a
file, a command), and the key is wrapped in `Secret` when it is read, so that no message, repr or
log shows it by accident.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from runner.errors import LocalFileError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.errors import Problem
    from runner.spec.notifications import Address, Hook
    from runner.spec.permissions import Permission


PROJECT_FILE: Final = "runner.yaml"
OPENAI_HOST: Final = "api.openai.com"
OPENAI_BASE_URL: Final = f"https://{OPENAI_HOST}/v1"
MAX_EXPIRES_AFTER: Final = 30 * 86_400
"""Seconds: the largest value of `expires_after` (fact sheet, section 2)."""
EMBEDDED_BASE_URL: Final = "http://local.invalid/v1"
"""The address of `local` until it is started: `.invalid` never resolves (RFC 2606)."""

_GRACE: Final = 60.0


class Secret:
    """A string that is shown as `***` everywhere; only `reveal` returns it.

    Equal by value, hashable; pickle and copy raise TypeError.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself, for a request and nothing else."""
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
        raise TypeError("a Secret can be neither pickled nor copied")


def is_loopback(host: str) -> bool:
    """Return whether a host, in lower case and without brackets, is this machine.

    `localhost` is in the hosts file of every system. `lab.localhost` should resolve to this
    machine too (RFC 6761, section 6.3), but many resolvers send the name to the network, which may
    return any address: so it is not loopback, and no secret is sent to it without TLS.
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
    """The largest batch of a provider (fact sheet, section 2).

    Bytes are counted as sent. OpenAI's "200 MB" is taken as 200,000,000, the smaller of the two
    meanings. `max_line_bytes` is None if the provider has no limit for one request.
    `max_embedding_inputs` counts the texts of a batch of embeddings; a request may have several.
    """

    max_requests: int = 50_000
    max_bytes: int = 200_000_000
    max_line_bytes: int | None = None
    max_embedding_inputs: int = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCommand:
    """A command that prints an API key: its arguments, run in `folder` without a shell."""

    arguments: tuple[str, ...]
    folder: Path

    def __str__(self) -> str:
        """Return the name of the program only: an argument may be a secret."""
        return Path(self.arguments[0]).name


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountHeader:
    """A header that says which account pays, with its value and the variable that holds it."""

    variable: str
    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A server with a Batch API: its name in the project, its address and its limits.

    `base_url` has no trailing slash, query or user. `adoption_grace` (seconds) is None if the
    project does not set it; `grace` then has the default. `max_active_batches` and
    `max_enqueued_tokens` (of one model) limit what is in flight at the same time; None is no
    limit. `…_expires_after` (seconds) is sent with each file or batch; None sends nothing; at
    OpenAI's own address it is 30 days. `account` are headers that are sent beside the API key; they
    are no part of a job's identity, since responses do not depend on who pays.
    `allow_key_over_http` allows to send both unencrypted to another machine. `same_as` has earlier
    addresses and names of it. `embedded` marks the built-in `local`, which gets its address when it
    is started. `warnings` are about settings in `runner.yaml`, or the variable of the address, that
    will probably not work.
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
    account: tuple[AccountHeader, ...] = ()
    allow_key_over_http: bool = False
    same_as: frozenset[str] = frozenset()
    embedded: bool = False
    warnings: tuple[Problem, ...] = field(default=(), compare=False)

    def api_key(self, environ: Mapping[str, str]) -> Secret | None:
        """Return the API key from its source; None if its variable is unset or blank.

        Raises Unauthorized if a file or a command gives no key. A command runs once a process.
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
        """The source of the API key as messages name it; None if none is configured."""
        if self.api_key_file is not None:
            return str(self.api_key_file)
        if self.api_key_command is not None:
            return f"the output of {self.api_key_command}"
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
        """Seconds after a call without a reply in which lists may lack the new object."""
        if self.adoption_grace is not None:
            return self.adoption_grace
        return 0.0 if self.embedded else _GRACE

    def patience(self, usual: float) -> float:
        """Return for how many seconds to wait for what this provider may still show.

        `usual` is that time at any address: a loopback address may be that of a tunnel or a proxy,
        with a server behind it that takes its time. There `adoption_grace` replaces it; the
        embedded provider shows everything at once.
        """
        if self.embedded or (self.loopback and self.adoption_grace is not None):
            return self.grace
        return usual

    @property
    def identity(self) -> dict[str, str | None]:
        """The fields of a revision that identify the provider; no address if embedded."""
        return {"provider": self.name, "base_url": None if self.embedded else self.base_url}

    def has_batches_of(self, name: str, base_url: str | None) -> bool:
        """Whether the batches that a run made at a provider, as it was called then, are here."""
        return self.identity["base_url"] == base_url or self.was(name, base_url)

    def was(self, name: str, base_url: str | None) -> bool:
        """Whether `same_as` says that the provider had this name, or this address, earlier."""
        return name in self.same_as or (base_url is not None and base_url in self.same_as)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A folder of specs with its settings. All paths are absolute.

    `providers` always contains the built-in `openai` and `local`. `config_file` is None if there
    is no `runner.yaml`. `hooks` receive messages about changes, `ping` is the source of a URL that
    is requested after each pass, and `metrics` is a file that each pass writes. `permissions` are
    what the file needs the user's agreement for.
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
    permissions: tuple[Permission, ...] = ()

    def base_of(self, path: Path) -> Path:
        """Return the folder that `path` is in, of those that a project may write to.

        These are its root and, outside of that, its outputs and the folders of its ledger and its
        metrics. Below them runner writes through no link. Raises LocalFileError for any other
        place, and for one in the root that is written with `..`, which a link would lead astray.
        """
        is_inside = Path(os.path.normpath(path)).is_relative_to(self.root)
        outside = (self.outputs, self.ledger.parent, self.metrics and self.metrics.parent)
        for base in (self.root,) if is_inside else outside:
            if base and path.is_relative_to(base) and ".." not in path.relative_to(base).parts:
                return base
        if is_inside:
            raise LocalFileError(f"{path} leads out of the project and back: write it without `..`")
        raise LocalFileError(
            f"{path} is outside of the project and of its outputs: nothing is written there"
        )


def find_project(start: Path, environ: Mapping[str, str]) -> Project:
    """Return the project of the folder `start`: of the nearest `runner.yaml` upward, else `start`.

    `environ` provides `OPENAI_BASE_URL`; an empty variable counts as unset. The `base_url` of
    `openai` in `runner.yaml` takes precedence over the variable: it is under version control.
    `OPENAI_ORG_ID` and `OPENAI_PROJECT_ID` are used at OpenAI's own address and at that of the
    variable.

    Raises UsageError if `start` is not a folder, InvalidInput with the problems of `runner.yaml`,
    or if there is no such file and another name of it is found instead, such as `runner.yml`.
    """
    from runner.spec.config import read_config, refuse_other_names

    if not os.path.isdir(start):  # noqa: PTH112 - Path.is_dir() raises without permission
        raise UsageError(f"no such folder: {start}")
    root, config = find_root(start)
    refuse_other_names(start, config)
    return read_config(root, config, environ)


def find_root(start: Path) -> tuple[Path, Path | None]:
    """Return the folder of the project that contains `start`, and its `runner.yaml` if any.

    Reads no file: the `runner.yaml` may be a link to nothing, or a folder. Without one in it or
    above it, `start` is the project.
    """
    # os.path: Path.resolve() follows links, and Path.lstat() raises without permission.
    folder = Path(os.path.abspath(start))  # noqa: PTH100
    for root in (folder, *folder.parents):
        config = root / PROJECT_FILE
        if os.path.lexists(config):
            return root, config
    return folder, None


class Environment(Mapping[str, str]):
    """The environment variables of this process, with a repr that shows no value.

    The repr of `os.environ` would show every value in a traceback with local variables.
    """

    __slots__ = ()

    def __getitem__(self, name: str) -> str:
        return os.environ[name]

    def __iter__(self) -> Iterator[str]:
        return iter(os.environ)

    def __len__(self) -> int:
        return len(os.environ)

    def __repr__(self) -> str:
        return f"<{len(self)} variables>"
