"""Find the spec files of a project and read them.

Nothing here raises for the content of a folder: a broken link, a named pipe `a.yaml`, a folder
without permission and a link to a parent folder are returned as problems with a path.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from runner.errors import Problem
from runner.spec.yaml.tree import shown

if TYPE_CHECKING:
    from collections.abc import Container


SUFFIXES: Final = (".yaml", ".yml")
_Identity: TypeAlias = tuple[int, int]
"""Device and inode: they identify a folder that can be reached by several paths."""

_LARGEST: Final = 1024 * 1024
_FIRST_READ: Final = 8 * 1024
_LONGEST_PATH: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecFiles:
    """The spec files below a folder, sorted, and the problems of the search."""

    files: tuple[str, ...]
    problems: tuple[Problem, ...]


def shown_path(path: str | Path, root: Path) -> str:
    """Return a path as messages show it: relative to the project's root if it is inside."""
    text, base = os.fspath(path), os.fspath(root).rstrip("/") + "/"
    inside = text.removeprefix(base) or text
    return shown(os.fsencode(inside).decode(errors="backslashreplace"), _LONGEST_PATH)


def _is_spec_file(name: str) -> bool:
    """Return whether a file of this name is read as a spec."""
    return name.endswith(SUFFIXES) and not name.startswith(".")


def read_file(path: Path, shown_as: str) -> bytes | Problem:
    """Return the content of a regular file, up to one byte more than the limit, or a problem."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return Problem(path=shown_as, message="is not a regular file")
        with path.open("rb") as file:
            # Nearly every spec is small: allocating the limit would take longer than reading it.
            head = file.read(_FIRST_READ)
            return head if len(head) < _FIRST_READ else head + file.read(_LARGEST + 1 - _FIRST_READ)
    except FileNotFoundError:
        link = path.is_symlink()
        message = "is a link to a file that does not exist" if link else "no longer exists"
        return Problem(path=shown_as, message=message)
    except OSError as error:
        return Problem(path=shown_as, message=f"cannot be read: {error_text(error)}")


def error_text(error: OSError) -> str:
    """Return the text of an error without the path, which the message already has."""
    return (error.strerror or type(error).__name__).lower()


def find_specs(folder: Path, *, root: Path, skip: Container[str]) -> SpecFiles:
    """Return the spec files below a folder; follow links and skip hidden names.

    `skip` are absolute paths that are neither entered nor read. A folder with a `runner.yaml` of
    its own is another project and is skipped too.
    """
    walk = _FolderWalk(root=root, skip=skip)
    walk.waiting.append((os.fspath(folder), ()))
    while walk.waiting:
        walk.enter(*walk.waiting.pop())
    return SpecFiles(files=tuple(sorted(walk.files)), problems=tuple(walk.problems))


@dataclass(slots=True, kw_only=True)
class _FolderWalk:
    """The state of a search without recursion: Python's stack may be smaller than the depth."""

    root: Path
    skip: Container[str]
    waiting: list[tuple[str, tuple[_Identity, ...]]] = field(default_factory=list)
    entered: set[_Identity] = field(default_factory=set)
    files: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def enter(self, folder: str, above: tuple[_Identity, ...]) -> None:
        """List one folder unless it was listed before; `above` are the folders that contain it."""
        try:
            status = Path(folder).stat()
            here = (status.st_dev, status.st_ino)
            if here in above:
                self._problem(folder, "is a link to a folder that contains it; remove the link")
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
            elif _is_spec_file(entry.name):
                self.files.append(entry.path)

    def _problem(self, path: str, message: str) -> None:
        self.problems.append(Problem(path=shown_path(path, self.root), message=message))
