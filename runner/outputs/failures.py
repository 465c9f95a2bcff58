"""The failed requests of a run, counted by error code, with examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.outputs.classification import classify
from runner.outputs.record import read_record
from runner.outputs.run_folder import ERRORS, FileRejected, open_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


OTHER: Final = "other"
"""The code under which the hundred-and-first and later codes are counted."""

_MOST_CODES: Final = 100
_MOST_EXAMPLES: Final = 3
_MOST_READ: Final = 2_000_000
"""Bytes of `errors.jsonl` that are searched for examples: it can be as long as the input."""

_UNNAMED: Final = "unnamed_error"


class ErrorCounts:
    """The number of failures by code, with up to three different messages of each code.

    Codes come from servers. A server that puts an id into each code must not fill the memory or
    `run.json`: after a hundred different codes the others are counted together.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, code: str, message: str | None = None) -> str:
        """Count one failure; return the code under which it is counted."""
        if code not in self._counts and len(self._counts) >= _MOST_CODES:
            code = OTHER
        self._counts[code] = self._counts.get(code, 0) + 1
        if message is not None:
            examples = self._examples.setdefault(code, [])
            if len(examples) < _MOST_EXAMPLES and message not in examples:
                examples.append(message)
        return code

    @property
    def counts(self) -> dict[str, int]:
        """Failures by code, the most frequent first, equal ones in alphabetical order."""
        return _ranked(self._counts)

    @property
    def examples(self) -> dict[str, tuple[str, ...]]:
        """Up to three messages of each code that came with any, in the order of `counts`."""
        return {code: tuple(self._examples[code]) for code in self.counts if code in self._examples}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A failed request and the message of its last error."""

    custom_id: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureKind:
    """The requests that failed with one error code: their number, and the first three of them.

    There are fewer examples, or none, if their lines are far down in a long file.
    """

    code: str
    count: int
    examples: tuple[Example, ...] = ()


def failure_kinds(folder: Path) -> tuple[FailureKind, ...] | None:
    """Group the requests in `errors.jsonl` of a run's folder by code, the most frequent first.

    Only the first two megabytes are read; the counts of a longer file are those of `run.json`.
    None where there is no such file, or a long one without a usable record.
    """
    try:
        with open_file(folder, ERRORS) as file:
            data = file.read(_MOST_READ + 1)
    except (OSError, FileRejected):
        return None
    whole = len(data) <= _MOST_READ
    counter = ErrorCounts()
    examples: dict[str, list[Example]] = {}
    lines = data.split(b"\n")
    for line in lines[:-1]:  # the part after the last line feed is empty, or half a line
        found = classify(line)
        shown = examples.setdefault(counter.add(found.code or _UNNAMED), [])
        if len(shown) < _MOST_EXAMPLES:
            shown.append(Example(custom_id=found.custom_id or "?", message=found.message or ""))
    counts: Mapping[str, int] = counter.counts
    if not whole:
        try:
            counts = read_record(folder).counts.codes
        except (OSError, FileRejected):
            return None
    return tuple(
        FailureKind(code=code, count=count, examples=tuple(examples.get(code, ())))
        for code, count in _ranked(counts).items()
    )


def _ranked(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))
