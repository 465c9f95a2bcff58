"""Parse one YAML document into a tree of nodes and explain its errors.

The tree is built from libyaml's events instead of its nodes: so every alias has a position,
aliases are counted before they are expanded, and the depth is limited while reading. Without
libyaml, PyYAML's own parser gives the same events, more slowly.

The messages of both parsers describe a state machine ("did not find expected key"). The user needs
the position and what to write instead, so frequent errors are recognized by the text at their
position and get a message of their own; other errors get a general one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import yaml
from yaml import MarkedYAMLError

from runner.spec.yaml.tree import (
    Ambiguity,
    KeyNode,
    MappingNode,
    ScalarNode,
    SequenceNode,
    dotted_path,
    resolve,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from yaml import Mark, YAMLError

    from runner.spec.yaml.tree import Node, Path, Scalar


_Event: TypeAlias = Any
"""One of PyYAML's events; they are distinguished with isinstance, which their stubs do not type."""

MAX_DEPTH: Final = 20
MAX_VALUES: Final = 20_000
MAX_COPIES: Final = 1_000

_LONGEST_STEP: Final = 100
"""Characters of a key in the paths of messages: a key may be as long as its file."""

_DIRECTIVE: Final = re.compile(r"([ \t]*(#.*)?\r?\n)*%")
_NO_DIRECTIVES: Final = 'lines that begin with "%" (directives) are not needed; remove them'
_NO_VALUE: Final = "has no value; write one, or remove the line"
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlProblem:
    """A problem inside a document; `line` and `column` count from 1 in the whole file."""

    line: int
    column: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedDocument:
    """The result of parsing. `root` is None for an empty document and after a fatal error.

    With problems, `root` still contains the values that could be read, for example the name.
    """

    root: Node | None
    empty: bool
    problems: tuple[YamlProblem, ...]


def compose(
    text: str, first_line: int, suggest: Callable[[str, str], str | None]
) -> ComposedDocument:
    """Parse one document, which begins at `first_line` of its file (from 1).

    `suggest(field, text)` returns what to write in place of an ambiguous value, or None to
    suggest quotes. `text` contains no line breaks other than LF and CR LF, and at most one
    document.
    """
    return _Composer(text, first_line, suggest).compose()


def _new_parser(text: str) -> _Parser:
    if yaml.__with_libyaml__:
        return yaml.CSafeLoader(text)
    return _PurePythonParser(text)


class _Parser(Protocol):
    """The method that libyaml's parser and PyYAML's own have in common."""

    def get_event(self) -> _Event: ...


