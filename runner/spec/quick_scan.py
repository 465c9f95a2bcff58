"""A project at a glance: what its jobs are called, told in milliseconds.

For completion in shells, where nobody waits for YAML to be parsed and checked. Only lines are
looked at, so that some of it is a guess: a name counts if it stands on a line of its own without
indentation, as `name: x`, and a file without such a line has one job, named for the file. Names
within braces and names by way of an anchor are missed; a spec with problems is listed all the
same. `runner.yaml` is read in the same way.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner.spec.discovery import find_specs
from runner.spec.project import PROJECT_FILE, find_root

_LONGEST: Final = 1024 * 1024
"""Bytes of a file that are looked at: a spec has no more."""

_NAME: Final = re.compile(
    rb"""^name:[ \t]+(["']?)([a-z0-9][a-z0-9._-]{0,62})\1[ \t]*(?:\#[^\n]*)?\r?$""", re.MULTILINE
)
_STEM: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_FOLDER: Final = re.compile(
    rb"""^(specs|outputs|ledger):[ \t]+(["']?)([^"'\n\0]+?)\2[ \t]*(?:[ ]\#[^\n]*)?\r?$""",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickScan:
    """What can be told of a project without understanding it: names and spec files, sorted."""

    ledger: Path
    names: tuple[str, ...]
    files: tuple[str, ...]


NOTHING: Final = QuickScan(ledger=Path(), names=(), files=())


def quick_scan(start: Path) -> QuickScan:
    """Look at the project that `start` lies in; raises OSError only if there is no such folder.

    Whatever it may hold that cannot be read is passed over.
    """
    root, config = find_root(start)
    places = {"specs": "specs", "outputs": "outputs", "ledger": ".runner/ledger.db"}
    for key, _, value in _FOLDER.findall(_head(config)) if config else ():
        places[key.decode()] = os.fsdecode(value)
    outside = {os.fspath(root / places["outputs"]), os.fspath(root / PROJECT_FILE)}
    found = find_specs(root / places["specs"], root=root, skip=outside)
    names = {name for path in found.files for name in _names(path)}
    return QuickScan(
        ledger=root / places["ledger"], names=tuple(sorted(names)), files=tuple(sorted(found.files))
    )


def _names(path: str) -> list[str]:
    written = [name.decode() for _, name in _NAME.findall(_head(path))]
    if written:
        return written
    stem = os.path.basename(path).rpartition(".")[0]  # noqa: PTH119 - thousands of them
    return [stem] if _STEM.fullmatch(stem) else []


def _head(path: str | Path) -> bytes:
    """Return what a regular file holds, or nothing where that cannot be had at once."""
    try:
        # Not blocking: a pipe of this name would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return b""
    try:
        return os.read(descriptor, _LONGEST)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
