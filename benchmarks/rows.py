"""The requests and answers of the benchmarks: the same bytes on every machine.

Texts are the questions of Banking77 (specs/banking77), typed by customers; longer texts join
several questions.
"""

from __future__ import annotations

import csv
import json
import random
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT: Final = Path(__file__).resolve().parents[1]
BATCH_ROWS: Final = 50_000
"""Requests in the largest batch that OpenAI takes."""

_POOL: Final = 997
"""The number of different texts: enough that their repetition does not help any contestant."""

_REQUEST: Final = (
    '{"custom_id": "@", "method": "POST", "url": "/v1/chat/completions", "body": {"model":'
    ' "gpt-4.1-mini", "messages": [{"role": "user", "content": "~"}], "max_completion_tokens": 16,'
    ' "temperature": 0}}\n'
)
_ANSWER: Final = (
    '{"id": "batch_req_@", "custom_id": "@", "response": {"status_code": 200, "request_id":'
    ' "req_@", "body": {"id": "chatcmpl-@", "object": "chat.completion", "created": 1760000000,'
    ' "model": "gpt-4.1-mini-2025-04-14", "choices": [{"index": 0, "message": {"role":'
    ' "assistant", "content": "~", "refusal": null, "annotations": []}, "logprobs": null,'
    ' "finish_reason": "stop"}], "usage": {"prompt_tokens": 21, "completion_tokens": 12,'
    ' "total_tokens": 33}, "system_fingerprint": "fp_51db84afab"}}, "error": null}\n'
)
_TINY_REQUEST: Final = (
    '{"custom_id": "@", "method": "POST", "url": "/v1/embeddings", "body": {"model": "tiny",'
    ' "input": "~"}}\n'
)
_TINY_ANSWER: Final = (
    '{"custom_id": "@", "response": {"status_code": 200, "body": {"data": [{"embedding": [0.5]}]}},'
    ' "error": null}\n'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """`count` requests and their answers.

    `request_bytes` and `answer_bytes` are the lengths of a line with its line feed; None: the line
    holds one question. `tiny` lines are as short as possible.
    """

    count: int
    request_bytes: int | None = None
    answer_bytes: int | None = None
    tiny: bool = False

    @property
    def endpoint(self) -> str:
        """The endpoint of the requests."""
        return "/v1/embeddings" if self.tiny else "/v1/chat/completions"

    def write_requests(self, path: Path) -> None:
        """Write the input file."""
        template = _TINY_REQUEST if self.tiny else _REQUEST
        lines = _filled(template, self._texts(template, self.request_bytes))
        with path.open("w", encoding="ascii") as file:
            file.writelines(
                lines[row % len(lines)].replace("@", custom_id(row)) for row in range(self.count)
            )

    def write_answers(self, folder: Path) -> None:
        """Write the output file of each batch of the input, with its lines in random order."""
        template = _TINY_ANSWER if self.tiny else _ANSWER
        lines = _filled(template, self._texts(template, self.answer_bytes))
        chance = random.Random(20_240_601)
        for start in range(0, self.count, BATCH_ROWS):
            rows = list(range(start, min(start + BATCH_ROWS, self.count)))
            chance.shuffle(rows)
            path = folder / f"{custom_id(start)}.jsonl"
            with path.open("w", encoding="ascii") as file:
                file.writelines(
                    lines[row % len(lines)].replace("@", custom_id(row)) for row in rows
                )
            path.with_suffix(".count").write_text(str(len(rows)))

    def _texts(self, template: str, line_bytes: int | None) -> Sequence[str]:
        if self.tiny:
            return ["x"]
        if line_bytes is None:
            return questions()[:_POOL]
        others = len(template) - 1 + template.count("@") * (len(custom_id(0)) - 1)
        return list(islice(long_texts(line_bytes - others), _POOL))


def custom_id(row: int) -> str:
    """Return the custom_id of a row; all have the same length."""
    return f"request-{row:08}"


def answer(identifier: str) -> str:
    """Return a generated answer to one request."""
    return _ANSWER.replace("~", questions()[0]).replace("@", identifier)


@cache
def questions() -> Sequence[str]:
    """Return the questions of Banking77, escaped for a JSON string."""
    found = []
    for name in ("train", "test"):
        path = ROOT / "specs" / "banking77" / f"banking77-{name}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            found += [json.dumps(row["text"].strip())[1:-1] for row in csv.DictReader(file)]
    return [text for text in found if "@" not in text and "~" not in text]


def long_texts(length: int) -> Iterator[str]:
    """Yield texts of exactly this length: whole questions, filled up with dots."""
    chance = random.Random(length)
    while True:
        text, left = [], length
        while (question := chance.choice(questions())) and len(question) < left:
            text.append(question)
            left -= len(question) + 1
        yield " ".join(text).ljust(length, ".")


def _filled(template: str, texts: Sequence[str]) -> Sequence[str]:
    return [template.replace("~", text) for text in texts]
