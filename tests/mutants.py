"""Report what `make mutants` has found: the share of each module that the tests notice.

A mutant is the code with one small change. One that no quick test notices is either killed by a
new test, or explained here if it cannot change anything that is promised.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER: Final = Path("mutants")
NOTICED: Final = frozenset({"killed", "timeout", "segfault", "suspicious"})

EXPLAINED: Final[Mapping[str, Mapping[str, str]]] = {}
"""Why a mutant cannot be noticed, by function and by the changed line."""


def statuses(meta: Path) -> dict[str, str]:
    """Return the status of every mutant of a module that was tried."""
    from mutmut.stats import status_by_exit_code

    found = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
    return {name: status_by_exit_code[code] for name, code in found.items() if code is not None}


def change(name: str) -> list[str]:
    """Return the lines that a mutant removes and adds."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    return [
        f"{line[0]} {line[1:].strip()}"
        for line in get_diff_for_mutant(name).splitlines()
        if line[:1] in ("-", "+") and line[:3] not in ("---", "+++")
    ]


def _unexplained(name: str, lines: list[str]) -> bool:
    function = name.rpartition("__mutmut_")[0].rpartition(".")[2]
    reasons = EXPLAINED.get(function.removeprefix("x_").rpartition("ǁ")[2], {})
    return not any(line.removeprefix("+ ") in reasons for line in lines if line.startswith("+"))


def report(folder: Path) -> Iterator[str]:
    """Yield a line for each module, and the mutants that are neither noticed nor explained."""
    total: Counter[str] = Counter()
    unnoticed: list[str] = []
    for meta in sorted(folder.rglob("*.py.meta")):
        found = statuses(meta)
        if not found:
            continue
        count = Counter("noticed" if status in NOTICED else "not" for status in found.values())
        total += count
        module = meta.relative_to(folder).with_suffix("")
        yield f"{count['noticed'] / count.total():7.1%} of {count.total():5,}  {module}"
        unnoticed += [name for name, status in found.items() if status not in NOTICED]
    if total:
        yield f"{total['noticed'] / total.total():7.1%} of {total.total():5,}  in all"
    for name in unnoticed:
        lines = change(name)
        if _unexplained(name, lines):
            yield "\n".join([f"\nNo test notices {name}:", *(f"    {line}" for line in lines)])


if __name__ == "__main__":
    said = list(report(FOLDER))
    print("\n".join(said))  # noqa: T201 -- its answer
    sys.exit(any("No test notices" in line for line in said))