class _PurePythonParser(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
    """PyYAML's parser without a composer and constructor on top."""

    def __init__(self, text: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)

    def get_event(self) -> _Event:
        """Return the next event; an escape beyond Unicode is a syntax error."""
        try:
            event: _Event = super().get_event()  # type: ignore[no-untyped-call]
        except (ValueError, OverflowError) as error:
            raise yaml.scanner.ScannerError(None, None, "escape", self.get_mark()) from error
        return event


class _ParsingStopped(Exception):
    """The rest of the document cannot be read; the problem is recorded already."""


@dataclass(slots=True)
class _Anchor:
    """The value of an anchor: None while its node is being read."""

    node: Node | None = None
    size: int = 0


@dataclass(slots=True)
class _Composer:
    text: str
    first_line: int
    suggest: Callable[[str, str], str | None]
    problems: list[YamlProblem] = field(default_factory=list)
    anchors: dict[str, _Anchor] = field(default_factory=dict)
    last_line: int = 0
    values: int = 0
    copies: int = 0

    def compose(self) -> ComposedDocument:
        self.last_line = self.first_line + self.text.count("\n")
        root: Node | None = None
        empty = False
        if directive := _DIRECTIVE.match(self.text):
            line = self.first_line + directive.group().count("\n")
            self.problems.append(YamlProblem(line=line, column=1, message=_NO_DIRECTIVES))
            return ComposedDocument(root=None, empty=False, problems=tuple(self.problems))
        try:
            parser = _new_parser(self.text)
            parser.get_event()
            if isinstance(parser.get_event(), yaml.StreamEndEvent):
                return ComposedDocument(root=None, empty=True, problems=())
            event = parser.get_event()
            empty = _is_empty(event)
            root = self._node(parser, event, ())
            parser.get_event()
            parser.get_event()
        except _ParsingStopped:
            pass
        except yaml.YAMLError as error:
            line, column, message = _explain_syntax_error(error, self.text.split("\n"))
            self.problems.append(
                YamlProblem(line=self.first_line + line, column=column + 1, message=message)
            )
        self.problems.sort(key=lambda problem: (problem.line, problem.column))
        return ComposedDocument(root=root, empty=empty, problems=tuple(self.problems))

    def _node(self, parser: _Parser, event: _Event, path: Path) -> Node | None:
        """Return the node that begins with `event`, or None after a problem."""
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        self._count(event)
        if len(path) > MAX_DEPTH:
            self._stop(event, f"more than {MAX_DEPTH} levels deep; remove some levels")
        refused = event.tag is not None
        if refused:
            tag = shown(event.tag.replace("tag:yaml.org,2002:", "!!", 1))
            self._add_problem(event, _at(path, f"the tag {tag} is not allowed; remove it"))
        anchored = _Anchor()
        before = self.values
        if event.anchor is not None:
            self.anchors[event.anchor] = anchored
        node: Node | None
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(parser, event, path)
        else:
            node = self._mapping(parser, event, path)
        anchored.node, anchored.size = node, self.values - before + 1
        return None if refused else node

    def _count(self, event: _Event) -> None:
        """Count a key or a value, also a missing or refused one: each message takes time."""
        self.values += 1
        if self.values > MAX_VALUES:
            self._stop(event, f"more than {MAX_VALUES:,} values; split the document")

    def _alias(self, event: yaml.AliasEvent, path: Path) -> Node | None:
        name = shown(event.anchor or "")
        anchored = self.anchors.get(event.anchor or "")
        if anchored is None:
            message = f'no value is marked &{name}; if "*{name}" is the value, put it in quotes'
            self._add_problem(event, _at(path, message))
            return None
        if anchored.size == 0:
            self._stop(event, _at(path, f"*{name} is an alias of a value that contains it"))
        self.copies += anchored.size
        self.values += anchored.size
        if self.copies > MAX_COPIES:
            self._stop(event, f"aliases repeat more than {MAX_COPIES:,} values; write them out")
        return anchored.node

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> ScalarNode | None:
        text: str = event.value
        value: Scalar | Ambiguity = resolve(text) if event.implicit[0] else text
        if isinstance(value, Ambiguity):
            key = dotted_path(path)
            instead = self.suggest(key, text) or value.instead
            self._add_problem(event, _at(path, f"{shown(text)} {value.reason}; write {instead}"))
            return None
        if value is None and path:
            self._add_problem(event, _at(path, _NO_VALUE))
            return None
        if control := _CONTROL.search(text):
            message = f"contains the control character U+{ord(control.group()):04X}; remove it"
            self._add_problem(event, _at(path, message))
            return None
        line, column = self._position(event)
        return ScalarNode(line=line, column=column, text=text, value=value)

    def _sequence(self, parser: _Parser, event: _Event, path: Path) -> SequenceNode:
        items: list[Node] = []
        index = 0
        while not isinstance(child := parser.get_event(), yaml.SequenceEndEvent):
            item = self._node(parser, child, (*path, index))
            index += 1
            if item is not None:
                items.append(item)
        line, column = self._position(event)
        return SequenceNode(line=line, column=column, items=items)

    def _mapping(self, parser: _Parser, event: _Event, path: Path) -> MappingNode:
        keys: dict[str, KeyNode] = {}
        values: dict[str, Node] = {}
        while not isinstance(key_event := parser.get_event(), yaml.MappingEndEvent):
            key = self._key(parser, key_event, path)
            before = len(self.problems)
            value_path = (*path, "?" if key is None else key[:_LONGEST_STEP])
            value_event = parser.get_event()
            value = None
            if _is_empty(value_event):
                self._count(value_event)
                # At the key: parsers place a missing value where they notice it.
                self._add_problem(key_event, _at(value_path, _NO_VALUE))
            else:
                value = self._node(parser, value_event, value_path)
            if key is None:
                del self.problems[before:]  # about a value without a name
                continue
            line, column = self._position(key_event)
            if first := keys.get(key):
                message = f"is written twice, first at line {first.line}; keep one of the two"
                self._add_problem(key_event, _at(value_path, message))
                continue
            keys[key] = KeyNode(line=line, column=column)
            if value is not None:
                values[key] = value
        line, column = self._position(event)
        return MappingNode(line=line, column=column, keys=keys, values=values)

    def _key(self, parser: _Parser, event: _Event, path: Path) -> str | None:
        """Return a key, or None after a problem."""
        unquoted = isinstance(event, yaml.ScalarEvent) and event.implicit[0]
        if unquoted and (message := _key_error(event.value)):
            self._count(event)
            self._add_problem(event, _at(path, message))
            return None
        before = len(self.problems)
        node = self._node(parser, event, (*path, "?"))
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            return node.value
        if len(self.problems) == before:
            message = "a field name is one text, not a list, mapping or number; put it in quotes"
            self._add_problem(event, _at(path, message))
        return None

    def _position(self, event: _Event) -> tuple[int, int]:
        mark = event.start_mark
        return self.first_line + mark.line, mark.column + 1

    def _add_problem(self, event: _Event, message: str) -> None:
        line, column = self._position(event)
        if line > self.last_line:  # parsers place a missing value after the end
            line, column = self.last_line, 0
        self.problems.append(YamlProblem(line=line, column=column, message=message))

    def _stop(self, event: _Event, message: str) -> None:
        self._add_problem(event, message)
        raise _ParsingStopped


def _is_empty(event: _Event) -> bool:
    """Return whether an event is an empty value without quotes, tag and anchor."""
    return (
        isinstance(event, yaml.ScalarEvent)
        and event.value == ""
        and event.implicit[0]
        and event.tag is None
        and event.anchor is None
    )


def _key_error(text: str) -> str | None:
    """Return why an unquoted word cannot be a key, or None if it can."""
    if text == "<<":
        return '"<<" (merge) is not supported; write the fields out'
    value = resolve(text)
    if isinstance(value, Ambiguity):
        return f'the field {shown(text)} {value.reason}; write "{shown(text)}" in quotes'
    if isinstance(value, str):
        return None
    if not text:
        return 'a field name is missing before the ":"; write it, or put the value in quotes'
    return f'the field {shown(text)} is not a text; write "{shown(text)}" in quotes'


def _at(path: Path, message: str) -> str:
    return f"{shown(dotted_path(path))}: {message}" if path else message


_TAB: Final = "a tab cannot indent YAML; write spaces"

_NOT_KEY_AND_VALUE: Final = (
    'this is neither a field nor a value; write a field as "name: x", with a space'
)
_MESSAGES: Final = (
    # (part of the parser's message, whether to report the start of the construct, our message)
    (
        "mapping values are not allowed",
        False,
        'a ": " is not expected here; align this line with those above, or quote the value',
    ),
    (
        "sequence entries are not allowed",
        False,
        'a list cannot begin here; start each "- " on a line of its own',
    ),
    ("could not find expected ':'", True, _NOT_KEY_AND_VALUE),
    ("while scanning a simple key", True, _NOT_KEY_AND_VALUE),
    (
        "escape",
        False,
        "a backslash between double quotes begins an escape; write it twice, or use single quotes",
    ),
    (
        "quoted scalar",
        True,
        "this quote is not closed; write the same quote at the end of the value",
    ),
    (
        "flow sequence",
        True,
        'this "[" is not closed; write commas between its items and "]" after the last',
    ),
    (
        "flow mapping",
        True,
        'this "{" is not closed; write commas between its pairs and "}" after the last',
    ),
    (
        "flow node",
        False,
        'a value is missing here; close every "[" with "]" and every "{" with "}"',
    ),
    ("block scalar", False, "a block of text begins with | or > alone; indent its lines below it"),
    ("while scanning an alias", False, '"*" begins an alias; put the value in quotes'),
    ("while scanning an anchor", False, '"&" begins an anchor; put the value in quotes'),
    ("tag", False, '"!" begins a tag; put the value in quotes'),
)
_UNKNOWN_ERROR: Final = "this does not fit the text before it; check indentation, quotes and commas"


def _explain_syntax_error(error: YAMLError, lines: Sequence[str]) -> tuple[int, int, str]:
    """Return line and column (from 0, inside `lines`) and the message for a syntax error."""
    if not isinstance(error, MarkedYAMLError):
        return 0, 0, _UNKNOWN_ERROR
    problem, context = error.problem or "", error.context or ""
    line, column = _clamp(error.problem_mark, lines)
    indent = lines[line][: len(lines[line]) - len(lines[line].lstrip())]
    if "\t" in indent and "quoted" not in context:
        return line, indent.index("\t"), _TAB
    if "cannot start any token" in problem or "node content" in problem:
        character = lines[line][column : column + 1]
        if character and not character.isspace():
            return line, column, f'"{character}" cannot begin a value; put the value in quotes'
    for part, at_start, message in _MESSAGES:
        if part in problem or part in context:
            if at_start and error.context_mark is not None:
                line, column = _clamp(error.context_mark, lines)
            return line, column, message
    return line, column, _UNKNOWN_ERROR


def _clamp(mark: Mark | None, lines: Sequence[str]) -> tuple[int, int]:
    """Return a position inside the text: parsers place a missing token one line after the end."""
    if mark is None:
        return 0, 0
    line = min(mark.line, len(lines) - 1)
    if line < mark.line:
        return line, len(lines[line])
    return line, min(mark.column, len(lines[line]))
