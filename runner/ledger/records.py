"""The rows of the ledger as frozen values. Pure: the plan is made from these alone.

A run is a job's revision; its shards are cut once and never again; a submission is one attempt
at a shard (or at what is left of it) and is the unit that is submitted exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from runner.spec.job import METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.batch import Batch
    from runner.inputs.row_set import RowSet

REVISION_SHOWN: Final = 12
"""How many hex digits of a revision people see, in keys and in folder names."""


_LONGEST_COUNT: Final = 12


class RunState(StrEnum):
    """Where a job stands, in the words of the command line's contract."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more happens to the run unless someone asks for it."""
        return self not in (RunState.PENDING, RunState.RUNNING)


class SubmissionState(StrEnum):
    """The steps of the exactly-once protocol, and the ways it can end.

    `uploading` and `creating` are intents: a submission found in one of them by a later pass
    may or may not have reached the provider, so that pass looks before it acts.
    """

    PREPARED = "prepared"
    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    CREATING = "creating"
    SUBMITTED = "submitted"
    COLLECTED = "collected"
    FAILED = "failed"
    LOST = "lost"
    ABANDONED = "abandoned"

    @property
    def closed(self) -> bool:
        """Whether this attempt is over, whatever came of it."""
        return self in _CLOSED


_CLOSED: Final = frozenset(
    {
        SubmissionState.COLLECTED,
        SubmissionState.FAILED,
        SubmissionState.LOST,
        SubmissionState.ABANDONED,
    }
)


