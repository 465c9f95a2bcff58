"""Finding the files of a project and reading them, whatever the file system has in store.

Nothing here raises for what a folder may hold: a dead link, a pipe named `a.yaml`, a folder
nobody may enter and a link back to a folder above are problems with a place, like any other.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from runner.errors import Problem
from runner.spec.yaml.scalars import shown

if TYPE_CHECKING:
    from collections.abc import Container


SUFFIXES: Final = (".yaml", ".yml")
_Identity: TypeAlias = tuple[int, int]
"""Device and inode: what a folder is, by whatever path it is reached."""

_LARGEST: Final = 1024 * 1024
_FIRST_READ: Final = 8 * 1024
_LONGEST_PATH: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecFiles:
    """The spec files below a folder, sorted, and what kept us from seeing more."""

    files: tuple[str, ...]
    problems: tuple[Problem, ...]


def shown_path(path: str | Path, root: Path) -> str:
    """Show a path to people: relative to the project's root where it lies inside."""
    text, base = os.fspath(path), os.fspath(root).rstrip("/") + "/"
    inside = text.removeprefix(base) or text
    return shown(os.fsencode(inside).decode(errors="backslashreplace"), _LONGEST_PATH)


def is_spec_file(name: str) -> bool:
    """Whether a file of this name is read as a spec."""
    return name.endswith(SUFFIXES) and not name.startswith(".")


def read_file(path: Path, shown_as: str) -> bytes | Problem:
    """Read a small regular file whole, or say why not; at most one byte beyond the limit."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return Problem(path=shown_as, message="is not a regular file")
        with path.open("rb") as file:
            # Nearly every spec is small; to make room for the largest costs more than to read one.
            head = file.read(_FIRST_READ)
            return head if len(head) < _FIRST_READ else head + file.read(_LARGEST + 1 - _FIRST_READ)
    except FileNotFoundError:
        link = path.is_symlink()
        words = "is a link to a file that is not there" if link else "is no longer there"
        return Problem(path=shown_as, message=words)
    except OSError as error:
        return Problem(path=shown_as, message=f"cannot be read: {error_text(error)}")


def error_text(error: OSError) -> str:
    """Say why the system refused, without the path that is already named."""
    return (error.strerror or type(error).__name__).lower()


def find_specs(folder: Path, *, root: Path, skip: Container[str]) -> SpecFiles:
    """List the spec files below a folder, links followed, hidden names skipped.

    `skip` are absolute paths not to enter or read. A folder below that is a project of
    its own (it has a `runner.yaml`) is left to itself.
    """
    walk = _FolderWalk(root=root, skip=skip)
    walk.waiting.append((os.fspath(folder), ()))
    while walk.waiting:
        walk.enter(*walk.waiting.pop())
    return SpecFiles(files=tuple(sorted(walk.files)), problems=tuple(walk.problems))


@dataclass(slots=True, kw_only=True)
class _FolderWalk:
    """A walk without recursion: a path may have more folders than Python has frames."""

    root: Path
    skip: Container[str]
    waiting: list[tuple[str, tuple[_Identity, ...]]] = field(default_factory=list)
    entered: set[_Identity] = field(default_factory=set)
    files: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def enter(self, folder: str, above: tuple[_Identity, ...]) -> None:
        """Take in one folder, once, by whatever path; `above` are the folders it lies in."""
        try:
            status = Path(folder).stat()
            here = (status.st_dev, status.st_ino)
            if here in above:
                self._problem(folder, "links back to a folder it lies in; remove the link")
                return
            if here in self.entered:
                return
            self.entered.add(here)
            with os.scandir(folder) as listing:
                entries = [entry for entry in listing if not entry.name.startswith(".")]
        except OSError as error:
            self._problem(folder, f"cannot be read: {error_text(error)}")
            return
        if above and any(entry.name == "runner.yaml" for entry in entries):
            return
        entries.sort(key=lambda entry: (entry.is_symlink(), entry.name), reverse=True)
        for entry in entries:
            if entry.path in self.skip:
                continue
            try:
                is_folder = entry.is_dir()
            except OSError as error:
                self._problem(entry.path, f"cannot be read: {error_text(error)}")
                continue
            if is_folder:
                self.waiting.append((entry.path, (*above, here)))
            elif is_spec_file(entry.name):
                self.files.append(entry.path)

    def _problem(self, path: str, words: str) -> None:
        self.problems.append(Problem(path=shown_path(path, self.root), message=words))
