"""What is in flight at a provider, in batches and in prompt tokens. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


BYTES_A_TOKEN: Final = 3.5
"""UTF-8 bytes of a request line for each prompt token, on the safe side for English, code and
Chinese (fact sheet, section 7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """Prompt tokens: those that were counted, and the bytes of requests that were not.

    `exact` says that nothing of it is an estimate.
    """

    counted: int = 0
    uncounted_bytes: int = 0
    exact: bool = True

    @property
    def tokens(self) -> int:
        """All of them, as well as they are known."""
        return self.counted + tokens(self.uncounted_bytes)

    def __add__(self, other: Enqueued) -> Enqueued:
        """Put two together: bytes are rounded to tokens once, in the sum."""
        return Enqueued(
            counted=self.counted + other.counted,
            uncounted_bytes=self.uncounted_bytes + other.uncounted_bytes,
            exact=self.exact and other.exact,
        )

    def __str__(self) -> str:
        return f"{'' if self.exact else 'about '}{self.tokens:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is in flight at one provider: batches, and prompt tokens by model."""

    batches: int = 0
    enqueued: Mapping[str | None, Enqueued] = field(default_factory=dict)


def tokens(size: int) -> int:
    """Estimate the prompt tokens of so many bytes of request lines."""
    return round(size / BYTES_A_TOKEN)
