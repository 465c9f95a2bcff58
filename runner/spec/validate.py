"""Validate one document of a spec file: return its job, or all of its problems.

pydantic checks fields, types and bounds; this module checks what depends on the project. Both
checks always run, so that the user sees all problems together.
"""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from runner.errors import Problem
from runner.files import irregular
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
from runner.spec.validation_errors import NAME_RULE, explain_errors
from runner.spec.yaml.tree import (
    KeyNode,
    MappingNode,
    ScalarNode,
    shown,
    to_python,
    value_positions,
)
from runner.text import did_you_mean, one_of, parse_duration

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from runner.spec.project import Project, Provider
    from runner.spec.schema import SpecSchema
    from runner.spec.yaml.documents import Document
    from runner.spec.yaml.tree import Node, Path

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_ENDPOINT: Final = re.compile(r"/[!-\"$-~]*")
_OPENAI_ENDPOINTS_ONLY: Final = frozenset({"openai", "local"})
"""Providers with OpenAI's endpoints; other providers may have other paths."""

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
_WINDOWS: Final = {
    "api.groq.com": (24 * _HOUR, 7 * _DAY),
    "api.moonshot.ai": (12 * _HOUR, 7 * _DAY),
    "api.moonshot.cn": (12 * _HOUR, 7 * _DAY),
    "api.siliconflow.cn": (24 * _HOUR, 14 * _DAY),
    "api.tokenfactory.nebius.com": (24 * _HOUR, 24 * _HOUR),
    "api.parasail.io": (24 * _HOUR, 24 * _HOUR),
    "api.deepinfra.com": (24 * _HOUR, 24 * _HOUR),
    "dashscope.aliyuncs.com": (24 * _HOUR, 14 * _DAY),
    "dashscope-intl.aliyuncs.com": (24 * _HOUR, 14 * _DAY),
    "api.doubleword.ai": (_HOUR, 24 * _HOUR),
    "openai.azure.com": (24 * _HOUR, 24 * _HOUR),
}
"""The shortest and the longest window of other hosts, in seconds (fact sheet, section 5).

A host below one of these has its windows.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatedDocument:
    """The result for a document: its name if it has one, and its job if it has no problem."""

    name: str | None
    name_place: KeyNode
    job: Job | None
    problems: tuple[Problem, ...]


def validate(document: Document, project: Project, *, stem: str | None) -> ValidatedDocument:
    """Check one document against its project.

    `stem` is the name of a job without a `name`: the file's stem, or None if the file has several
    documents. Checks that the input exists. Never raises for the content of a document.
    """
    return _Validation(document=document, project=project, stem=stem).run()


@dataclass(slots=True, kw_only=True)
class _Validation:
    document: Document
    project: Project
    stem: str | None
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
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
            # Only now: a valid document has few fields, with short names.
            source = Source(
                path=document.path,
                line=document.line,
                sha256=document.sha256,
                positions=dict(value_positions(root)),
            )
            job = _job(name, parsed, provider, path, document, source, tuple(self.warnings))
        return ValidatedDocument(
            name=name,
            name_place=KeyNode(line=place.line, column=place.column)
            if place
            else KeyNode(line=document.line, column=0),
            job=job,
            problems=tuple(sorted(self.problems)),
        )

    def _parse(self) -> SpecSchema | None:
        """Return the fields of the document, or None; note the paths that are invalid."""
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

    def _text(self, field: str) -> str | None:
        """Return the text of a field of the root, or None if it is missing or invalid."""
        node = self.document.root.values.get(field) if self.document.root else None
        if (field,) in self.invalid_paths or not isinstance(node, ScalarNode):
            return None
        return node.value if isinstance(node.value, str) else None

    def _add(self, field: str, message: str, *, at: KeyNode | Node | None = None) -> None:
        """Add a problem at the value of `field`, or at the document without one."""
        self.problems.append(self._problem(field, message, at))

    def _warn(self, field: str, message: str) -> None:
        """Add a warning at the value of `field`."""
        self.warnings.append(replace(self._problem(field, message), is_warning=True))

    def _problem(self, field: str, message: str, at: KeyNode | Node | None = None) -> Problem:
        root = self.document.root
        place = at or (root.values.get(field) if root else None)
        line, column = (place.line, place.column) if place else (self.document.line, 0)
        text = f"{field}: {message}"
        return Problem(path=self.document.path, line=line, column=column, message=text)

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
        suggestion = f'write "name: {_suggest_name(self.stem)}"'
        message = f'the file name "{shown(self.stem)}" is not a valid name; {suggestion}'
        self._add("name", f"{message} ({NAME_RULE})")
        return None

    def _provider(self) -> Provider | None:
        known = self.project.providers
        root = self.document.root
        if root is not None and "provider" not in root.keys:
            return known[self.project.default_provider]
        name = self._text("provider")
        if name is None or name in known:
            return known[name] if name else None
        hint = one_of(name, sorted(known))
        self._add("provider", f'"{shown(name)}" is not a provider of this project; {hint}')
        return None

    def _endpoint(self, provider: Provider | None) -> None:
        endpoint = self._text("endpoint")
        if endpoint is None or endpoint in OPENAI_ENDPOINTS:
            return
        closed = provider is not None and provider.name in _OPENAI_ENDPOINTS_ONLY
        if not closed and _ENDPOINT.fullmatch(endpoint):
            return
        guess = _guess_endpoint(endpoint)
        if guess:
            hint = f'did you mean "{guess}"?'
        elif closed:
            hint = f"there are: {', '.join(OPENAI_ENDPOINTS)}"
        else:
            hint = 'write its path, beginning with "/"'
        what = f"not an endpoint of {provider.name}" if closed and provider else "not a path"
        self._add("endpoint", f'"{shown(endpoint)}" is {what}; {hint}')

    def _window(self, provider: Provider | None) -> None:
        window = self._text("completion_window")
        if window is None or window == "24h" or provider is None or provider.embedded:
            return
        if provider.host == OPENAI_HOST:
            self._add(
                "completion_window",
                f'"{shown(window)}" is not offered by {OPENAI_HOST}; write "24h"',
            )
            return
        seconds = parse_duration(window, units=("h", "d"))
        for host, (least, most) in _WINDOWS.items():
            if f".{provider.host}".endswith(f".{host}") and not least <= (seconds or 0) <= most:
                offered = f"{least // _HOUR}h" + (f" to {most // _DAY}d" if least < most else "")
                self._warn(
                    "completion_window",
                    f'"{shown(window)}" is probably not offered by {provider.host}, which is known'
                    f" to take {offered}",
                )

    def _metadata(self, root: MappingNode) -> None:
        metadata = root.values.get("metadata")
        if isinstance(metadata, MappingNode) and (key := metadata.keys.get(METADATA_KEY)):
            message = "this key is reserved: runner finds its batches by it; choose another"
            self._add(f"metadata.{METADATA_KEY}", message, at=key)

    def _output(self) -> None:
        output = self._text("output")
        if output is None:
            return
        path = PurePosixPath(output)
        if path.is_absolute() or ".." in path.parts:
            message = f'"{shown(output)}" is outside of the project; write a folder inside it'
        elif not path.parts:
            message = "is the project itself; write a folder inside it"
        elif path.parts[0].startswith("."):
            message = f'"{shown(output)}" is hidden; write a folder without a leading dot'
        else:
            return
        self._add("output", message)

    def _input(self) -> FilePath | None:
        """Return the absolute path of the input if it is a regular file."""
        shown_as = self._text("input")
        if shown_as is None:
            return None
        path = self.project.root / shown_as
        path_shown = shown(shown_as, 200)
        try:
            what = irregular(path, path.stat())
        except FileNotFoundError:
            folder = "" if shown_as.startswith("/") else f" (in {self.project.root})"
            hint = '; "~" is not expanded' if shown_as.startswith("~") else ""
            self._add("input", f"no such file: {path_shown}{folder}{hint}")
        except OSError as error:
            self._add("input", f"{path_shown} cannot be read: {error_text(error)}")
        else:
            if what is None and os.access(path, os.R_OK):
                return path
            if what is None:
                self._add("input", f"{path_shown} cannot be read: permission denied")
            else:
                self._add("input", f"{path_shown} is {what}; write the path of a JSONL file")
        return None


def _job(
    name: str,
    parsed: SpecSchema,
    provider: Provider,
    path: FilePath,
    document: Document,
    source: Source,
    warnings: tuple[Problem, ...],
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
        ask_again=parsed.ask_again,
        attempts=parsed.retry.attempts,
        deadline=_deadline(parsed),
        canary=parsed.canary,
        keep_remote=parsed.keep_remote,
        output=None if parsed.output is None else str(PurePosixPath(parsed.output)),
        source=source,
        document=document.text,
        warnings=warnings,
    )


def _deadline(parsed: SpecSchema) -> Deadline:
    from runner.spec.schema import DURATION_UNITS

    after = parsed.deadline.after
    return Deadline(
        after=None if after is None else parse_duration(after, units=DURATION_UNITS),
        action=DeadlineAction(parsed.deadline.action),
    )


def _guess_endpoint(endpoint: str) -> str | None:
    """Return the endpoint that was probably meant: without /v1, with a host, or misspelt."""
    for known in OPENAI_ENDPOINTS:
        if endpoint.rstrip("/").endswith(known) or known.endswith("/" + endpoint.strip("/")):
            return known
    return did_you_mean(endpoint, OPENAI_ENDPOINTS)


def _suggest_name(stem: str) -> str:
    """Return a valid name that resembles a file's stem."""
    ascii_only = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9._-]+", "-", ascii_only).strip("-._")[:63]
    return name or "job"
