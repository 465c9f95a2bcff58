"""Divide an input into shards while it is read.

A shard becomes one batch: one model (a batch of two models is rejected as a whole: fact sheet,
failure 29) and no more requests, bytes or embedding inputs than the provider accepts. Rows are
added in input order to the open shard of their model until it is full: the same input and limits
give the same shards on every machine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.inputs.row_set import RowSetBuilder

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.inputs.requests import InputRequest
    from runner.inputs.row_set import RowSet
    from runner.inputs.tokens import TokenCounter
    from runner.spec.project import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A slice of an input that becomes one batch.

    `number` counts from 1 in the order of first rows. `bytes` and `sha256` are those of the
    file to upload: each row and one line feed. `offset` is the byte offset of the first row in the
    input, `ids_offset` that of its custom_id in the ids file. `whole` is True if the input is byte
    for byte this file and can be uploaded directly. `tokens` counts the prompt tokens, None if
    they were not or cannot be counted.
    """

    number: int
    model: str | None
    rows: RowSet
    requests: int
    bytes: int
    sha256: str
    offset: int
    ids_offset: int
    whole: bool
    tokens: int | None = None


class ShardBuilder:
    """A builder of shards: rows are added one by one and hashed a block at a time.

    Almost every input is one shard with the same digest as the input: its bytes are hashed once
    until a second shard begins.
    """

    def __init__(
        self,
        limits: Limits,
        ids_offset: Callable[[], int],
        counter: TokenCounter | None = None,
    ) -> None:
        self._limits = limits
        self._ids_offset = ids_offset
        self._counter = counter
        self._open: dict[str | None, _OpenShard] = {}
        self._all: list[_OpenShard] = []
        self._touched: list[_OpenShard] = []
        self._pending: list[bytes] = []
        self._digest = hashlib.sha256()
        self._hashed_bytes = 0
        self.requests = 0
        self.bytes = 0

    def add(self, row: bytes, request: InputRequest, *, offset: int) -> None:
        """Add the next row, at byte `offset` of the input, to the shard of its model."""
        size = len(row) + 1
        shard = self._open.get(request.model)
        if shard is None or not shard.has_room(size, request.inputs, self._limits):
            shard = self._begin(request.model, offset)
        if not shard.pending:
            self._touched.append(shard)
        shard.pending.append(row)
        shard.rows.add(self.requests)
        shard.requests += 1
        shard.bytes += size
        shard.inputs += request.inputs
        self._pending.append(row)
        self.requests += 1
        self.bytes += size

    def flush(self, text: bytes = b"") -> bool:
        """Hash the rows added since the last call, and count their tokens with a counter.

        `text` are the lines of these rows in the file. Return whether the rows, each with a line
        feed, equal `text`: no row is longer than its line, so equal sizes mean equal bytes.
        """
        verbatim = len(text) == self.bytes - self._hashed_bytes
        if not self._pending:
            return verbatim
        lines = text if verbatim else _lines(self._pending)
        self._hashed_bytes = self.bytes
        self._digest.update(lines)
        if len(self._all) > 1:
            for shard in self._touched:
                shard.digest.update(lines if len(self._touched) == 1 else _lines(shard.pending))
        if self._counter is not None:
            for shard in self._touched:
                shard.count(self._counter)
        for shard in self._touched:
            shard.pending.clear()
        self._touched.clear()
        self._pending.clear()
        return verbatim

    def digest(self) -> str:
        """Return the SHA-256 of all rows, each with one line feed, in hexadecimal."""
        self.flush()
        return self._digest.hexdigest()

    def shards(self, *, verbatim: bool) -> tuple[Shard, ...]:
        """Return the shards; `verbatim`: the file equals its rows, each with a line feed."""
        self.flush()
        if len(self._all) == 1:
            self._all[0].digest = self._digest
        return tuple(
            Shard(
                number=number,
                model=shard.model,
                rows=shard.rows.rows(),
                requests=shard.requests,
                bytes=shard.bytes,
                sha256=shard.digest.hexdigest(),
                offset=shard.offset,
                ids_offset=shard.ids_offset,
                whole=verbatim and len(self._all) == 1,
                tokens=None if self._counter is None else shard.tokens,
            )
            for number, shard in enumerate(self._all, start=1)
        )

    def _begin(self, model: str | None, offset: int) -> _OpenShard:
        self.flush()
        if len(self._all) == 1:
            self._all[0].digest = self._digest.copy()
        shard = _OpenShard(model, offset, self._ids_offset())
        self._open[model] = shard
        self._all.append(shard)
        return shard


class _OpenShard:
    """A shard to which rows can be added; `pending` are the rows that are not hashed yet.

    `tokens` counts the tokens of the hashed rows, None after a row that could not be counted.
    """

    __slots__ = (
        "bytes",
        "digest",
        "ids_offset",
        "inputs",
        "model",
        "offset",
        "pending",
        "requests",
        "rows",
        "tokens",
    )

    def __init__(self, model: str | None, offset: int, ids_offset: int) -> None:
        self.model = model
        self.offset = offset
        self.ids_offset = ids_offset
        self.rows = RowSetBuilder()
        self.requests = 0
        self.bytes = 0
        self.inputs = 0
        self.tokens: int | None = 0
        self.pending: list[bytes] = []
        self.digest = hashlib.sha256()

    def has_room(self, size: int, inputs: int, limits: Limits) -> bool:
        return (
            self.requests < limits.max_requests
            and self.bytes + size <= limits.max_bytes
            and self.inputs + inputs <= limits.max_embedding_inputs
        )

    def count(self, counter: TokenCounter) -> None:
        if self.tokens is not None:
            counted = counter.count(self.model, self.pending)
            self.tokens = None if counted is None else self.tokens + counted


def _lines(rows: list[bytes]) -> bytes:
    return b"\n".join(rows) + b"\n"
