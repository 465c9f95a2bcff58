"""Turn pydantic's errors into problems with a position and a message in plain words.

pydantic validates the values of a document; this module finds the position of each error in the
tree and writes what to write instead. A message never quotes a value that may be a secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from runner.errors import Problem
from runner.spec.yaml.tree import (
    MappingNode,
    ScalarNode,
    SequenceNode,
    child_node,
    dotted_path,
    resolve,
    shown,
)
from runner.text import one_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from runner.spec.yaml.documents import Document
    from runner.spec.yaml.tree import Node, Path


NAME_RULE: Final = 'a name is 1 to 63 of a-z, 0-9, ".", "_" and "-", and begins with a-z or 0-9'

_URL_FIELDS: Final = ("webhook_env", "apprise_env", "url_env")
_CONFIDENTIAL: Final = frozenset({"base_url", "api_key_env", *_URL_FIELDS})
_MISSING: Final = {
    "endpoint": 'write "endpoint: /v1/chat/completions" or another path of the API',
    "input": 'write "input: " and the path of a JSONL file',
}
_PATTERNS: Final = {
    "completion_window": 'is not a duration; write hours or days, such as "24h"',
    "after": "is not a duration; write minutes, hours or days, such as 30h",
    "api_key_env": "expected the name of an environment variable in capitals, such as LAB_KEY;"
    " the API key itself must not be written here",
    "name": f"is not a valid name; {NAME_RULE}",
    **dict.fromkeys(
        _URL_FIELDS,
        "expected the name of an environment variable in capitals, such as HOOK_URL; the URL itself"
        " must not be written here",
    ),
}
_EXAMPLES: Final = {
    "metadata": 'expected fields below it, such as "project: acl"',
    "retry": 'expected "attempts: 3" below it',
    "deadline": 'expected "after: 30h" or "action: resubmit" below it',
    "providers": "expected the names of providers below it",
    "ping": 'expected "url_env: PING_URL" below it',
    "notify": 'expected a list, such as "- webhook_env: HOOK_URL"',
    "when": "expected a list, such as [failed, trouble]",
    "same_as": "expected a list, such as [old-name]",
}
_DURATION_FIELDS: Final = frozenset({"completion_window", "deadline.after"})
_HOUR: Final = re.compile(r"([1-9][0-9]{0,4})(:00)?", re.ASCII)


def suggest_value(field: str, text: str) -> str | None:
    """Return what to write for a number in place of a duration: as many hours."""
    hour = _HOUR.fullmatch(text)
    return f'"{hour[1]}h" in quotes' if field in _DURATION_FIELDS and hour else None


def explain_errors(
    error: ValidationError, document: Document, fields: Mapping[Path, Sequence[str]]
) -> Iterator[tuple[Path, Problem]]:
    """Yield the path and the problem of each error.

    `fields` are the known fields of the mapping at each path, in which `*` matches any step.
    A field whose value could not be read is not missing: it is reported already.
    """
    for detail in error.errors(include_url=False):
        path: Path = detail["loc"]
        about_key = bool(path) and path[-1] == "[key]"
        if about_key:
            path = path[:-1]
        parent, node = _find(document.root, path)
        kind = detail["type"]
        key = parent.keys.get(str(path[-1])) if path and isinstance(parent, MappingNode) else None
        place: Any = node
        if kind == "missing":
            if key:
                continue
            place, message = None, _missing(path)
        elif kind == "extra_forbidden":
            place, message = key, _unknown(path, fields)
        elif about_key:
            place, message = key, _field_name_error(kind, path)
        else:
            message = f"{shown(dotted_path(path))}: {_value_error(detail, path, node)}"
        line, column = (place.line, place.column) if place else (document.line, 0)
        yield path, Problem(path=document.path, line=line, column=column, message=message)


def _find(root: Node | None, path: Path) -> tuple[Node | None, Node | None]:
    parent, node = None, root
    for step in path:
        parent, node = node, child_node(node, step)
    return parent, node


def _missing(path: Path) -> str:
    name = str(path[-1])
    return f"{dotted_path(path)}: is missing; {_MISSING.get(name, 'write it')}"


def _unknown(path: Path, fields: Mapping[Path, Sequence[str]]) -> str:
    name = str(path[-1])
    above = path[:-1]
    known = fields.get(above) or fields.get((*above[:-1], "*")) or ()
    return f"{shown(dotted_path(path))}: unknown field; {one_of(name, known)}"


def _field_name_error(kind: str, path: Path) -> str:
    name, above = str(path[-1]), dotted_path(path[:-1])
    if kind == "string_too_long":
        size = len(name)
        return f'{above}: the key "{shown(name)}" has {size} characters; at most 64 are allowed'
    if kind == "string_too_short":
        return f"{above}: a key is empty; write a name for it"
    return f'{above}: "{shown(name)}" is not a valid name; {NAME_RULE}'


def _value_error(detail: ErrorDetails, path: Path, node: Node | None) -> str:
    """Return what is wrong with the value at `path`, and what to write instead."""
    kind: str = detail["type"]
    field = str(path[-1]) if path else ""
    text = shown(node.text) if isinstance(node, ScalarNode) else "this"
    match kind:
        case "string_type":
            return _not_text(path, node)
        case "int_type" | "float_type":
            return _not_number(kind, node)
        case "dict_type" | "model_type" | "list_type":
            return _EXAMPLES.get(field, "expected fields below it")
        case "string_pattern_mismatch":
            message = _PATTERNS.get(field, "does not have the expected form")
            return message if field in _CONFIDENTIAL else f'"{text}" {message}'
        case "value_error":
            return f'"{text}" {detail["ctx"]["error"]}'
        case "literal_error":
            return f'"{text}" is not one of these: {_choices(detail)}'
        case "bool_type":
            return f"{text} is neither true nor false; write one of them, without quotes"
        case _:
            return _out_of_bounds(kind, detail, text)


def _choices(detail: ErrorDetails) -> str:
    """Return the allowed values without pydantic's quotes."""
    return str(detail["ctx"]["expected"]).replace("'", "").replace(" or ", ", ")


