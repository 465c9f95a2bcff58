"""Read the lines of downloaded output and error files.

What counts is the state of each request, not that of its batch. So both files of a terminal batch
are read in the same way, line by line, and joined with the requests on `custom_id`; the
provider's own counts are never used (fact sheet, failures 1 to 5). Memory is bounded by one line.
A damaged line does not affect the others.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, BinaryIO, Final

from runner.outputs.classification import MALFORMED, Outcome, classify, unreadable
from runner.outputs.durable_files import explained

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.outputs.classification import Classification


__all__ = [
    "LineStatus",
    "Outcome",
    "ResultLine",
    "displaces",
    "lines",
    "overlong",
    "read_results",
    "verify_download",
]

LONGEST_LINE: Final = 256 * 1024 * 1024
"""Bytes. Longer than any response; a file without line ends must not be read into memory."""

_BLOCK: Final = 1024 * 1024
_MARK: Final = b"\xef\xbb\xbf"


class LineStatus(IntEnum):
    """The status of the best line of a request; a higher one is better."""

    ABSENT = 0
    MALFORMED = 1
    FAILED = 2
    SUCCEEDED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultLine:
    """One line of a result file and its location there.

    `offset` and `length` count bytes, without a byte order mark and without the line's end.
    `code` and `message` say why a request failed, and are None for a success.
    """

    custom_id: str | None
    outcome: Outcome
    code: str | None
    message: str | None
    offset: int
    length: int

    @property
    def status(self) -> LineStatus:
        """The rank of the line among the lines of its request."""
        if self.outcome is Outcome.SUCCEEDED:
            return LineStatus.SUCCEEDED
        return LineStatus.MALFORMED if self.code == MALFORMED else LineStatus.FAILED


def read_results(path: Path, *, longest: int = LONGEST_LINE) -> Iterator[ResultLine]:
    r"""Yield every line of an output or error file that is not blank, in file order.

    Lines end at `\n` bytes only: U+2028 and similar characters are data (fact sheet, failure 17).
    The last line needs no end; byte order marks are skipped. A line with more than `longest` bytes
    before its line feed is malformed. Raises LocalFileError when the file itself cannot be read.
    """
    for offset, length, content, whole in lines(path, longest=longest):
        found = classify(content) if whole else overlong(content, longest)
        yield ResultLine(
            custom_id=found.custom_id,
            outcome=found.outcome,
            code=found.code,
            message=found.message,
            offset=offset,
            length=length,
        )


def overlong(head: bytes, longest: int = LONGEST_LINE) -> Classification:
    """Classify a line of which only the beginning was read."""
    return unreadable(head, f"the line is longer than {longest} bytes")


def lines(path: Path, *, longest: int = LONGEST_LINE) -> Iterator[tuple[int, int, bytes, bool]]:
    """Yield (offset, length, content, whole) of each line of a file that is not blank.

    For a line of more than `longest` bytes the content is its beginning only, and `whole` False.
    Raises LocalFileError.
    """
    with explained(path, doing="read"), path.open("rb", buffering=_BLOCK) as file:
        yield from _lines(file, longest)


def _lines(file: BinaryIO, longest: int) -> Iterator[tuple[int, int, bytes, bool]]:
    position = 0
    while line := file.readline(longest + 1):
        start, position = position, position + len(line)
        if line.endswith(b"}\n") and line.startswith(b"{"):  # nearly all of them
            yield start, len(line) - 1, line[:-1], True
            continue
        blank = line.removeprefix(_MARK).isspace()
        content = line.rstrip(b"\r\n")
        length = len(content)
        whole = len(line) <= longest or line.endswith(b"\n")
        if not whole:
            content = content[:_BLOCK]
            piece, end = line, len(line) - length
            while not piece.endswith(b"\n") and (piece := file.readline(_BLOCK)):
                position += len(piece)
                blank = blank and piece.isspace()
                own = len(piece) - len(piece.rstrip(b"\r\n"))
                end = end + own if own == len(piece) else own  # it may begin a block earlier
            length = position - start - end
        if content.startswith(_MARK):
            start, length, content = start + len(_MARK), length - len(_MARK), content[len(_MARK) :]
        if content and not blank:
            yield start, length, content, whole


def displaces(new: LineStatus, held: LineStatus) -> bool:
    """Return whether a line that was read later replaces the one held for its request.

    The first success stays: it is the response that was paid for, and a later one only repeats
    the request. Among failures the last one counts, as the provider's latest statement about the
    request, but an unreadable line never replaces a readable one.
    """
    return new >= held and held is not LineStatus.SUCCEEDED


def verify_download(path: Path, *, longest: int = LONGEST_LINE) -> str | None:
    """Return why a downloaded file looks incomplete, or None for a complete one.

    A file is complete if it is empty or blank (Azure sends those, fact sheet, failure 22) or if
    its last line is JSON, with or without a line end (failure 16). It is read as Python reads
    JSON: a strange value or byte concerns its row only and is no reason to download again. Raises
    LocalFileError when the file cannot be read.
    """
    with explained(path, doing="read"), path.open("rb") as file:
        last = _last_line(file, longest)
    if last is None:
        return f"the last line is longer than {longest} bytes"
    if not last:
        return None
    try:
        # The numbers are not used, and Python refuses an integer of thousands of digits.
        json.loads(last.decode(errors="replace"), parse_int=float)
    except (ValueError, RecursionError):
        return f"the last line ({len(last)} bytes) is not whole JSON: the download was cut short"
    return None


def _last_line(file: BinaryIO, longest: int) -> bytes | None:
    """Return the last line that is not blank, b"" if there is none, None if it is too long."""
    position = file.seek(0, os.SEEK_END)
    tail = b""
    while position > 0:
        if len(tail) > longest:
            return None
        step = min(position, max(_BLOCK, len(tail)))  # doubling: a long line costs linear time
        position -= step
        file.seek(position)
        tail = (file.read(step) + tail).rstrip()
        end = tail.rfind(b"\n")
        if end >= 0:
            tail = tail[end + 1 :]
            break
    return tail.removeprefix(_MARK)
