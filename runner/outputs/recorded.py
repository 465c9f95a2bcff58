"""`run.json`, read back by somebody who does not trust it.

A record comes from a disk that others can write to, so nothing is believed of it but its shape:
values of other types are refused, and a name in it is never opened unless it is one that this
program would have written into this very folder.
"""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any, Final

import msgspec

from runner.outputs.publish import ERRORS, OUTPUT, RECORD

if TYPE_CHECKING:
    from io import BufferedReader
    from pathlib import Path

RAW: Final = "raw"
NEWEST_FORMAT: Final = 1
LARGEST: Final = 512 * 1024 * 1024
"""Bytes of a record that are read: one of twenty thousand shards has some fifty million."""


class Output(msgspec.Struct, frozen=True):
    """A final file as recorded."""

    bytes: int
    sha256: str
    lines: int


class Result(msgspec.Struct, frozen=True):
    """A downloaded file as recorded; `path` is relative to the run's folder."""

    kind: str
    file_id: str
    path: str
    bytes: int
    sha256: str


class Submission(msgspec.Struct, frozen=True):
    """An attempt as recorded; `batch` is the provider's object."""

    key: str
    attempt: int
    state: str
    rows: str
    requests: int
    sha256: str
    input_file_id: str | None
    batch: dict[str, Any] | None
    results: tuple[Result, ...]


class Shard(msgspec.Struct, frozen=True):
    """A slice of the input as recorded."""

    number: int
    rows: str
    requests: int
    sha256: str
    offset: int
    submissions: tuple[Submission, ...]


class Input(msgspec.Struct, frozen=True):
    """The whole input as recorded."""

    path: str
    requests: int
    sha256: str


class Asked(msgspec.Struct, frozen=True):
    """Who was asked."""

    name: str
    base_url: str | None


class Request(msgspec.Struct, frozen=True):
    """What was asked for, as far as it can change an answer."""

    endpoint: str
    provider: Asked
    replicate: int


class Spec(msgspec.Struct, frozen=True):
    """The spec as recorded."""

    sha256: str
    document: str


class Counts(msgspec.Struct, frozen=True):
    """Requests by their end, as recorded."""

    total: int
    succeeded: int
    failed: int
    codes: dict[str, int]


class Record(msgspec.Struct, frozen=True):
    """What is checked of a `run.json`."""

    job: str
    revision: str
    state: str
    spec: Spec
    request: Request
    input: Input
    shards: tuple[Shard, ...]
    counts: Counts
    outputs: dict[str, Output]
    finished_at: str

    @property
    def submissions(self) -> tuple[Submission, ...]:
        """Every attempt, in order of shard and attempt."""
        return tuple(each for shard in self.shards for each in shard.submissions)

    @property
    def results(self) -> tuple[Result, ...]:
        """Every downloaded file, in order of shard and attempt."""
        return tuple(result for each in self.submissions for result in each.results)


class Unfit(Exception):
    """A file that is not opened, or not believed; the text says why and completes a sentence."""


def read_record(folder: Path) -> Record:
    """Read the record of a run's folder. Raises Unfit where it is none that can be checked."""
    with open_file(folder, RECORD) as file:
        try:
            data = file.read(LARGEST + 1)
        except OSError as problem:
            raise Unfit(f"cannot be read: {problem.strerror or problem}") from problem
    if len(data) > LARGEST:
        raise Unfit(f"is larger than any record: more than {LARGEST:,} bytes")
    try:
        # A lone surrogate of a provider's text is an escape that only Python's reader takes.
        document = json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise Unfit("is not JSON") from problem
    version = document.get("format_version") if isinstance(document, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise Unfit("is not the record of a run: it has no format_version")
    if version > NEWEST_FORMAT:
        raise Unfit(f"was written by a later runner (format_version {version}); use that one")
    try:
        return msgspec.convert(document, Record)
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise Unfit(f"is not the record of a run: {problem}") from problem


def open_file(folder: Path, name: str) -> BufferedReader:
    """Open a file of a run's folder by the name that its record has for it.

    No link is followed and no pipe waited for: what is checked are the files that were written
    here. Raises FileNotFoundError if it is not there, Unfit if it is not to be opened.
    """
    if not is_ours(name):
        raise Unfit("is not a file of this folder and was not opened")
    if name.startswith(f"{RAW}/") and os.path.islink(folder / RAW):  # noqa: PTH114 -- it never raises
        raise Unfit(f"was not opened: {RAW} is a link")
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as problem:
        raise FileNotFoundError(str(problem)) from problem
    except OSError as problem:
        if os.path.islink(folder / name):  # noqa: PTH114
            raise Unfit("is a link and was not opened") from problem
        raise Unfit(f"cannot be read: {problem.strerror or problem}") from problem
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unfit("is not a regular file")
    return os.fdopen(descriptor, "rb")


def is_ours(name: str) -> bool:
    """Whether a name from a record is a file beside it, or one in `raw/`."""
    plain = name.removeprefix(f"{RAW}/")
    if plain in ("", ".", "..") or "/" in plain or "\0" in plain or not _encodable(plain):
        return False
    return name != plain or name in (OUTPUT, ERRORS, RECORD)


def _encodable(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeError:
        return False
    return True
