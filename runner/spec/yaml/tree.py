"""A YAML document as a tree of nodes with positions.

Every node and every key has its line and column, counted from 1, for the messages of all later
checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runner.spec.yaml.scalars import Scalar


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