def _is_count(text: str) -> bool:
    """Whether a text from outside is a number that we could have written."""
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_COUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionKey:
    """The deterministic name of a submission: `<job>/<revision>/<shard>/<attempt>`."""

    job: str
    revision: str
    shard: int
    attempt: int

    def __str__(self) -> str:
        """Write the key as it stands in the ledger and in a batch's metadata."""
        return f"{self.job}/{self.revision}/{self.shard:04d}/{self.attempt}"

    @property
    def filename(self) -> str:
        """The input file's name at the provider.

        No slash, since servers may take a path's last part for the name; the last three
        parts cannot hold a dash, so the name reads back without doubt.
        """
        return f"{self.job}-{self.revision}-{self.shard:04d}-{self.attempt}.jsonl"

    @classmethod
    def parse(cls, text: str) -> SubmissionKey | None:
        """Read a key back; None for anything that is not one of ours."""
        return cls._from_parts(text.rsplit("/", 3))

    @classmethod
    def parse_filename(cls, text: str) -> SubmissionKey | None:
        """Read the key out of a file's name at the provider; None if it is not ours."""
        if not text.endswith(".jsonl"):
            return None
        return cls._from_parts(text.removesuffix(".jsonl").rsplit("-", 3))

    @classmethod
    def _from_parts(cls, parts: list[str]) -> SubmissionKey | None:
        if len(parts) != 4:  # noqa: PLR2004 -- job, revision, shard, attempt
            return None
        job, revision, shard, attempt = parts
        if (
            not job
            or len(revision) != REVISION_SHOWN
            or not _is_count(shard)
            or not _is_count(attempt)
        ):
            return None
        return cls(job=job, revision=revision, shard=int(shard), attempt=int(attempt))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """What our metadata pair says of a batch: its key, and what was in its file.

    `part_of` is the digest of the shard where the file holds only some of it.
    """

    key: SubmissionKey
    requests: int | None = None
    sha256: str | None = None
    part_of: str | None = None

    def __str__(self) -> str:
        """Write the value of the metadata pair; at most 512 characters by construction."""
        part = "" if self.part_of is None else f" part_of={self.part_of}"
        return f"{self.key} rows={self.requests} sha256={self.sha256}{part}"

    @classmethod
    def of(cls, batch: Batch) -> Tag | None:
        """Read the tag of an observed batch; None if it does not carry one."""
        words = batch.metadata.get(METADATA_KEY, "").split(" ")
        key = SubmissionKey.parse(words[0])
        if key is None:
            return None
        pairs = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        rows = pairs.get("rows", "")
        return cls(
            key=key,
            requests=int(rows) if _is_count(rows) else None,
            sha256=pairs.get("sha256"),
            part_of=pairs.get("part_of"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecord:
    """A slice of a run's requests, as it was cut when the run began.

    `rows` are 0-based indexes of the whole input; `offset` and `ids_offset` are the byte
    positions of the first of them in the input and in the file of custom_ids. `tokens` is what
    an exact counter made of the prompts, None where they are only estimated.
    """

    number: int
    model: str | None
    rows: RowSet
    requests: int
    bytes: int
    sha256: str
    offset: int
    ids_offset: int
    whole: bool
    tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One attempt at a shard, or at what was left of it.

    Attributes:
        round: how often a person had asked for the unanswered requests again (`retry`).
        counted: whether the requests had their chance; a batch that was turned away whole
            by a token or queue limit does not count against `retry.attempts`.
        since: a lower bound, by the provider's clock, for when the remote object was made.
        intent_at: when the POST was about to be sent; Unix seconds, this machine's clock.
        doubt_at: when a pass first knew that the outcome of that POST is unknown.
        not_before: do not submit earlier than this (backoff after a limit), or 0.
        overdue_at: when the batch was first found to take longer than it should.
        tidied_at: when its files were deleted at the provider.
        terminal_at: when the batch was first seen in a terminal status.
        missing_at: when the provider first said that it does not know the batch.
        transient, permanent: the rows that ended without a success; known once closed.
        batch: the Batch object as last recorded.

    """

    key: SubmissionKey
    round: int = 0
    state: SubmissionState
    rows: RowSet
    requests: int
    bytes: int
    sha256: str
    counted: bool = True
    input_file_id: str | None = None
    batch_id: str | None = None
    since: int | None = None
    intent_at: float | None = None
    doubt_at: float | None = None
    not_before: float = 0.0
    submitted_at: float | None = None
    terminal_at: float | None = None
    missing_at: float | None = None
    overdue_at: float | None = None
    tidied_at: float | None = None
    transient: RowSet | None = None
    permanent: RowSet | None = None
    problem: str | None = None
    batch: Batch | None = None

    def tag(self, shard: ShardRecord) -> Tag:
        """Return what the batch's metadata says of it."""
        return Tag(
            key=self.key,
            requests=self.requests,
            sha256=self.sha256,
            part_of=None if self.sha256 == shard.sha256 else shard.sha256,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A job's revision and everything done for it.

    `shards` and `submissions` are empty where only a summary was asked for (finished runs).
    `folder` is the run's output folder relative to the project root; `git` where the project's
    repository stood when the run began, as JSON. `spec_…` is the last document that asked for
    this revision: a later one may ask for another. `ceiling` is how many bytes a file may have,
    learned from one that was refused for its size.
    """

    id: int
    job: str
    revision: str
    state: RunState
    reason: str | None = None
    provider: str
    base_url: str | None
    endpoint: str
    replicate: int
    digest: str
    requests: int
    bytes: int
    input_path: str
    folder: str
    git: str | None = None
    spec_path: str = ""
    spec_line: int = 0
    spec_sha256: str = ""
    spec_document: str = ""
    round: int = 0
    attempts: int = 3
    succeeded: int = 0
    failed: int = 0
    superseded: bool = False
    cancel_requested: bool = False
    created_at: float
    finished_at: float | None = None
    tidied_at: float | None = None
    ceiling: int | None = None
    shards: tuple[ShardRecord, ...] = ()
    submissions: tuple[Submission, ...] = ()
    _by_shard: dict[int, list[Submission]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def short(self) -> str:
        """The revision as people see it."""
        return self.revision[:REVISION_SHOWN]

    @property
    def name(self) -> str:
        """The run as people see it: `<job>/<revision>`."""
        return f"{self.job}/{self.short}"

    def shard_submissions(self, number: int) -> tuple[Submission, ...]:
        """Return the attempts at one shard, first to last."""
        if not self._by_shard:
            for submission in self.submissions:
                self._by_shard.setdefault(submission.key.shard, []).append(submission)
        return tuple(self._by_shard.get(number, ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A job as the last pass left it; `wanted` is the revision its spec asked for then."""

    name: str
    wanted: str | None
    spec_path: str
    spec_line: int
    spec_sha256: str
    spec_document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """A remote file and where its content lies; `path` is relative to the run's folder."""

    kind: str
    file_id: str
    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the append-only history. `detail` never holds a secret or a prompt."""

    at: float
    kind: str
    job: str | None = None
    revision: str | None = None
    submission: str | None = None
    batch: str | None = None
    detail: Mapping[str, object]
