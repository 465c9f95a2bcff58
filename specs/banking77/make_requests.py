"""Make the request files of the two jobs in this folder from `banking77-test.csv`.

Run it after a change of the script or the data: it writes the same bytes for the same CSV, on
any machine and any Python, so the requests are committed and their digests stay what they are.
It needs nothing but the standard library.

Both files name a question by its row in the CSV (`banking77-test-0001` is the first), so that
the answers of one job can be joined to those of the other.
"""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HERE: Final = Path(__file__).resolve().parent

EMBEDDING_MODEL: Final = "wordllama"
CHAT_MODEL: Final = "gpt-4.1-mini"

QUESTIONS_PER_INTENT: Final = 2
"""How many of the 40 questions of each intent go to the paid provider."""

LONGEST_ANSWER: Final = 32
"""In tokens. The longest name of an intent has 48 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One row of Banking77: what a customer wrote and the intent that people gave it."""

    custom_id: str
    text: str
    intent: str

    @classmethod
    def from_row(cls, number: int, row: dict[str, str]) -> Self:
        """Take over the row with this `number`, counted from 1."""
        return cls(
            custom_id=f"banking77-test-{number:04}", text=row["text"], intent=row["category"]
        )


def read_questions(path: Path) -> tuple[Question, ...]:
    """Read a Banking77 CSV whole, in its own order."""
    with path.open(encoding="utf-8", newline="") as rows:
        return tuple(
            Question.from_row(number, row)
            for number, row in enumerate(csv.DictReader(rows), start=1)
        )


def sample(questions: Iterable[Question], *, per_intent: int) -> tuple[Question, ...]:
    """Choose `per_intent` questions of each intent, in the order in which they came.

    The choice goes by the digest of the text: as good as chance, and the same for ever, which
    no generator of random numbers promises from one Python to the next.
    """
    by_intent = groupby(sorted(questions, key=_intent_then_digest), key=_intent)
    chosen = [question for _, group in by_intent for question in list(group)[:per_intent]]
    return tuple(sorted(chosen, key=_custom_id))


def embedding_requests(questions: Iterable[Question]) -> Iterator[dict[str, Any]]:
    """Ask for the vector of each question."""
    for question in questions:
        yield {
            "custom_id": question.custom_id,
            "method": "POST",
            "url": "/v1/embeddings",
            "body": {"model": EMBEDDING_MODEL, "input": question.text},
        }


def chat_requests(
    questions: Iterable[Question], *, intents: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """Ask which of `intents` each question has."""
    names = sorted(intents)
    task = (
        f"A customer of a bank asks a question. Say which of these {len(names)} intents it has. "
        "Answer with the name of one intent, exactly as it is spelt here, and nothing else.\n\n"
        + "\n".join(names)
    )
    for question in questions:
        yield {
            "custom_id": question.custom_id,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": CHAT_MODEL,
                "messages": [
                    {"role": "system", "content": task},
                    {"role": "user", "content": question.text},
                ],
                "temperature": 0,
                "max_completion_tokens": LONGEST_ANSWER,
            },
        }


def write_requests(path: Path, requests: Iterable[dict[str, Any]]) -> None:
    """Write one request a line, UTF-8, each line ended by a line feed."""
    lines = (json.dumps(request, ensure_ascii=False) + "\n" for request in requests)
    path.write_bytes("".join(lines).encode())


def main() -> None:
    """Write both request files beside this script."""
    questions = read_questions(HERE / "banking77-test.csv")
    intents = {question.intent for question in questions}
    chosen = sample(questions, per_intent=QUESTIONS_PER_INTENT)
    write_requests(HERE / "test-embeddings.jsonl", embedding_requests(questions))
    write_requests(HERE / "intents-chat.jsonl", chat_requests(chosen, intents=intents))


def _intent(question: Question) -> str:
    return question.intent


def _custom_id(question: Question) -> str:
    return question.custom_id


def _intent_then_digest(question: Question) -> tuple[str, str]:
    return question.intent, hashlib.sha256(question.text.encode()).hexdigest()


if __name__ == "__main__":
    main()
