"""From the lines of the final files back to the raw ones that they were taken from.

Each line of `output.jsonl`, and each error that is not ours, is to be found byte for byte in
`raw/`: it is the API's own answer. And each custom_id is to have one line. Both are questions
about sets that may not fit into memory, so they are asked of one part of the lines after the
other: parted by their digest, a million at a time, however many there are.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from runner.outputs.result_files import Outcome, read_results
from runner.outputs.run_folder import ERRORS, OUTPUT
from runner.outputs.writer import SourceFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


_AT_ONCE: Final = 1_000_000
"""Lines, of some hundred bytes each while they are held."""

_MOST_NAMED: Final = 3


class _Tally:
    """Lines with which the same is wrong, the first few by number."""

    def __init__(self) -> None:
        self._count = 0
        self._first: list[int] = []

    def add(self, number: int) -> None:
        self._count += 1
        self._first = sorted((*self._first, number))[:_MOST_NAMED]

    def told(self, words: str) -> str:
        numbers = ", ".join(f"{number:,}" for number in self._first)
        if self._count == 1:
            return f"line {numbers} is {words}"
        more = self._count - len(self._first)
        return f"lines {numbers}{f' and {more:,} more' if more else ''} are {words}"


def trace(
    folder: Path, raw: Sequence[Path], *, lines: int, at_once: int = _AT_ONCE
) -> Iterator[str]:
    """Yield what is wrong with where the final lines come from, as sentences.

    `raw` are the downloaded files there are, `lines` about how many lines the final files have.
    Reads every file once for each `at_once` of them. Raises LocalFileError.
    """
    parts = max(1, -(-lines // at_once))
    for part in range(parts):
        with SourceFiles() as sources:
            lookup = _Part(part, parts, sources)
            for name in (OUTPUT, ERRORS):
                lookup.take(name, folder / name)
            for path in raw:
                lookup.find(path)
        yield from lookup.faults()


class _Part:
    """One part of the lines, and what is wrong with them."""

    def __init__(self, part: int, parts: int, sources: SourceFiles) -> None:
        self._part = part
        self._parts = parts
        self._sources = sources
        self._requests: set[int] = set()
        self._sought: dict[int, tuple[str, int]] = {}
        self._faults: dict[tuple[str, str], _Tally] = {}

    def take(self, name: str, path: Path) -> None:
        """Read a final file."""
        for number, line in enumerate(read_results(path), start=1):
            succeeded = line.outcome is Outcome.SUCCEEDED
            if self._part == 0 and succeeded is not (name == OUTPUT):
                self._fault(name, "a success" if succeeded else "no success", number)
            request = _digest((line.custom_id or "").encode(errors="surrogatepass"))
            if self._mine(request):
                if request in self._requests:
                    self._fault(name, "of a request that has a line already", number)
                self._requests.add(request)
            content = self._sources.read(path, line.offset, line.length)
            digest = _digest(content)
            if self._mine(digest) and not (name == ERRORS and _is_ours(content)):
                self._sought[digest] = (name, number)

    def find(self, path: Path) -> None:
        """Strike out the lines that a raw file has."""
        for line in read_results(path) if self._sought else ():
            digest = _digest(self._sources.read(path, line.offset, line.length))
            self._sought.pop(digest, None)

    def faults(self) -> Iterator[str]:
        """Yield a sentence for each thing that is wrong."""
        for name, number in self._sought.values():
            self._fault(name, "in no raw file", number)
        for (name, words), tally in self._faults.items():
            yield f"{name}: {tally.told(words)}"

    def _fault(self, name: str, words: str, number: int) -> None:
        self._faults.setdefault((name, words), _Tally()).add(number)

    def _mine(self, digest: int) -> bool:
        return digest % self._parts == self._part


def _digest(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest())


def _is_ours(line: bytes) -> bool:
    """Whether an error line was written by this program, for a request without any line."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, dict) or value.get("id") is not None or value.get("response"):
        return False
    error = value.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return isinstance(code, str) and code.startswith("runner_")
