"""Reading an upload from the socket to the disk, one megabyte at a time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from io import BufferedIOBase

PIECE: Final = 1024 * 1024
_NAME: Final = re.compile(rb'\bname="([^"]*)"')
_FILENAME: Final = re.compile(rb'filename="([^"]*)"')


class Form:
    """A multipart form of `size` bytes with one file in it.

    Attributes:
        fields: the other fields.
        filename: the name of the file, given by the client.

    """

    def __init__(self, body: BufferedIOBase, size: int, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.filename = ""
        self._body = body
        self._left = size
        self._mark = b"\r\n--" + boundary
        self._waiting = b"\r\n"  # so that the first boundary looks like all others

    def read(self, destination: BinaryIO) -> None:
        """Read the form to its end and write the file to `destination`.

        Raises ConnectionResetError if the form breaks off.
        """
        self._until(self._mark)
        while self._peek(2) != b"--":
            head = self._until(b"\r\n\r\n")
            filename = _FILENAME.search(head)
            if filename is not None:
                self.filename = filename[1].decode()
                self._copy(destination)
            elif (name := _NAME.search(head)) is not None:
                self.fields[name[1].decode()] = self._until(self._mark).decode()
        while self._left:
            self._more()

    def _more(self) -> None:
        piece = self._body.read(min(self._left, PIECE))
        if not piece:
            raise ConnectionResetError("the form breaks off")
        self._left -= len(piece)
        self._waiting = self._waiting + piece if self._waiting else piece

    def _peek(self, length: int) -> bytes:
        while len(self._waiting) < length:
            self._more()
        return self._waiting[:length]

    def _until(self, end: bytes) -> bytes:
        while (place := self._waiting.find(end)) < 0:
            self._more()
        found = self._waiting[:place]
        self._waiting = self._waiting[place + len(end) :]
        return found

    def _copy(self, destination: BinaryIO) -> None:
        """Write the bytes before the next boundary; keep back a possible beginning of it."""
        kept = len(self._mark) - 1
        while (place := self._waiting.find(self._mark)) < 0:
            if len(self._waiting) > kept:
                destination.write(memoryview(self._waiting)[:-kept])
                self._waiting = self._waiting[-kept:]
            self._more()
        destination.write(memoryview(self._waiting)[:place])
        self._waiting = self._waiting[place + len(self._mark) :]
