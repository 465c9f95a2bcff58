"""Read `runner.yaml` and add the built-in providers."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runner.errors import InvalidInput, Problem, limit_problems
from runner.spec.address import EXAMPLE, address_warnings, read_base_url
from runner.spec.discovery import is_inside, read_file, shown_path, without_content
from runner.spec.notifications import EXAMPLE_COMMAND, arguments, read_hooks, read_ping
from runner.spec.project import (
    EMBEDDED_BASE_URL,
    MAX_EXPIRES_AFTER,
    OPENAI_BASE_URL,
    OPENAI_HOST,
    PROJECT_FILE,
    AccountHeader,
    KeyCommand,
    Limits,
    Project,
    Provider,
)
from runner.spec.validation_errors import explain_errors
from runner.spec.yaml.tree import MappingNode, child_node, dotted_path, shown, to_python
from runner.text import one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.spec.schema import ConfigSchema, ProviderSchema
    from runner.spec.yaml import tree
    from runner.spec.yaml.documents import Document

_OTHER_NAME: Final = re.compile(r"\.?runner\.ya?ml", re.IGNORECASE)
_OTHER_NAME_MESSAGE: Final = (
    f"is not read: the project file is called {PROJECT_FILE}; rename it, or remove it"
)

_ACCOUNT_HEADERS: Final = {
    "OPENAI_ORG_ID": "OpenAI-Organization",
    "OPENAI_PROJECT_ID": "OpenAI-Project",
}
"""The headers that the vendor's SDK sends, by the variable that it takes each value from."""

_KEY_FIELDS: Final = ("api_key_env", "api_key_file", "api_key_command")
_EXAMPLE_COMMANDS: Final = {"api_key_command": "[pass, show, lab]", "command": EXAMPLE_COMMAND}


def read_config(root: Path, config: Path | None, environ: Mapping[str, str]) -> Project:
    """Return the project in `root`, read from `config`, or the default project if that is None.

    Raises InvalidInput with the problems of the file and of `OPENAI_BASE_URL`.
    """
    problems: list[Problem] = []
    document = _only_document(config, problems) if config else None
    parsed = _parse(document, problems)
    providers = _providers(root, document, parsed, environ, problems)
    default = parsed.default_provider if parsed else "openai"
    if default not in providers:
        hint = one_of(default, sorted(providers))
        message = f'"{shown(default)}" is not a provider of this project; {hint}'
        problems.append(_at(document, ("default_provider",), message))

    def add_problem(path: tree.Path, message: str) -> None:
        problems.append(_at(document, path, message))

    hooks = read_hooks(root, parsed.notify, add_problem) if parsed and parsed.notify else ()
    ping = read_ping(root, parsed.ping, add_problem) if parsed and parsed.ping else None
    if document is not None and document.root is not None:
        from runner.spec.leaked_secrets import report_leaked_secrets

        shown_problems = report_leaked_secrets(document.root, problems)
    else:
        shown_problems = limit_problems(problems) if problems else ()
    if shown_problems and config is not None and not is_inside(config, root):
        raise InvalidInput(map(without_content, shown_problems))
    if shown_problems:
        raise InvalidInput(shown_problems)
    project = Project(
        root=root,
        specs=root / (parsed.specs if parsed else "specs"),
        outputs=root / (parsed.outputs if parsed else "outputs"),
        ledger=root / (parsed.ledger if parsed else ".runner/ledger.db"),
        default_provider=default,
        providers=providers,
        config_file=config,
        hooks=hooks,
        ping=ping,
        metrics=root / parsed.metrics if parsed and parsed.metrics else None,
    )
    if parsed is None:
        return project
    from runner.spec.permissions import find_permissions

    return replace(project, permissions=find_permissions(project, parsed, partial(_at, document)))


def refuse_other_names(start: Path, config: Path | None) -> None:
    """Raise InvalidInput for a project file by another name, from `start` up to `config`'s folder.

    Such as `runner.yml`, `Runner.yaml` or `.runner.yaml`. A file with none of the fields of a
    project file is something else. Beside `config` itself other names do not count.
    """
    folder = Path(os.path.abspath(start))  # noqa: PTH100 - Path.resolve() follows links
    for each in (folder, *folder.parents):
        if config is not None and each == config.parent:
            return
        if problems := _other_name_problems(each, folder):
            raise InvalidInput(problems)


def require_usable_config(root: Path) -> None:
    """Raise InvalidInput if a folder has a project file that cannot be used.

    It has another name, or `runner.yaml` is a link to nothing, a folder or not readable. A folder
    without any is fine.
    """
    config = root / PROJECT_FILE
    if os.path.lexists(config):
        data = read_file(config, PROJECT_FILE)
        problems = [data] if isinstance(data, Problem) else []
    else:
        problems = _other_name_problems(root, root)
    if problems:
        raise InvalidInput(problems)


