"""Decode request lines and read the fields that runner needs.

This is the fast check of every line: one typed decode that accepts a valid request and explains
nothing. A line that it does not accept is checked again by `runner.inputs.validation`, which
explains the problems. Of a body, only the fields that decide whether a batch is accepted are
checked; for the others, a value of another type than OpenAI's API takes is noted.

The decoder skips unknown fields without checking their UTF-8: callers check it.
"""

from __future__ import annotations

import dataclasses
import re
from enum import StrEnum
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeAlias, assert_never

import msgspec

from runner.inputs.body_schema import BODY_TYPES, MODEL_KINDS, NESTED_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LONGEST_CUSTOM_ID: Final = 512
"""Characters. The API states no limit; 64 of `[A-Za-z0-9_-]` are safe with every provider."""


class RequestKind(StrEnum):
    """The kind of an endpoint, which decides the required fields of a body."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"
    MODERATIONS = "moderations"
    OTHER = "other"

    @classmethod
    def of(cls, endpoint: str) -> RequestKind:
        """Return the kind of an endpoint by the end of its path, such as `/v4/chat/completions`."""
        for ending, kind in _ENDINGS:
            if endpoint.endswith(ending):
                return kind
        return cls.OTHER

    def purpose_of_other_model(self, model: str) -> str | None:
        """Return what a model is for, if its name says that this endpoint does not take it."""
        if self is RequestKind.OTHER:
            return None
        name = model.lower()
        purpose = next((purpose for family, purpose in MODEL_KINDS if family.search(name)), None)
        takes = RequestKind.CHAT if self is RequestKind.RESPONSES else self
        return None if purpose == takes else purpose

    @property
    def needs_model(self) -> bool:
        """Whether a body must have a model."""
        return self not in (RequestKind.MODERATIONS, RequestKind.OTHER)


_ENDINGS: Final = (
    ("/chat/completions", RequestKind.CHAT),
    ("/completions", RequestKind.COMPLETIONS),
    ("/responses", RequestKind.RESPONSES),
    ("/embeddings", RequestKind.EMBEDDINGS),
    ("/moderations", RequestKind.MODERATIONS),
)


class InputRequest(msgspec.Struct, frozen=True, gc=False):
    """The fields of one row for sharding; `inputs` counts embedding inputs, else 0."""

    custom_id: str
    model: str | None
    inputs: int


class _Key(str):
    """A key of a body. The decoder passes each one to its hook, also one that is given again.

    `types` are those of its field, none if they are not checked; `first_bytes` are those with which
    values of these types begin.
    """

    __slots__ = ("first_bytes", "types")

    types: frozenset[str]
    first_bytes: frozenset[int]


class _Found:
    """The decoded value of a field around the body; the decoder passes the text to its hook."""

    __slots__ = ()


class _FoundId(_Found):
    """A custom_id."""

    __slots__ = ()


class _FoundMethod(_Found):
    """The method, which is POST."""

    __slots__ = ()


class _FoundUrl(_Found):
    """The URL, which is the endpoint."""

    __slots__ = ()


_FOUND_ID: Final = _FoundId()
_FOUND_METHOD: Final = _FoundMethod()
_FOUND_URL: Final = _FoundUrl()

_MODEL: Final = _Key("model")
_MESSAGES: Final = _Key("messages")
_PROMPT: Final = _Key("prompt")
_INPUT: Final = _Key("input")
_STREAM: Final = _Key("stream")

_LIST: Final = ord("[")
_NO_ELEMENT: Final = frozenset(b"] \t\r\n")
_AROUND: Final = 2
"""Fields around the body besides the custom_id: method and url."""
_KEPT: Final = 1000
"""Keys of bodies, and values of a field, that are kept to compare later ones with."""

_Body: TypeAlias = dict[_Key, msgspec.Raw]

_FIRST_BYTES: Final = {
    **dict.fromkeys(b"-0123456789", "number"),
    **dict.fromkeys(b"tf", "true or false"),
    ord('"'): "string",
    ord("["): "array",
    ord("{"): "object",
    ord("n"): "null",
}
"""The type of a JSON value by its first byte."""

_SHORT: Final = frozenset({"integer", "null", "number", "true or false"})
"""Types whose values are short, and of which the usual ones are kept."""


class _RequestLine(msgspec.Struct, frozen=True, gc=False):
    """A line whose values in the body are not decoded yet.

    The body is not empty: of two bodies, each then gives at least one key to the hook.
    """

    custom_id: _FoundId
    method: _FoundMethod
    url: _FoundUrl
    body: Annotated[_Body, msgspec.Meta(min_length=1)]


_decode_model: Final = msgspec.json.Decoder(
    Annotated[str, msgspec.Meta(min_length=1)] | None
).decode
_decode_any: Final = msgspec.json.Decoder().decode
_decode_inputs: Final = msgspec.json.Decoder(str | list[str | int | list[int]]).decode


class WrongType(NamedTuple):
    """A field of a body whose value has another type than OpenAI's API takes.

    `sampled` is true of a field below the top level: only the first requests are looked at so.
    """

    field: str
    found: str
    expected: str
    value: bytes
    sampled: bool = False


_PYTHON_TYPES: Final = {
    bool: "true or false",
    dict: "object",
    float: "number",
    int: "integer",
    list: "array",
    str: "string",
    type(None): "null",
}


@dataclasses.dataclass(slots=True)
class Node:
    """A place in a body: its types, none if they are not checked, and the places below it."""

    types: frozenset[str] = frozenset()
    below: dict[str, Node] = dataclasses.field(default_factory=dict)


def nested_nodes(kind: str) -> Mapping[str, Node]:
    """Return the places of an endpoint's bodies that have types below them, by top-level field."""
    root = Node()
    for path, types in NESTED_TYPES.get(kind, {}).items():
        node = root
        for name in path.replace("[]", ".[]").split("."):
            node = node.below.setdefault(name, Node())
        node.types = frozenset(re.findall(r"true or false|\w+", types))
    return root.below


