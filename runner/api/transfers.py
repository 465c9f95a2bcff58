"""Uploading and downloading the content of files.

An upload is one multipart form in the order and with the headers that every provider accepts (fact
sheet, section 2). Its length is sent before the first byte, so that a form that breaks off is never
taken for a complete one. A download is written to disk as it arrives and hashed on the way; its
length is checked against the Content-Length header and the size in the File object. Neither holds
more than a piece of the file in memory.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, Final

from runner.api.protocol import Download
from runner.api.responses import Reply, error_as_content, unusable_reply_error
from runner.api.transport import Body
from runner.errors import LocalFileError, UnexpectedReply
from runner.files import BY_UMASK, create

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import httpx

    from runner.api.responses import Call


CHUNK_BYTES: Final = 256 * 1024
"""Bytes handed to the network at a time: larger pieces are copied more often than sent."""

LONGEST_ERROR: Final = 64 * 1024
"""The most bytes of a file's content in which an error in its place is looked for."""

_GZIP: Final = 16 + zlib.MAX_WBITS


def upload_form(
    source: BinaryIO,
    *,
    start: int,
    size: int,
    filename: str,
    expires_after: int | None,
    progress: Callable[[int], None] | None,
) -> Body:
    """Return the form that uploads bytes `start` to `start + size` of `source`.

    `expires_after` is the number of seconds for which the provider shall keep the file; None leaves
    the choice to the provider. The content of the form raises LocalFileError, before the end of the
    form is sent, if `source` cannot be read or does not end exactly there.
    """
    boundary = secrets.token_hex(16)
    quoted = filename.translate({ord('"'): "%22", ord("\r"): "%0D", ord("\n"): "%0A"})
    fields = {"purpose": "batch"}
    if expires_after is not None:
        fields |= {
            "expires_after[anchor]": "created_at",
            "expires_after[seconds]": str(expires_after),
        }
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
        for chunk in _read_chunks(source, start=start, size=size, filename=filename):
            yield chunk
            sent += len(chunk)
            if progress is not None:
                progress(sent)
        yield tail

    return Body(
        content_type=f"multipart/form-data; boundary={boundary}",
        length=len(head) + size + len(tail),
        content=content(),
    )


def current_position(source: BinaryIO, *, filename: str) -> int:
    """Return the position in `source`; raises LocalFileError if it is not seekable."""
    with _read_errors(filename):
        return source.tell()


def _read_chunks(source: BinaryIO, *, start: int, size: int, filename: str) -> Iterator[bytes]:
    left = size
    with _read_errors(filename):
        source.seek(start)
    while left:
        with _read_errors(filename):
            chunk = source.read(min(CHUNK_BYTES, left))
        if not chunk:
            raise LocalFileError(
                f"{filename} ends {left:,} bytes short of the {size:,} to be uploaded: it was"
                " changed; nothing was stored"
            )
        left -= len(chunk)
        yield chunk
    with _read_errors(filename):
        more = source.read(1)
    if more:
        raise LocalFileError(
            f"{filename} is longer than the {size:,} bytes to be uploaded: it was changed;"
            " nothing was stored"
        )


@contextmanager
def _read_errors(filename: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: the file was closed meanwhile
        raise LocalFileError(f"{filename} cannot be read for upload: {error}") from error


class WrongLength(UnexpectedReply):
    """The content arrived completely, but its length differs from that in the File object."""

    def __init__(self, call: Call, download: Download, expected_bytes: int) -> None:
        super().__init__(
            f"{call.provider.name} answered {call} with {download.bytes:,} bytes, but says that"
            f" the file has {expected_bytes:,}",
            provider=call.provider.name,
            call=str(call),
        )
        self.sha256 = download.sha256


def save_content(
    call: Call,
    response: httpx.Response,
    destination: Path,
    *,
    expected_bytes: int | None,
    progress: Callable[[int], None] | None,
    now: float,
) -> Download:
    """Write a reply's body to `destination`, force it to disk and return its size and hash.

    `destination` must not exist: it is made anew, and never through a link.

    Raises UnexpectedReply if the body is not the content of a file or is incomplete (WrongLength if
    it does not have `expected_bytes`), the error of a body that is an error with a known code, and
    LocalFileError if it cannot be written. `destination` is then removed. `now` is Unix time.
    """
    headers = {name.lower(): value for name, value in response.headers.items()}
    reply = Reply(status=response.status_code, headers=headers, body=b"")
    if headers.get("content-type", "").lower().startswith("text/html"):
        raise unusable_reply_error(call, "an HTML page instead of a file", reply)
    received = 0

    def arriving() -> Iterator[bytes]:
        nonlocal received
        for chunk in response.iter_raw():
            received += len(chunk)
            yield chunk

    digest = hashlib.sha256()
    written = 0
    head = b""
    with _open_download(destination) as file:
        for chunk in _decompressed(call, reply, arriving()):
            with _write_errors(destination):
                file.write(chunk)
            digest.update(chunk)
            written += len(chunk)
            head = head + chunk if written <= LONGEST_ERROR else b""
            if progress is not None:
                progress(written)
        announced = headers.get("content-length")
        if announced is not None and announced != str(received):
            raise unusable_reply_error(call, f"{received:,} bytes of {announced} announced", reply)
        refused = error_as_content(call, head, reply, now=now) if head else None
        if refused is not None:
            raise refused
        download = Download(bytes=written, sha256=digest.hexdigest())
        if expected_bytes not in {None, written}:
            raise WrongLength(call, download, expected_bytes)
    return download


def _decompressed(call: Call, reply: Reply, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Undo the content encoding; raises UnexpectedReply if a compressed body ends early."""
    encoding = reply.headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"", "identity"}:
        yield from chunks
        return
    if encoding not in {"gzip", "x-gzip"}:
        raise unusable_reply_error(
            call, f"a content encoding that was not requested: {encoding}", reply
        )
    member = zlib.decompressobj(wbits=_GZIP)
    begun = False
    for compressed in chunks:
        rest = compressed
        while rest:
            if member.eof:
                member = zlib.decompressobj(wbits=_GZIP)
            begun = True
            try:
                plain = member.decompress(rest, CHUNK_BYTES)
            except zlib.error as error:
                raise unusable_reply_error(call, f"a damaged gzip body ({error})", reply) from error
            rest = member.unconsumed_tail or member.unused_data
            if plain:
                yield plain
    if begun and not member.eof:
        raise unusable_reply_error(call, "a gzip body that breaks off", reply)


@contextmanager
def _open_download(destination: Path) -> Iterator[BinaryIO]:
    """Open a file that is forced to disk at the end, or removed if the block raises."""
    with _write_errors(destination):
        file = create(destination, mode=BY_UMASK)
    try:
        yield file
        with _write_errors(destination):
            file.flush()
            os.fsync(file.fileno())
            file.close()
    except BaseException:
        # Keep the first error: on a full disk, closing fails as well.
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            destination.unlink()
        raise


@contextmanager
def _write_errors(destination: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        words = error.strerror or str(error)
        raise LocalFileError(f"{destination} cannot be written: {words}") from error
