"""The values that shells complete: job names, spec files and folders.

The scripts in `runner/cli/template/` start `runner` with the words of the command line in its
environment, and click calls these functions. They write nothing to stderr, whatever is wrong with
the project, and import nothing that would delay a key press.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import click
    from click.shell_completion import CompletionItem

    from runner.spec.quick_scan import QuickScan


def complete_specs(
    context: click.Context, _parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Complete a SPEC: job names, and spec files too once something is typed."""
    start, found = _scan(context)
    files = [os.path.relpath(file, start) for file in found.files] if typed else []
    return _items(typed, [*found.names, *files]) or _by_shell("file", typed)


def complete_jobs(
    context: click.Context, _parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Complete a JOB that has a spec."""
    return _items(typed, _scan(context)[1].names)


def complete_known_jobs(
    context: click.Context, _parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Complete a JOB that has a spec or is in the ledger."""
    from runner.ledger.peek import job_names

    _, found = _scan(context)
    return _items(typed, sorted({*found.names, *job_names(found.ledger)}))


def complete_folders(
    _context: click.Context, _parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Let the shell complete a folder."""
    return _by_shell("dir", typed)


def _scan(context: click.Context) -> tuple[Path, QuickScan]:
    """Return the folder where the search for the project starts (-C), and a scan of its specs."""
    from runner.spec.quick_scan import NOTHING, quick_scan

    start: Path = context.find_root().params.get("directory") or Path()
    try:
        return start, quick_scan(start)
    except OSError:  # the current folder was deleted
        return start, NOTHING


def _items(typed: str, words: Iterable[str]) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    # The scripts read one word per line, so a word with a line end cannot be completed.
    return [CompletionItem(word) for word in words if word.startswith(typed) and "\n" not in word]


def _by_shell(kind: str, typed: str) -> list[CompletionItem]:
    """Return an item that lets the shell complete a path; `kind` is `file` or `dir`."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(typed, type=kind)]
