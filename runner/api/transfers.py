"""Uploading and downloading the content of files.

An upload is one multipart form in the order and with the headers that every provider accepts (fact
sheet, section 2). Its length is sent before the first byte, so that a form that breaks off is never
taken for a complete one. A download is written to disk as it arrives and hashed on the way; its
length is checked against the Content-Length header and the size in the File object. It ends where
it becomes longer than it may, and before the disk is full. Neither holds more than a piece of the
file in memory.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from runner.api.protocol import Download
from runner.api.responses import Reply, error_as_content, unusable_reply_error
from runner.api.transport import Body, decoded
from runner.errors import LocalFileError, UnexpectedReply
from runner.files import BY_UMASK, create

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

    from runner.api.responses import Call


CHUNK_BYTES: Final = 256 * 1024
"""Bytes handed to the network at a time: larger pieces are copied more often than sent."""

LONGEST_ERROR: Final = 64 * 1024
"""The most bytes of a file's content in which an error in its place is looked for."""

ROOM_LEFT: Final = 64 * 1024 * 1024
"""Bytes of a disk that no download takes: the ledger and the final files need some as well."""

_WRITTEN_UNSEEN: Final = 8 * 1024 * 1024
"""Bytes that are written before the room on the disk is looked at."""


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
    """The length of the content differs from that in the File object.

    `sha256` is that of the content, or None if it was too long to be read to its end.
    """

    def __init__(self, call: Call, what: str, *, sha256: str | None) -> None:
        super().__init__(
            f"{call.provider.name} answered {call} with {what}",
            provider=call.provider.name,
            call=str(call),
        )
        self.sha256 = sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentLimits:
    """How long the content of a file is, None if that is not known, and how long it may be."""

    expected_bytes: int | None
    at_most: int


def save_content(
    call: Call,
    response: httpx.Response,
    destination: Path,
    *,
    limits: ContentLimits,
    arrived: Callable[[int], None],
    progress: Callable[[int], None] | None,
    now: float,
) -> Download:
    """Write a reply's body to `destination`, force it to disk and return its size and hash.

    `destination` must not exist: it is made anew, and never through a link.

    `arrived` is called with the length of each piece, decoded. Raises UnexpectedReply if the body
    is not the content of a file or is incomplete (WrongLength if it does not have the expected
    bytes, or more than it may), the error of a body that is an error with a known code, and
    LocalFileError if it cannot be written. `destination` is then removed. `now` is Unix time.
    """
    headers = {name.lower(): value for name, value in response.headers.items()}
    reply = Reply(status=response.status_code, headers=headers, body=b"")
    if headers.get("content-type", "").lower().startswith("text/html"):
        raise unusable_reply_error(call, "an HTML page instead of a file", reply)
    expected, at_most = limits.expected_bytes, limits.at_most
    digest = hashlib.sha256()
    written = 0
    head = b""
    announced = headers.get("content-length")
    disk = _Disk(destination)
    # The size in the File object may be wrong; this one is held by the HTTP library.
    disk.require(int(announced) if announced is not None and announced.isdecimal() else 0)
    with _open_download(destination) as file:
        for piece in decoded(call, reply, response.iter_raw()):
            if written + len(piece) > at_most:
                raise _too_long_error(call, limits)
            disk.require(len(piece))
            with _write_errors(destination):
                file.write(piece)
            digest.update(piece)
            written += len(piece)
            arrived(len(piece))
            head = head + piece if written <= LONGEST_ERROR else b""
            if progress is not None and piece:
                progress(written)
        received = response.num_bytes_downloaded
        if announced is not None and announced != str(received):
            raise unusable_reply_error(call, f"{received:,} bytes of {announced} announced", reply)
        refused = error_as_content(call, head, reply, now=now) if head else None
        if refused is not None:
            raise refused
        download = Download(bytes=written, sha256=digest.hexdigest())
        if expected not in {None, written}:
            raise WrongLength(
                call,
                f"{written:,} bytes, but says that the file has {expected:,}",
                sha256=download.sha256,
            )
    return download


def _too_long_error(call: Call, limits: ContentLimits) -> WrongLength:
    expected = limits.expected_bytes
    says = "no size" if expected is None else f"a size of {expected:,}"
    return WrongLength(
        call,
        f"more than {limits.at_most:,} bytes, which are all that is taken of a file with {says}",
        sha256=None,
    )


class _Disk:
    """Sees to it that a download leaves some room on its disk."""

    def __init__(self, destination: Path) -> None:
        self._destination = destination
        self._unseen = 0

    def require(self, count: int) -> None:
        """Raise LocalFileError if there is no room for `count` more bytes beside what is left."""
        self._unseen += count
        if self._unseen < _WRITTEN_UNSEEN:
            return
        with _write_errors(self._destination):
            free = shutil.disk_usage(self._destination.parent).free
        if free < self._unseen + ROOM_LEFT:
            raise LocalFileError(
                f"{self._destination} cannot be written: its disk has {free:,} bytes free, of which"
                f" {ROOM_LEFT:,} stay free for the ledger and the final files (make room; the next"
                " pass downloads it again)"
            )
        self._unseen = 0


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
