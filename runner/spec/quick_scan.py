"""Find the names of a project's jobs in milliseconds, without parsing YAML.

For completion in shells, where parsing and validation would take too long. Only single lines are
read, so the result is approximate: a name counts if it has a line of its own without indentation,
as `name: x`, and a file without such a line has one job, named after the file. Names within
braces and names by an anchor are not found; a spec with problems is listed too. `runner.yaml` is
read in the same way.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner.files import open_regular
from runner.spec.discovery import find_specs
from runner.spec.project import PROJECT_FILE, find_root

_LONGEST: Final = 1024 * 1024
"""Bytes of a file that are read: the largest size of a spec."""

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
    """The names of jobs and the spec files of a project, sorted."""

    ledger: Path
    names: tuple[str, ...]
    files: tuple[str, ...]


NOTHING: Final = QuickScan(ledger=Path(), names=(), files=())


def quick_scan(start: Path) -> QuickScan:
    """Scan the project that contains `start`. Raises OSError only if there is no such folder.

    Files that cannot be read are skipped.
    """
    root, config = find_root(start)
    folders = {"specs": "specs", "outputs": "outputs", "ledger": ".runner/ledger.db"}
    for field, _, value in _FOLDER.findall(_head(config)) if config else ():
        folders[field.decode()] = os.fsdecode(value)
    outside = {os.fspath(root / folders["outputs"]), os.fspath(root / PROJECT_FILE)}
    found = find_specs(root / folders["specs"], root=root, skip=outside)
    names = {name for path in found.files for name in _names(path)}
    return QuickScan(
        ledger=root / folders["ledger"],
        names=tuple(sorted(names)),
        files=tuple(sorted(found.files)),
    )


def _names(path: str) -> list[str]:
    written = [name.decode() for _, name in _NAME.findall(_head(path))]
    if written:
        return written
    stem = os.path.basename(path).rpartition(".")[0]  # noqa: PTH119 - called for thousands of files
    return [stem] if _STEM.fullmatch(stem) else []


def _head(path: str | Path) -> bytes:
    """Return the beginning of a file, or nothing if it cannot be read without waiting."""
    try:
        with open_regular(Path(path)) as file:
            return file.read(_LONGEST)
    except OSError:
        return b""
