"""How long a provider may be silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds without any progress after which an exchange is given up.

    `act` takes the place of `read` for requests that make something: their outcome is worth
    waiting for, since giving up leaves it unknown.
    """

    connect: float = 10.0
    read: float = 60.0
    write: float = 60.0
    pool: float = 60.0
    act: float = 600.0


DEFAULT_TIMEOUTS: Final = Timeouts()
