"""What two inputs have in common, request by request, without holding either.

Requests are known by their custom_id, as everywhere. Of each, two 64-bit hashes are kept, one of
its id and one of its line: 16 bytes a request and input. Python's own hash is seeded afresh in
every process, so that nobody can write a file whose ids collide; of a hundred million ids, the
chance that some two do by themselves, and the counts are off by one, is about one in 2,000.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from runner.inputs.lines import BYTE_ORDER_MARK, canonical_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


_BUCKETS: Final = 256
"""So that putting two inputs side by side needs dictionaries of a 256th of them at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChanges:
    """How the requests of one input differ from those of another, in numbers of requests.

    `kept` counts those whose custom_id is in both; `changed` how many of these ask something
    else now, None where only the ids of the earlier ones are known.
    """

    added: int
    removed: int
    kept: int
    changed: int | None


class _Line(msgspec.Struct, frozen=True, gc=False):
    custom_id: str


class RequestHashes:
    """The requests of one input, by their hashes.

    `digest` is the SHA-256 over all rows, as a revision has it, or None where only ids are known.
    """

    __slots__ = ("_buckets", "_whole", "count", "digest")

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._buckets: list[array[int]] = [array("q") for _ in range(_BUCKETS)]
        self.count = 0
        self.digest: str | None = None

    @classmethod
    def of_requests(cls, lines: Iterable[bytes]) -> RequestHashes:
        """Read request lines, with or without their line feeds; blank ones do not count.

        Raises ValueError for a line that has no custom_id.
        """
        rows = cls(whole=True)
        decode = msgspec.json.Decoder(_Line).decode
        digest = sha256()
        first = True
        for line in lines:
            bare = line.removeprefix(BYTE_ORDER_MARK) if first else line
            first = False
            row = canonical_row(bare.removesuffix(b"\n"))
            if row:
                rows._add(_known(decode, row), hash(row))
                digest.update(row)
                digest.update(b"\n")
        rows.digest = digest.hexdigest()
        return rows

    @classmethod
    def of_ids(cls, lines: Iterable[bytes]) -> RequestHashes:
        """Read the lines of an ids file. Raises ValueError for what is none."""
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
        """Read the ids of response or error lines. Raises ValueError for a line without one."""
        rows = cls(whole=False)
        decode = msgspec.json.Decoder(_Line).decode
        for line in lines:
            rows._add(_known(decode, line), 0)
        return rows

    def _add(self, custom_id: str, content: int) -> None:
        hashed = hash(custom_id)
        bucket = self._buckets[hashed % _BUCKETS]
        bucket.append(hashed)
        bucket.append(content)
        self.count += 1

    def since(self, before: RequestHashes) -> RowChanges:
        """Say how these rows differ from earlier ones."""
        kept = changed = 0
        for ours, theirs in zip(self._buckets, before._buckets, strict=True):
            earlier = dict(zip(theirs[::2], theirs[1::2], strict=True))
            for hashed, content in zip(ours[::2], ours[1::2], strict=True):
                known = earlier.get(hashed)
                if known is not None:
                    kept += 1
                    changed += known != content
        return RowChanges(
            added=self.count - kept,
            removed=before.count - kept,
            kept=kept,
            changed=changed if self._whole and before._whole else None,
        )


def _known(decode: Callable[[bytes], _Line], row: bytes) -> str:
    try:
        return decode(row).custom_id
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
