"""Undoing the content encoding of a reply, piece by piece.

A few kilobytes of gzip can stand for a thousand times as many, and a second layer for a million
times. So there is one layer at most, and whoever takes the pieces can stop at any of them: each has
a bounded length, however much the rest stands for.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from runner.api.responses import unusable_reply_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runner.api.responses import Call, Reply


ACCEPTED: Final = "gzip"
"""The value of the Accept-Encoding header."""

LONGEST_PIECE: Final = 256 * 1024
"""The most bytes of a piece."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_TAKEN: Final = 16 * 1024
"""Bytes decoded at a time: what follows a member of gzip is copied for each one."""


def decoded(call: Call, reply: Reply, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Undo the content encoding of a body that arrives in `chunks`; a piece may be empty.

    Raises the error of `unusable_reply_error` if it is not one layer of gzip, is damaged or ends
    early. `reply` has the headers.
    """
    layers = [
        layer
        for each in reply.headers.get("content-encoding", "").lower().split(",")
        if (layer := each.strip()) not in {"", "identity"}
    ]
    if len(layers) > 1:
        raise unusable_reply_error(
            call, f"more than one layer of compression: {', '.join(layers)}", reply
        )
    if layers and layers[0] not in {"gzip", "x-gzip"}:
        raise unusable_reply_error(
            call, f"a content encoding that was not requested: {layers[0]}", reply
        )
    return _unzipped(call, reply, chunks) if layers else iter(chunks)


def _unzipped(call: Call, reply: Reply, chunks: Iterable[bytes]) -> Iterator[bytes]:
    member = zlib.decompressobj(wbits=_GZIP)
    begun = False
    for chunk in chunks:
        for start in range(0, len(chunk), _TAKEN):
            rest = chunk[start : start + _TAKEN]
            while rest:
                if member.eof:
                    member = zlib.decompressobj(wbits=_GZIP)
                begun = True
                try:
                    plain = member.decompress(rest, LONGEST_PIECE)
                except zlib.error as error:
                    raise unusable_reply_error(
                        call, f"a damaged gzip body ({error})", reply
                    ) from error
                rest = member.unconsumed_tail or member.unused_data
                if plain:
                    yield plain
        yield b""  # whoever counts what has arrived has to hear of it
    if begun and not member.eof:
        raise unusable_reply_error(call, "a gzip body that breaks off", reply)
