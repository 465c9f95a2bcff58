"""Explain the problems of request lines.

`check_line` is the slow, complete check, for the lines that the fast check of
`runner.inputs.requests` did not accept. It returns all problems of a line, with a column if
possible. A message ends with the API's error code for the problem, if there is one (fact sheet,
section 3), so that a search for the code finds it. No message quotes a prompt.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Never, assert_never

from runner.inputs.requests import (
    LONGEST_CUSTOM_ID,
    InputRequest,
    RequestKind,
    count_inputs,
)
from runner.text import plural

if TYPE_CHECKING:
    from runner.errors import Problem

_SHOWN: Final = 60
"""Characters of a value that a message quotes."""

_QUOTED: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
_OURS: Final = re.compile(r"""'(?:custom_id|method|url|body(?:\.[a-z_]+)?|POST|/v1/[a-z/]+)'""")

_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|-?(?:NaN|Infinity)', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)


_ARTICLES: Final = {
    "array": "an array",
    "integer": "a whole number",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LineProblem:
    """One problem of a line; `column` counts characters from 1, 0 is the whole line."""

    column: int = 0
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCheck:
    """The result for a line: either a request or at least one problem.

    `custom_id` is set for many invalid lines too: its repetition is another problem.
    """

    request: InputRequest | None = None
    custom_id: str | None = None
    problems: tuple[LineProblem, ...] = ()


def check_line(row: bytes, endpoint: str) -> LineCheck:
    """Return the request or all problems of a row of an input for `endpoint`."""
    try:
        text = row.decode()
    except UnicodeDecodeError as error:
        column = len(row[: error.start].decode()) + 1
        message = "not valid UTF-8: save the file as UTF-8 (invalid_json_line)"
        return LineCheck(problems=(LineProblem(column=column, message=message),))
    value, problem = _parse(text)
    if problem is not None:
        return LineCheck(problems=(problem,))
    if not isinstance(value, _JsonObject):
        message = (
            f"expected one request object, not {_type_name(value)}: each line is a request"
            " with custom_id, method, url and body (invalid_json_line)"
        )
        return LineCheck(problems=(LineProblem(message=message),))
    problems = [*_repeated(value), *_envelope(value, endpoint)]
    custom_id, body = value.get("custom_id"), value.get("body")
    kind = RequestKind.of(endpoint)
    if isinstance(body, _JsonObject):
        problems += _body(body, kind)
    if problems or not isinstance(custom_id, str) or not isinstance(body, _JsonObject):
        return LineCheck(
            custom_id=custom_id if isinstance(custom_id, str) and custom_id else None,
            problems=tuple(LineProblem(message=each) for each in problems),
        )
    model = body.get("model")
    request = InputRequest(
        custom_id,
        model if isinstance(model, str) else None,
        count_inputs(body.get("input")) if kind is RequestKind.EMBEDDINGS else 0,
    )
    return LineCheck(request=request, custom_id=custom_id)


class _JsonObject(dict[str, object]):
    """A JSON object with the fields that were given more than once."""

    repeated: frozenset[str] = frozenset()


class _NotJson(ValueError):
    """A constant that Python's parser accepts and JSON does not have."""


def _parse(text: str) -> tuple[object, LineProblem | None]:
    try:
        # Numbers are not converted: runner does not use them, and Python limits their length.
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_fraction,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        if text.startswith("\ufeff"):
            message = "byte order mark (U+FEFF) inside the file: remove it (invalid_json_line)"
            return None, LineProblem(column=1, message=message)
        # Python's message ends with "line 1 column 5"; the problem has its own position.
        what = error.msg.removesuffix(" starting at").removesuffix(" at").rstrip(": ")
        what = what[:1].lower() + what[1:]
        message = f"not valid JSON: {what}; each line is one JSON object (invalid_json_line)"
        return None, LineProblem(column=error.colno, message=message)
    except _NotJson as error:
        message = f"{error} is not JSON: write a number or null (invalid_json_line)"
        return None, LineProblem(column=_constant_column(text), message=message)
    except RecursionError:
        return None, LineProblem(message="nested too deeply to be read (invalid_json_line)")
    column = _lone_surrogate_column(text)
    if column:
        escape = text[column - 1 : column + 5]
        message = (
            f"{escape} is half of a surrogate pair: escape the whole character or"
            " write it as UTF-8 (invalid_json_line)"
        )
        return None, LineProblem(column=column, message=message)
    return value, None


