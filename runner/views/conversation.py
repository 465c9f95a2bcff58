"""The turns of a conversation, read from the body of a request or of a response. Pure.

Nothing else in runner reads bodies, and no result depends on these turns: they let a user read a
few prompts and responses in the report. A body of unknown form is shown as JSON, long text is cut,
and pictures and vectors are replaced by a short description.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.spec.leaked_secrets import masked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


LONGEST_TURN: Final = 700
"""Characters of a turn that are kept."""

_FIRST: Final = 2
_LAST: Final = 3
"""How many turns are kept at the beginning and at the end of a long conversation."""

_LONGEST_STRING: Final = 160
_LONGEST_NAME: Final = 40
_MOST_MEMBERS: Final = 12
_DEEPEST: Final = 5
_NUMBERS_SHOWN: Final = 4
_INPUTS_SHOWN: Final = 3
_DATA: Final = "data:"

_TEXT_PARTS: Final = frozenset({"text", "input_text", "output_text", "summary_text"})
_MEDIA_PARTS: Final = {
    "image_url": "image",
    "input_image": "image",
    "input_audio": "audio",
    "input_file": "file",
    "file": "file",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn: `speaker` is a role, or the name of the field that held the text.

    `left_out` is the number of characters cut off the end.
    """

    speaker: str
    text: str
    left_out: int = 0

    @classmethod
    def of(cls, speaker: str, text: str) -> Turn:
        """Return a turn with its text cut to LONGEST_TURN characters, and secrets masked."""
        return cls(
            speaker=speaker[:_LONGEST_NAME],
            text=masked(text[: 2 * LONGEST_TURN])[:LONGEST_TURN],
            left_out=max(len(text) - LONGEST_TURN, 0),
        )


def request_turns(body: object) -> tuple[Turn, ...]:
    """Return the turns of the body of a request, for any endpoint."""
    if not isinstance(body, dict):
        return (Turn.of("body", _abridged(body)),)
    turns: list[Turn] = []
    for name in ("instructions", "messages", "input", "prompt"):
        if name in body:
            turns += _field(name, body[name])
    return _ends_of(turns) or (Turn.of("body", _abridged(body)),)


def response_turns(body: object) -> tuple[Turn, ...]:
    """Return the turns of the body of a successful response, from any endpoint."""
    turns: list[Turn] = []
    if isinstance(body, dict):
        turns += (turn for choice in _objects(body.get("choices")) for turn in _choice(choice))
        turns += (turn for item in _objects(body.get("output")) for turn in _item(item))
        turns += map(_datum, _objects(body.get("data")))
        turns += map(_moderation, _objects(body.get("results")))
    return _ends_of(turns) or (Turn.of("body", _abridged(body)),)


