"""Decode request lines and read the fields that runner needs.

This is the fast check of every line: one typed decode that accepts a valid request and explains
nothing. A line that it does not accept is checked again by `runner.inputs.validation`, which
explains the problems. Of a body, only the fields that decide whether a batch is accepted are
checked; the others are the provider's.

The decoder skips unknown fields without checking their UTF-8: callers check it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Generic, Literal, TypeVar, assert_never

import msgspec

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


class _FoundId:
    """The decoded value of a custom_id; the decoder passes the id itself to its hook."""

    __slots__ = ()


_FOUND_ID: Final = _FoundId()


_Model = Annotated[str, msgspec.Meta(min_length=1)]


class _RequestBody(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The fields of every body; subclasses add those of their endpoint."""

    model: _Model | None = None
    stream: bool | None = None

    def inputs(self) -> int:
        return 0

    def is_valid(self) -> bool:
        return not self.stream


class _Chat(_RequestBody, frozen=True, gc=False, kw_only=True):
    model: _Model
    messages: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1)]


class _Completions(_RequestBody, frozen=True, gc=False, kw_only=True):
    model: _Model
    prompt: msgspec.Raw


class _Responses(_RequestBody, frozen=True, gc=False, kw_only=True):
    model: _Model
    input: msgspec.Raw = msgspec.Raw()
    prompt: msgspec.Raw = msgspec.Raw()

    def is_valid(self) -> bool:
        return not self.stream and not (_is_absent(self.input) and _is_absent(self.prompt))


class _Embeddings(_RequestBody, frozen=True, gc=False, kw_only=True):
    model: _Model
    input: str | list[str | int | list[int]]

    def inputs(self) -> int:
        return count_inputs(self.input)

    def is_valid(self) -> bool:
        return not self.stream and count_inputs(self.input) > 0


class _Moderations(_RequestBody, frozen=True, gc=False, kw_only=True):
    input: msgspec.Raw

    def is_valid(self) -> bool:
        return not self.stream and not _is_absent(self.input)


_BodyT_co = TypeVar("_BodyT_co", bound=_RequestBody, covariant=True)


class _RequestLine(msgspec.Struct, Generic[_BodyT_co], frozen=True, gc=False):
    custom_id: _FoundId
    method: Literal["POST"]
    url: str
    body: _BodyT_co


class RequestReader:
    """A decoder for the lines of an input for `endpoint`."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._found: list[str] = []
        decoder = msgspec.json.Decoder(
            _line_of(RequestKind.of(endpoint)), dec_hook=self._add_custom_id
        )
        self._decode = decoder.decode

    def read(self, row: bytes) -> InputRequest | None:
        """Return the request of a valid row, or None for any other."""
        found = self._found
        found.clear()
        try:
            line = self._decode(row)
        except (msgspec.DecodeError, RecursionError):
            return None
        body = line.body
        # With two custom_ids, runner and the provider might each use a different one.
        if (
            len(found) != 1
            or not 0 < len(found[0]) <= LONGEST_CUSTOM_ID
            or line.url != self._endpoint
            or not body.is_valid()
        ):
            return None
        return InputRequest(found[0], body.model, body.inputs())

    def _add_custom_id(self, _: type, value: object) -> _FoundId:
        """Add a custom_id; called for each custom_id of a line, not only for the last."""
        if not isinstance(value, str):
            raise msgspec.ValidationError("expected a string")
        self._found.append(value)
        return _FOUND_ID


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


def _line_of(kind: RequestKind) -> type[_RequestLine[_RequestBody]]:
    match kind:
        case RequestKind.CHAT:
            return _RequestLine[_Chat]
        case RequestKind.COMPLETIONS:
            return _RequestLine[_Completions]
        case RequestKind.RESPONSES:
            return _RequestLine[_Responses]
        case RequestKind.EMBEDDINGS:
            return _RequestLine[_Embeddings]
        case RequestKind.MODERATIONS:
            return _RequestLine[_Moderations]
        case RequestKind.OTHER:
            return _RequestLine[_RequestBody]
        case _:
            assert_never(kind)


def _is_absent(value: msgspec.Raw) -> bool:
    return len(memoryview(value)) <= len(b"null") and bytes(value) in (b"", b"null")