def _object(pairs: list[tuple[str, object]]) -> _JsonObject:
    value = _JsonObject(pairs)
    if len(value) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        value.repeated = frozenset(key for key, count in counts.items() if count > 1)
    return value


def _integer(_: str) -> int:
    return 0


def _fraction(_: str) -> float:
    return 0.0


def _refuse_constant(name: str) -> Never:
    raise _NotJson(name)


def _constant_column(text: str) -> int:
    """Return the column of the first NaN or Infinity that is not inside a string."""
    constants = (token for token in _TOKEN.finditer(text) if not token[0].startswith('"'))
    return next(constants).start() + 1


def _lone_surrogate_column(text: str) -> int:
    """Return the column of the first surrogate escape without its partner, 0 if none.

    `text` is valid JSON: every backslash begins an escape.
    """
    high: re.Match[str] | None = None
    for escape in _ESCAPE.finditer(text):
        code = int(escape[1], 16) if escape[1] else 0
        is_low = 0xDC00 <= code <= 0xDFFF  # noqa: PLR2004 - the ranges of RFC 8259, section 7
        if high is not None:
            if not is_low or escape.start() != high.end():
                return high.start() + 1
            high = None
        elif is_low:
            return escape.start() + 1
        elif 0xD800 <= code <= 0xDBFF:  # noqa: PLR2004
            high = escape
    return high.start() + 1 if high is not None else 0


def _repeated(value: _JsonObject) -> list[str]:
    """Return the problems of keys that are given more than once: readers differ in which they take.

    Unknown fields around the body and those deeper in it may be repeated: the provider reads them.
    """
    names: list[str] = [
        key for key in ("custom_id", "method", "url", "body") if key in value.repeated
    ]
    body = value.get("body")
    if isinstance(body, _JsonObject):
        names += [f"body.{key}" for key in sorted(body.repeated)]
    return [
        f"{quoted(name)} is given more than once: keep one (invalid_json_line)" for name in names
    ]


def _envelope(value: _JsonObject, endpoint: str) -> list[str]:
    """Return the problems of the fields around the body."""
    problems = [
        f"missing '{key}': a request has custom_id, method, url and body"
        " (missing_required_parameter)"
        for key in ("custom_id", "method", "url", "body")
        if key not in value
    ]
    problems += [
        f"'{key}' must be a string, not {_type_name(value[key])} (invalid_type)"
        for key in ("custom_id", "method", "url")
        if key in value and not isinstance(value[key], str)
    ]
    custom_id, method, url = value.get("custom_id"), value.get("method"), value.get("url")
    if custom_id == "":
        problems.append("'custom_id' is empty: give every request an id of its own")
    if isinstance(custom_id, str) and len(custom_id) > LONGEST_CUSTOM_ID:
        problems.append(
            f"'custom_id' has {len(custom_id):,} characters: use at most {LONGEST_CUSTOM_ID}"
            " (64 of A-Z a-z 0-9 _ - are safe everywhere)"
        )
    if isinstance(method, str) and method != "POST":
        problems.append(f"'method' is {quoted(method)}: a batch takes only 'POST'")
    if isinstance(url, str) and url != endpoint:
        problems.append(
            f"'url' is {quoted(url)}, but the endpoint of the spec is {quoted(endpoint)}:"
            " make them the same (invalid_url)"
        )
    if "body" in value and not isinstance(value["body"], _JsonObject):
        problems.append(f"'body' must be an object, not {_type_name(value['body'])} (invalid_type)")
    return problems


def _body(body: _JsonObject, kind: RequestKind) -> list[str]:
    """Return the problems of the fields of a body that decide whether a batch is accepted."""
    problems = [*_model(body.get("model"), kind), *_prompt_fields(body, kind)]
    if body.get("stream") is True:
        problems.append(
            "'body.stream' is true: a batch cannot stream, remove it (streaming_unsupported)"
        )
    return problems


