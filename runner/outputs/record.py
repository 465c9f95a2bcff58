"""`run.json`: what was done, for whoever reads it in five years.

The reader has neither the ledger nor this program, perhaps not even the provider. So the record
says everything once, in plain words: the spec as it was written, digests of every file on the
way, each batch as the provider showed it last, and what made it. `format_version` changes when a
field changes its meaning; fields may be added without it. It never holds a secret: nothing that
goes into it has one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from runner.outputs.provenance import GitState, ToolVersions, git_state, tool_versions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runner.outputs.writer import FileDigest

__all__ = [
    "Counts",
    "GitState",
    "InputRecord",
    "ProviderRecord",
    "RequestParameters",
    "ResultFile",
    "RunRecord",
    "ShardEntry",
    "SpecRecord",
    "SubmissionRecord",
    "ToolVersions",
    "encode",
    "git_state",
    "sum_usage",
    "tool_versions",
]

FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecRecord:
    """The YAML document the job was read from: its place, digest and text."""

    path: str
    line: int
    sha256: str
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRecord:
    """Who answered; `base_url` is None for the embedded provider."""

    name: str
    base_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestParameters:
    """What was asked for beside the requests themselves."""

    endpoint: str
    completion_window: str
    metadata: Mapping[str, str]
    provider: ProviderRecord
    replicate: int
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRecord:
    """The whole input: its digest covers all request lines in order."""

    path: str
    requests: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """A downloaded file; `kind` is `output` or `error`, `path` relative to the run's folder."""

    kind: str
    file_id: str
    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionRecord:
    """One batch: the rows it asked, the uploaded file, the provider's object, what came back.

    `rows` are 0-based ranges such as `0-4,7`; `transient` and `permanent` are those of them that
    ended without a success. `counted` is false where a limit turned the batch away unread.
    `batch` is the object as last received, or None where none was created.
    """

    key: str
    attempt: int
    state: str
    counted: bool
    rows: str
    transient: str
    permanent: str
    problem: str | None
    requests: int
    bytes: int
    sha256: str
    input_file_id: str | None
    submitted_at: str | None
    batch: Mapping[str, Any] | None
    results: tuple[ResultFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardEntry:
    """A slice of the input and its submissions in order; `number` counts from 1.

    `offset` and `ids_offset` are the bytes at which its first request begins in the input, and
    its first custom_id in the list of them; `whole` says that the input is this shard as it is.
    """

    number: int
    model: str | None
    rows: str
    requests: int
    bytes: int
    sha256: str
    offset: int
    ids_offset: int
    whole: bool
    submissions: tuple[SubmissionRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Requests by their end; `codes` counts the failed ones by error code."""

    total: int
    succeeded: int
    failed: int
    codes: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run that has ended; `superseded` if it ended early because no spec asked for it any more.

    `started_at` and `finished_at` are ISO 8601 in UTC. `usage` sums what the batches reported and
    is None where none did. `outputs` are the final files.
    """

    format_version: int = FORMAT_VERSION
    job: str
    revision: str
    state: str
    reason: str | None
    superseded: bool
    spec: SpecRecord
    request: RequestParameters
    input: InputRecord
    shards: tuple[ShardEntry, ...]
    counts: Counts
    usage: Mapping[str, Any] | None
    outputs: tuple[FileDigest, ...]
    made_by: ToolVersions
    git: GitState | None
    started_at: str
    finished_at: str


def encode(record: RunRecord) -> bytes:
    """Return the content of `run.json`: UTF-8, two spaces deep, fields in the order above.

    The same record gives the same bytes. What a provider sent keeps its own order and values,
    but for infinities and NaN, which JSON does not have: those become strings.
    """
    document = _plain(record)
    document["outputs"] = {
        file.name: {"bytes": file.bytes, "sha256": file.sha256, "lines": file.lines}
        for file in record.outputs
    }
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    # A lone surrogate has no bytes in UTF-8; its backslash form is the JSON escape for it.
    return text.encode(errors="backslashreplace") + b"\n"


def sum_usage(batches: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Add up the `usage` objects of batches as received, number by number at every depth.

    None where no batch has one: not every provider reports it (fact sheet, section 5). What is
    no number in any of them is left out.
    """
    found = [usage for batch in batches if isinstance(usage := batch.get("usage"), Mapping)]
    return _summed(found) if found else None


def _summed(usages: list[Mapping[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for name in dict.fromkeys(name for usage in usages for name in usage):
        values = [usage[name] for usage in usages if name in usage]
        numbers = [value for value in values if _is_number(value)]
        nested = [value for value in values if isinstance(value, Mapping)]
        if numbers:
            total[name] = sum(numbers)
        elif nested:
            total[name] = _summed(nested)
    return total


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _plain(value: Any) -> Any:  # noqa: ANN401
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value