def _ends_of(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return the first and the last turns of a long conversation."""
    between = len(turns) - _FIRST - _LAST
    if between <= 1:
        return tuple(turns)
    more = Turn(speaker="…", text=f"{between:,} more")
    return (*turns[:_FIRST], more, *turns[-_LAST:])


def _field(name: str, value: object) -> Iterator[Turn]:
    """Yield the turns of a field that is a text, several texts, or messages."""
    if not isinstance(value, list):
        yield Turn.of(name, _text(value))
        return
    if _is_vector(value):
        yield Turn.of(name, _vector(value))
        return
    plain = [entry for entry in value if not isinstance(entry, dict)]
    for entry in plain[:_INPUTS_SHOWN]:
        yield Turn.of(name, _vector(entry) if _is_vector(entry) else _text(entry))
    if len(plain) > _INPUTS_SHOWN:
        yield Turn.of(name, f"{len(plain) - _INPUTS_SHOWN:,} more")
    for message in _objects(value):
        yield from _message(message, otherwise=name)


def _message(message: Mapping[str, object], *, otherwise: str) -> Iterator[Turn]:
    role = message.get("role")
    speaker = role if isinstance(role, str) and role else otherwise
    calls = [_call(call) for call in _objects(message.get("tool_calls"))]
    content = message.get("content")
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        yield Turn.of(f"{speaker}, refusing", refusal)
    if content is not None:
        yield Turn.of(speaker, _text(content))
    elif not calls and not refusal:
        yield Turn.of(speaker, _abridged(message))
    if calls:
        yield Turn.of(f"{speaker}, calling", "\n".join(calls))


def _choice(choice: Mapping[str, object]) -> Iterator[Turn]:
    """Yield the turns of a choice of a completion, and its finish_reason unless it is usual."""
    message = choice.get("message")
    if isinstance(message, dict):
        turns = list(_message(message, otherwise="assistant"))
    else:
        turns = [Turn.of("text", _text(choice.get("text")))]
    yield from turns
    reason = choice.get("finish_reason")
    if isinstance(reason, str) and reason not in ("", "stop", "tool_calls"):
        yield Turn.of("finish_reason", reason)


def _item(item: Mapping[str, object]) -> Iterator[Turn]:
    """Yield the turns of an output item of the Responses API."""
    match item.get("type"):
        case "function_call":
            yield Turn.of("assistant, calling", _call({"function": item}))
        case "reasoning":
            if summary := item.get("summary"):
                yield Turn.of("reasoning", _text(summary))
        case _:
            yield from _message(item, otherwise="output")


def _call(call: Mapping[str, object]) -> str:
    function = call.get("function")
    if not isinstance(function, dict):
        return _abridged(call)
    return f"{function.get('name')}({_text(function.get('arguments'))})"


def _datum(datum: Mapping[str, object]) -> Turn:
    """Return the turn of an entry of `data`: a vector or a picture."""
    embedding = datum.get("embedding")
    if _is_vector(embedding):
        return Turn.of("embedding", _vector(embedding))
    if isinstance(embedding, str):
        return Turn.of("embedding", f"{len(embedding):,} characters of base64")
    picture = datum.get("b64_json")
    if isinstance(picture, str):
        return Turn.of("image", f"[image, {len(picture):,} characters of base64]")
    return Turn.of("data", _abridged(datum))


def _moderation(result: Mapping[str, object]) -> Turn:
    categories = result.get("categories")
    if not isinstance(categories, dict):
        return Turn.of("result", _abridged(result))
    named = [str(name) for name, hit in categories.items() if hit is True]
    return Turn.of("moderation", f"flagged: {', '.join(named)}" if named else "not flagged")


def _text(value: object) -> str:
    """Write content as text: a string unchanged, parts on lines of their own, all else as JSON."""
    if isinstance(value, str):
        return _medium("data", value) if value.startswith(_DATA) else value
    if isinstance(value, list) and all(isinstance(part, dict) for part in value) and value:
        return "\n".join(map(_part, value))
    return _abridged(value)


def _part(part: Mapping[str, object]) -> str:
    kind = part.get("type")
    text = part.get("text")
    if kind in _TEXT_PARTS and isinstance(text, str):
        return text
    if isinstance(kind, str) and kind in _MEDIA_PARTS:
        return _medium(_MEDIA_PARTS[kind], part.get(kind) or part.get("image_url") or part)
    if kind == "refusal" and isinstance(part.get("refusal"), str):
        return str(part["refusal"])
    return _abridged(part)


def _medium(what: str, place: object) -> str:
    """Describe a picture, a sound or a file without its content."""
    inner = place
    if isinstance(inner, dict):
        inner = next((inner[name] for name in ("url", "file_id", "data") if name in inner), None)
    if not isinstance(inner, str):
        return f"[{what}]"
    if inner.startswith(_DATA):
        kind = inner[len(_DATA) :].partition(",")[0].partition(";")[0][:_LONGEST_NAME]
        return f"[{what}, {kind or 'no type'}, {len(inner):,} characters]"
    if len(inner) > _LONGEST_STRING:
        return f"[{what}, {len(inner):,} characters]"
    return f"[{what} {inner}]"


def _is_vector(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 1
        and all(isinstance(number, int | float) for number in value[:_NUMBERS_SHOWN])
    )


def _vector(value: object) -> str:
    numbers = value if isinstance(value, list) else []
    first = [
        f"{number:.4g}" if isinstance(number, float) else str(number)[:_LONGEST_NAME]
        for number in numbers[:_NUMBERS_SHOWN]
    ]
    more = ", …" if len(numbers) > _NUMBERS_SHOWN else ""
    return f"{len(numbers):,} numbers: {', '.join(first)}{more}"


def _objects(value: object) -> list[Mapping[str, object]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _abridged(value: object) -> str:
    """Write any JSON value, abridged."""
    return json.dumps(_shortened(value, _DEEPEST), ensure_ascii=False)


def _shortened(value: object, depth: int) -> object:
    if isinstance(value, str):
        left_out = len(value) - _LONGEST_STRING
        return value if left_out <= 0 else f"{value[:_LONGEST_STRING]}… ({left_out:,} more)"
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        return "…"
    if _is_vector(value) and len(value) > _MOST_MEMBERS:
        return _vector(value)
    if isinstance(value, list):
        members = [_shortened(entry, depth - 1) for entry in value[:_MOST_MEMBERS]]
        return [*members, "…"] if len(value) > _MOST_MEMBERS else members
    kept = {
        str(name)[:_LONGEST_NAME]: _shortened(entry, depth - 1)
        for name, entry in list(value.items())[:_MOST_MEMBERS]
    }
    return kept | {"…": "…"} if len(value) > _MOST_MEMBERS else kept
