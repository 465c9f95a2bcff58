"""Reading a batch's input: lines that end with a newline byte.

Other line separators, such as U+2028, are data: `str.splitlines` would be wrong (fact sheet,
failure 17).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator


class BatchLine(msgspec.Struct):
    """A line of Batch input, not validated; a missing field is UNSET."""

    custom_id: Any = msgspec.UNSET
    method: Any = msgspec.UNSET
    url: Any = msgspec.UNSET
    body: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


request_decoder = msgspec.json.Decoder(BatchLine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A valid line of the input; `end` is the byte offset of the next line."""

    offset: int
    end: int
    custom_id: str
    body: msgspec.Raw


def read_rows(source: BinaryIO, offset: int, *, most: int, size: int) -> Iterator[Row]:
    """Yield valid lines from `offset` on, at most `most`, until `size` bytes are read.

    It yields at least one line, however long it is, unless the input has ended.
    """
    source.seek(offset)
    end = offset
    for _ in range(most):
        line = source.readline()
        if not line:
            return
        start, end = end, end + len(line)
        request = request_decoder.decode(line)
        assert isinstance(request.body, msgspec.Raw)  # noqa: S101 - validated
        yield Row(offset=start, end=end, custom_id=request.custom_id, body=request.body)
        if end - offset >= size:
            return
