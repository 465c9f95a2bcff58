"""What a person asked for: a job, the place it was written at, and all specs of a project.

These are values after every check. What could not be understood is beside them as problems,
so that one bad spec stops only itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from runner.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runner.spec.project import Provider

OPENAI_ENDPOINTS: Final = (
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/videos",
)
"""What OpenAI's Batch API takes requests for (fact sheet, section 1)."""

METADATA_KEY: Final = "runner"
"""The metadata key that runner finds its own batches by; specs may not use it."""


class DeadlineAction(StrEnum):
    """What is done about a batch that takes longer than it should."""

    WARN = "warn"
    RESUBMIT = "resubmit"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """When a batch is overdue, and what is done about it.

    `after` counts seconds from the batch's creation; None means an hour after the provider
    should have let it expire.
    """

    after: int | None = None
    action: DeadlineAction = DeadlineAction.WARN


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The document a job was read from.

    `path` is as shown to people, relative to the project's root where it lies inside. `line`
    is where the document's first key stands. `sha256` is the digest of the document's own text
    in UTF-8, without the `---` lines around it. `positions` maps the dotted path of each key,
    such as `metadata.project`, to the (line, column) of its value, both counted from 1.
    """

    path: str
    line: int
    sha256: str
    positions: Mapping[str, tuple[int, int]]

    def problem(self, key: str, message: str) -> Problem:
        """Make a problem at the value of `key`, or at the document where it is not written."""
        line, column = self.positions.get(key, (self.line, 0))
        return Problem(path=self.path, line=line, column=column, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One validated spec.

    `input` is absolute and existed as a regular file when the spec was read; `input_shown` is
    as the person wrote it. `attempts` counts submissions of a request, the first included.
    `output` is the folder for the results, relative to the project's root, or None for
    `<outputs>/<name>`. `canary` is how many requests of each model are asked before the others,
    or None; `keep_remote` whether the provider may keep the files of a job whose results are
    here. `document` is the text of the spec, comments included, for the record.
    """

    name: str
    endpoint: str
    input: Path
    input_shown: str
    completion_window: str = "24h"
    metadata: Mapping[str, str]
    provider: Provider
    replicate: int = 1
    attempts: int = 3
    deadline: Deadline = Deadline()
    canary: int | None = None
    keep_remote: bool = True
    output: str | None = None
    source: Source
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Specs:
    """Everything the specs of a project say.

    `jobs` are all good ones, in the order of path and document; `selected` those that the
    command asked for, in the same order. `problems` are those of the selected documents.
    `complete` says that every spec of the project could be understood: only then does the
    absence of a name mean that its job is gone. `gone` are selected names that no spec has, of
    jobs that are known from elsewhere.
    """

    jobs: tuple[Job, ...]
    selected: tuple[Job, ...]
    problems: tuple[Problem, ...]
    complete: bool
    gone: tuple[str, ...] = ()
