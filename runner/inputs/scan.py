"""Scan an input once: validate every line, hash it and divide it into shards.

All errors that the API would report hours later, one at a time, and that can be found in the file
are found here before anything is sent (fact sheet, sections 2 and 3). The scan is a pipeline over
blocks of lines: a fast typed decode accepts valid rows, `runner.inputs.validation` explains the
others; ids go to the duplicate check and the ids file, rows to the shards. Memory grows by 8 bytes
a row for the duplicate check and 16 bytes a range of a shard's rows.

Responses are joined to requests by custom_id, so a repeated one loses a response (and hangs at
least one server: fact sheet, failure 8). The duplicate check is exact without the ids in memory:
the first pass over the file keeps a 64-bit hash of each id; a second pass compares only the ids
with equal hashes, which are nearly always real repetitions.

A file in the wrong format has a problem on every line, so all problems are counted and only the
first ones are kept. What the provider will probably refuse, and perhaps does not, is a warning: one
for each kind, at the first request of it and with their number.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, assert_never

from runner.errors import MAX_PROBLEMS, InvalidInput, Problem, limit_problems
from runner.inputs import reading
from runner.inputs.custom_ids import CustomIdWriter
from runner.inputs.format import LONGEST_BEGINNING, recognize
from runner.inputs.reading import Block, OversizedLine, canonical_row, open_unchanged, read_blocks
from runner.inputs.requests import (
    InputRequest,
    RequestKind,
    RequestReader,
)
from runner.inputs.sharding import ShardBuilder
from runner.inputs.validation import (
    check_line,
    quoted,
    value_column,
    without_values,
    wrong_model_message,
    wrong_type_message,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from io import FileIO
    from pathlib import Path
    from typing import BinaryIO

    from runner.inputs.reading import Fingerprint
    from runner.inputs.requests import InputRequest
    from runner.inputs.sharding import Shard
    from runner.inputs.tokens import TokenCounter
    from runner.spec.project import Limits


_BUCKETS = 256
"""Equal hashes are found in one bucket at a time: the set has a 256th of all hashes."""


class SeenIds:
    """The hashes of all ids added so far.

    `hashed` returns 64 signed bits. Python's `hash` has a new seed in every process, so no file
    can be made to contain colliding ids.
    """

    __slots__ = ("_buckets", "_hashed")

    def __init__(self, hashed: Callable[[str], int] = hash) -> None:
        self._hashed = hashed
        self._buckets: list[array[int]] = [array("q") for _ in range(_BUCKETS)]

    def add(self, custom_id: str) -> None:
        """Add one id."""
        hashed = self._hashed(custom_id)
        self._buckets[hashed % _BUCKETS].append(hashed)

    def __bool__(self) -> bool:
        return any(self._buckets)

    def repeated_ids(self, most: int) -> tuple[RepeatedIds, int]:
        """Return up to about `most` hashes that occur more than once, and the count left out.

        The count is of the repetitions (all uses but the first) whose hashes are not returned.
        """
        repeated: set[int] = set()
        left_out = 0
        for bucket in self._buckets:
            distinct = set(bucket)
            more = len(bucket) - len(distinct)
            if not more:
                continue
            if len(repeated) >= most:
                left_out += more
                continue
            once: set[int] = set()
            for hashed in bucket:
                if hashed in once:
                    repeated.add(hashed)
                once.add(hashed)
        return RepeatedIds(repeated, self._hashed), left_out


class RepeatedIds:
    """The ids with repeated hashes, and the line of their first use."""

    __slots__ = ("_first", "_hashed", "_hashes")

    def __init__(self, hashes: set[int], hashed: Callable[[str], int]) -> None:
        self._hashes = hashes
        self._hashed = hashed
        self._first: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def earlier_line(self, custom_id: str, line: int) -> int | None:
        """Return the line that used `custom_id` first, or None if that is `line`."""
        if self._hashed(custom_id) not in self._hashes:
            return None
        first = self._first.setdefault(custom_id, line)
        return first if first != line else None


class ProblemList:
    """The problems of one file, added in the order of its lines; `shown` is its path."""

    __slots__ = ("_count", "_problems", "_shown")

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._problems: list[Problem] = []
        self._count = 0

    def add(self, message: str, *, line: int = 0, column: int = 0) -> None:
        """Add one problem; one that would not be shown is only counted."""
        self._count += 1
        # One more than is shown: its line is where the note about the others belongs.
        if len(self._problems) <= MAX_PROBLEMS:
            self._problems.append(
                Problem(path=self._shown, line=line, column=column, message=message)
            )

    def count(self, more: int) -> None:
        """Count problems without a description."""
        self._count += more

    def join(self, later: ProblemList) -> None:
        """Add the problems of a later pass over the same file."""
        self._problems += later._problems
        self._count += later._count

    def __bool__(self) -> bool:
        return self._count > 0

    def error(self, warnings: Iterable[Problem], *, quoting: bool) -> InvalidInput:
        """Return the exception that shows these problems, and how many more there are."""
        more = self._count - len(self._problems)
        found = self._problems if quoting else map(without_values, self._problems)
        return InvalidInput(limit_problems(found, more=more), warnings)


_SAMPLES: Final = 100
_SAMPLE_BYTES: Final = 4 * 1024 * 1024
"""At most so many lines and bytes at the beginning of an input are checked below the top level."""
_MAX_REPEATED: Final = 10_000
"""Repeated ids that are compared in a second pass; more are only counted."""

_PART: Final = 1 << 20
"""Bytes that are read at a time to count lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The result for a valid input.

    `bytes` and `digest` (SHA-256, hexadecimal) are of all rows in order, each with one line feed;
    they do not depend on the limits, blank lines or line ends. `warnings` are about fields and
    models that the provider will probably refuse.
    """

    requests: int
    bytes: int
    digest: str
    shards: tuple[Shard, ...]
    fingerprint: Fingerprint
    warnings: tuple[Problem, ...] = ()


def scan(
    path: Path,
    *,
    shown: str,
    endpoint: str,
    limits: Limits,
    ids: BinaryIO | None = None,
    progress: Callable[[int], None] | None = None,
    counter: TokenCounter | None = None,
    quoting: bool = True,
) -> Scan:
    """Validate the input at `path` and divide it into shards for batches of `endpoint`.

    `shown` is the path in messages, which quote values of the input unless `quoting` is false. The
    custom_id of each row is written to `ids`, a new binary file, as one JSON string a line.
    `progress` is called with the number of bytes read so far. With a `counter` each shard's prompt
    tokens are counted, which then takes most of the time. Raises InvalidInput with the first
    problems and how many more there are, InputChanged where the file changes during the scan,
    LocalFileError if reading or writing `ids` fails.
    """
    with open_unchanged(path, shown=shown) as (file, identity):
        _require_requests(file, shown=shown, endpoint=endpoint)
        reading = _InputScan(
            shown=shown, endpoint=endpoint, limits=limits, ids=ids, counter=counter
        )
        for part in read_blocks(file, longest=reading.longest + 1, shown=shown):
            reading.take(part)
            if progress is not None:
                progress(file.tell())
        reading.compare_ids(file)
        sharder = reading.sharder
        shards = () if reading.problems else sharder.shards(verbatim=reading.verbatim)
        warnings = [*reading.type_warnings(), *_model_warnings(file, shards, shown, endpoint)]
    if not quoting:
        warnings = [without_values(each) for each in warnings]
    if reading.problems:
        raise reading.problems.error(limit_problems(warnings), quoting=quoting)
    return Scan(
        requests=sharder.requests,
        bytes=sharder.bytes,
        digest=sharder.digest(),
        shards=shards,
        fingerprint=identity,
        warnings=limit_problems(warnings) if warnings else (),
    )


@dataclass(slots=True)
class _Kind:
    """Requests of one kind: the place of the first one, and their number."""

    line: int
    column: int
    expected: str
    sampled: bool
    count: int = 0


class _InputScan:
    """The state of one scan."""

    def __init__(
        self,
        *,
        shown: str,
        endpoint: str,
        limits: Limits,
        ids: BinaryIO | None,
        counter: TokenCounter | None,
    ) -> None:
        self._shown = shown
        self._endpoint = endpoint
        self._limits = limits
        self._reader = RequestReader(endpoint)
        self._seen = SeenIds()
        self._ids = CustomIdWriter(ids)
        self.longest = limits.max_bytes - 1
        if limits.max_line_bytes is not None:
            self.longest = min(self.longest, limits.max_line_bytes)
        self.problems = ProblemList(shown)
        self.sharder = ShardBuilder(limits, self._ids.offset, counter)
        self.verbatim = True
        self._wrong_types: dict[tuple[str, str], _Kind] = {}
        self._samples_left = _SAMPLES
        self._sample_bytes_left = _SAMPLE_BYTES

    def take(self, part: Block | OversizedLine) -> None:
        """Validate some lines and add their rows to shards."""
        match part:
            case Block():
                self._take_lines(part)
            case OversizedLine():
                self._refuse_size(part.size, part.number)
            case _:
                assert_never(part)

    def compare_ids(self, file: FileIO) -> None:
        """Report the ids that are used more than once, and an input without requests."""
        repeated_ids, left_out = self._seen.repeated_ids(_MAX_REPEATED)
        if repeated_ids:
            repeated = ProblemList(self._shown)
            file.seek(0)
            for part in read_blocks(file, longest=self.longest + 1, shown=self._shown):
                if isinstance(part, Block):
                    self._compare(part, repeated_ids, repeated)
                    self._reader.wrong_types.clear()  # the first pass has counted them
            repeated.count(left_out)
            self.problems.join(repeated)
        if not self._seen and not self.problems:
            self.problems.add("contains no requests: write one JSON object a line (empty_file)")

    def _take_lines(self, block: Block) -> None:
        """Validate the lines of a block and add their rows."""
        offset = block.offset
        trusted = _is_utf8(block.data)
        wrong_types = self._reader.wrong_types
        for number, line in enumerate(block.lines, block.number):
            row = line.removesuffix(b"\r")
            request = self._reader.read(row) if trusted or _is_utf8(row) else None
            if request is None:
                request = self._check_line(line, number)
            else:
                self._seen.add(request.custom_id)
            if wrong_types:
                self._count_wrong_types(row, number)
            if len(row) > self.longest and not line.isspace():
                self._refuse_size(len(row), number)
            elif request is not None and self._fits(request, number):
                self.sharder.add(row, request, offset=offset)
                self._ids.add(request.custom_id)
            offset += len(line) + 1
        if self._samples_left:
            self._sample(block)
        self._ids.offset()
        same = self.sharder.flush(block.data if block.ended else b"")
        marked = block.number == 1 and block.offset > 0
        # A last blank line without a line feed is not a row, but still a part of the file.
        self.verbatim = self.verbatim and same and block.ended and not marked

    def _sample(self, block: Block) -> None:
        """Look at the fields below the top level of the first lines; more would take long."""
        for number, line in islice(enumerate(block.lines, block.number), self._samples_left):
            row = line.removesuffix(b"\r")
            self._sample_bytes_left -= len(row)
            if self._sample_bytes_left < 0:
                self._samples_left = 0
                return
            self._samples_left -= 1
            if _is_utf8(row):
                self._reader.note_nested_types(row)
                self._count_wrong_types(row, number)

    def _count_wrong_types(self, row: bytes, number: int) -> None:
        """Count the wrong types in a row by their kind, and note the place of the first one."""
        for wrong in self._reader.wrong_types:
            kind = (wrong.field, wrong.found)
            if kind not in self._wrong_types:
                column = value_column(row, wrong.field, wrong.value)
                self._wrong_types[kind] = _Kind(number, column, wrong.expected, wrong.sampled)
            self._wrong_types[kind].count += 1
        self._reader.wrong_types.clear()

    def type_warnings(self) -> list[Problem]:
        """Return a warning for each kind of wrong types."""
        return [
            Problem(
                path=self._shown,
                line=kind.line,
                column=kind.column,
                message=wrong_type_message(
                    field, found, kind.expected, kind.count, sampled=kind.sampled
                ),
                is_warning=True,
            )
            for (field, found), kind in self._wrong_types.items()
        ]

    def _check_line(self, line: bytes, number: int) -> InputRequest | None:
        row = canonical_row(line)
        if not row:
            return None
        checked = check_line(row, self._endpoint)
        for problem in checked.problems:
            self.problems.add(problem.message, line=number, column=problem.column)
        if checked.custom_id is not None:
            self._seen.add(checked.custom_id)
        return checked.request

    def _fits(self, request: InputRequest, number: int) -> bool:
        if request.inputs <= self._limits.max_embedding_inputs:
            return True
        self.problems.add(
            f"the request has {request.inputs:,} inputs, and a batch takes at most"
            f" {self._limits.max_embedding_inputs:,}: divide it",
            line=number,
        )
        return False

    def _refuse_size(self, size: int, number: int) -> None:
        most = self._limits.max_line_bytes
        if most is not None and size > most:
            message = (
                f"the request is {size:,} bytes long, and the provider takes at most {most:,}"
                " a line: shorten it"
            )
        else:
            message = (
                f"the request is {size + 1:,} bytes long with its line feed, and a batch takes"
                f" at most {self._limits.max_bytes:,}: shorten it"
            )
        self.problems.add(message, line=number)

    def _compare(self, block: Block, repeated_ids: RepeatedIds, repeated: ProblemList) -> None:
        for number, line in enumerate(block.lines, block.number):
            row = canonical_row(line)
            request = self._reader.read(row) if _is_utf8(row) else None
            if request is not None:
                custom_id: str | None = request.custom_id
            else:
                custom_id = check_line(row, self._endpoint).custom_id if row else None
            earlier_line = custom_id and repeated_ids.earlier_line(custom_id, number)
            if custom_id and earlier_line:
                repeated.add(
                    f"custom_id {quoted(custom_id)} is already used in line {earlier_line}: give"
                    " every request an id of its own (duplicate_custom_id)",
                    line=number,
                )


def _model_warnings(
    file: FileIO, shards: tuple[Shard, ...], shown: str, endpoint: str
) -> list[Problem]:
    """Return a warning for each model whose name says that it is for another endpoint."""
    warnings = []
    for model in dict.fromkeys(shard.model for shard in shards if shard.model is not None):
        purpose = RequestKind.of(endpoint).purpose_of_other_model(model)
        if purpose is not None:
            count = sum(shard.requests for shard in shards if shard.model == model)
            message = wrong_model_message(model, purpose, endpoint, count)
            first = next(shard.offset for shard in shards if shard.model == model)
            line, row = _row_at(file, first)
            column = value_column(row, "model", json.dumps(model).encode())
            warnings.append(
                Problem(path=shown, line=line, column=column, message=message, is_warning=True)
            )
    return warnings


def _row_at(file: FileIO, offset: int) -> tuple[int, bytes]:
    """Return the number of the line that begins at a byte of a file, and its text."""
    file.seek(0)
    number, left = 1, offset
    while left:
        part = file.read(min(left, _PART))
        if not part:
            break
        number += part.count(b"\n")
        left -= len(part)
    return number, file.readline()


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _require_requests(file: FileIO, *, shown: str, endpoint: str) -> None:
    """Raise InvalidInput for a file that is plainly something else than lines of requests."""
    beginning = reading.read(file, LONGEST_BEGINNING, shown=shown)
    file.seek(0)
    first = beginning.partition(b"\n")[0]
    if _is_utf8(first) and RequestReader(endpoint).read(first) is not None:
        return
    message = recognize(beginning, endpoint)
    if message is not None:
        raise InvalidInput([Problem(path=shown, line=1, message=message)])
