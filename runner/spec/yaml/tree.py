"""A YAML document as a tree of nodes with positions, and the values of its unquoted words.

Every node and every key has its line and column, counted from 1, for the messages of all later
checks.

YAML 1.1 and 1.2 read some words differently: `24:00` is the number 1440 or a string, `NO` is
false or a string, `010` is 8 or 10, `1e-3` is a string or a number. Some libraries and editors
follow the one, some the other. A spec costs money, so an ambiguous word is refused with an
explanation; a word that both read alike is accepted.

Rules: yaml.org/spec/1.2.2 section 10.3.2 (core schema); yaml.org/type (1.1) as PyYAML reads it:
an exponent needs a dot and a sign, and `y` and `n` are strings.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from runner.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


Path: TypeAlias = tuple[str | int, ...]
"""Keys and list indexes (from 0) from the root of a document to a node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarNode:
    """A single value. `text` is as written, without quotes; `value` is the parsed value."""

    line: int
    column: int
    text: str
    value: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceNode:
    """Values in order."""

    line: int
    column: int
    items: Sequence[Node]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNode:
    """The position of a key of a mapping."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingNode:
    """Keys with their values, in the order written. `values` lacks those that cannot be read."""

    line: int
    column: int
    keys: Mapping[str, KeyNode]
    values: Mapping[str, Node]


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode


def dotted_path(path: Path) -> str:
    """Return a path as messages and `Source.positions` write it: `metadata.project`, `list[2]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def to_python(node: Node) -> object:
    """Return a tree as Python dicts, lists and values."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, SequenceNode):
        return [to_python(item) for item in node.items]
    return {key: to_python(value) for key, value in node.values.items()}


def child_node(node: Node | None, step: str | int) -> Node | None:
    """Return the child of `node` at `step`, or None."""
    if isinstance(node, MappingNode) and isinstance(step, str):
        return node.values.get(step)
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
        return node.items[step]
    return None


def value_positions(node: Node, path: Path = ()) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the dotted path and the (line, column) of every value below `node`."""
    if isinstance(node, MappingNode):
        children: Iterator[tuple[str | int, Node]] = iter(node.values.items())
    elif isinstance(node, SequenceNode):
        children = iter(enumerate(node.items))
    else:
        return
    for step, child in children:
        here = (*path, step)
        yield dotted_path(here), (child.line, child.column)
        yield from value_positions(child, here)


Scalar: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambiguity:
    """Why a word is refused: `reason` completes "WORD ...", `instead` completes "write ..."."""

    reason: str
    instead: str


_LONGEST_NUMBER: Final = 40
_NUMBER_STARTS: Final = frozenset("+-.0123456789")
_CONSTANTS: Final[dict[str, bool | None]] = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "false": False,
}
_BOOLEANS_1_1: Final = {"yes": True, "on": True, "no": False, "off": False}
_INT: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_INT_1_1: Final = re.compile(
    r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*(:[0-5]?[0-9])*)", re.ASCII
)
_INT_1_2: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT_1_1: Final = re.compile(
    r"[-+]?([0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*)"
    r"|\.[0-9][0-9_]*([eE][-+][0-9]+)?",
    re.ASCII,
)
_FLOAT_1_2: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_DATE: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?"
    r"([ \t]*(Z|[-+][0-9]{1,2}(:?[0-9]{2})?))?",
    re.ASCII,
)


def resolve(text: str) -> Scalar | Ambiguity:
    """Return the value of an unquoted word in YAML 1.1 and 1.2, or how they differ."""
    if text[:1] in _NUMBER_STARTS:
        return _number(text)
    word = text if text in ("", "~") or text.islower() else _lowered(text)
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if word in _BOOLEANS_1_1:
        value = "true" if _BOOLEANS_1_1[word] else "false"
        return Ambiguity(
            reason=f"is read by YAML 1.1 as the boolean {value}",
            instead=f'"{text}" in quotes, or {value}',
        )
    if text in ("=", "<<"):
        return Ambiguity(reason="is read by YAML 1.1 as a command", instead=f'"{text}" in quotes')
    return text


def shown(text: str, limit: int = 60) -> str:
    """Make a text fit for one line of a message: printable, and no longer than `limit`."""
    return printable(text, limit, mark=None)


def _lowered(text: str) -> str:
    """Return `Yes` and `YES` in lower case; other spellings, such as `yEs`, unchanged."""
    lowered = text.lower()
    return lowered if text in (lowered.upper(), lowered.capitalize()) else text


def _number(text: str) -> Scalar | Ambiguity:
    """Resolve a word that begins like a number."""
    if _INT.fullmatch(text) and len(text) <= _LONGEST_NUMBER:
        return int(text)
    if len(text) > _LONGEST_NUMBER:
        return _long_text(text)
    if _DATE.fullmatch(text):
        return Ambiguity(reason="is read by YAML 1.1 as a date", instead=f'"{text}" in quotes')
    if _NOT_FINITE.fullmatch(text):
        instead = f'a number, or "{text}" in quotes'
        return Ambiguity(reason="is not a finite number", instead=instead)
    old, new = _number_1_1(text), _number_1_2(text)
    if old is None and new is None:
        return text
    if old == new and type(old) is type(new):
        too_large = Ambiguity(reason="is too large for a number", instead=f'"{text}" in quotes')
        return new if math.isfinite(new or 0) else too_large
    return _differing(text, old, new)


def _differing(text: str, old: float | None, new: float | None) -> Ambiguity:
    """Return how YAML 1.1 (`old`) and 1.2 (`new`) read a word; None is a string."""
    if new is None:
        reason = f"is read by YAML 1.1 as the number {old}"
    elif old is None:
        reason = f"is read by YAML 1.1 as a string and by YAML 1.2 as the number {new}"
    else:
        reason = f"is read by YAML 1.1 as the number {old} and by YAML 1.2 as the number {new}"
    number = old if new is None else new
    if ":" in text or number is None or not math.isfinite(number):
        return Ambiguity(reason=reason, instead=f'"{text}" in quotes')
    return Ambiguity(reason=reason, instead=f'{number}, or "{text}" in quotes')


def _long_text(text: str) -> str | Ambiguity:
    """Refuse a number with too many digits; return any other text."""
    if any(kind.fullmatch(text) for kind in (_INT_1_1, _INT_1_2, _FLOAT_1_1, _FLOAT_1_2, _DATE)):
        return Ambiguity(reason="is too long for a number", instead="it in quotes if it is a text")
    return text


def _number_1_1(text: str) -> int | float | None:
    """Return the number that YAML 1.1 reads, or None for a string."""
    digits = text.replace("_", "")
    sign = -1 if digits.startswith("-") else 1
    bare = digits.lstrip("+-")
    if _INT_1_1.fullmatch(text):
        if ":" in bare:
            return sign * int(_sexagesimal(bare))
        if bare.startswith(("0b", "0x")):
            return sign * int(bare[2:] or "0", {"b": 2, "x": 16}[bare[1]])
        return sign * int(bare, 8 if bare.startswith("0") else 10)
    if _FLOAT_1_1.fullmatch(text):
        return sign * (_sexagesimal(bare) if ":" in bare else float(bare))
    return None


def _number_1_2(text: str) -> int | float | None:
    """Return the number that YAML 1.2's core schema reads, or None for a string."""
    if _INT_1_2.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    return float(text) if _FLOAT_1_2.fullmatch(text) else None


def _sexagesimal(text: str) -> float:
    value: float = 0
    for part in text.split(":"):
        value = value * 60 + (float(part) if "." in part else int(part))
    return value
