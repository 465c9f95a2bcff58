"""Taking a file in: multipart/form-data straight to its place on disk.

The parser hands over pieces as they arrive, so a batch of 200 MB passes through some kilobytes of
memory and is written once; the usual form parsers keep it in a temporary folder first, which on
many machines is memory.
"""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from runner.local.errors import RequestRejected, missing_parameter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

LARGEST_FILE: Final = 200 * 1024 * 1024
"""Bytes; "200 MB" in the more generous of its two readings (fact sheet, section 2)."""

_LONGEST_FIELD: Final = 64 * 1024


class Upload:
    """One upload under way; a context manager that leaves nothing behind unless kept.

    Attributes:
        bytes: size of the file so far.
        filename: the name the client gave it, or None while no file has come.

    Raises Refusal for a body that is no form, and OSError where the disk is at fault.

    """

    def __init__(self, content_type: str, destination: Path) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise RequestRejected("Expected a multipart/form-data body with a boundary.")
        self.bytes = 0
        self.filename: str | None = None
        self._destination = destination
        self._fields: dict[str, bytearray] = {}
        self._name = ""
        self._in_file = False
        self._header = (bytearray(), bytearray())
        self._kept = False
        self._whole = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_done,
                    "on_part_data": self._data,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise RequestRejected(f"Invalid multipart body: {error}.") from error
        self._file = destination.open("xb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        if not self._kept:
            self._destination.unlink()

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise RequestRejected(f"Invalid multipart body: {error}.") from error

    def finish(self) -> Mapping[str, str]:
        """Put the file on disk for good and give the other fields of the form."""
        try:
            self._parser.finalize()
        except FormParserError as error:
            raise RequestRejected(f"Invalid multipart body: {error}.") from error
        if not self._whole:
            raise RequestRejected("Invalid multipart body: it ends before its last boundary.")
        if self.filename is None:
            raise missing_parameter("file")
        if self.bytes > LARGEST_FILE:
            raise RequestRejected("File is too large.", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self._file.flush()
        os.fsync(self._file.fileno())
        return {
            name: value.decode("utf-8", errors="replace") for name, value in self._fields.items()
        }

    def keep(self) -> None:
        """Let the file stay when this upload ends: somebody has made a note of it."""
        self._kept = True

    def _end(self) -> None:
        self._whole = True

    def _begin(self) -> None:
        self._name, self._in_file = "", False

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _header_done(self) -> None:
        name, value = bytes(self._header[0]).lower(), bytes(self._header[1])
        self._header = (bytearray(), bytearray())
        if name != b"content-disposition":
            return
        _, options = parse_options_header(value)
        self._name = options.get(b"name", b"").decode("utf-8", errors="replace")
        filename = options.get(b"filename")
        if self._name == "file" and filename is not None:
            if self.filename is not None:
                raise RequestRejected("Expected one file, got several.", param="file")
            self._in_file = True
            self.filename = filename.decode("utf-8", errors="replace")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self.bytes += end - start
            # What is too large is read to its end all the same: a client that is still
            # sending would see a broken connection, not the reason for it.
            if self.bytes <= LARGEST_FILE:
                self._file.write(memoryview(data)[start:end])
            return
        field = self._fields.setdefault(self._name, bytearray())
        if len(field) + end - start > _LONGEST_FIELD:
            raise RequestRejected(f"The form field '{self._name}' is too long.", param=self._name)
        field.extend(data[start:end])
