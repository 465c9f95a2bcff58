"""Completion in shells: the command that prints its script, and what can be completed.

The shell runs `runner` with the words so far in its environment, and click answers with what may
come next; the scripts carry the one to the other. Somebody is typing: nothing is said that was
not asked for, and nothing is loaded that takes longer than a key stroke.
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
    """Complete a SPEC: names of jobs, and spec files once the first letters are there."""
    start, found = _sketch(context)
    files = [os.path.relpath(file, start) for file in found.files] if typed else []
    return _items(typed, [*found.names, *files]) or _of_shell("file", typed)


def complete_jobs(
    context: click.Context, _parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Complete a JOB that a spec asks for."""
    return _items(typed, _sketch(context)[1].names)


def complete_known_jobs(
    context: click.Context, _parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Complete a JOB that a spec asks for, or that was ever run."""
    from runner.ledger.peek import job_names

    _, found = _sketch(context)
    return _items(typed, sorted({*found.names, *job_names(found.ledger)}))


def complete_folders(
    _context: click.Context, _parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Complete a folder; the shell knows how."""
    return _of_shell("dir", typed)


def _sketch(context: click.Context) -> tuple[Path, QuickScan]:
    """Return where the project is looked for, by -C on the same line, and what is seen of it."""
    from runner.spec.quick_scan import NOTHING, quick_scan

    start: Path = context.find_root().params.get("directory") or Path()
    try:
        return start, quick_scan(start)
    except OSError:  # the current folder is gone
        return start, NOTHING


def _items(typed: str, words: Iterable[str]) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    # A line end would part one word into two on the way to the shell.
    return [CompletionItem(word) for word in words if word.startswith(typed) and "\n" not in word]


def _of_shell(kind: str, typed: str) -> list[CompletionItem]:
    """Leave it to the shell to complete a `file` or `dir`."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(typed, type=kind)]
