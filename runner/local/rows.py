"""Reading a batch's input: lines parted by newline bytes and nothing else.

U+2028 and its like are data, so text splitting is out of the question (fact sheet, failure 17).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator


class BatchLine(msgspec.Struct):
    """A line of Batch input, unchecked; what is absent is UNSET."""

    custom_id: Any = msgspec.UNSET
    method: Any = msgspec.UNSET
    url: Any = msgspec.UNSET
    body: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


request_decoder = msgspec.json.Decoder(BatchLine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line that was found valid, and the byte offset at which the next one begins."""

    offset: int
    end: int
    custom_id: str
    body: msgspec.Raw


def read_rows(source: BinaryIO, offset: int, *, most: int, size: int) -> Iterator[Row]:
    """Read valid lines from `offset` on: up to `most` of them, and no further than `size` bytes.

    At least one comes, however long it is, unless the input is at its end.
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