def nested_wrong_types(
    value: object, node: Node, path: str
) -> Iterator[tuple[str, str, str, object]]:
    """Yield (path, found, expected, value) of each value below a place that has another type."""
    if node.types and value is not None:
        found = _PYTHON_TYPES[type(value)]
        if found not in node.types:
            yield path, found, " or ".join(sorted(node.types)), value
            return
    if isinstance(value, list) and "[]" in node.below:
        for each in value:
            yield from nested_wrong_types(each, node.below["[]"], f"{path}[]")
    elif isinstance(value, dict):
        for name, its in node.below.items():
            if name in value:
                yield from nested_wrong_types(value[name], its, f"{path}.{name}")


def _expected_types(kind: RequestKind) -> dict[str, frozenset[str]]:
    """Return the types of each field of a body that has some, null among them."""
    types: dict[str, frozenset[str]] = {}
    for name, fields in BODY_TYPES.get(kind, {}).items():
        for field in fields.split():
            types[field] = types.get(field, frozenset({"null"})) | {name}
    return types


def _json_type(value: bytes) -> str:
    """Return the type of a JSON value; a number without fraction and exponent is an integer."""
    found = _FIRST_BYTES[value[0]]
    return "integer" if found == "number" and value.lstrip(b"-").isdigit() else found


def _key(name: str, types: frozenset[str]) -> _Key:
    """Return the key of a field with these types, or of one that is not checked without any."""
    key = _Key(name)
    key.types = types
    key.first_bytes = frozenset(first for first, each in _FIRST_BYTES.items() if each in types)
    return key


