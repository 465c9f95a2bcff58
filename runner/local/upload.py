"""Receiving an uploaded file: multipart/form-data, written directly to its final path.

The parser returns pieces as they arrive, so a file of 200 MB needs only some kilobytes of memory
and is written once. Other form parsers write it to a temporary folder first, which is in memory on
many machines.
"""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from runner.files import create
from runner.local.errors import RequestRejected, missing_parameter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

LARGEST_FILE: Final = 200 * 1024 * 1024
"""Bytes; the documented "200 MB", read as MiB (fact sheet, section 2)."""

_LONGEST_FIELD: Final = 64 * 1024


class Upload:
    """One upload in progress; a context manager that removes the file unless `keep` is called.

    Attributes:
        bytes: the size of the file so far.
        filename: the name given by the client, or None before the file arrives.

    Raises RequestRejected for a body that is not a form, and OSError if the disk fails.

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
        self._file = create(destination)

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

    def feed(self, chunk: bytes) -> None:
        """Parse the next piece of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise RequestRejected(f"Invalid multipart body: {error}.") from error

    def finish(self) -> Mapping[str, str]:
        """Force the file to disk and return the other fields of the form."""
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
        """Keep the file when this upload ends: it is recorded in the store."""
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
            # Read a file that is too large to its end: a client that is still sending would
            # see a broken connection instead of the error reply.
            if self.bytes <= LARGEST_FILE:
                self._file.write(memoryview(data)[start:end])
            return
        field = self._fields.setdefault(self._name, bytearray())
        if len(field) + end - start > _LONGEST_FIELD:
            raise RequestRejected(f"The form field '{self._name}' is too long.", param=self._name)
        field.extend(data[start:end])
