"""From one document to a job, or to everything that is wrong with it.

The shape is pydantic's to check, what depends on the project is checked here, and both always
run: a person mends a spec once, not once a mistake.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from runner.errors import Problem
from runner.spec.discovery import error_text
from runner.spec.job import (
    METADATA_KEY,
    OPENAI_ENDPOINTS,
    Deadline,
    DeadlineAction,
    Job,
    Source,
)
from runner.spec.project import OPENAI_HOST
from runner.spec.validation_errors import NAME_RULE, did_you_mean, explain_errors, one_of
from runner.spec.yaml.scalars import shown
from runner.spec.yaml.tree import KeyNode, MappingNode, ScalarNode, to_python, value_positions

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from runner.spec.project import Project, Provider
    from runner.spec.schema import SpecSchema
    from runner.spec.yaml.documents import Document
    from runner.spec.yaml.tree import Node, Path

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_ENDPOINT: Final = re.compile(r"/[!-\"$-~]*")
_OPENAI_ENDPOINTS_ONLY: Final = frozenset({"openai", "local"})
"""Providers whose endpoints are OpenAI's; others have paths of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatedDocument:
    """What became of a document: its name where it has one, its job if it has no problem."""

    name: str | None
    name_place: KeyNode
    job: Job | None
    problems: tuple[Problem, ...]


def validate(document: Document, project: Project, *, stem: str | None) -> ValidatedDocument:
    """Check one document against its project.

    `stem` is the name the job has if it gives none: the file's stem, or None where several
    documents share the file. Looks at the file system for the input; never raises for what a
    document may hold.
    """
    return _Validation(document=document, project=project, stem=stem).run()


