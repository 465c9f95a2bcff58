"""The bytes of files on their way up and down.

Up: one multipart form in the order and with the headers that every dialect accepts (fact sheet,
section 2), its length announced before the first byte, so that a form that breaks off can never
be taken for a whole one. Down: to disk as it comes, hashed on the way, counted three times (as
announced by HTTP, as known from the File object, as written). Neither holds more than a piece
of the file in memory.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, Final

from runner.api.protocol import Download
from runner.api.responses import Reply, unusable
from runner.api.transport import Body
from runner.errors import LocalFileError, UnexpectedReply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import httpx

    from runner.api.responses import Call


PIECE: Final = 256 * 1024
"""Bytes handed to the network at a time: larger ones are copied more often than sent."""

_GZIP: Final = 16 + zlib.MAX_WBITS


def form(
    source: BinaryIO,
    *,
    start: int,
    size: int,
    filename: str,
    life: int | None,
    progress: Callable[[int], None] | None,
) -> Body:
    """Return the form that uploads bytes `start` to `start + size` of `source`.

    `life` is how many seconds the provider is to keep the file, or None to leave that to it.
    Its content raises LocalFileError, before the end of the form is sent, where `source` cannot
    be read or does not end exactly there.
    """
    boundary = secrets.token_hex(16)
    quoted = filename.translate({ord('"'): "%22", ord("\r"): "%0D", ord("\n"): "%0A"})
    fields = {"purpose": "batch"}
    if life is not None:
        fields |= {"expires_after[anchor]": "created_at", "expires_after[seconds]": str(life)}
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ).encode()
    head += (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{quoted}"\r\n'
        "Content-Type: application/jsonl\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()

    def content() -> Iterator[bytes]:
        yield head
        sent = 0
        for piece in _pieces(source, start=start, size=size, filename=filename):
            yield piece
            sent += len(piece)
            if progress is not None:
                progress(sent)
        yield tail

    return Body(
        content_type=f"multipart/form-data; boundary={boundary}",
        length=len(head) + size + len(tail),
        content=content(),
    )


def position(source: BinaryIO, *, filename: str) -> int:
    """Return where `source` stands; raises LocalFileError where it cannot be gone back to."""
    with _readable(filename):
        return source.tell()


def _pieces(source: BinaryIO, *, start: int, size: int, filename: str) -> Iterator[bytes]:
    left = size
    with _readable(filename):
        source.seek(start)
    while left:
        with _readable(filename):
            piece = source.read(min(PIECE, left))
        if not piece:
            raise LocalFileError(
                f"{filename} ends {left:,} bytes short of the {size:,} to be uploaded: it was"
                " changed; nothing was stored"
            )
        left -= len(piece)
        yield piece
    with _readable(filename):
        more = source.read(1)
    if more:
        raise LocalFileError(
            f"{filename} is longer than the {size:,} bytes to be uploaded: it was changed;"
            " nothing was stored"
        )


@contextmanager
def _readable(filename: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: the file was closed meanwhile
        raise LocalFileError(f"{filename} cannot be read for upload: {error}") from error


class WrongLength(UnexpectedReply):
    """The content came whole, but is not as long as the provider says the file is."""

    def __init__(self, call: Call, download: Download, expected_bytes: int) -> None:
        super().__init__(
            f"{call.provider.name} answered {call} with {download.bytes:,} bytes, but says that"
            f" the file has {expected_bytes:,}",
            provider=call.provider.name,
            call=str(call),
        )
        self.sha256 = download.sha256


def store(
    call: Call,
    response: httpx.Response,
    destination: Path,
    *,
    expected_bytes: int | None,
    progress: Callable[[int], None] | None,
) -> Download:
    """Write a reply's body to `destination`, force it to disk and return what was written.

    Raises UnexpectedReply (WrongLength where it is not `expected_bytes` long) where the content
    is not a file's or does not come whole, and LocalFileError where it cannot be written;
    nothing is left at `destination` then.
    """
    headers = {name.lower(): value for name, value in response.headers.items()}
    reply = Reply(status=response.status_code, headers=headers, body=b"")
    if headers.get("content-type", "").lower().startswith("text/html"):
        raise unusable(call, "an HTML page instead of a file", reply)
    received = 0

    def arriving() -> Iterator[bytes]:
        nonlocal received
        for piece in response.iter_raw():
            received += len(piece)
            yield piece

    digest = hashlib.sha256()
    written = 0
    with _writable(destination) as file:
        for piece in _plain(call, reply, arriving()):
            with _disk(destination):
                file.write(piece)
            digest.update(piece)
            written += len(piece)
            if progress is not None:
                progress(written)
        announced = headers.get("content-length")
        if announced is not None and announced != str(received):
            raise unusable(call, f"{received:,} bytes of {announced} announced", reply)
        download = Download(bytes=written, sha256=digest.hexdigest())
        if expected_bytes not in {None, written}:
            raise WrongLength(call, download, expected_bytes)
    return download


def _plain(call: Call, reply: Reply, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Undo the content encoding; a compressed body that ends early is an error, not an end."""
    encoding = reply.headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"", "identity"}:
        yield from pieces
        return
    if encoding not in {"gzip", "x-gzip"}:
        raise unusable(call, f"a content encoding that was not asked for: {encoding}", reply)
    member = zlib.decompressobj(wbits=_GZIP)
    begun = False
    for compressed in pieces:
        rest = compressed
        while rest:
            if member.eof:
                member = zlib.decompressobj(wbits=_GZIP)
            begun = True
            try:
                plain = member.decompress(rest, PIECE)
            except zlib.error as error:
                raise unusable(call, f"a damaged gzip body ({error})", reply) from error
            rest = member.unconsumed_tail or member.unused_data
            if plain:
                yield plain
    if begun and not member.eof:
        raise unusable(call, "a gzip body that breaks off", reply)


@contextmanager
def _writable(destination: Path) -> Iterator[BinaryIO]:
    """Open a file that is on disk in the end or not there at all."""
    with _disk(destination):
        file = destination.open("wb")
    try:
        yield file
        with _disk(destination):
            file.flush()
            os.fsync(file.fileno())
            file.close()
    except BaseException:
        # What went wrong first is what is told: a full disk fails again on closing.
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            destination.unlink()
        raise


@contextmanager
def _disk(destination: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        words = error.strerror or str(error)
        raise LocalFileError(f"{destination} cannot be written: {words}") from error
