"""The requests of a finished run that have no answer, grouped by what went wrong.

`errors.jsonl` can be as long as the input, and whoever asks wants to see it now. So only its first
two megabytes are read for examples; where it is longer, the numbers are those of `run.json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.outputs.classification import judge
from runner.outputs.error_counts import ErrorCounts
from runner.outputs.publish import ERRORS
from runner.outputs.recorded import Unfit, open_file, read_record

if TYPE_CHECKING:
    from pathlib import Path


_MOST_READ: Final = 2_000_000
_MOST_EXAMPLES: Final = 3
_UNNAMED: Final = "unnamed_error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One request without an answer, and what its last error says."""

    custom_id: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureKind:
    """The requests that ended with one error code: how many, and the first three of them.

    There may be fewer examples, or none, where they stand far down in a long file.
    """

    code: str
    count: int
    examples: tuple[Example, ...] = ()


def failure_kinds(folder: Path) -> tuple[FailureKind, ...] | None:
    """Group what a run's folder has in `errors.jsonl`, the most frequent kind first.

    None where there is no such file, or nothing in it that can be trusted to be whole.
    """
    try:
        with open_file(folder, ERRORS) as file:
            data = file.read(_MOST_READ + 1)
    except (OSError, Unfit):
        return None
    whole = len(data) <= _MOST_READ
    tally = ErrorCounts()
    examples: dict[str, list[Example]] = {}
    lines = data.split(b"\n")
    for line in lines[:-1]:  # after the last line feed there is nothing, or half a line
        verdict = judge(line)
        shown = examples.setdefault(tally.add(verdict.code or _UNNAMED), [])
        if len(shown) < _MOST_EXAMPLES:
            shown.append(Example(custom_id=verdict.custom_id or "?", message=verdict.message or ""))
    counts = tally.counts
    if not whole:
        try:
            counts = read_record(folder).counts.codes
        except (OSError, Unfit):
            return None
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return tuple(
        FailureKind(code=code, count=count, examples=tuple(examples.get(code, ())))
        for code, count in ranked
    )
