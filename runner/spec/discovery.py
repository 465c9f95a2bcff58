"""Find the spec files of a project and read them.

Nothing here raises for the content of a folder: a broken link, a named pipe `a.yaml`, a folder
without permission and a link to a parent folder are returned as problems with a path.

What is there but cannot be read is not the same as nothing: a job whose file is called `a.YAML`
would be missing without a word. So files that are meant as specs by their name or their content,
and are not read as such, are problems too. Other files are left alone.
"""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from runner.errors import Problem
from runner.files import irregular, open_regular
from runner.spec.yaml.tree import shown

if TYPE_CHECKING:
    from collections.abc import Container, Iterator


SUFFIXES: Final = (".yaml", ".yml")
DEAD_LINK: Final = (
    "is a link to a file that does not exist; put the file there, or correct the link"
)

_Identity: TypeAlias = tuple[int, int]
"""Device and inode: they identify a folder that can be reached by several paths."""

_LARGEST: Final = 1024 * 1024
_FIRST_READ: Final = 8 * 1024
_LONGEST_PATH: Final = 4096

_DEAD_FOLDER: Final = (
    "is a link to a file or folder that does not exist; correct or remove the link"
)

_NOT_QUOTED: Final = (
    "has a problem here that is not quoted, since the file is outside of the project; "
    "`runner validate`, given its own path, quotes it"
)

_KEYS_OF_SPEC: Final = ("endpoint", "input")
"""The fields that every spec has."""

_SPEC_FIELDS: Final = tuple(
    re.compile(rb"""^(?:\{(?:[^\n]*,)?[ \t]*)?["']?%s["']?[ \t]*:""" % key.encode(), re.MULTILINE)
    for key in _KEYS_OF_SPEC
)
"""A field of the outermost mapping of a YAML document; of one in braces, on its first line."""


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


def is_inside(path: Path, folder: Path) -> bool:
    """Return whether a path leads into a folder, all links followed."""
    try:
        real = os.path.realpath(path)
        base = os.path.realpath(folder).rstrip("/")
    except (OSError, ValueError):
        return False
    return real.startswith(f"{base}/")


def without_content(problem: Problem) -> Problem:
    """Return a problem that says where it is, and nothing of what is in the file.

    For files outside of the project: a link or a path that came with a clone may lead to any.
    """
    if not problem.line:
        return problem  # about the file as such
    return replace(problem, message=_NOT_QUOTED)


def _is_spec_file(name: str) -> bool:
    """Return whether a file of this name is read as a spec."""
    return name.endswith(SUFFIXES) and not name.startswith(".")


def read_file(path: Path, shown_as: str) -> bytes | Problem:
    """Return the content of a regular file, up to one byte more than the limit, or a problem."""
    try:
        what = irregular(path, path.stat())
        if what is not None:
            instead = "a file" if what == "a folder" else "one"
            return Problem(path=shown_as, message=f"is {what}; put {instead} in its place")
        with open_regular(path) as file:
            # Nearly every spec is small: allocating the limit would take longer than reading it.
            head = file.read(_FIRST_READ)
            return head if len(head) < _FIRST_READ else head + file.read(_LARGEST + 1 - _FIRST_READ)
    except FileNotFoundError:
        message = DEAD_LINK if path.is_symlink() else "no longer exists"
        return Problem(path=shown_as, message=message)
    except OSError as error:
        if error.errno == errno.ELOOP:
            message = "is a link that leads back to itself; correct the link"
            return Problem(path=shown_as, message=message)
        return Problem(path=shown_as, message=f"cannot be read: {error_text(error)}")


def error_text(error: OSError) -> str:
    """Return the text of an error without the path, which the message already has."""
    return (error.strerror or type(error).__name__).lower()


def find_misplaced_specs(root: Path) -> Iterator[str]:
    """Yield the names of files in the project's root that have the form of a spec, sorted."""
    try:
        names = sorted(os.listdir(root))  # noqa: PTH208 - names are all that is needed
    except OSError:
        return
    for name in names:
        if not name.startswith(".") and has_form_of_spec(root / name):
            yield name


def has_form_of_spec(path: Path) -> bool:
    """Return whether a file has the ending of YAML or JSON, in any case, and the fields of a spec.

    False for a file that cannot be read or is larger than a spec may be.
    """
    ending = path.suffix.lower()
    if ending not in (*SUFFIXES, ".json"):
        return False
    data = read_file(path, "")
    if isinstance(data, Problem) or len(data) > _LARGEST:
        return False
    if not all(key.encode() in data for key in _KEYS_OF_SPEC):
        return False
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        # JSON with a slip, such as a comma too many, has the form of YAML in braces at most.
        return all(field.search(data) for field in _SPEC_FIELDS)
    return isinstance(value, dict) and all(key in value for key in _KEYS_OF_SPEC)


def find_specs(folder: Path, *, root: Path, skip: Container[str]) -> SpecFiles:
    """Return the spec files below a folder; follow links and skip hidden names.

    `skip` are absolute paths that are neither entered nor read. A folder with a `runner.yaml` of
    its own is another project and is skipped too.

    Problems are also what is not read as a spec and looks like one: a folder or a link to nothing
    with the name of a spec, an ending in capitals, and JSON with the fields of a spec.
    """
    walk = _FolderWalk(root=root, skip=skip)
    walk.waiting.append((os.fspath(folder), ()))
    while walk.waiting:
        walk.enter(*walk.waiting.pop())
    return SpecFiles(files=tuple(sorted(walk.files)), problems=tuple(walk.problems))


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a regular file, or a link to one; False if that is unknown."""
    try:
        return entry.is_file()
    except OSError:
        return False


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
            dead = isinstance(error, FileNotFoundError) and Path(folder).is_symlink()
            self._problem(folder, _DEAD_FOLDER if dead else f"cannot be read: {error_text(error)}")
            return
        if above and any(entry.name == "runner.yaml" and _is_file(entry) for entry in entries):
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
            if not is_folder:
                self._take_file(entry)
            elif entry.name.endswith(SUFFIXES):
                self._problem(entry.path, "is a folder with the name of a spec; rename it")
            else:
                self.waiting.append((entry.path, (*above, here)))

    def _take_file(self, entry: os.DirEntry[str]) -> None:
        """Add a spec file, or a problem for another file that seems to be a spec.

        A link to nothing may have been a folder of specs, if its name has no ending. With an
        ending of data, such as an input that is not fetched yet, it is left alone.
        """
        if _is_spec_file(entry.name):
            self.files.append(entry.path)
            return
        stem, ending = os.path.splitext(entry.name)  # noqa: PTH122 - called for thousands of files
        if not ending and entry.is_symlink() and not Path(entry.path).exists():
            self._problem(entry.path, _DEAD_FOLDER)
            return
        if ending.lower() == ".txt":  # an editor or a file manager may have added it unseen
            stem, ending = os.path.splitext(stem)  # noqa: PTH122 - as above
        if ending.lower() in SUFFIXES or (
            ending.lower() == ".json" and has_form_of_spec(Path(entry.path))
        ):
            name = shown(os.fsencode(stem).decode(errors="backslashreplace"))
            message = f"is not read: specs end in .yaml or .yml; rename it to {name}.yaml"
            self._problem(entry.path, message)

    def _problem(self, path: str, message: str) -> None:
        self.problems.append(Problem(path=shown_path(path, self.root), message=message))
