"""The tokens that batches report in their `usage` objects. Pure.

The one place that reads them: tables, pages and metrics render a TokenUsage. Only the `usage` of
`run.json` and of `show --json` is another sum, since it keeps every number that a provider sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_INPUT: Final = ("input_tokens", "prompt_tokens")
_OUTPUT: Final = ("output_tokens", "completion_tokens")
_TOTAL: Final = ("total_tokens",)
"""Names of a count in a `usage` object. The Batch API has the first name of each; providers whose
batches serve chat completions often have the second, as in the responses themselves."""

_LARGEST: Final = 2**53
"""Tokens of one batch. A larger number is no count: JSON of other programs cannot hold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens of prompts, of responses, and of both, as reported; None where no batch reports any.

    `total` may exceed the sum of the other two: some providers report it alone, or count reasoning
    only there. It is never below their sum.
    """

    input: int | None = None
    output: int | None = None
    total: int | None = None

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(
            input=_added(self.input, other.input),
            output=_added(self.output, other.output),
            total=_added(self.total, other.total),
        )

    @classmethod
    def of(cls, usage: object) -> TokenUsage:
        """Read the `usage` of one batch; what is no count there is left out."""
        if not isinstance(usage, dict):
            return cls()
        tokens_in, tokens_out = _count(usage, _INPUT), _count(usage, _OUTPUT)
        both, total = _added(tokens_in, tokens_out), _count(usage, _TOTAL)
        if total is not None and both is not None:
            total = max(total, both)
        return cls(input=tokens_in, output=tokens_out, total=both if total is None else total)

    @classmethod
    def sum(cls, usages: Iterable[object]) -> TokenUsage:
        """Add up the `usage` objects of several batches."""
        return sum(map(cls.of, usages), cls())


def _added(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return one + other


def _count(usage: Mapping[str, object], names: Iterable[str]) -> int | None:
    """Return the count under the first of these names that has one."""
    for name in names:
        value = usage.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if 0 <= value <= _LARGEST and value == int(value):  # NaN compares false
            return int(value)
    return None
