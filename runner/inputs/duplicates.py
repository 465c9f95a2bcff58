"""Find repeated custom_ids among millions of ids, with 8 bytes of memory for each.

Responses are joined to requests by custom_id, so a repeated one loses a response (and hangs at
least one server: fact sheet, failure 8). The result is exact without the ids in memory: the first
pass over the file keeps a 64-bit hash of each id; a second pass compares only the ids with equal
hashes, which are nearly always real repetitions.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_BUCKETS = 256
"""Equal hashes are found in one bucket at a time: the set has a 256th of all hashes."""


class SeenIds:
    """The hashes of all ids added so far.

    `hashed` returns 64 signed bits. Python's `hash` has a new seed in every process, so no file
    can be made to contain colliding ids.
    """

    __slots__ = ("_buckets", "_hashed")

    def __init__(self, hashed: Callable[[str], int] = hash) -> None:
        self._hashed = hashed
        self._buckets: list[array[int]] = [array("q") for _ in range(_BUCKETS)]

    def add(self, custom_id: str) -> None:
        """Add one id."""
        hashed = self._hashed(custom_id)
        self._buckets[hashed % _BUCKETS].append(hashed)

    def __bool__(self) -> bool:
        return any(self._buckets)

    def repeated_ids(self, most: int) -> tuple[RepeatedIds, int]:
        """Return up to about `most` hashes that occur more than once, and the count left out.

        The count is of the repetitions (all uses but the first) whose hashes are not returned.
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
    """The ids with repeated hashes, and the line of their first use."""

    __slots__ = ("_first", "_hashed", "_hashes")

    def __init__(self, hashes: set[int], hashed: Callable[[str], int]) -> None:
        self._hashes = hashes
        self._hashed = hashed
        self._first: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def earlier_line(self, custom_id: str, line: int) -> int | None:
        """Return the line that used `custom_id` first, or None if that is `line`."""
        if self._hashed(custom_id) not in self._hashes:
            return None
        first = self._first.setdefault(custom_id, line)
        return first if first != line else None
