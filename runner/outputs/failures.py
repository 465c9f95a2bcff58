"""The failed requests of a run, counted by error code, with examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.outputs.files import ERRORS, FileRejected, open_file
from runner.outputs.record import read_record
from runner.outputs.result_files import MOST_EXAMPLES, ErrorCounts, by_frequency, classify
from runner.spec.leaked_secrets import masked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


_MOST_READ: Final = 2_000_000
"""Bytes of `errors.jsonl` that are searched for examples: it can be as long as the input."""

_UNNAMED: Final = "unnamed_error"


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
        if len(shown) < MOST_EXAMPLES:
            shown.append(
                Example(custom_id=found.custom_id or "?", message=masked(found.message or ""))
            )
    counts: Mapping[str, int] = counter.counts
    if not whole:
        try:
            counts = read_record(folder).counts.codes
        except (OSError, FileRejected):
            return None
    return tuple(
        FailureKind(code=code, count=count, examples=tuple(examples.get(code, ())))
        for code, count in by_frequency(counts).items()
    )
