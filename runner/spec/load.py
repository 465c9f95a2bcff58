"""Load the specs of a project and select the jobs that a command names.

Every command reads all specs, also when it names some jobs only: duplicate names and removed jobs
can be found only with all of them.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from runner.errors import Problem, UsageError, limit_problems
from runner.spec.discovery import (
    SUFFIXES,
    find_misplaced_specs,
    find_specs,
    read_file,
    shown_path,
    without_content,
)
from runner.spec.job import Specs
from runner.spec.validate import validate
from runner.spec.validation_errors import suggest_value
from runner.spec.yaml.documents import read_documents
from runner.spec.yaml.tree import shown
from runner.text import did_you_mean, one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from runner.spec.job import Job
    from runner.spec.project import Project

_NAMES_SHOWN = 10
_PATTERN_SIGNS = frozenset("*?[")


def load_specs(
    project: Project,
    selectors: Sequence[str],
    *,
    start: Path | None = None,
    known: Iterable[str] = (),
) -> Specs:
    """Read all specs of the project and select those that `selectors` name (all if none).

    A selector is a spec file, a folder, a job name, or a pattern of names: `*`, `?` and `[...]`
    as in a shell. Paths are relative to `start` (default: the current folder) or else to the
    project's root. An existing path takes precedence over a name, unless it has neither a slash
    nor a suffix and a job has that name. A file or folder outside the specs folder is read too and
    belongs to the project during this call. `known` are names of recorded jobs; those that are
    selected and have no spec any more are returned as `jobs_without_spec`.

    Problems of specs are returned, without selectors also those of specs in the project's root if
    the specs folder has none. Raises UsageError for a selector that matches nothing, and if there
    are neither selectors nor a specs folder nor such specs.
    """
    has_folder = os.path.lexists(project.specs)
    reader = _SpecReader(project=project)
    if has_folder:
        reader.problems += reader.read_folder(project.specs)[1]
    if not selectors and not reader.files:
        reader.problems += _misplaced_specs(project)
    if not has_folder and not selectors and not reader.problems:
        raise UsageError(
            f"no specs: there is no folder {shown_path(project.specs, project.root)} in"
            f" {project.root}; `runner init` creates a project that can run immediately"
        )
    of_project = list(reader.entries)
    jobs_without_spec = frozenset(known).difference(entry.handle for entry in reader.entries)
    selected, named, problems = _select(
        reader, selectors, Path.cwd() if start is None else start, jobs_without_spec
    )
    entries = sorted(reader.entries, key=lambda entry: entry.order)
    _refuse_shared_names(entries)
    _refuse_shared_outputs(entries, project)
    reader.conceal()
    for entry in selected:
        problems += entry.problems
    complete = has_folder and not reader.problems
    return Specs(
        jobs=tuple(entry.job for entry in entries if entry.job),
        selected=tuple(entry.job for entry in entries if entry.job and entry in selected),
        problems=limit_problems(problems) if problems else (),
        complete=complete and not any(entry.problems for entry in of_project),
        jobs_without_spec=tuple(sorted(named)),
    )


def _misplaced_specs(project: Project) -> list[Problem]:
    """Return a problem for each spec in the project's root, where none is read."""
    folder = shown_path(project.specs, project.root)
    problems = []
    for name in find_misplaced_specs(project.root):
        if project.config_file is None and project.root.name == project.specs.name:
            todo = "run the command in the folder above, or name the file in the command"
        else:
            todo = f"move it to {folder}, or name the file in the command"
        path = shown_path(project.root / name, project.root)
        problems.append(Problem(path=path, message=f"is not read: specs are in {folder}; {todo}"))
    return problems


@dataclass(slots=True, kw_only=True, eq=False)
class _SpecEntry:
    """One document of a spec file, or a file without documents.

    `handle` selects it: its name, or the file's stem if the name could not be read. `place` is
    the (line, column) of its name.
    """

    order: tuple[str, int]
    handle: str
    name: str | None
    place: tuple[int, int]
    job: Job | None
    problems: list[Problem]

    @property
    def path(self) -> str:
        return self.order[0]

    def refuse(self, message: str, place: tuple[int, int]) -> None:
        """Remove the job and add a problem."""
        line, column = place
        self.problems.append(Problem(path=self.path, line=line, column=column, message=message))
        self.job = None