@dataclass(slots=True, kw_only=True)
class _Validation:
    document: Document
    project: Project
    stem: str | None
    problems: list[Problem] = field(default_factory=list)
    invalid_paths: set[Path] = field(default_factory=set)

    def run(self) -> ValidatedDocument:
        document, root = self.document, self.document.root
        self.problems += document.problems
        parsed = self._parse()
        name = self._name()
        if root is not None:
            provider = self._provider()
            self._endpoint(provider)
            self._window(provider)
            self._metadata(root)
            self._output()
            path = self._input()
        else:
            provider = path = None
        place = root.values.get("name") if root else None
        job = None
        if root and parsed and name and provider and path and not self.problems:
            # Not before: what fits the shape has few places, and they have short names.
            source = Source(
                path=document.path,
                line=document.line,
                sha256=document.sha256,
                positions=dict(value_positions(root)),
            )
            job = _job(name, parsed, provider, path, document, source)
        return ValidatedDocument(
            name=name,
            name_place=KeyNode(line=place.line, column=place.column)
            if place
            else KeyNode(line=document.line, column=0),
            job=job,
            problems=tuple(sorted(self.problems)),
        )

    def _parse(self) -> SpecSchema | None:
        """Check the shape; remembers the paths that do not fit, so that nothing is said twice."""
        if self.document.root is None:
            return None
        from pydantic import ValidationError

        from runner.spec.schema import SPEC_FIELDS, spec_adapter

        try:
            return spec_adapter().validate_python(to_python(self.document.root))
        except ValidationError as error:
            for path, problem in explain_errors(error, self.document, SPEC_FIELDS):
                self.invalid_paths.add(path)
                self.problems.append(problem)
            return None

    def _text(self, key: str) -> str | None:
        """Return the text at a key of the root if it is there and fits its shape."""
        node = self.document.root.values.get(key) if self.document.root else None
        if (key,) in self.invalid_paths or not isinstance(node, ScalarNode):
            return None
        return node.value if isinstance(node.value, str) else None

    def _add(self, key: str, words: str, *, at: KeyNode | Node | None = None) -> None:
        """Put a problem on record at the value of `key`, or at the document without one."""
        root = self.document.root
        place = at or (root.values.get(key) if root else None)
        line, column = (place.line, place.column) if place else (self.document.line, 0)
        self.problems.append(
            Problem(path=self.document.path, line=line, column=column, message=f"{key}: {words}")
        )

    def _name(self) -> str | None:
        root = self.document.root
        if root is None:
            return None
        if "name" in root.keys:
            return self._text("name")
        if self.stem is None:
            self._add("name", 'several documents share this file; give each a "name: " of its own')
            return None
        if _NAME.fullmatch(self.stem):
            return self.stem
        proposal = _suggest_name(self.stem)
        words = f'the file\'s "{shown(self.stem)}" is no name; write "name: {proposal}"'
        self._add("name", f"{words} ({NAME_RULE})")
        return None

    def _provider(self) -> Provider | None:
        known = self.project.providers
        root = self.document.root
        if root is not None and "provider" not in root.keys:
            return known[self.project.default_provider]
        name = self._text("provider")
        if name is None or name in known:
            return known[name] if name else None
        words = one_of(name, sorted(known), "there are")
        self._add("provider", f'"{shown(name)}" is no provider of this project; {words}')
        return None

    def _endpoint(self, provider: Provider | None) -> None:
        endpoint = self._text("endpoint")
        if endpoint is None or endpoint in OPENAI_ENDPOINTS:
            return
        closed = provider is not None and provider.name in _OPENAI_ENDPOINTS_ONLY
        if not closed and _ENDPOINT.fullmatch(endpoint):
            return
        said = shown(endpoint)
        guess = _guess_endpoint(endpoint)
        if guess:
            cure = f'did you mean "{guess}"?'
        elif closed:
            cure = f"there are: {', '.join(OPENAI_ENDPOINTS)}"
        else:
            cure = 'write its path, beginning with "/"'
        what = f"is no endpoint of {provider.name}" if closed and provider else "is no path"
        self._add("endpoint", f'"{said}" {what}; {cure}')

    def _window(self, provider: Provider | None) -> None:
        window = self._text("completion_window")
        if window is None or window == "24h" or provider is None or provider.embedded:
            return
        if provider.host == OPENAI_HOST:
            self._add(
                "completion_window",
                f'"{shown(window)}" is not offered by {OPENAI_HOST}; write "24h"',
            )

    def _metadata(self, root: MappingNode) -> None:
        metadata = root.values.get("metadata")
        if isinstance(metadata, MappingNode) and (key := metadata.keys.get(METADATA_KEY)):
            words = "this key is runner's own, to find its batches by; choose another"
            self._add(f"metadata.{METADATA_KEY}", words, at=key)

    def _output(self) -> None:
        output = self._text("output")
        if output is None:
            return
        path = PurePosixPath(output)
        if path.is_absolute() or ".." in path.parts:
            words = f'"{shown(output)}" leads out of the project; write a folder inside it'
        elif not path.parts:
            words = "is the project itself; write a folder inside it"
        elif path.parts[0].startswith("."):
            words = f'"{shown(output)}" is hidden; write a folder that people see'
        else:
            return
        self._add("output", words)

    def _input(self) -> FilePath | None:
        """Return the absolute path of the input if it is a regular file."""
        shown_as = self._text("input")
        if shown_as is None:
            return None
        path = self.project.root / shown_as
        said = shown(shown_as, 200)
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            looked = "" if shown_as.startswith("/") else f" (looked in {self.project.root})"
            hint = '; "~" is not expanded' if shown_as.startswith("~") else ""
            self._add("input", f"no such file: {said}{looked}{hint}")
        except OSError as error:
            self._add("input", f"{said} cannot be read: {error_text(error)}")
        else:
            if stat.S_ISREG(mode) and os.access(path, os.R_OK):
                return path
            if stat.S_ISREG(mode):
                self._add("input", f"{said} cannot be read: permission denied")
            else:
                what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
                self._add("input", f"{said} is {what}; write the path of a JSONL file")
        return None


def _job(
    name: str,
    parsed: SpecSchema,
    provider: Provider,
    path: FilePath,
    document: Document,
    source: Source,
) -> Job:
    return Job(
        name=name,
        endpoint=parsed.endpoint,
        input=path,
        input_shown=parsed.input,
        completion_window=parsed.completion_window,
        metadata=parsed.metadata,
        provider=provider,
        replicate=parsed.replicate,
        attempts=parsed.retry.attempts,
        deadline=_deadline(parsed),
        canary=parsed.canary,
        keep_remote=parsed.keep_remote,
        output=None if parsed.output is None else str(PurePosixPath(parsed.output)),
        source=source,
        document=document.text,
    )


def _deadline(parsed: SpecSchema) -> Deadline:
    from runner.spec.schema import duration

    after = parsed.deadline.after
    return Deadline(
        after=None if after is None else duration(after),
        action=DeadlineAction(parsed.deadline.action),
    )


def _guess_endpoint(endpoint: str) -> str | None:
    """Find the endpoint somebody meant: without /v1, with the host, with a slip of the pen."""
    for known in OPENAI_ENDPOINTS:
        if endpoint.rstrip("/").endswith(known) or known.endswith("/" + endpoint.strip("/")):
            return known
    return did_you_mean(endpoint, OPENAI_ENDPOINTS)


def _suggest_name(stem: str) -> str:
    """Make a valid name of a file's stem."""
    ascii_only = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9._-]+", "-", ascii_only).strip("-._")[:63]
    return name or "job"
