"""Whether a custom_id was used before, for millions of ids in 8 bytes each.

Answers are joined to requests by custom_id alone, so that a repeated one loses an answer (and
hangs at least one server: fact sheet, failure 8). The answer must be exact and the ids
themselves must not be kept: the quick walk keeps a 64-bit hash of each, and only the ids whose
hashes meet, nearly always real repetitions, are compared in a second walk along the file.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_BUCKETS = 256
"""So that looking for equal hashes needs a set of a 256th of them at a time."""


class SeenIds:
    """The hashes of all ids so far.

    `hashed` gives 64 signed bits. Python's own is seeded afresh in every process: nobody can
    write a file whose ids collide.
    """

    __slots__ = ("_buckets", "_hashed")

    def __init__(self, hashed: Callable[[str], int] = hash) -> None:
        self._hashed = hashed
        self._buckets: list[array[int]] = [array("q") for _ in range(_BUCKETS)]

    def add(self, custom_id: str) -> None:
        """Note one id."""
        hashed = self._hashed(custom_id)
        self._buckets[hashed % _BUCKETS].append(hashed)

    def __bool__(self) -> bool:
        return any(self._buckets)

    def repeated_ids(self, most: int) -> tuple[RepeatedIds, int]:
        """Return up to about `most` hashes met more than once, and how many ids that leaves out.

        Ids left out are repetitions beyond the first use of an id whose hash is not returned.
        """
        repeated: set[int] = set()
        left_out = 0
        for bucket in self._buckets:
            distinct = set(bucket)
            more = len(bucket) - len(distinct)
            if not more:
                continue
            if len(repeated) >= most:
                left_out += more
                continue
            once: set[int] = set()
            for hashed in bucket:
                if hashed in once:
                    repeated.add(hashed)
                once.add(hashed)
        return RepeatedIds(repeated, self._hashed), left_out


class RepeatedIds:
    """The ids that must be looked at again, and the line of their first use."""

    __slots__ = ("_first", "_hashed", "_hashes")

    def __init__(self, hashes: set[int], hashed: Callable[[str], int]) -> None:
        self._hashes = hashes
        self._hashed = hashed
        self._first: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def earlier_line(self, custom_id: str, line: int) -> int | None:
        """Return the line that used `custom_id` first, None if that is this `line`."""
        if self._hashed(custom_id) not in self._hashes:
            return None
        first = self._first.setdefault(custom_id, line)
        return first if first != line else None
