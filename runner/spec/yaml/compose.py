"""From one YAML document to its tree, refusing what people do not mean.

The tree is built from libyaml's events rather than its nodes: the place of every alias is known
that way, nothing is expanded before it is counted, and depth is bounded before it can hurt.
Where libyaml is missing, PyYAML's own parser gives the same events, more slowly.

libyaml and PyYAML's parser describe the state of a state machine ("did not find expected key").
A person wants the place and the remedy, so the few mistakes people make are recognised here by
what stands at the place, and the rest is told plainly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import yaml
from yaml import MarkedYAMLError

from runner.spec.yaml.scalars import Ambiguous, resolve, shown
from runner.spec.yaml.tree import KeyNode, MappingNode, ScalarNode, SequenceNode, dotted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from yaml import Mark, YAMLError

    from runner.spec.yaml.scalars import Plain
    from runner.spec.yaml.tree import Node, Path


_Event: TypeAlias = Any
"""One of PyYAML's events; told apart with isinstance, which their stubs do not help with."""

MAX_DEPTH: Final = 20
MAX_VALUES: Final = 20_000
MAX_COPIES: Final = 1_000

_LONGEST_STEP: Final = 100
"""Characters of a key that paths of messages hold: a key may be as long as its file."""

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
class Composed:
    """What became of a document. `root` is None for an empty one and for one beyond reading.

    With mistakes, `root` still holds what could be read, so that a name can be found in it;
    what could not is left out of it.
    """

    root: Node | None
    empty: bool
    mistakes: tuple[YamlProblem, ...]


def compose(text: str, first_line: int, remedy: Callable[[str, str], str | None]) -> Composed:
    """Build the tree of one document, which begins at `first_line` of its file (from 1).

    `remedy(key, text)` may know better than a pair of quotes what to write for an ambiguous
    value; it returns the words after "write", or None. `text` holds no line breaks other than
    LF and CR LF, and at most one document.
    """
    return _Composer(text, first_line, remedy).compose()


def _new_parser(text: str) -> _Parser:
    if yaml.__with_libyaml__:
        return yaml.CSafeLoader(text)
    return _PurePythonParser(text)


class _Parser(Protocol):
    """What libyaml's parser and PyYAML's own have in common."""

    def get_event(self) -> _Event: ...


