"""The result files of a batch, and which response belongs to which request.

Every good response carries `echo`, a digest of its request's custom_id and body, so that a test can
recognise the response to its own request.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, assert_never

from tests.simulation.behaviour import (
    AnswerLocation,
    ErrorInBody,
    HttpError,
    Malformed,
    Missing,
    NotRun,
    Several,
    Spoil,
    Succeed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.simulation.behaviour import Answer, Row


def echo(custom_id: str, body: Mapping[str, Any]) -> str:
    """Return what a good answer to this request carries, and no other answer."""
    canonical = json.dumps([custom_id, body], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def succeeds(answer: Answer) -> bool:
    """Whether the row has a good line: paid for, and not to be submitted again."""
    match answer:
        case Succeed(body=body, status=status):
            finished = body is None or (
                bool(body) and "error" not in body and body.get("status") in (None, "completed")
            )
            return finished and 200 <= status < 300
        case Several(answers=answers):
            return any(succeeds(one) for one in answers)
        case HttpError() | NotRun() | ErrorInBody() | Missing() | Malformed():
            return False
        case _:
            assert_never(answer)


def fails(answer: Answer) -> bool:
    """Whether an honest count would call the row failed."""
    return not succeeds(answer) and not isinstance(answer, Missing)


def lines(
    row: Row, answer: Answer, mark: str, *, bodies_as_text: bool = False
) -> list[tuple[AnswerLocation, bytes]]:
    """Write the row's lines, each with its file; `mark` makes their ids the batch's own."""
    written = _lines(row, answer, mark)
    return [(place, _with_text(line)) for place, line in written] if bodies_as_text else written


def _with_text(line: bytes) -> bytes:
    """Replace the body in a line by its JSON text; a line that is none stays as it is."""
    try:
        document = json.loads(line)
    except ValueError:
        return line
    if isinstance(document, dict) and document.get("response"):
        document["response"]["body"] = json.dumps(document["response"]["body"])
    return json.dumps(document).encode()


def _lines(row: Row, answer: Answer, mark: str) -> list[tuple[AnswerLocation, bytes]]:
    match answer:
        case Succeed(text=text, body=given, status=status, finish=finish):
            body = _body(row, text, finish) if given is None else given
            return [(AnswerLocation.OUTPUT, _line(row, mark, status, body))]
        case HttpError(status=0, place=place):
            return [(place, _line(row, mark, 0, {}))]
        case HttpError(status=status, code=code, message=message, place=place):
            return [(place, _line(row, mark, status, {"error": _error(code, message)}))]
        case NotRun(code=code, message=message, place=place):
            return [(place, _line(row, mark, None, {"code": code, "message": message}))]
        case ErrorInBody(code=code, place=place):
            return [(place, _line(row, mark, 200, {"error": _error(code, "It failed.")}))]
        case Missing():
            return []
        case Malformed(line=line, place=place):
            whole = _line(row, mark, 200, _body(row, ""))
            return [(place, whole[: len(whole) // 2] if line is None else line)]
        case Several(answers=answers):
            return [line for one in answers for line in _lines(row, one, mark)]
        case _:
            assert_never(answer)


def usage(row: Row) -> tuple[int, int]:
    """Return how many tokens the row's request and answer are said to have."""
    return len(json.dumps(row.body)) // 4 + 1, 8


def _line(row: Row, mark: str, status: int | None, body: Mapping[str, Any]) -> bytes:
    """Write one line; without a status `body` is the row's `error`."""
    request_id = hashlib.sha256(f"{mark}/{row.index}".encode()).hexdigest()[:24]
    response = None
    if status is not None:
        response = {
            "status_code": status,
            "request_id": f"req_{request_id}" if status else "",
            "body": body,
        }
    document = {
        "id": f"batch_req_{request_id}",
        "custom_id": row.custom_id,
        "response": response,
        "error": body if status is None else None,
    }
    try:
        return json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8 form, only an escape
        return json.dumps(document).encode()


def _error(code: str | None, message: str) -> dict[str, Any]:
    return {"message": message, "type": "invalid_request_error", "param": None, "code": code}


