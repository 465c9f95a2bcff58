"""Find API keys and secret URLs that are written in `runner.yaml`.

Each is reported by its position, and no message quotes it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from runner.errors import Problem, limit_problems
from runner.spec.project import PROJECT_FILE
from runner.spec.yaml.tree import ScalarNode, SequenceNode, dotted_path, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.spec.yaml.tree import KeyNode, Node, Path


_KEY_FIELDS: Final = ("api_key_env", "api_key_file", "api_key_command")
_KEY_MESSAGE: Final = (
    "an API key must not be written in runner.yaml; name its variable in api_key_env, a file of"
    " mode 0600 in api_key_file, or a command that prints it in api_key_command"
)
_URL_MESSAGE: Final = (
    "this URL is a secret and must not be written in runner.yaml; name its variable in {0}_env, or"
    " a file of mode 0600 that contains it in {0}_file"
)
_URL_FIELDS: Final[Mapping[tuple[str, ...], frozenset[str]]] = {
    ("notify",): frozenset({"webhook", "apprise", "url"}),
    ("ping",): frozenset({"url"}),
}
SECRET_NAMES: Final = re.compile(
    r"(^|[_-])(api)?(keys?|tokens?|secrets?|pass(word|wd|phrase)?|credentials?|auth|authorization"
    r"|bearer|headers?)($|[_-])",
    re.IGNORECASE,
)
SECRET_PATTERN: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk|gsk|xai|hf|key)[-_][A-Za-z0-9_-]{16,}|eyJ[\w-]{8,}\.[\w.-]{8,}"
    r"|hooks\.slack\.com/\w+/\S+|discord(?:app)?\.com/api/webhooks/\S+|hc-ping\.com/\S+)"
)
"""Prefixes of API keys, JSON Web Tokens (RFC 7519), and URLs that are secrets."""


def masked(text: str) -> str:
    """Return text of a provider for people, without what has the form of a secret.

    A server may echo the key of a request in its response.
    """
    return SECRET_PATTERN.sub("***", text)


def report_leaked_secrets(root: Node, problems: list[Problem]) -> tuple[Problem, ...]:
    """Add a problem for each secret in `runner.yaml`, limit all problems, and mask the secrets.

    A secret is the value of an unknown field that is named like a secret, and any text that has
    the form of one.
    """
    found: list[Problem] = []
    hidden: list[str] = []
    unreadable: list[KeyNode | Node] = []
    for path, position, node in _secrets(root, ()):
        hidden += [str(step) for step in path if not _may_be_shown(step)]
        if node is None:
            unreadable.append(position)
        else:
            hidden += _texts(node)
        where = dotted_path(tuple(step if _may_be_shown(step) else "***" for step in path))
        found.append(
            Problem(
                path=PROJECT_FILE,
                line=position.line,
                column=position.column,
                message=f"{shown(where)}: {_message(path)}",
            )
        )
    found_positions = {(problem.line, problem.column) for problem in found}
    # The problem about a value that cannot be read quotes the value.
    unreadable_columns = defaultdict(list)
    for position in unreadable:
        unreadable_columns[position.line].append(position.column)
    for problem in problems:
        line, column = problem.line, problem.column
        if problem.path != PROJECT_FILE or not (
            (line, column) in found_positions
            or any(column > start for start in unreadable_columns.get(line, ()))
        ):
            found.append(problem)
    hidden_texts = sorted({text for text in hidden if text}, key=len, reverse=True)
    shown_problems: list[Problem] = []
    # Limited first: each text is searched for in each message.
    for problem in limit_problems(found) if found else ():
        message = problem.message
        for text in hidden_texts:
            message = message.replace(text, "***")
        shown_problems.append(replace(problem, message=message))
    return tuple(shown_problems)


def _secrets(node: Node, path: Path) -> Iterator[tuple[Path, KeyNode | Node, Node | None]]:
    """Yield the path, position and value of each secret, found by its name or its form."""
    if isinstance(node, ScalarNode):
        if _looks_secret(node.text):
            yield path, node, node
    elif isinstance(node, SequenceNode):
        for number, item in enumerate(node.items):
            yield from _secrets(item, (*path, number))
    else:
        for name, key in node.keys.items():
            value = node.values.get(name)
            if _looks_secret(name) or name in _url_fields(path) or _has_secret_name(name, path):
                yield (*path, name), key, value
            elif value is not None:
                yield from _secrets(value, (*path, name))


def _url_fields(above: Path) -> frozenset[str]:
    """Return the names below which a URL may be written by mistake."""
    named = tuple(step for step in above if isinstance(step, str))
    return _URL_FIELDS.get(named, frozenset())


def _message(path: Path) -> str:
    """Return the message about a secret at a path."""
    if path[:1] == ("ping",):
        return _URL_MESSAGE.format("url")
    if path[:1] == ("notify",):
        return _URL_MESSAGE.format("apprise" if path[-1] == "apprise" else "webhook")
    return _KEY_MESSAGE


def _has_secret_name(name: str, above: Path) -> bool:
    """Return whether an unknown field is named like a secret and is not a misspelt known field."""
    from runner.spec.schema import CONFIG_FIELDS
    from runner.text import did_you_mean

    known = CONFIG_FIELDS.get(above) or CONFIG_FIELDS.get((*above[:-1], "*"))
    if known is None or name in known or not SECRET_NAMES.search(name):
        return False
    similar = did_you_mean(name, known)
    return similar is None or (similar in _KEY_FIELDS and not name.startswith("api_key_"))


def _looks_secret(text: str) -> bool:
    return SECRET_PATTERN.search(text) is not None


def _may_be_shown(step: str | int) -> bool:
    return isinstance(step, int) or not _looks_secret(step)


def _texts(node: Node) -> list[str]:
    """Return every text below a node."""
    if isinstance(node, ScalarNode):
        return [node.text]
    children = node.items if isinstance(node, SequenceNode) else node.values.values()
    return [text for child in children for text in _texts(child)]
