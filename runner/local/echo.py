"""The model `echo`: returns the last message of the user.

The response to a request is always the same, byte for byte: ids are hashes of the request, times
are 0. It replaces a language model in first runs, tests and timings, where the content of the
responses does not matter. Usage counts words separated by white space.
"""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec

from runner.local.models import ModelResponse, bad_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


NAME: Final = "echo"


class _ContentPart(msgspec.Struct):
    text: str = ""


class _Message(msgspec.Struct):
    role: str = ""
    content: str | list[_ContentPart] | None = None


class _ChatBody(msgspec.Struct):
    messages: list[_Message]


class _ResponsesBody(msgspec.Struct):
    input: str | list[_Message]
    instructions: str | None = None


class _CompletionsBody(msgspec.Struct):
    prompt: str | list[str]


_chat_decoder = msgspec.json.Decoder(_ChatBody)
_responses_decoder = msgspec.json.Decoder(_ResponsesBody)
_completions_decoder = msgspec.json.Decoder(_CompletionsBody)


def chat(bodies: Iterable[msgspec.Raw]) -> Iterator[ModelResponse]:
    """Yield a response to each body of /v1/chat/completions."""
    for body in bodies:
        try:
            request = _chat_decoder.decode(body)
        except (ValueError, RecursionError) as error:
            yield bad_request(str(error))
            continue
        text = _last_user_text(request.messages)
        if text is None:
            yield bad_request("There is no message of role 'user' to echo.", param="messages")
            continue
        prompt, completion = _count_words(request.messages), _word_count(text)
        yield ModelResponse(
            status=HTTPStatus.OK,
            body={
                "id": f"chatcmpl-{_digest(body)}",
                "object": "chat.completion",
                "created": 0,
                "model": NAME,
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": text, "refusal": None},
                        "logprobs": None,
                        "finish_reason": "stop",
                    }
                ],
                "usage": _completion_usage(prompt, completion),
            },
            input_tokens=prompt,
            output_tokens=completion,
        )


def completions(bodies: Iterable[msgspec.Raw]) -> Iterator[ModelResponse]:
    """Yield a response to each body of /v1/completions, with one choice for each prompt."""
    for body in bodies:
        try:
            request = _completions_decoder.decode(body)
        except (ValueError, RecursionError) as error:
            yield bad_request(str(error))
            continue
        prompts = [request.prompt] if isinstance(request.prompt, str) else request.prompt
        words = sum(map(_word_count, prompts))
        yield ModelResponse(
            status=HTTPStatus.OK,
            body={
                "id": f"cmpl-{_digest(body)}",
                "object": "text_completion",
                "created": 0,
                "model": NAME,
                "choices": [
                    {"index": index, "text": prompt, "logprobs": None, "finish_reason": "stop"}
                    for index, prompt in enumerate(prompts)
                ],
                "usage": _completion_usage(words, words),
            },
            input_tokens=words,
            output_tokens=words,
        )


def responses(bodies: Iterable[msgspec.Raw]) -> Iterator[ModelResponse]:
    """Yield a response to each body of /v1/responses."""
    for body in bodies:
        try:
            request = _responses_decoder.decode(body)
        except (ValueError, RecursionError) as error:
            yield bad_request(str(error))
            continue
        if isinstance(request.input, str):
            messages = [_Message(role="user", content=request.input)]
        else:
            messages = request.input
        text = _last_user_text(messages)
        if text is None:
            yield bad_request("There is no message of role 'user' to echo.", param="input")
            continue
        prompt = _count_words(messages) + _word_count(request.instructions or "")
        completion = _word_count(text)
        yield ModelResponse(
            status=HTTPStatus.OK,
            body=_response(_digest(body), text, request.instructions, prompt, completion),
            input_tokens=prompt,
            output_tokens=completion,
        )


def _response(
    digest: str, text: str, instructions: str | None, prompt: int, completion: int
) -> dict[str, object]:
    return {
        "id": f"resp_{digest}",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": instructions,
        "model": NAME,
        "output": [
            {
                "id": f"msg_{digest}",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": text, "annotations": []}],
            }
        ],
        "parallel_tool_calls": False,
        "tool_choice": "none",
        "tools": [],
        "usage": {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": completion,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + completion,
        },
    }


def _completion_usage(prompt: int, completion: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _last_user_text(messages: list[_Message]) -> str | None:
    for message in reversed(messages):
        if message.role == "user":
            return _text(message)
    return None


def _text(message: _Message) -> str:
    if isinstance(message.content, list):
        return "".join(part.text for part in message.content)
    return message.content or ""


def _count_words(messages: list[_Message]) -> int:
    return sum(_word_count(_text(message)) for message in messages)


def _word_count(text: str) -> int:
    return len(text.split())


def _digest(body: msgspec.Raw) -> str:
    return hashlib.sha256(body).hexdigest()[:32]
