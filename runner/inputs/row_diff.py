"""Compare the requests of two inputs without keeping either in memory.

Requests are matched by their custom_id. Two 64-bit hashes are kept of each, one of its id and one
of its line: 16 bytes for a request of an input. Python's `hash` has a new seed in every process,
so no file can be made to contain colliding ids; among a hundred million ids, the probability of an
accidental collision, which makes the counts wrong by one, is about one in 2,000.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from runner.inputs.reading import BYTE_ORDER_MARK, canonical_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


_BUCKETS: Final = 256
"""One bucket is compared at a time: the dictionary has a 256th of all hashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChanges:
    """The differences between two inputs, in numbers of requests.

    `kept` counts the requests whose custom_id is in both; `changed` counts those of them whose
    line differs, None if only the ids of one input are known.
    """

    added: int
    removed: int
    kept: int
    changed: int | None


class _IdentifiedLine(msgspec.Struct, frozen=True, gc=False):
    custom_id: str


class RequestHashes:
    """The hashes of the requests of one input.

    `digest` is the SHA-256 of all rows, as in a revision, or None if only ids are known.
    """

    __slots__ = ("_buckets", "_whole", "count", "digest")

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._buckets: list[array[int]] = [array("q") for _ in range(_BUCKETS)]
        self.count = 0
        self.digest: str | None = None

    @classmethod
    def of_requests(cls, lines: Iterable[bytes]) -> RequestHashes:
        """Return the hashes of request lines, with or without line feeds; skip blank lines.

        Raises ValueError for a line without a custom_id.
        """
        rows = cls(whole=True)
        decode = msgspec.json.Decoder(_IdentifiedLine).decode
        digest = sha256()
        first = True
        for line in lines:
            bare = line.removeprefix(BYTE_ORDER_MARK) if first else line
            first = False
            row = canonical_row(bare.removesuffix(b"\n"))
            if row:
                rows._add(_custom_id(decode, row), hash(row))
                digest.update(row)
                digest.update(b"\n")
        rows.digest = digest.hexdigest()
        return rows

    @classmethod
    def of_ids(cls, lines: Iterable[bytes]) -> RequestHashes:
        """Return the hashes of the lines of an ids file. Raises ValueError for an invalid line."""
        rows = cls(whole=False)
        decode = msgspec.json.Decoder(str).decode
        for line in lines:
            try:
                rows._add(decode(line), 0)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ValueError(str(error)) from error
        return rows

    @classmethod
    def of_responses(cls, lines: Iterable[bytes]) -> RequestHashes:
        """Return the hashes of the ids of result lines. Raises ValueError if one has no id."""
        rows = cls(whole=False)
        decode = msgspec.json.Decoder(_IdentifiedLine).decode
        for line in lines:
            rows._add(_custom_id(decode, line), 0)
        return rows

    def _add(self, custom_id: str, content: int) -> None:
        hashed = hash(custom_id)
        bucket = self._buckets[hashed % _BUCKETS]
        bucket.append(hashed)
        bucket.append(content)
        self.count += 1

    def changes_since(self, before: RequestHashes) -> RowChanges:
        """Return the differences from an earlier input."""
        kept = changed = 0
        for new, old in zip(self._buckets, before._buckets, strict=True):
            earlier = dict(zip(old[::2], old[1::2], strict=True))
            for hashed, content in zip(new[::2], new[1::2], strict=True):
                earlier_content = earlier.get(hashed)
                if earlier_content is not None:
                    kept += 1
                    changed += earlier_content != content
        return RowChanges(
            added=self.count - kept,
            removed=before.count - kept,
            kept=kept,
            changed=changed if self._whole and before._whole else None,
        )


def _custom_id(decode: Callable[[bytes], _IdentifiedLine], row: bytes) -> str:
    try:
        return decode(row).custom_id
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
