"""Copy lines from many files into one, and compute the digest of the new file.

Lines are copied as bytes and never decoded. Lines that follow each other in a source are copied
in one piece, so that files in row order are copied at the speed of the disk; any other order
costs one read per line.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from runner.errors import LocalFileError
from runner.outputs.durable_files import explained, refusal
from runner.outputs.record import FileDigest

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


_MOST_OPEN: Final = 64
_PIECE: Final = 1024 * 1024
_GATHERED: Final = 128 * 1024


class SourceFiles:
    """Files open for reading at any offset; at most 64 of them are open at the same time."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def read(self, path: Path, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes. Raises LocalFileError, also where the file has fewer."""
        try:
            data = os.pread(self._descriptor(path), length, offset)
            while len(data) < length:
                more = os.pread(self._descriptor(path), length - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as problem:
            raise refusal(path, problem, doing="read") from problem
        if len(data) < length:
            raise LocalFileError(f"{path} became shorter while it was read")
        return data

    def _descriptor(self, path: Path) -> int:
        descriptor = self._open.get(path)
        if descriptor is not None:
            self._open.move_to_end(path)
            return descriptor
        if len(self._open) >= _MOST_OPEN:
            os.close(self._open.popitem(last=False)[1])
        descriptor = self._open[path] = os.open(path, os.O_RDONLY)
        return descriptor


class LineWriter:
    """A new file of lines, each with exactly one line end.

    The file must not exist. Once `finish` has returned, it is on the disk and not only in the
    system's cache. Every method raises LocalFileError when the file cannot be written.
    """

    def __init__(self, path: Path, sources: SourceFiles) -> None:
        self._path: Final = path
        self._sources: Final = sources
        self._digest = hashlib.sha256()
        self._bytes = 0
        self._lines = 0
        self._piece: tuple[Path, int, int] | None = None  # file, start, end; without a line end
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        with explained(path, doing="written"):
            self._file: Final = path.open("xb", buffering=_PIECE)

    def copy(self, path: Path, offset: int, length: int) -> None:
        """Append the line of `length` bytes at `offset` of `path`."""
        self._lines += 1
        end = offset + length
        if self._piece is not None:
            file, start, stop = self._piece
            # One byte apart: the byte between them can only be the first one's line end.
            if offset == stop + 1 and file is path:
                self._piece = (file, start, end)
                return
            self._flush_piece()
        self._piece = (path, offset, end)

    def append(self, line: bytes) -> None:
        """Append a line that is in no source, given without its end."""
        self._flush_piece()
        self._lines += 1
        self._write(line + b"\n")

    def finish(self) -> FileDigest:
        """Flush, sync and close the file, and return its size, digest and number of lines."""
        self._flush_piece()
        self._flush()
        with explained(self._path, doing="written"):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        return FileDigest(bytes=self._bytes, sha256=self._digest.hexdigest(), lines=self._lines)

    def abandon(self) -> None:
        """Close and remove the file, as far as the disk allows.

        Called while another error is raised, which is the one to report. A file that cannot be
        removed now is removed by the next publication.
        """
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._path.unlink()

    def _flush_piece(self) -> None:
        if self._piece is None:
            return
        path, start, end = self._piece
        self._piece = None
        while end - start > _PIECE:
            self._write(self._sources.read(path, start, _PIECE))
            start += _PIECE
        self._write(self._sources.read(path, start, end - start) + b"\n")

    def _write(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= _GATHERED:
            self._flush()

    def _flush(self) -> None:
        """Write all pending lines in one call: one call for each short line would be slow."""
        data = b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        self._digest.update(data)
        self._bytes += len(data)
        try:
            self._file.write(data)
        except OSError as problem:
            raise refusal(self._path, problem, doing="written") from problem