class _PurePythonParser(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
    """PyYAML's parser without a composer and constructor on top."""

    def __init__(self, text: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)

    def get_event(self) -> _Event:
        """Return the next event; an escape beyond Unicode is an error of the document."""
        try:
            event: _Event = super().get_event()  # type: ignore[no-untyped-call]
        except (ValueError, OverflowError) as error:
            raise yaml.scanner.ScannerError(None, None, "escape", self.get_mark()) from error
        return event


class _Hopeless(Exception):
    """Nothing after this place of the document can be read; the mistake is on record."""


@dataclass(slots=True)
class _Anchored:
    """What an anchor stands for: None while its node is still being read."""

    node: Node | None = None
    size: int = 0


@dataclass(slots=True)
class _Composer:
    text: str
    first_line: int
    remedy: Callable[[str, str], str | None]
    mistakes: list[YamlProblem] = field(default_factory=list)
    anchors: dict[str, _Anchored] = field(default_factory=dict)
    last_line: int = 0
    values: int = 0
    copies: int = 0

    def compose(self) -> Composed:
        self.last_line = self.first_line + self.text.count("\n")
        root: Node | None = None
        empty = False
        if directive := _DIRECTIVE.match(self.text):
            line = self.first_line + directive.group().count("\n")
            self.mistakes.append(YamlProblem(line=line, column=1, message=_NO_DIRECTIVES))
            return Composed(root=None, empty=False, mistakes=tuple(self.mistakes))
        try:
            parser = _new_parser(self.text)
            parser.get_event()
            if isinstance(parser.get_event(), yaml.StreamEndEvent):
                return Composed(root=None, empty=True, mistakes=())
            event = parser.get_event()
            empty = _says_nothing(event)
            root = self._node(parser, event, ())
            parser.get_event()
            parser.get_event()
        except _Hopeless:
            pass
        except yaml.YAMLError as error:
            line, column, words = explain(error, self.text.split("\n"))
            self.mistakes.append(
                YamlProblem(line=self.first_line + line, column=column + 1, message=words)
            )
        return Composed(
            root=root, empty=empty, mistakes=tuple(sorted(self.mistakes, key=_position))
        )

    def _node(self, parser: _Parser, event: _Event, path: Path) -> Node | None:
        """Read the node that begins with `event`; None if it could not be understood."""
        if isinstance(event, yaml.AliasEvent):
            return self._copy(event, path)
        self._count(event)
        if len(path) > MAX_DEPTH:
            self._stop(event, f"more than {MAX_DEPTH} levels deep; nothing here goes so deep")
        refused = event.tag is not None
        if refused:
            tag = shown(event.tag.replace("tag:yaml.org,2002:", "!!", 1))
            self._mistake(event, _at(path, f"the tag {tag} is not allowed; remove it"))
        anchored = _Anchored()
        before = self.values
        if event.anchor is not None:
            self.anchors[event.anchor] = anchored
        node: Node | None
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._list(parser, event, path)
        else:
            node = self._table(parser, event, path)
        anchored.node, anchored.size = node, self.values - before + 1
        return None if refused else node

    def _count(self, event: _Event) -> None:
        """Count a key or a value, be it missing or refused: what is said of each takes time."""
        self.values += 1
        if self.values > MAX_VALUES:
            self._stop(event, f"more than {MAX_VALUES:,} values; split the document")

    def _copy(self, event: yaml.AliasEvent, path: Path) -> Node | None:
        name = shown(event.anchor or "")
        anchored = self.anchors.get(event.anchor or "")
        if anchored is None:
            words = f'no value is marked &{name}; if "*{name}" is the value, put it in quotes'
            self._mistake(event, _at(path, words))
            return None
        if anchored.size == 0:
            self._stop(event, _at(path, f"*{name} stands for a value that contains itself"))
        self.copies += anchored.size
        self.values += anchored.size
        if self.copies > MAX_COPIES:
            self._stop(event, f"aliases stand for more than {MAX_COPIES:,} values; write them out")
        return anchored.node

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> ScalarNode | None:
        text: str = event.value
        value: Plain | Ambiguous = resolve(text) if event.implicit[0] else text
        if isinstance(value, Ambiguous):
            key = dotted(path)
            instead = self.remedy(key, text) or value.instead
            self._mistake(event, _at(path, f"{shown(text)} {value.reason}; write {instead}"))
            return None
        if value is None and path:
            self._mistake(event, _at(path, _NO_VALUE))
            return None
        if control := _CONTROL.search(text):
            words = f"holds the control character U+{ord(control.group()):04X}; remove it"
            self._mistake(event, _at(path, words))
            return None
        line, column = self._place(event)
        return ScalarNode(line=line, column=column, text=text, value=value)

    def _list(self, parser: _Parser, event: _Event, path: Path) -> SequenceNode:
        items: list[Node] = []
        index = 0
        while not isinstance(child := parser.get_event(), yaml.SequenceEndEvent):
            item = self._node(parser, child, (*path, index))
            index += 1
            if item is not None:
                items.append(item)
        line, column = self._place(event)
        return SequenceNode(line=line, column=column, items=items)

    def _table(self, parser: _Parser, event: _Event, path: Path) -> MappingNode:
        keys: dict[str, KeyNode] = {}
        values: dict[str, Node] = {}
        while not isinstance(key_event := parser.get_event(), yaml.MappingEndEvent):
            key = self._key(parser, key_event, path)
            before = len(self.mistakes)
            value_path = (*path, "?" if key is None else key[:_LONGEST_STEP])
            value_event = parser.get_event()
            value = None
            if _says_nothing(value_event):
                self._count(value_event)
                # At the key: parsers put what is not there wherever they notice it.
                self._mistake(key_event, _at(value_path, _NO_VALUE))
            else:
                value = self._node(parser, value_event, value_path)
            if key is None:
                del self.mistakes[before:]  # about a value that has no name to tell it by
                continue
            line, column = self._place(key_event)
            if first := keys.get(key):
                words = f"is written twice, first at line {first.line}; keep one of the two"
                self._mistake(key_event, _at(value_path, words))
                continue
            keys[key] = KeyNode(line=line, column=column)
            if value is not None:
                values[key] = value
        line, column = self._place(event)
        return MappingNode(line=line, column=column, keys=keys, values=values)

    def _key(self, parser: _Parser, event: _Event, path: Path) -> str | None:
        """Read a key; None, with a mistake on record, for what cannot be one."""
        plain = isinstance(event, yaml.ScalarEvent) and event.implicit[0]
        if plain and (words := _no_key(event.value)):
            self._count(event)
            self._mistake(event, _at(path, words))
            return None
        before = len(self.mistakes)
        node = self._node(parser, event, (*path, "?"))
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            return node.value
        if len(self.mistakes) == before:
            words = "a key is one text, not a list, a mapping or a number; write it in quotes"
            self._mistake(event, _at(path, words))
        return None

    def _place(self, event: _Event) -> tuple[int, int]:
        mark = event.start_mark
        return self.first_line + mark.line, mark.column + 1

    def _mistake(self, event: _Event, message: str) -> None:
        line, column = self._place(event)
        if line > self.last_line:  # parsers put what is not there behind the end
            line, column = self.last_line, 0
        self.mistakes.append(YamlProblem(line=line, column=column, message=message))

    def _stop(self, event: _Event, message: str) -> None:
        self._mistake(event, message)
        raise _Hopeless


def _says_nothing(event: _Event) -> bool:
    """Whether a document is only its marker: no value, tag or anchor."""
    return (
        isinstance(event, yaml.ScalarEvent)
        and event.value == ""
        and event.implicit[0]
        and event.tag is None
        and event.anchor is None
    )


def _no_key(text: str) -> str | None:
    """Say why an unquoted word cannot be a key, or None if it can."""
    if text == "<<":
        return '"<<" (merge) is not read here; write the keys out'
    value = resolve(text)
    if isinstance(value, Ambiguous):
        return f'the key {shown(text)} {value.reason}; write "{shown(text)}" in quotes'
    if isinstance(value, str):
        return None
    if not text:
        return 'a key is missing before the ":"; write it, or put the value in quotes'
    return f'the key {shown(text)} is not a text; write "{shown(text)}" in quotes'


def _at(path: Path, words: str) -> str:
    return f"{shown(dotted(path))}: {words}" if path else words


def _position(problem: YamlProblem) -> tuple[int, int]:
    return problem.line, problem.column


TAB: Final = "a tab cannot indent YAML; write spaces"

_LOOSE: Final = 'this is neither a key nor a value; after a key come a colon and a space: "name: x"'
_REMEDIES: Final = (
    # (part of the parser's own words, whether to point at the start of the construct, our words)
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
    ("could not find expected ':'", True, _LOOSE),
    ("while scanning a simple key", True, _LOOSE),
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
_MISFIT: Final = "this does not fit what stands before it; check indentation, quotes and commas"


def explain(error: YAMLError, lines: Sequence[str]) -> tuple[int, int, str]:
    """Return line and column (from 0, inside `lines`) and our words for a syntax error."""
    if not isinstance(error, MarkedYAMLError):
        return 0, 0, _MISFIT
    problem, context = error.problem or "", error.context or ""
    line, column = _place_of(error.problem_mark, lines)
    indent = lines[line][: len(lines[line]) - len(lines[line].lstrip())]
    if "\t" in indent and "quoted" not in context:
        return line, indent.index("\t"), TAB
    if "cannot start any token" in problem or "node content" in problem:
        character = lines[line][column : column + 1]
        if character and not character.isspace():
            return line, column, f'"{character}" cannot begin a value; put the value in quotes'
    for part, at_start, words in _REMEDIES:
        if part in problem or part in context:
            if at_start and error.context_mark is not None:
                line, column = _place_of(error.context_mark, lines)
            return line, column, words
    return line, column, _MISFIT


def _place_of(mark: Mark | None, lines: Sequence[str]) -> tuple[int, int]:
    """Clamp a mark to the text: parsers put what is missing one line behind the last."""
    if mark is None:
        return 0, 0
    line = min(mark.line, len(lines) - 1)
    if line < mark.line:
        return line, len(lines[line])
    return line, min(mark.column, len(lines[line]))
