"""Trace the lines of the final files back to the raw files.

Each line of `output.jsonl`, and each error line that runner did not write itself, must be in
`raw/` byte for byte: it is the API's own response. Each custom_id must have one line. Both sets
may not fit into memory, so the lines are divided by their digest into parts of about a million,
and one part is checked after the other.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from runner.outputs.files import ERRORS, OUTPUT
from runner.outputs.publish import SourceFiles
from runner.outputs.result_files import Outcome, read_results

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


_PART_SIZE: Final = 1_000_000
"""Lines. Each takes some hundred bytes of memory while its part is checked."""

_MOST_NAMED: Final = 3


class _BadLines:
    """The number of lines with the same problem, and the numbers of the first few."""

    def __init__(self) -> None:
        self._count = 0
        self._first: list[int] = []

    def add(self, number: int) -> None:
        self._count += 1
        self._first = sorted((*self._first, number))[:_MOST_NAMED]

    def sentence(self, words: str) -> str:
        numbers = ", ".join(f"{number:,}" for number in self._first)
        if self._count == 1:
            return f"line {numbers} is {words}"
        more = self._count - len(self._first)
        return f"lines {numbers}{f' and {more:,} more' if more else ''} are {words}"


def trace(
    folder: Path, raw: Sequence[Path], *, lines: int, part_size: int = _PART_SIZE
) -> Iterator[str]:
    """Yield the problems with the origin of the final lines, as sentences.

    `raw` are the downloaded files that exist, `lines` is about the number of lines in the final
    files. Reads every file once for each `part_size` lines. Raises LocalFileError.
    """
    parts = max(1, -(-lines // part_size))
    for part in range(parts):
        with SourceFiles() as sources:
            lookup = _Part(part, parts, sources)
            for name in (OUTPUT, ERRORS):
                lookup.add(name, folder / name)
            for path in raw:
                lookup.remove(path)
        yield from lookup.problems()


class _Part:
    """One part of the lines, and the problems that were found in it."""

    def __init__(self, part: int, parts: int, sources: SourceFiles) -> None:
        self._part = part
        self._parts = parts
        self._sources = sources
        self._requests: set[int] = set()
        self._sought: dict[int, tuple[str, int]] = {}
        self._problems: dict[tuple[str, str], _BadLines] = {}

    def add(self, name: str, path: Path) -> None:
        """Add the lines of a final file to those that are sought."""
        for number, line in enumerate(read_results(path), start=1):
            succeeded = line.outcome is Outcome.SUCCEEDED
            if self._part == 0 and succeeded is not (name == OUTPUT):
                self._report(name, "a success" if succeeded else "no success", number)
            request = _digest((line.custom_id or "").encode(errors="surrogatepass"))
            if self._in_part(request):
                if request in self._requests:
                    self._report(name, "of a request that has a line already", number)
                self._requests.add(request)
            content = self._sources.read(path, line.offset, line.length)
            digest = _digest(content)
            if self._in_part(digest) and not (name == ERRORS and _by_runner(content)):
                self._sought[digest] = (name, number)

    def remove(self, path: Path) -> None:
        """Remove the lines of a raw file from those that are sought."""
        for line in read_results(path) if self._sought else ():
            digest = _digest(self._sources.read(path, line.offset, line.length))
            self._sought.pop(digest, None)

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each problem."""
        for name, number in self._sought.values():
            self._report(name, "in no raw file", number)
        for (name, words), bad in self._problems.items():
            yield f"{name}: {bad.sentence(words)}"

    def _report(self, name: str, words: str, number: int) -> None:
        self._problems.setdefault((name, words), _BadLines()).add(number)

    def _in_part(self, digest: int) -> bool:
        return digest % self._parts == self._part


def _digest(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest())


def _by_runner(line: bytes) -> bool:
    """Return whether runner wrote an error line itself, for a request without a line."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, dict) or value.get("id") is not None or value.get("response"):
        return False
    error = value.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return isinstance(code, str) and code.startswith("runner_")