class _CheckedFields:
    """The fields of an input whose types are checked, each from the line on in which it is met.

    Attributes:
        short: those whose values are numbers, true, false or null; none of these has a comma, so
            values with commas between them are those of one request only.
        values: returns the values of all short ones in a body; raises KeyError if one is absent.
        usual: values of all short ones, with commas between them, that have the right types.
        long: the others, of whose values only the first byte is looked at.

    """

    __slots__ = ("long", "short", "usual", "values")

    values: Callable[[_Body], tuple[msgspec.Raw, ...]]

    def __init__(self) -> None:
        self.short: list[_Key] = []
        self.long: list[_Key] = []
        self.usual: set[bytes] = set()

    def add(self, key: _Key) -> None:
        """Add a field."""
        if key.types <= _SHORT:
            self.short.append(key)
            # The first one twice: of one key alone a getter returns no tuple.
            self.values = itemgetter(self.short[0], *self.short)
            self.usual.clear()
        else:
            self.long.append(key)


def _hook(
    endpoint: str, ids: list[str], others: list[object], checked: _CheckedFields
) -> Callable[[type, object], _Key | _Found]:
    """Return the hook of a decoder: it adds each key of a body and each field around the body.

    It is called for each one of a line, not only for the last of the same name; so often that it
    looks up no attribute. A field that is checked is added to `checked` when it is first met.
    """
    types = _expected_types(RequestKind.of(endpoint))
    keys: dict[object, _Key] = {}  # the usual few are made once, not for every line
    add, known = others.append, keys.get

    def hook(kind: type, value: object) -> _Key | _Found:
        if kind is _Key:
            add(value)
            key = known(value)
            if key is None:
                name = str(value)
                key = _key(name, types.get(name, frozenset()))
                is_checked = name in types or name == _STREAM
                if is_checked:
                    checked.add(key)
                if is_checked or len(keys) < _KEPT:
                    keys[value] = key
            return key
        if kind is _FoundId:
            if not isinstance(value, str):
                raise msgspec.ValidationError("expected a string")
            ids.append(value)
            return _FOUND_ID
        add(value)
        if value != ("POST" if kind is _FoundMethod else endpoint):
            raise msgspec.ValidationError("expected another value")
        return _FOUND_METHOD if kind is _FoundMethod else _FOUND_URL

    return hook


