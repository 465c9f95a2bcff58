"""The desired state: a job, its position in a spec file, and all jobs of a project.

All values are validated. The problems of invalid specs are kept next to the valid jobs: an
invalid spec stops only its own job.
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
"""The endpoints that OpenAI's Batch API accepts (fact sheet, section 1)."""

METADATA_KEY: Final = "runner"
"""The metadata key by which runner finds its own batches; specs must not use it."""

MAX_METADATA_PAIRS: Final = 16
"""How many pairs the API takes (fact sheet, section 1); with as many there is no room for ours."""


class DeadlineAction(StrEnum):
    """What to do about an overdue batch."""

    WARN = "warn"
    RESUBMIT = "resubmit"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """When a batch is overdue, and what to do about it.

    `after` counts seconds from the creation of the batch; None means an hour after the time at
    which the batch should have expired.
    """

    after: int | None = None
    action: DeadlineAction = DeadlineAction.WARN


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The document a job was read from.

    `path` is relative to the project's root if the file is inside. `line` is the line of the
    document's first field. `sha256` is the digest of the document's text in UTF-8, without the
    `---` lines around it. `positions` maps the dotted path of each field, such as
    `metadata.project`, to the (line, column) of its value, both counted from 1.
    """

    path: str
    line: int
    sha256: str
    positions: Mapping[str, tuple[int, int]]

    def problem(self, field: str, message: str) -> Problem:
        """Return a problem at the value of `field`, or at the document if it is not written."""
        line, column = self.positions.get(field, (self.line, 0))
        return Problem(path=self.path, line=line, column=column, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One validated spec.

    `input` is absolute and was a regular file when the spec was read; `input_shown` is the path
    as the user wrote it. `ask_again` allows to submit requests that have responses from another
    address or provider already. `attempts` is the largest number of submissions of a request, the
    first included. `output` is the folder for the results, relative to the project's root, or None
    for `<outputs>/<name>`. `canary` is the number of requests of each model that are submitted
    before the others, or None. `keep_remote` is False if the provider's files are deleted once the
    results are collected. `document` is the text of the spec, comments included, for `run.json`.
    `warnings` are about values that the provider will probably refuse.
    """

    name: str
    endpoint: str
    input: Path
    input_shown: str
    completion_window: str = "24h"
    metadata: Mapping[str, str]
    provider: Provider
    replicate: int = 1
    ask_again: bool = False
    attempts: int = 3
    deadline: Deadline = Deadline()
    canary: int | None = None
    keep_remote: bool = True
    output: str | None = None
    source: Source
    document: str
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Specs:
    """The jobs of a project and the problems of its specs.

    `jobs` are all valid jobs, in the order of path and document; `selected` are those that the
    command names, in the same order. `problems` are those of the selected documents. `complete`
    is True if every spec of the project is valid: only then does a missing name mean that the job
    was removed. `jobs_without_spec` are selected names of recorded jobs that have no spec any more.
    """

    jobs: tuple[Job, ...]
    selected: tuple[Job, ...]
    problems: tuple[Problem, ...]
    complete: bool
    jobs_without_spec: tuple[str, ...] = ()
