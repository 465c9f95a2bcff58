"""Failures counted by their code.

Codes come from servers, and a server that puts an id into each of them must not fill memory or
`run.json`: after a hundred different ones the rest are counted together.
"""

from __future__ import annotations

from typing import Final

_MOST_CODES: Final = 100
_MOST_MESSAGES: Final = 3

OTHER: Final = "other"
"""The code under which the hundred-and-first and later codes are counted."""


class ErrorCounts:
    """Counts of codes, with up to three different messages of each."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, code: str, message: str | None = None) -> str:
        """Count one failure; returns the code under which it is counted."""
        if code not in self._counts and len(self._counts) >= _MOST_CODES:
            code = OTHER
        self._counts[code] = self._counts.get(code, 0) + 1
        if message is not None:
            examples = self._examples.setdefault(code, [])
            if len(examples) < _MOST_MESSAGES and message not in examples:
                examples.append(message)
        return code

    @property
    def counts(self) -> dict[str, int]:
        """Failures by code, the most frequent first, equals in the order of the alphabet."""
        ranked = sorted(self._counts.items(), key=lambda entry: (-entry[1], entry[0]))
        return dict(ranked)

    @property
    def examples(self) -> dict[str, tuple[str, ...]]:
        """Up to three messages of each code that came with any, in the order of `counts`."""
        return {code: tuple(self._examples[code]) for code in self.counts if code in self._examples}