@dataclass(slots=True, kw_only=True)
class _SpecReader:
    """The spec files read so far, by real path: a file is read once.

    `named` are the files and folders outside of the project that the command names.
    """

    project: Project
    files: dict[str, list[_SpecEntry]] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    named: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def entries(self) -> Iterable[_SpecEntry]:
        return (entry for file in self.files.values() for entry in file)

    def read_folder(self, folder: Path) -> tuple[list[_SpecEntry], tuple[Problem, ...]]:
        """Read the spec files below a folder; return their entries and the search problems."""
        project = self.project
        skip = {os.fspath(project.outputs), os.fspath(project.config_file or "")}
        found = find_specs(folder, root=project.root, skip=skip)
        return [entry for path in found.files for entry in self.read_file(path)], found.problems

    def read_file(self, path: str) -> list[_SpecEntry]:
        """Return the entries of a spec file; read it on the first call only."""
        real = self._real(path)
        if real not in self.files:
            self.files[real] = self._read(path)
        return self.files[real]

    def conceal(self) -> None:
        """Let no problem quote a file that is outside of the project, unless the command names it.

        A link in `specs`, or `specs` itself, may have come with a clone and lead anywhere.
        """
        quoted = tuple(
            os.path.realpath(place).rstrip("/") for place in (self.project.root, *self.named)
        )
        for real, entries in self.files.items():
            if real in quoted or real.startswith(tuple(f"{place}/" for place in quoted)):
                continue
            for entry in entries:
                entry.problems = [without_content(problem) for problem in entry.problems]
                if entry.job is not None:
                    warnings = tuple(map(without_content, entry.job.warnings))
                    entry.job = replace(entry.job, warnings=warnings)

    def _real(self, path: str) -> str:
        """Return the path without symbolic links; each folder is resolved once."""
        if os.path.islink(path):  # noqa: PTH114 - Path.is_symlink() is slower
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in self.folders:
            self.folders[folder] = os.path.realpath(folder)
        return os.path.join(self.folders[folder], name)  # noqa: PTH118 - as above

    def _read(self, path: str) -> list[_SpecEntry]:
        shown_as = shown_path(path, self.project.root)
        file = Path(path)
        stem = file.name.rpartition(".")[0]
        data = read_file(file, shown_as)
        if isinstance(data, Problem):
            return [_entry_without_document(shown_as, stem, data)]
        documents, problems = read_documents(data, shown_as, suggest=suggest_value)
        if not documents:
            empty = Problem(path=shown_as, message="contains no job; write one, or remove the file")
            return [_entry_without_document(shown_as, stem, *(problems or (empty,)))]
        alone = len(documents) == 1
        entries = []
        for index, document in enumerate(documents):
            checked = validate(document, self.project, stem=stem if alone else None)
            entries.append(
                _SpecEntry(
                    order=(shown_as, index),
                    handle=checked.name or stem,
                    name=checked.name,
                    place=(checked.name_place.line, checked.name_place.column),
                    job=checked.job,
                    problems=list(checked.problems),
                )
            )
        return entries


def _entry_without_document(path: str, stem: str, *problems: Problem) -> _SpecEntry:
    return _SpecEntry(
        order=(path, 0), handle=stem, name=None, place=(0, 0), job=None, problems=list(problems)
    )


def _select(
    reader: _SpecReader, selectors: Sequence[str], start: Path, jobs_without_spec: frozenset[str]
) -> tuple[set[_SpecEntry], frozenset[str], list[Problem]]:
    """Return the selected entries and jobs without a spec, and the problems of folders."""
    if not selectors:
        return set(reader.entries), jobs_without_spec, list(reader.problems)
    selected: set[_SpecEntry] = set()
    problems: list[Problem] = []
    handles = {entry.handle for entry in reader.entries} | jobs_without_spec
    names = []
    for selector in selectors:
        bare = "/" not in selector and not Path(selector).suffix
        path = None if bare and selector in handles else _find_path(selector, start, reader)
        if path is None:
            names.append(selector)
        elif path.is_dir():
            entries, found = reader.read_folder(path)
            if not entries and not found:
                raise UsageError(f"no specs in the folder {shown(selector)} (*.yaml, *.yml)")
            selected.update(entries)
            problems += found
        else:
            _require_spec_file(selector, path, reader.project)
            selected.update(reader.read_file(os.fspath(path)))
        if path is not None and not path.is_relative_to(reader.project.root):
            reader.named.append(path)
    named: set[str] = set()
    for name in names:
        fits = _matcher(name)
        matching = [entry for entry in reader.entries if fits(entry.handle)]
        without = {one for one in jobs_without_spec if fits(one)}
        if not matching and not without:
            raise UsageError(_no_match(name, reader, jobs_without_spec))
        selected.update(matching)
        named |= without
    return selected, frozenset(named), problems


