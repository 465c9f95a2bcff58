"""Sets of rows, stored as ranges.

A shard is a set of rows of its input, and so are the rows of an attempt. Nearly all sets are one
long range; the worst case (two models alternating) has only short ranges. Both must stay small
for millions of rows, be written as text and read back (the ledger and the metadata of a batch
contain them), and be combined without a loop over single rows.

A set is stored as its boundaries, `start, stop, start, stop, ...`, in one array of machine
integers: it contains a row if the number of boundaries at or below the row is odd. Every
operation on two sets is one loop along both arrays.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


_RANGE: Final = re.compile(r"([0-9]+)(?:-([0-9]+))?")


@final
class RowSet:
    """An immutable ascending set of row indexes, counted from 0.

    Equal by value and hashable. Its text, `0-4,7,9-12`, has inclusive ends and is read back by
    `parse`. It takes 16 bytes a range.
    """

    __slots__ = ("_bounds", "_count")

    def __init__(self, bounds: Iterable[int] = ()) -> None:
        """Take boundaries as described in the module; for this module only."""
        self._bounds = array("q", bounds)
        self._count = sum(self._bounds[1::2]) - sum(self._bounds[::2])

    @classmethod
    def span(cls, start: int, stop: int) -> RowSet:
        """Return the rows from `start` up to, not including, `stop`; ValueError below 0."""
        if start < 0:
            raise ValueError(f"rows count from 0, not from {start}")
        return cls((start, stop) if stop > start else ())

    @classmethod
    def from_iterable(cls, rows: Iterable[int]) -> RowSet:
        """Return the set of `rows`, in any order, repeats allowed; ValueError below 0.

        No list is made of rows that are ascending already.
        """
        gathered = RowSetBuilder()
        remaining = iter(rows)
        for row in remaining:
            if not gathered.add(row):
                rest = cls.from_iterable(sorted({row, *remaining}))
                return gathered.rows().union(rest)
        return gathered.rows()

    @classmethod
    def parse(cls, text: str) -> RowSet:
        """Return the set of `0-4,7,9-12`, ascending ranges; ValueError for any other text."""
        bounds: array[int] = array("q")
        for part in text.split(",") if text else ():
            match = _RANGE.fullmatch(part)
            if match is None:
                raise ValueError(f"not a set of rows: {text!r}")
            start = int(match[1])
            stop = int(match[2] or match[1]) + 1
            if stop <= start or (bounds and start < bounds[-1]):
                raise ValueError(f"not a set of rows in ascending order: {text!r}")
            if bounds and start == bounds[-1]:
                bounds[-1] = stop
            else:
                bounds.extend((start, stop))
        return cls(bounds)

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield each range as `start, stop`, `stop` not included."""
        return zip(self._bounds[::2], self._bounds[1::2], strict=True)

    @property
    def first(self) -> int:
        """The lowest row; ValueError for an empty set."""
        if not self._bounds:
            raise ValueError("an empty set of rows has no first row")
        return self._bounds[0]

    @property
    def last(self) -> int:
        """The highest row; ValueError for an empty set."""
        if not self._bounds:
            raise ValueError("an empty set of rows has no last row")
        return self._bounds[-1] - 1

    def head(self, count: int) -> RowSet:
        """Return the lowest `count` rows, or all rows if there are fewer."""
        bounds: array[int] = array("q")
        for start, stop in self.ranges():
            if count <= 0:
                break
            bounds.extend((start, min(stop, start + count)))
            count -= stop - start
        return RowSet(bounds)

    def union(self, other: RowSet) -> RowSet:
        """Return the rows in either set."""
        return self._combine(other, lambda mine, theirs: mine or theirs)

    def difference(self, other: RowSet) -> RowSet:
        """Return the rows of this set that are not in `other`."""
        return self._combine(other, lambda mine, theirs: mine and not theirs)

    def intersection(self, other: RowSet) -> RowSet:
        """Return the rows in both sets."""
        return self._combine(other, lambda mine, theirs: mine and theirs)

    def _combine(self, other: RowSet, keep: Callable[[bool, bool], bool]) -> RowSet:
        """Return the rows for which `keep(in this set, in the other set)` is true."""
        mine, theirs = self._bounds, other._bounds
        at_mine = at_theirs = 0
        kept: array[int] = array("q")
        while at_mine < len(mine) or at_theirs < len(theirs):
            if at_theirs == len(theirs) or (
                at_mine < len(mine) and mine[at_mine] < theirs[at_theirs]
            ):
                row = mine[at_mine]
            else:
                row = theirs[at_theirs]
            at_mine += at_mine < len(mine) and mine[at_mine] == row
            at_theirs += at_theirs < len(theirs) and theirs[at_theirs] == row
            if keep(at_mine % 2 == 1, at_theirs % 2 == 1) != (len(kept) % 2 == 1):
                kept.append(row)
        return RowSet(kept)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        for start, stop in self.ranges():
            yield from range(start, stop)

    def __contains__(self, row: object) -> bool:
        return isinstance(row, int) and bisect_right(self._bounds, row) % 2 == 1

    def __eq__(self, other: object) -> bool:
        return self._bounds == other._bounds if isinstance(other, RowSet) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._bounds.tobytes())

    def __str__(self) -> str:
        return ",".join(
            f"{start}-{stop - 1}" if stop - start > 1 else str(start)
            for start, stop in self.ranges()
        )

    def __repr__(self) -> str:
        return f"RowSet.parse({str(self)!r})"


class RowSetBuilder:
    """A builder of a RowSet: rows are added one by one, ascending."""

    __slots__ = ("_bounds",)

    def __init__(self) -> None:
        self._bounds: array[int] = array("q")

    def add(self, row: int) -> bool:
        """Add `row` if it is higher than all before it, and return whether it was added.

        Raises ValueError for a row below 0.
        """
        bounds = self._bounds
        if not bounds:
            if row < 0:
                raise ValueError(f"rows count from 0, not from {row}")
            bounds.extend((row, row + 1))
        elif row == bounds[-1]:
            bounds[-1] = row + 1
        elif row > bounds[-1]:
            bounds.extend((row, row + 1))
        else:
            return False
        return True

    def rows(self) -> RowSet:
        """Return the rows added so far."""
        return RowSet(self._bounds)
