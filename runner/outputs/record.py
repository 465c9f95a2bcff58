"""`run.json`: the record of a run that has ended, written and read with the same classes.

A reader in five years has neither the ledger nor this program, perhaps not even the provider. So
the record says everything once: the spec as it was written, a digest of every file, each batch
as the provider showed it last, and the versions that made it. It never holds a secret, since
nothing that goes into it has one.

`format_version` changes when a field changes its meaning. Fields may be added without it: a new
field needs a default, so that older records can be read.

docs/schemas.py makes `record.json` from these classes. Patterns and bounds are in the schema only,
and are not checked when a record is read: a wrong value must not make a record unreadable.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from runner.outputs.files import RECORD, FileRejected, open_file
from runner.outputs.json_values import (
    DIGEST,
    BatchObject,
    Moment,
    Natural,
    Positive,
    Rows,
    Sha256,
)

FORMAT_VERSION: Final = 1
LARGEST_RECORD: Final = 512 * 1024 * 1024
"""Bytes. A record of twenty thousand shards has some fifty million."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSpec:
    """The YAML document that the job was read from."""

    path: Annotated[
        str,
        Meta(
            description="Its file, relative to the project's root.",
            examples=["specs/sentiment.yaml"],
        ),
    ]
    line: Annotated[Natural, Meta(description="The line at which it begins, from 1.", examples=[1])]
    sha256: Annotated[Sha256, Meta(description="The SHA-256 of its text.")]
    document: Annotated[
        str,
        Meta(
            description="Its text, comments included.",
            examples=["endpoint: /v1/chat/completions\ninput: data/reviews.jsonl\n"],
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedProvider:
    """The provider that the requests were sent to."""

    name: Annotated[
        str,
        Meta(description="The provider's name in the project.", examples=["openai", "local"]),
    ]
    base_url: Annotated[
        str | None,
        Meta(
            description="Its address; null for the built-in provider local, which has none.",
            examples=["https://api.openai.com/v1", None],
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedParameters:
    """The parameters of the batches, apart from the requests."""

    endpoint: Annotated[
        str, Meta(description="The path of the API.", examples=["/v1/chat/completions"])
    ]
    completion_window: Annotated[
        str, Meta(description="The time in which the provider had to finish.", examples=["24h"])
    ]
    metadata: Annotated[
        Mapping[str, str],
        Meta(
            description="The metadata of the spec, which each batch carries.",
            examples=[{"project": "acl"}],
        ),
    ]
    provider: RecordedProvider
    replicate: Annotated[
        Positive, Meta(description="Which sample of the same requests this is.", examples=[1])
    ]
    attempts: Annotated[
        Positive,
        Meta(
            description="The number of submissions after which a request counts as failed.",
            examples=[3],
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedInput:
    """The whole input."""

    path: Annotated[
        str, Meta(description="Its file, as the spec names it.", examples=["data/reviews.jsonl"])
    ]
    requests: Annotated[Natural, Meta(description="The number of requests in it.", examples=[2])]
    bytes: Annotated[
        Natural, Meta(description="The size of the requests in bytes.", examples=[367])
    ]
    sha256: Annotated[
        Sha256,
        Meta(description="The SHA-256 of all request lines in order, each with one line feed."),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedResult:
    """A file that was downloaded, or made of one."""

    kind: Annotated[
        str,
        Meta(
            description="Whether it is the batch's output file or its error file; by_order: those "
            "lines of the output file that named no request, with the custom_ids of the requests "
            "at their places, as `runner retry JOB --by-order` was asked to match them.",
            examples=["output"],
            extra_json_schema={"enum": ["output", "error", "by_order"]},
        ),
    ]
    file_id: Annotated[
        str, Meta(description="The provider's id of the file.", examples=["file-abc123"])
    ]
    path: Annotated[
        str,
        Meta(
            description="Its path, relative to the folder of this record.",
            examples=["raw/0001-1.output.jsonl"],
        ),
    ]
    bytes: Annotated[Natural, Meta(description="Its size in bytes.", examples=[1880])]
    sha256: Annotated[Sha256, Meta(description="The SHA-256 of its content.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSubmission:
    """One batch, or the attempt to create one."""

    key: Annotated[
        str,
        Meta(
            description="The submission key, as in the ledger and in the batch's metadata: "
            "job/revision/shard/attempt.",
            examples=["sentiment/9f86d081884c/0001/1"],
        ),
    ]
    attempt: Annotated[
        Natural,
        Meta(description="1 for the first submission of these rows, then 2, …", examples=[1]),
    ]
    state: Annotated[
        str,
        Meta(
            description="The state in which the submission ended.",
            examples=["collected", "failed", "lost", "abandoned"],
        ),
    ]
    counted: Annotated[
        bool,
        Meta(
            description="False where a limit of the provider rejected the batch unread, which "
            "uses up no attempt.",
            examples=[True],
        ),
    ]
    rows: Annotated[
        Rows, Meta(description="The rows in it: numbers from 0, as ranges.", examples=["0-4,7"])
    ]
    transient: Annotated[
        Rows,
        Meta(
            description="Those of its rows that failed and could be submitted again.",
            examples=["", "7"],
        ),
    ]
    permanent: Annotated[
        Rows,
        Meta(description="Those of its rows that failed and would fail again.", examples=["", "3"]),
    ]
    problem: Annotated[
        str | None,
        Meta(
            description="What went wrong with the batch as a whole; null if nothing did.",
            examples=[None, "the batch expired"],
        ),
    ]
    requests: Annotated[Natural, Meta(description="The number of requests in it.", examples=[6])]
    bytes: Annotated[
        Natural, Meta(description="The size of the uploaded file in bytes.", examples=[1010])
    ]
    sha256: Annotated[Sha256, Meta(description="The SHA-256 of the uploaded file.")]
    input_file_id: Annotated[
        str | None,
        Meta(
            description="The provider's id of the uploaded file; null if none was uploaded.",
            examples=["file-abc122", None],
        ),
    ]
    submitted_at: Annotated[
        Moment | None,
        Meta(description="The time from which the batch was known to exist; null if it never was."),
    ]
    batch: Annotated[
        BatchObject | None,
        Meta(
            description="The Batch object as the provider showed it last, all its fields; null "
            "if no batch was created.",
            examples=[{"id": "batch_abc123", "object": "batch", "status": "completed"}, None],
        ),
    ]
    results: Annotated[
        tuple[RecordedResult, ...],
        Meta(description="The files that were downloaded, in the folder of this record."),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedShard:
    """A slice of the input and its submissions."""

    number: Annotated[Natural, Meta(description="Its number, from 1.", examples=[1])]
    model: Annotated[
        str | None,
        Meta(
            description="The model that all its requests name; null if they name none.",
            examples=["gpt-4o-mini", None],
        ),
    ]
    rows: Annotated[
        Rows, Meta(description="Its rows: numbers from 0, as ranges.", examples=["0-1"])
    ]
    requests: Annotated[Natural, Meta(description="The number of requests in it.", examples=[2])]
    bytes: Annotated[
        Natural, Meta(description="The size of its requests in bytes.", examples=[367])
    ]
    sha256: Annotated[
        Sha256, Meta(description="The SHA-256 of its requests, each with one line feed.")
    ]
    offset: Annotated[
        Natural,
        Meta(description="The byte of the input at which its first request begins.", examples=[0]),
    ]
    ids_offset: Annotated[
        Natural,
        Meta(
            description="The byte in the list of custom_ids at which its first one begins.",
            examples=[0],
        ),
    ]
    whole: Annotated[
        bool,
        Meta(
            description="Whether the shard is the whole file of the input, unchanged.",
            examples=[True],
        ),
    ]
    submissions: Annotated[
        tuple[RecordedSubmission, ...],
        Meta(description="The submissions of the shard, in order of the attempts."),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCounts:
    """The number of requests by their final state."""

    total: Annotated[Natural, Meta(description="All requests.", examples=[2])]
    succeeded: Annotated[
        Natural, Meta(description="Requests with a successful response.", examples=[2])
    ]
    failed: Annotated[Natural, Meta(description="Requests without one.", examples=[0])]
    codes: Annotated[
        Mapping[str, Positive],
        Meta(
            description="The failed requests by error code.",
            examples=[{"rate_limit_exceeded": 3}],
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    """A final file."""

    bytes: Annotated[Natural, Meta(description="Its size in bytes.", examples=[1880])]
    sha256: Annotated[Sha256, Meta(description="The SHA-256 of its content.")]
    lines: Annotated[Natural, Meta(description="The number of its lines.", examples=[2])]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolVersions:
    """The versions of runner and of what it runs on."""

    runner: Annotated[str, Meta(description="The version of runner.", examples=["1.2.3"])]
    python: Annotated[str, Meta(description="The version of Python.", examples=["3.12.4"])]
    platform: Annotated[
        str, Meta(description="The operating system.", examples=["Linux-6.1-x86_64"])
    ]
    dependencies: Annotated[
        Mapping[str, str],
        Meta(
            description="The versions of the libraries that were installed.",
            examples=[{"httpx": "0.28.1"}],
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedGit:
    """The state of the project's git repository."""

    commit: Annotated[
        str,
        Meta(
            description="The hash of the commit.",
            examples=["d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5d0c5"],
        ),
    ]
    branch: Annotated[
        str | None,
        Meta(description="The branch; null on a detached head.", examples=["main", None]),
    ]
    dirty: Annotated[
        bool | None,
        Meta(
            description="Whether tracked files differ from the commit, as `git describe --dirty` "
            "has it; null if git took too long.",
            examples=[False, None],
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """The run.json in the output folder of a run that has ended."""

    format_version: Annotated[
        Positive,
        Meta(
            description="Changes when a field changes its meaning; fields may be added without it.",
            examples=[1],
        ),
    ]
    job: Annotated[str, Meta(description="The job's name.", examples=["sentiment"])]
    revision: Annotated[
        Sha256,
        Meta(
            description="The identity of the results: endpoint, provider, requests and replicate."
        ),
    ]
    state: Annotated[
        str,
        Meta(
            description="How the run ended.",
            examples=["succeeded", "partial"],
            extra_json_schema={"enum": ["succeeded", "partial", "failed", "cancelled"]},
        ),
    ]
    reason: Annotated[
        str | None,
        Meta(
            description="Why it ended in this state, where there is more to say; else null.",
            examples=[None, "cancelled on request"],
        ),
    ]
    superseded: Annotated[
        bool,
        Meta(
            description="True if the run ended early because no spec described it any more.",
            examples=[False],
        ),
    ]
    spec: RecordedSpec
    request: RecordedParameters
    input: RecordedInput
    shards: Annotated[
        tuple[RecordedShard, ...],
        Meta(description="The slices of the input that became batches."),
    ]
    counts: RecordedCounts
    truncated: Annotated[
        Natural | None,
        Meta(
            description="Responses that were cut at the token limit: successful ones, and failed "
            "ones with the code truncated, whose API calls them incomplete. Not in the "
            "records of earlier versions.",
            examples=[0],
        ),
    ] = None
    usage: Annotated[
        Mapping[str, Any] | None,
        Meta(
            description="The sum of the usage that the batches reported; null where none did.",
            examples=[{"input_tokens": 120, "output_tokens": 48, "total_tokens": 168}, None],
        ),
    ]
    outputs: Annotated[
        Mapping[str, FileDigest],
        Meta(
            description="The final files in the folder of this record, by name.",
            examples=[{"output.jsonl": {"bytes": 1880, "sha256": DIGEST, "lines": 2}}],
        ),
    ]
    made_by: ToolVersions
    git: Annotated[
        RecordedGit | None,
        Meta(
            description="The git commit that was checked out when the run began; null outside a "
            "repository."
        ),
    ]
    started_at: Annotated[Moment, Meta(description="When the run began, in UTC.")]
    finished_at: Annotated[Moment, Meta(description="When the run ended, in UTC.")]

    @property
    def submissions(self) -> tuple[RecordedSubmission, ...]:
        """Every submission, in order of shard and attempt."""
        return tuple(each for shard in self.shards for each in shard.submissions)

    @property
    def results(self) -> tuple[RecordedResult, ...]:
        """Every downloaded file, in order of shard and attempt."""
        return tuple(result for each in self.submissions for result in each.results)


def encode(record: RunRecord) -> bytes:
    """Return the content of `run.json`: UTF-8, indented by two spaces, fields in their order.

    The same record gives the same bytes. What a provider sent keeps its own order and values,
    except infinities and NaN: JSON does not have them, so they become strings.
    """
    text = json.dumps(_json_value(record), indent=2, ensure_ascii=False, allow_nan=False)
    # A lone surrogate has no bytes in UTF-8; its backslash form is the JSON escape for it.
    return text.encode(errors="backslashreplace") + b"\n"


def _json_value(value: Any) -> Any:  # noqa: ANN401
    if is_dataclass(value):
        members = ((field, getattr(value, field.name)) for field in fields(value))
        # A field that was added later, whose value an earlier version did not record, stays out.
        return {
            field.name: _json_value(member)
            for field, member in members
            if member is not None or field.default is not None
        }
    if isinstance(value, Mapping):
        return {str(name): _json_value(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(member) for member in value]
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value


def read_record(folder: Path) -> RunRecord:
    """Read the record of a run's folder.

    Raises FileNotFoundError if there is none, and FileRejected if it is too large, damaged, of a
    later format, or not the record of a run.
    """
    with open_file(folder, RECORD) as file:
        try:
            data = file.read(LARGEST_RECORD + 1)
        except OSError as problem:
            raise FileRejected(f"cannot be read: {problem.strerror or problem}") from problem
    if len(data) > LARGEST_RECORD:
        raise FileRejected(f"is larger than any record: more than {LARGEST_RECORD:,} bytes")
    return decode(data)


def decode(data: bytes) -> RunRecord:
    """Read the content of a `run.json`; fields that are not known are ignored.

    Raises FileRejected.
    """
    try:
        # Not msgspec's own reader: it refuses the escape of a lone surrogate in a provider's text.
        document = json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise FileRejected("is not JSON") from problem
    version = document.get("format_version") if isinstance(document, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FileRejected("is not the record of a run: it has no format_version")
    if version > FORMAT_VERSION:
        raise FileRejected(
            f"was written by a later version of runner (format_version {version}); use that one"
        )
    try:
        return msgspec.convert(document, RunRecord)
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise FileRejected(f"is not the record of a run: {problem}") from problem
