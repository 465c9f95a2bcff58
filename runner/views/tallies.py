"""What is added up over batches and jobs: tokens used, failures by their kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from runner.ledger.chronicle import endings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from runner.batch import Batch
    from runner.ledger.store import Ledger


_MOST_EXAMPLES: Final = 3
_LARGEST: Final = 2**53
"""Tokens of a batch; a larger number is no count of anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What batches report to have used. Zero where a provider does not say."""

    input: int = 0
    output: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.input + self.output

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(input=self.input + other.input, output=self.output + other.output)

    @classmethod
    def of(cls, batch: Batch) -> Tokens | None:
        """Read the `usage` of a batch, by its old or its new names; None if there is none."""
        usage = batch.raw.get("usage")
        if not isinstance(usage, dict):
            return None
        return cls(
            input=_count(usage, "input_tokens", "prompt_tokens"),
            output=_count(usage, "output_tokens", "completion_tokens"),
        )

    @classmethod
    def sum(cls, batches: Iterable[Batch]) -> Tokens | None:
        """Add up what batches report; None if none of them reports anything."""
        found = [tokens for batch in batches if (tokens := cls.of(batch)) is not None]
        return sum(found, cls()) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorKind:
    """One kind of failure: how many requests of which jobs ended with it, attempt by attempt."""

    code: str
    count: int
    jobs: tuple[str, ...]
    examples: tuple[str, ...]


def count_errors(ledger: Ledger, shown: Collection[str]) -> tuple[ErrorKind, ...]:
    """Count the failures of these jobs over all attempts, the most frequent kind first."""
    counts: dict[str, int] = {}
    jobs: dict[str, dict[str, None]] = {}
    examples: dict[str, list[str]] = {}
    for ending in endings(ledger):
        if ending.job not in shown:
            continue
        for code, count, messages in _kinds(ending.kind, ending.requests, ending.detail):
            counts[code] = counts.get(code, 0) + count
            jobs.setdefault(code, {})[ending.job] = None
            kept = examples.setdefault(code, [])
            kept += [text for text in messages if text not in kept]
            del kept[_MOST_EXAMPLES:]
    return tuple(
        ErrorKind(code=code, count=count, jobs=tuple(jobs[code]), examples=tuple(examples[code]))
        for code, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    )


def _kinds(
    kind: str, requests: int, detail: Mapping[str, Any]
) -> Iterable[tuple[str, int, Sequence[str]]]:
    """Yield (code, requests, messages) of an attempt that has ended."""
    if kind != "collected":
        problem = detail.get("problem")
        yield f"batch {kind}", requests, [problem] if isinstance(problem, str) else []
        return
    outcome = detail.get("outcome")
    if not isinstance(outcome, dict):
        return
    messages = outcome.get("examples") or {}
    for code, count in (outcome.get("codes") or {}).items():
        yield code, count, messages.get(code, ())
    if missing := outcome.get("missing"):
        yield "in neither file", missing, ()


def _count(usage: Mapping[str, object], *names: str) -> int:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and 0 <= value <= _LARGEST:
            return value
    return 0
