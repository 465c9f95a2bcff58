"""Count the prompt tokens of requests.

Providers limit the prompt tokens that may be enqueued for a model (fact sheet, failure 11). An
estimate from the number of bytes may be far off: a short prompt has more JSON around it than text.
With the optional extra `tokens` they are counted with the vocabularies of the models. This makes
reading an input about four times slower, and the first count in a process loads a vocabulary
(most of a second, 64 MB): so tokens are counted only with the extra.

The count includes the text that the model receives and the few tokens around each message (fact
sheet, section 7). Tool definitions, tool calls and response schemas count as compact JSON, since
their form in the prompt is not published. A request with anything else (images, audio, files,
an earlier conversation, tools of the provider) is not counted, and neither is its shard: a partial
count would be taken for a complete one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Protocol, assert_never

import msgspec

from runner.inputs.requests import RequestKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_VOCABULARIES: Final = (
    (
        "o200k_base",
        re.compile(r"(chatgpt-4o|gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5(\.\d+)?|o1|o3|o4)(-.*)?"),
    ),
    (
        "cl100k_base",
        re.compile(r"(gpt-4|gpt-3\.5|text-embedding-(3|ada-002)|davinci-002|babbage-002)(-.*)?"),
    ),
)
"""The vocabularies of models. A model that is not listed may have another one."""

_AROUND_MESSAGE: Final = 3
_AROUND_NAME: Final = 1
_BEFORE_ANSWER: Final = 3

_TEXT_PARTS: Final = frozenset({"text", "input_text", "output_text"})
_IGNORED_FIELDS: Final = frozenset({"type", "id", "status", "phase", "tool_call_id", "annotations"})
"""Fields of a message that are for programs and not part of the prompt."""

_REQUEST_TOOLS: Final = frozenset({"function", "custom"})
"""Tools whose definitions are in the request; those of other tools are at the provider."""


class _CountFunction(Protocol):
    """The function of the library: count the tokens of each text."""

    def __call__(self, texts: Sequence[str], encoding: str, *, threads: int) -> list[int]: ...


class _PromptLine(msgspec.Struct, frozen=True, gc=False):
    body: dict[str, Any]


class _CannotCountError(Exception):
    """A request contains something whose tokens cannot be counted."""


class TokenCounter:
    """A counter of prompt tokens of requests to one endpoint."""

    def __init__(self, endpoint: str, count: _CountFunction) -> None:
        self._read = _reader_of(RequestKind.of(endpoint))
        self._count = count
        self._decode = msgspec.json.Decoder(_PromptLine).decode

    def count(self, model: str | None, rows: Sequence[bytes]) -> int | None:
        """Return the number of prompt tokens of request lines to `model`.

        None if they cannot be counted: an unknown model, or a row with more than text. Never
        raises for the content of rows.
        """
        encoding = None if model is None else encoding_of(model)
        if encoding is None or self._read is None:
            return None
        prompt = _Prompt()
        try:
            for row in rows:
                self._read(prompt, self._decode(row).body)
            # On this thread: the blocks are too small for a pool of threads.
            return prompt.tokens + sum(self._count(prompt.texts, encoding, threads=1))
        except (_CannotCountError, msgspec.DecodeError, RecursionError, UnicodeError):
            return None


def token_counter(endpoint: str) -> TokenCounter | None:
    """Return a counter for requests to `endpoint`, or None without the extra `tokens`."""
    try:
        from toktok import batch_count
    except ImportError:
        return None
    return TokenCounter(endpoint, batch_count)


def encoding_of(model: str) -> str | None:
    """Return the vocabulary of a model; a fine-tuned model has that of its base model."""
    if model.startswith("ft:"):
        model = model.split(":")[1]
    for encoding, models in _VOCABULARIES:
        if models.fullmatch(model):
            return encoding
    return None


class _Prompt:
    """The prompts of some requests: their texts, and the number of tokens without a text."""

    __slots__ = ("texts", "tokens")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.tokens = 0

    def add_chat(self, body: dict[str, Any]) -> None:
        _require_absent(body, "web_search_options")
        for message in _listed(body.get("messages")):
            self._add_message(message)
        self._add_tools(body.get("tools"))
        self._add_json(body.get("functions"))
        self._add_schema(body.get("response_format"))
        self.tokens += _BEFORE_ANSWER

    def add_response(self, body: dict[str, Any]) -> None:
        _require_absent(body, "previous_response_id", "conversation", "prompt")
        if body.get("instructions") is not None:
            self._add_message({"role": "system", "content": body["instructions"]})
        prompt = body.get("input")
        if isinstance(prompt, str):
            self._add_message({"role": "user", "content": prompt})
        else:
            for item in _listed(prompt):
                self._add_item(item)
        self._add_tools(body.get("tools"))
        text = body.get("text")
        self._add_schema(text.get("format") if isinstance(text, dict) else text)
        self.tokens += _BEFORE_ANSWER

    def add_completion(self, body: dict[str, Any]) -> None:
        self._add_inputs(body.get("prompt"))
        self._add_optional(body.get("suffix"))

    def add_embedding(self, body: dict[str, Any]) -> None:
        self._add_inputs(body.get("input"))

    def _add_inputs(self, value: object) -> None:
        """Add a text, the numbers of its tokens, or several of either."""
        if isinstance(value, str):
            self.texts.append(value)
            return
        values = _listed(value)
        kinds = set(map(type, values))
        if kinds <= {str}:
            self.texts += values
        elif kinds == {int}:
            self.tokens += len(values)
        elif kinds == {list} and {type(number) for each in values for number in each} <= {int}:
            self.tokens += sum(map(len, values))
        else:
            raise _CannotCountError

    def _add_message(self, message: object) -> None:
        if not isinstance(message, dict):
            raise _CannotCountError
        for field, value in message.items():
            match field:
                case "content":
                    self._add_content(value)
                case "role" | "refusal":
                    self._add_optional(value)
                case "name":
                    self._add_optional(value)
                    self.tokens += _AROUND_NAME
                case "tool_calls" | "function_call":
                    self._add_json(value)
                case _ if field not in _IGNORED_FIELDS and value:
                    raise _CannotCountError
        self.tokens += _AROUND_MESSAGE

    def _add_item(self, item: object) -> None:
        """Add one item of a Responses input: a message, a tool call or the output of a tool."""
        if not isinstance(item, dict):
            raise _CannotCountError
        fields: tuple[str, ...]
        match item.get("type", "message"):
            case "message":
                self._add_message(item)
                return
            case "function_call":
                fields = ("name", "arguments")
            case "custom_tool_call":
                fields = ("name", "input")
            case "function_call_output" | "custom_tool_call_output":
                fields = ("output",)
            case _:
                raise _CannotCountError
        for field in fields:
            self._add_content(item.get(field))
        self.tokens += _AROUND_MESSAGE

    def _add_content(self, content: object) -> None:
        if content is None or isinstance(content, str):
            self._add_optional(content)
            return
        for part in _listed(content):
            match part:
                case {"type": str(kind), "text": str(text)} if kind in _TEXT_PARTS:
                    self.texts.append(text)
                case {"type": "refusal", "refusal": str(text)}:
                    self.texts.append(text)
                case _:
                    raise _CannotCountError

    def _add_tools(self, tools: object) -> None:
        if tools is None:
            return
        for tool in _listed(tools):
            match tool:
                case {"type": str(kind)} if kind in _REQUEST_TOOLS:
                    self._add_json(tool)
                case _:
                    raise _CannotCountError

    def _add_schema(self, wanted: object) -> None:
        match wanted:
            case None:
                pass
            case {"type": "json_schema"}:
                self._add_json(wanted)
            case {"type": "text" | "json_object"}:
                pass
            case dict() if "type" not in wanted:
                pass
            case _:
                raise _CannotCountError

    def _add_json(self, value: object) -> None:
        if value:
            self.texts.append(msgspec.json.encode(value).decode())

    def _add_optional(self, text: object) -> None:
        if isinstance(text, str):
            self.texts.append(text)
        elif text is not None:
            raise _CannotCountError


def _reader_of(kind: RequestKind) -> Callable[[_Prompt, dict[str, Any]], None] | None:
    match kind:
        case RequestKind.CHAT:
            return _Prompt.add_chat
        case RequestKind.COMPLETIONS:
            return _Prompt.add_completion
        case RequestKind.RESPONSES:
            return _Prompt.add_response
        case RequestKind.EMBEDDINGS:
            return _Prompt.add_embedding
        case RequestKind.MODERATIONS | RequestKind.OTHER:
            return None
        case _:
            assert_never(kind)


def _listed(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise _CannotCountError
    return value


def _require_absent(body: dict[str, Any], *fields: str) -> None:
    """Raise if a field is present: it refers to text that is not in the request."""
    if any(body.get(field) is not None for field in fields):
        raise _CannotCountError