def _body(row: Row, text: str, finish: str = "stop") -> dict[str, Any]:
    digest = echo(row.custom_id, row.body)
    prompt, completion = usage(row)
    model = row.body.get("model")
    said = f"echo {digest}{text}"
    tokens = {"prompt_tokens": prompt, "total_tokens": prompt + completion}
    if row.url.endswith("/embeddings"):
        vector = [byte / 256 for byte in bytes.fromhex(digest)[:8]]
        data = [{"object": "embedding", "index": 0, "embedding": vector}]
        return {
            "object": "list", "data": data, "model": model, "usage": tokens, "echo": digest
        }  # fmt: skip
    if row.url.endswith("/responses"):
        part = {"type": "output_text", "text": said, "annotations": []}
        message = {"type": "message", "role": "assistant", "content": [part]}
        return {
            "id": f"resp_{digest}",
            "object": "response",
            "status": "completed",
            "model": model,
            "output": [message],
            "usage": {
                "input_tokens": prompt,
                "output_tokens": completion,
                "total_tokens": prompt + completion,
            },
            "echo": digest,
        }
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "logprobs": None}
    if row.url.endswith("/chat/completions"):
        choice["message"] = {"role": "assistant", "content": said, "refusal": None}
    else:
        choice["text"] = said
    return {
        "id": f"chatcmpl-{digest}",
        "object": "chat.completion" if "message" in choice else "text_completion",
        "created": 1_700_000_000,
        "model": model,
        "choices": [choice],
        "usage": {**tokens, "completion_tokens": completion},
        "echo": digest,
    }


def spoil(content: bytes, how: Spoil) -> bytes:
    """Return what comes in place of a result file."""
    found = content.splitlines(keepends=True)
    half = len(found) // 2
    match how:
        case Spoil.SHORTENED:
            kept = found[:half]
        case Spoil.CUT:
            kept = [*found[:half], *(line[: len(line) // 2] for line in found[half : half + 1])]
        case Spoil.NAMELESS:
            kept = [_renamed(line, None) for line in found]
        case Spoil.RENAMED:
            kept = [_renamed(line, "gw-") for line in found]
        case Spoil.EXCHANGED:
            kept = [*found[:half], *map(_nobodys, range(len(found) - half))]
        case Spoil.MIXED:
            kept = [_nobodys(0), *found]
        case Spoil.EMPTIED | Spoil.PAGE | Spoil.ERROR | Spoil.REFUSAL:
            kept = [_INSTEAD[how]]
        case _:
            assert_never(how)
    return b"".join(kept)


_INSTEAD: Final[dict[Spoil, bytes]] = {
    Spoil.EMPTIED: b"",
    Spoil.PAGE: b"<!DOCTYPE html><html><title>Bad gateway</title></html>\n",
    Spoil.ERROR: b'{"error": {"message": "This file is being prepared."}}\n',
    Spoil.REFUSAL: b'{"error": {"message": "not ready", "type": "server_error"}}\n',
}


def _renamed(line: bytes, prefix: str | None) -> bytes:
    """Put `prefix` before the custom_id of a line, or take the custom_id out."""
    try:
        document = json.loads(line)
    except ValueError:
        return line
    if not isinstance(document, dict) or "custom_id" not in document:
        return line
    name = document.pop("custom_id")
    if prefix is not None:
        document["custom_id"] = prefix + name
    return json.dumps(document).encode() + b"\n"


def _nobodys(number: int) -> bytes:
    """Write a good line of a request that nobody made."""
    document = {
        "id": f"batch_req_nobodys{number}",
        "custom_id": f"nobodys-{number}",
        "response": {
            "status_code": 200,
            "request_id": "req_nobodys",
            "body": {"choices": [{"index": 0, "finish_reason": "stop", "message": {}}]},
        },
        "error": None,
    }
    return json.dumps(document).encode() + b"\n"


def check_answers(output: bytes, asked: bytes) -> set[str]:
    """Assert that each line of `output` is the good response to its own request in `asked`.

    Both are JSONL as bytes: result lines, and request lines. Returns the ids answered; raises
    AssertionError for a foreign, repeated or swapped answer.
    """
    requests = {
        document["custom_id"]: document["body"]
        for document in map(json.loads, filter(None, asked.split(b"\n")))
    }
    answered = set[str]()
    for number, line in enumerate(filter(None, output.split(b"\n")), 1):
        document = json.loads(line)
        name = document["custom_id"]
        assert name in requests, f"output line {number}: {name!r} was never asked"
        assert name not in answered, f"output line {number}: {name!r} is answered twice"
        answered.add(name)
        body = (document["response"] or {}).get("body", {})
        found = (json.loads(body) if isinstance(body, str) else body).get("echo")
        expected = echo(name, requests[name])
        assert found == expected, (
            f"output line {number}: {name!r} has the answer {found}, its own is {expected}"
        )
    return answered