def _prompt_fields(body: _JsonObject, kind: RequestKind) -> list[str]:
    """Return the problems of the prompt of a body."""
    match kind:
        case RequestKind.CHAT:
            return _messages(body)
        case RequestKind.COMPLETIONS:
            return [] if "prompt" in body else ["missing 'body.prompt' (invalid_request)"]
        case RequestKind.RESPONSES:
            given = body.get("input") is not None or body.get("prompt") is not None
            return [] if given else ["missing 'body.input' or 'body.prompt' (invalid_request)"]
        case RequestKind.EMBEDDINGS:
            return _input(body) or _embedding_input(body["input"])
        case RequestKind.MODERATIONS:
            return _input(body)
        case RequestKind.OTHER:
            return []
        case _:
            assert_never(kind)


def _input(body: _JsonObject) -> list[str]:
    return ["missing 'body.input' (invalid_request)"] if body.get("input") is None else []


def _model(model: object, kind: RequestKind) -> list[str]:
    if model is None:
        if kind.needs_model:
            return ["missing 'body.model': name the model (invalid_request)"]
    elif not isinstance(model, str):
        return [f"'body.model' must be a string, not {_type_name(model)} (invalid_request)"]
    elif not model:
        return ["'body.model' is empty: name the model (invalid_request)"]
    return []


def _messages(body: _JsonObject) -> list[str]:
    if "messages" not in body:
        return ["missing 'body.messages' (invalid_request)"]
    messages = body["messages"]
    if not isinstance(messages, list):
        return [f"'body.messages' must be an array, not {_type_name(messages)} (invalid_request)"]
    return [] if messages else ["'body.messages' is empty (invalid_request)"]


def _embedding_input(value: object) -> list[str]:
    items = value if isinstance(value, list) else []
    tokens_only = all(set(map(type, item)) <= {int} for item in items if isinstance(item, list))
    if count_inputs(value) and tokens_only:
        return []
    message = (
        "'body.input' must be a string, a list of token numbers, or a list of either that is not"
        " empty (invalid_request)"
    )
    return [message]


def wrong_type_message(
    field: str, found: str, expected: str, count: int, *, sampled: bool = False
) -> str:
    """Return the warning that a field of so many bodies has a type that the API does not take.

    `sampled`: only the first lines were looked at.
    """
    is_decimal = found == "number"  # a whole number is an integer here
    given = "a decimal number" if is_decimal else _with_article(found)
    return (
        f"'body.{field}' is {given}, and OpenAI's API takes"
        f" {_with_article(expected)}: {_first_of(count)}"
        f"{' among the first lines' if sampled else ''} (invalid_type)"
    )


def wrong_model_message(model: str, meant: str, endpoint: str, count: int) -> str:
    """Return the warning that so many requests name a model that is meant for another endpoint."""
    return (
        f"'body.model' is {quoted(model)}, which by its name is a model for {meant}, and the"
        f" endpoint is {endpoint}: {_first_of(count)} (model_not_found)"
    )


def _first_of(count: int) -> str:
    return "1 request" if count == 1 else f"the first of {plural(count, 'request')}"


def _with_article(types: str) -> str:
    return " or ".join(_ARTICLES.get(each, each) for each in types.split(" or "))


def value_column(row: bytes, field: str, value: bytes) -> int:
    """Return the column of a value in a row by its field and its own text, 0 if it is not found.

    Of a path the last name counts.
    """
    name = re.escape(field.rpartition(".")[2].encode())
    match = re.search(rb'"%s"\s*:\s*(%s)' % (name, re.escape(value)), row)
    return len(row[: match.start(1)].decode(errors="replace")) + 1 if match else 0


def quoted(text: str) -> str:
    """Return `text` in quotes, on one line, shortened if it is long."""
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def without_values(problem: Problem) -> Problem:
    """Return a problem that quotes no value of the input, only the names of its fields."""
    message = _QUOTED.sub(
        lambda found: found[0] if _OURS.fullmatch(found[0]) else "'…'", problem.message
    )
    return replace(problem, message=message)


def _type_name(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case dict():
            return "an object"
        case list():
            return "an array"
        case str():
            return "a string"
        case _:
            return "a number"