def _other_name_problems(folder: Path, start: Path) -> list[Problem]:
    """Return a problem for each project file by another name; paths are relative to `start`."""
    return [
        Problem(
            path=shown_path(os.path.relpath(folder / name, start), start),
            message=_OTHER_NAME_MESSAGE,
        )
        for name in _other_names(folder)
        if _may_be_config(folder / name)
    ]


def _other_names(folder: Path) -> list[str]:
    """Return the names in a folder that are nearly `runner.yaml`; none if it cannot be listed."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names are all that is needed
    except OSError:
        return []
    return [name for name in names if _OTHER_NAME.fullmatch(name) and name != PROJECT_FILE]


def _may_be_config(path: Path) -> bool:
    """Return whether a file may be meant as a project file: so is one that cannot be read."""
    from runner.spec.schema import CONFIG_FIELDS
    from runner.spec.yaml.documents import read_documents

    data = read_file(path, path.name)
    if isinstance(data, Problem):
        return True
    documents, problems = read_documents(data, path.name)
    keys = {
        key
        for document in documents
        if isinstance(document.root, MappingNode)
        for key in document.root.keys
    }
    return bool(problems) or not keys or not keys.isdisjoint(CONFIG_FIELDS[()])


def _only_document(config: Path, problems: list[Problem]) -> Document | None:
    """Return the only document of the file, or None if it is empty or cannot be read."""
    from runner.spec.yaml.documents import read_documents

    data = read_file(config, PROJECT_FILE)
    if isinstance(data, Problem):
        problems.append(data)
        return None
    documents, unreadable = read_documents(data, PROJECT_FILE)
    problems += unreadable
    for document in documents:
        problems += document.problems
    if len(documents) > 1:
        message = "a second document begins here; runner.yaml has only one: remove the --- line"
        problems.append(Problem(path=PROJECT_FILE, line=documents[1].line, message=message))
    return documents[0] if documents else None


def _parse(document: Document | None, problems: list[Problem]) -> ConfigSchema | None:
    """Return the fields of the document, or None if there is no document or it is invalid."""
    if document is None or document.root is None:
        return None
    from pydantic import ValidationError

    from runner.spec.schema import CONFIG_FIELDS, config_adapter

    try:
        return config_adapter().validate_python(to_python(document.root))
    except ValidationError as error:
        found: dict[Problem, None] = {}
        for path, problem in explain_errors(error, document, CONFIG_FIELDS):
            if path[2:3] in (("api_key_command",), ("command",)):
                # pydantic reports each type that the value might have had; one message is enough.
                message = f"expected a list of texts, such as {_EXAMPLE_COMMANDS[str(path[2])]}"
                found[_at(document, path[:3], message)] = None
            else:
                found[problem] = None
        problems += found
        return None


def _providers(
    root: Path,
    document: Document | None,
    parsed: ConfigSchema | None,
    environ: Mapping[str, str],
    problems: list[Problem],
) -> dict[str, Provider]:
    declared = dict(parsed.providers) if parsed else {}
    providers = {
        "openai": Provider(name="openai", base_url=OPENAI_BASE_URL, api_key_env="OPENAI_API_KEY"),
        "local": Provider(name="local", base_url=EMBEDDED_BASE_URL, embedded=True),
    }
    variable = environ.get("OPENAI_BASE_URL", "").strip()
    if variable and not ("openai" in declared and declared["openai"].base_url):
        try:
            base_url = read_base_url(variable)
        except ValueError as error:
            problems.append(Problem(path="OPENAI_BASE_URL", message=str(error)))
        else:
            providers["openai"] = replace(providers["openai"], base_url=base_url)
    for name, declaration in declared.items():
        try:
            provider = _provider(name, declaration, providers.get(name))
            provider = _with_api_key(root, document, declaration, provider, problems)
            providers[name] = _with_same_as(document, declaration, provider, problems)
        except ValueError as error:
            path = ("providers", name, "base_url")
            if not _is_unreadable(document, path):
                problems.append(_at(document, path, str(error)))
            providers.setdefault(name, Provider(name=name, base_url=EMBEDDED_BASE_URL))
    declares_address = "openai" in declared and declared["openai"].base_url is not None
    if not declares_address or providers["openai"].host == OPENAI_HOST:
        # An account at OpenAI means nothing to another server that runner.yaml names.
        providers["openai"] = replace(providers["openai"], account=_account(environ))
    written = {name for name, one in declared.items() if one.base_url is not None}
    return {
        name: replace(
            _with_default_expiry(provider),
            warnings=_address_warnings(document, provider, is_written=name in written),
        )
        for name, provider in providers.items()
    }


def _address_warnings(
    document: Document | None, provider: Provider, *, is_written: bool
) -> tuple[Problem, ...]:
    """Return the warnings about an address that `runner.yaml` or the variable names."""
    if not is_written:
        if provider.embedded or provider.base_url == OPENAI_BASE_URL:
            return ()
        return tuple(
            Problem(path="OPENAI_BASE_URL", message=message, is_warning=True)
            for message in address_warnings(provider)
        )
    place = ("providers", provider.name, "base_url")
    return tuple(
        replace(_at(document, place, message), is_warning=True)
        for message in address_warnings(provider)
    )


def _account(environ: Mapping[str, str]) -> tuple[AccountHeader, ...]:
    """Return the headers of the account that the environment chooses; a blank variable is unset."""
    values = {variable: environ.get(variable, "").strip() for variable in _ACCOUNT_HEADERS}
    return tuple(
        AccountHeader(variable=variable, name=_ACCOUNT_HEADERS[variable], value=value)
        for variable, value in values.items()
        if value
    )


def _with_default_expiry(provider: Provider) -> Provider:
    """Set the longest expiry for files at OpenAI, which otherwise keeps result files for ever.

    Other providers may not support `expires_after`.
    """
    if provider.host != OPENAI_HOST:
        return provider
    return replace(
        provider,
        input_expires_after=provider.input_expires_after or MAX_EXPIRES_AFTER,
        output_expires_after=provider.output_expires_after or MAX_EXPIRES_AFTER,
    )


def _with_api_key(
    root: Path,
    document: Document | None,
    declaration: ProviderSchema,
    provider: Provider,
    problems: list[Problem],
) -> Provider:
    """Return the provider with the source of its API key; report more than one source."""
    named = [place for place in _KEY_FIELDS if getattr(declaration, place) is not None]
    if len(named) > 1:
        message = f"{named[0]} already says where the API key is; keep one of the two"
        problems.append(_at(document, ("providers", provider.name, named[1]), message))
    try:
        if declaration.api_key_file is not None:
            file = root / Path(declaration.api_key_file).expanduser()
            return replace(provider, api_key_env=None, api_key_file=file)
        if declaration.api_key_command is not None:
            program = arguments(declaration.api_key_command, _EXAMPLE_COMMANDS["api_key_command"])
            command = KeyCommand(arguments=program, folder=root)
            return replace(provider, api_key_env=None, api_key_command=command)
    except (ValueError, RuntimeError) as error:
        problems.append(_at(document, ("providers", provider.name, named[-1]), str(error)))
    return provider


def _with_same_as(
    document: Document | None,
    declaration: ProviderSchema,
    provider: Provider,
    problems: list[Problem],
) -> Provider:
    """Return the provider with its earlier addresses, in the form of `base_url`, and names."""
    earlier = set()
    for index, text in enumerate(declaration.same_as or ()):
        try:
            earlier.add(read_base_url(text) if "://" in text else text)
        except ValueError as error:
            problems.append(
                _at(document, ("providers", provider.name, "same_as", index), str(error))
            )
    return replace(provider, same_as=frozenset(earlier))


def _provider(name: str, declaration: ProviderSchema, built_in: Provider | None) -> Provider:
    """Return a provider from its declaration and the built-in one of the same name.

    Raises ValueError about `base_url`.
    """
    if built_in and built_in.embedded and declaration.base_url is not None:
        raise ValueError("local is built in and has no address; remove the line")
    if declaration.base_url is not None:
        base_url = read_base_url(declaration.base_url)
    elif built_in:
        base_url = built_in.base_url
    else:
        raise ValueError(f"is missing; write the provider's URL, {EXAMPLE}")
    standard = Limits()
    return Provider(
        name=name,
        base_url=base_url,
        api_key_env=declaration.api_key_env or (built_in.api_key_env if built_in else None),
        limits=Limits(
            max_requests=declaration.max_requests_per_batch or standard.max_requests,
            max_bytes=declaration.max_bytes_per_batch or standard.max_bytes,
            max_line_bytes=declaration.max_bytes_per_request or standard.max_line_bytes,
        ),
        allow_key_over_http=bool(declaration.allow_key_over_http),
        adoption_grace=declaration.adoption_grace,
        max_active_batches=declaration.max_active_batches,
        max_enqueued_tokens=declaration.max_enqueued_tokens,
        input_expires_after=declaration.input_expires_after,
        output_expires_after=declaration.output_expires_after,
        embedded=built_in is not None and built_in.embedded,
    )


def _is_unreadable(document: Document | None, path: tree.Path) -> bool:
    """Return whether a field is written but its value could not be read and is reported already."""
    node: tree.Node | None = document.root if document else None
    for step in path[:-1]:
        node = child_node(node, step)
    return isinstance(node, MappingNode) and path[-1] in node.keys and path[-1] not in node.values


def _at(document: Document | None, path: tree.Path, message: str) -> Problem:
    """Return a problem at a value of `runner.yaml`, or at the nearest field above it."""
    line, column = 0, 0
    node: tree.Node | None = document.root if document else None
    for step in path:
        key = node.keys.get(str(step)) if isinstance(node, MappingNode) else None
        node = child_node(node, step)
        if node:
            line, column = node.line, node.column
        elif key:
            line, column = key.line, key.column
    return Problem(
        path=PROJECT_FILE, line=line, column=column, message=f"{dotted_path(path)}: {message}"
    )
