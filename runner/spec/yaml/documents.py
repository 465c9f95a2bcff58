"""Read a YAML file as documents, each with its tree, its text and its problems.

A file is split at its `---` and `...` lines before it is parsed: an error in one document leaves
the others valid, and each document has its own text to hash. YAML forbids these lines inside a
document, also in block scalars and quotes (yaml.org/spec/1.2.2, section 9.1.2), so no parser is
needed to split.

YAML 1.1 breaks lines at U+0085, U+2028, U+2029 and a bare CR; editors and YAML 1.2 mostly do not.
These and other invisible characters are refused; the escape "\u2028" in quotes is allowed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from runner.errors import Problem
from runner.spec.yaml.compose import YamlProblem, compose
from runner.spec.yaml.tree import MappingNode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runner.spec.yaml.tree import Node


MAX_BYTES: Final = 1024 * 1024

_MARKER: Final = re.compile(r"^(---|\.\.\.)(?=[ \t\r\n]|\Z)", re.MULTILINE)
_BLANK: Final = re.compile(r"[ \t]*(#.*)?\r?\n?")
_INVISIBLE: Final = re.compile(
    "[^\\t\\n\\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
    "|\\r(?!\\n)"
)
_NAMES: Final = {
    "\r": "a carriage return without a line feed; save the file with Unix line ends",
    "\ufeff": "a byte order mark; save the file as UTF-8 without BOM",
}
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML document of a file.

    `text` is the text between the marker lines. `line` is the line at which its content begins.
    `root` is the mapping, as far as it could be read; None if it could not be read or is not a
    mapping, with a problem in `problems`.
    """

    path: str
    line: int
    text: str
    root: MappingNode | None
    problems: tuple[Problem, ...]

    @property
    def sha256(self) -> str:
        """The digest of `text` in UTF-8."""
        return sha256(self.text.encode()).hexdigest()


def read_documents(
    data: bytes, path: str, *, suggest: Callable[[str, str], str | None] | None = None
) -> tuple[tuple[Document, ...], tuple[Problem, ...]]:
    """Return the documents of a file, and the problems of the file as a whole.

    `path` is the path in messages. `suggest(field, text)` may return what to write in place of an
    ambiguous value; by default messages suggest quotes. Documents without content are left out; a
    file without any content has no documents and no problem. Never raises.
    """
    try:
        text = _decode(data)
    except _UnreadableFile as error:
        problem = Problem(path=path, line=error.line, column=error.column, message=str(error))
        return (), (problem,)
    documents = []
    for raw in _split(text):
        composed = compose(raw.parsed, raw.line, suggest or _suggest_nothing)
        if composed.empty and not composed.problems:
            continue
        documents.append(_document(path, raw, composed.root, composed.problems))
    return tuple(documents), ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _RawDocument:
    """A document's text, and `parsed`, the text with its `---` line."""

    line: int
    parsed: str
    text: str


class _UnreadableFile(Exception):
    """The bytes of a file are not a text that YAML allows; line and column count from 1."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _UnreadableFile("is larger than 1 MiB; write data into the input, not into the spec")
    if data.startswith(_UTF16):
        raise _UnreadableFile("is UTF-16; save the file as UTF-8", 1, 1)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        bad = data[error.start]
        raise _UnreadableFile(
            f"is not UTF-8 (byte 0x{bad:02X}); save the file as UTF-8", *_position(before)
        ) from None
    if invisible := _INVISIBLE.search(text):
        character = invisible.group()
        what = _NAMES.get(
            character, f"the invisible character U+{ord(character):04X}; remove or escape it"
        )
        raise _UnreadableFile(f"contains {what}", *_position(text[: invisible.start()]))
    return text


def _position(before: str) -> tuple[int, int]:
    """Return the line and column, from 1, of the character after `before`."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _split(text: str) -> Iterator[_RawDocument]:
    """Yield the documents of a file, also those that turn out to be empty when parsed."""
    begin, line = 0, 1
    opened = False
    for marker in [*_MARKER.finditer(text), None]:
        end = marker.start() if marker else len(text)
        parsed = text[begin:end]
        if opened or not _only_comments(parsed):
            own = parsed[3:] if opened else parsed
            yield _RawDocument(
                line=line, parsed=parsed, text=own.removeprefix("\r").removeprefix("\n")
            )
        if marker is None:
            return
        line += text.count("\n", begin, end)
        opened = marker.group() == "---"
        begin = end if opened else marker.end()


def _only_comments(text: str) -> bool:
    return all(_BLANK.fullmatch(line) for line in text.splitlines(keepends=True))


def _document(
    path: str, raw: _RawDocument, root: Node | None, found: tuple[YamlProblem, ...]
) -> Document:
    problems = list(found)
    if root is not None and not isinstance(root, MappingNode):
        message = 'expected fields and values, such as "name: x"'
        problems.append(YamlProblem(line=root.line, column=root.column, message=message))
        root = None
    return Document(
        path=path,
        line=root.line if root else problems[0].line if problems else raw.line,
        text=raw.text,
        root=root,
        problems=tuple(
            Problem(path=path, line=problem.line, column=problem.column, message=problem.message)
            for problem in problems
        ),
    )


def _suggest_nothing(_field: str, _text: str) -> None:
    """Suggest nothing: the message about an ambiguous value suggests quotes."""