def _matcher(selector: str) -> Callable[[str], bool]:
    """Return the test whether a name matches a selector; names contain no `*`, `?` or `[`."""
    if not _PATTERN_SIGNS.intersection(selector):
        return selector.__eq__
    pattern = re.compile(fnmatch.translate(selector))
    return lambda name: pattern.fullmatch(name) is not None


def _find_path(selector: str, start: Path, reader: _SpecReader) -> Path | None:
    for base in (start, reader.project.root):
        # os.path: Path.resolve() follows links, and Path.exists() raises for invalid names.
        path = os.path.abspath(base / selector)  # noqa: PTH100
        if selector and os.path.exists(path):  # noqa: PTH110
            return Path(path)
    return None


def _require_spec_file(selector: str, path: Path, project: Project) -> None:
    """Raise UsageError for a file that is not a spec by its name: data, or `runner.yaml`."""
    if path == project.config_file:
        raise UsageError(f"{shown(selector)} is the project file, not a spec")
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{shown(selector)} is not a spec: specs end in .yaml or .yml")


def _no_match(selector: str, reader: _SpecReader, jobs_without_spec: Iterable[str]) -> str:
    selector_shown = shown(selector, 200)
    if "/" in selector or selector.endswith(SUFFIXES):
        files = {PurePath(entry.path).stem: entry.path for entry in reader.entries}
        guess = did_you_mean(PurePath(selector).stem, sorted(files))
        hint = f'; did you mean "{files[guess]}"?' if guess else ""
        return f"no such file or folder: {selector_shown}{hint}"
    names = sorted({entry.name for entry in reader.entries if entry.name} | set(jobs_without_spec))
    if _PATTERN_SIGNS.intersection(selector):
        text = f'no job name matches "{selector_shown}"'
    else:
        text = f'no job, file or folder is called "{selector_shown}"'
    if names:
        text += f"; {one_of(selector, names, 'jobs', most=_NAMES_SHOWN)}"
    if any(entry.problems for entry in reader.entries) or reader.problems:
        text += " (some specs have problems: `runner validate` shows them)"
    return text


def _refuse_shared_names(entries: Sequence[_SpecEntry]) -> None:
    """Refuse all jobs that share a name: a name must identify one job."""
    named = defaultdict(list)
    for entry in entries:
        if entry.name:
            named[entry.name].append(entry)
    for name, sharing in named.items():
        first, *others = sharing
        if not others:
            continue
        second = others[0]
        words = (
            f'name: "{name}" is also the name of the job at {_location(second)}; rename one of them'
        )
        first.refuse(words, first.place)
        for other in others:
            words = (
                f'name: "{name}" is already the name of the job at {_location(first)}; rename one'
            )
            other.refuse(f"{words} of them", other.place)


def _refuse_shared_outputs(entries: Sequence[_SpecEntry], project: Project) -> None:
    """Refuse an `output` that is the folder of another job's results or of the specs."""
    taken = {os.fspath(project.outputs / entry.name): entry for entry in entries if entry.name}
    for entry in entries:
        job = entry.job
        if job is None or job.output is None:
            continue
        folder = os.fspath(project.root / job.output)
        owner = taken.setdefault(folder, entry)
        if folder == os.fspath(project.specs):
            words = f'output: "{job.output}" is the folder of the specs; write another folder'
        elif owner is not entry:
            words = (
                f'output: the results of the job at {_location(owner)} go to "{job.output}" already'
            )
        else:
            continue
        entry.refuse(words, job.source.positions["output"])


def _location(entry: _SpecEntry) -> str:
    return f"{entry.path}:{entry.place[0]}"