class RequestReader:
    """A decoder for the lines of an input for `endpoint`.

    `wrong_types` are those of the requests that were read since it was cleared.
    """

    def __init__(self, endpoint: str) -> None:
        self._kind = RequestKind.of(endpoint)
        self._needs_model = self._kind.needs_model
        self._is_chat = self._kind is RequestKind.CHAT
        self._ids: list[str] = []
        self._others: list[object] = []
        self._checked = _CheckedFields()
        self.wrong_types: list[WrongType] = []
        self._nested = nested_nodes(self._kind)
        self._decode = msgspec.json.Decoder(
            _RequestLine, dec_hook=_hook(endpoint, self._ids, self._others, self._checked)
        ).decode

    def read(self, row: bytes) -> InputRequest | None:
        """Return the request of a valid row; None for any other, and for one with an empty body."""
        ids, others = self._ids, self._others
        ids.clear()
        others.clear()
        try:
            body = self._decode(row).body
            # With a key given twice, runner and the provider might each use a different value.
            if (
                len(ids) != 1
                or len(others) != _AROUND + len(body)
                or not 0 < len(ids[0]) <= LONGEST_CUSTOM_ID
            ):
                return None
            written = body.get(_MODEL)
            model = None if written is None else _decode_model(written)
            if model is None and self._needs_model:
                return None
            if self._is_chat:  # as `_inputs` does, without the call
                messages = body.get(_MESSAGES)
                inputs = 0 if messages is not None and _is_filled_list(messages) else None
            else:
                inputs = _inputs(body, self._kind)
            # So often that it calls nothing of ours as long as values repeat.
            checked = self._checked
            if checked.short:
                try:
                    values = b",".join(checked.values(body))
                except KeyError:
                    values = b""
                if values not in checked.usual and not self._take_unusual(body, values):
                    return None
            for key in checked.long:
                value = body.get(key)
                if value is not None and memoryview(value)[0] not in key.first_bytes:
                    self._note_type(key, bytes(value))
        except (msgspec.DecodeError, RecursionError):
            return None
        return None if inputs is None else InputRequest(ids[0], model, inputs)

    def _take_unusual(self, body: _Body, values: bytes) -> bool:
        """Note the values of a wrong type, and keep the values as usual if there is none.

        `values` are those of the fields with short values, empty if one of them is absent. Returns
        False for a request that streams, which no batch accepts.
        """
        checked, before = self._checked, len(self.wrong_types)
        for key in checked.short:
            value = body.get(key)
            if value is None:
                continue
            if key != _STREAM:
                self._note_type(key, bytes(value))
            elif bytes(value) not in (b"false", b"null"):
                return False
        if values and len(self.wrong_types) == before and len(checked.usual) < _KEPT:
            checked.usual.add(values)
        return True

    def _note_type(self, key: _Key, value: bytes) -> None:
        """Note a value if it has a wrong type."""
        found = _json_type(value)
        if found not in key.types and not (found == "integer" and "number" in key.types):
            expected = " or ".join(sorted(key.types - {"null"}))
            self.wrong_types.append(WrongType(str(key), found, expected, value))

    def note_nested_types(self, row: bytes) -> None:
        """Note the values below the top level that have a wrong type, each kind of them once.

        Nothing is noted of a row that is not valid.
        """
        try:
            body = self._decode(row).body
            values = {key: _decode_any(body[_Key(key)]) for key in self._nested if key in body}
        except (msgspec.DecodeError, RecursionError):
            return
        noted: set[tuple[str, str]] = set()
        for key, value in values.items():
            for path, found, expected, its in nested_wrong_types(value, self._nested[key], key):
                if (path, found) not in noted:
                    noted.add((path, found))
                    text = msgspec.json.encode(its)
                    self.wrong_types.append(WrongType(path, found, expected, text, sampled=True))


def _inputs(body: _Body, kind: RequestKind) -> int | None:
    """Return the number of embedding inputs, 0 for other kinds, None if the prompt is not valid.

    Raises msgspec.DecodeError for an input of another type.
    """
    match kind:
        case RequestKind.CHAT:
            messages = body.get(_MESSAGES)
            return 0 if messages is not None and _is_filled_list(messages) else None
        case RequestKind.COMPLETIONS:
            return 0 if _PROMPT in body else None
        case RequestKind.RESPONSES:
            absent = _is_absent(body.get(_INPUT)) and _is_absent(body.get(_PROMPT))
            return None if absent else 0
        case RequestKind.EMBEDDINGS:
            written = body.get(_INPUT)
            return None if written is None else count_inputs(_decode_inputs(written)) or None
        case RequestKind.MODERATIONS:
            return None if _is_absent(body.get(_INPUT)) else 0
        case RequestKind.OTHER:
            return 0
        case _:
            assert_never(kind)


def count_inputs(value: object) -> int:
    """Return the number of inputs of an embeddings request, 0 if `value` is not valid.

    A string is one input, and so is a list of token numbers; a list of either is several.
    """
    if isinstance(value, str):
        return 1
    if not isinstance(value, list):
        return 0
    kinds = set(map(type, value))
    if kinds == {int}:
        return 1
    return len(value) if kinds in ({str}, {list}) else 0


def _is_absent(value: msgspec.Raw | None) -> bool:
    return value is None or (len(memoryview(value)) == len(b"null") and bytes(value) == b"null")


def _is_filled_list(value: msgspec.Raw) -> bool:
    """Return whether a value is a list with an element."""
    view = memoryview(value)
    if view[0] != _LIST:
        return False
    return view[1] not in _NO_ELEMENT or bytes(value)[1:].lstrip()[:1] not in b"]"