def _out_of_bounds(kind: str, detail: ErrorDetails, text: str) -> str:
    bounds: dict[str, Any] = detail.get("ctx", {})
    match kind:
        case "string_too_short" | "too_short":
            return "is empty; write a value, or remove the line"
        case "string_too_long":
            most = bounds["max_length"]
            return f"has {len(detail['input']):,} characters; at most {most} are allowed"
        case "too_long":
            return f"has {len(detail['input'])} pairs; at most {bounds['max_length']} are allowed"
        case "greater_than_equal":
            return f"{text} is too small; write at least {bounds['ge']:,}"
        case "less_than_equal":
            return f"{text} is too large; write at most {bounds['le']:,}"
        case _:
            return "is not valid here"


def _not_text(path: Path, node: Node | None) -> str:
    if not isinstance(node, ScalarNode):
        return (
            f"expected one text, not {'a list' if isinstance(node, SequenceNode) else 'a mapping'}"
        )
    if path[-1] in _CONFIDENTIAL:
        return "expected a text; put it in quotes"
    what = "a boolean" if isinstance(node.value, bool) else "a number"
    instead = suggest_value(dotted_path(path), node.text) or f'"{node.text}" in quotes'
    return f"{node.text} is {what}; write {instead}"


def _not_number(kind: str, node: Node | None) -> str:
    what = "a whole number" if kind == "int_type" else "a number"
    if not isinstance(node, ScalarNode):
        return f"expected {what}"
    if isinstance(node.value, str) and isinstance(resolve(node.text), int):
        return f"expected {what}; write {node.text} without quotes"
    return f"{shown(node.text)} is not {what}; write one, such as 1"
