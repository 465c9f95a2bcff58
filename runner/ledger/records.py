"""The rows of the ledger as frozen values. Pure: the input of the plan.

A run is one revision of a job. It is divided into shards once. A submission is one attempt at a
shard, or at its unfinished rows, and is the unit that is submitted exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from runner.spec.identity import REVISION_SHOWN
from runner.spec.job import METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.batch import Batch
    from runner.inputs.row_set import RowSet

_LONGEST_COUNT: Final = 12


class RunState(StrEnum):
    """The state of a run, in the words of the command line's contract."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether the run has ended; only a command or a changed spec continues it."""
        return self not in (RunState.PENDING, RunState.RUNNING)


class SubmissionState(StrEnum):
    """The states of a submission in the exactly-once protocol.

    `uploading` and `creating` are intents: a later pass that finds a submission in one of them
    cannot know whether the call reached the provider, so it checks the provider before it acts.
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
        """Whether the submission has ended, with or without success."""
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
    """Whether a text from outside is a number in the form that runner writes."""
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_COUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionKey:
    """The deterministic name of a submission: `<job>/<revision>/<shard>/<attempt>`."""

    job: str
    revision: str
    shard: int
    attempt: int

    def __str__(self) -> str:
        """Return the key as it is written in the ledger and in a batch's metadata."""
        return f"{self.job}/{self.revision}/{self.shard:04d}/{self.attempt}"

    @property
    def place(self) -> str:
        """The shard and, after the first one, the attempt in words: `shard 3, attempt 2`."""
        return f"shard {self.shard}" + (f", attempt {self.attempt}" if self.attempt > 1 else "")

    @property
    def filename(self) -> str:
        """The input file's name at the provider.

        It has no slash, because servers may keep only the last part of a path. The last three
        parts cannot hold a dash, so the name can be parsed back.
        """
        return f"{self.job}-{self.revision}-{self.shard:04d}-{self.attempt}.jsonl"

    @classmethod
    def parse(cls, text: str) -> SubmissionKey | None:
        """Parse a submission key; None if the text is not one."""
        return cls._from_parts(text.rsplit("/", 3))

    @classmethod
    def parse_filename(cls, text: str) -> SubmissionKey | None:
        """Parse the submission key from a file's name at the provider; None if it has none."""
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
    """The metadata that runner attaches to a batch: its submission key and a summary of its file.

    `part_of` is the digest of the shard if the file holds only a part of it.
    """

    key: SubmissionKey
    requests: int | None = None
    sha256: str | None = None
    part_of: str | None = None

    def __str__(self) -> str:
        """Return the metadata value; it never exceeds 512 characters."""
        part = "" if self.part_of is None else f" part_of={self.part_of}"
        return f"{self.key} rows={self.requests} sha256={self.sha256}{part}"

    @classmethod
    def of(cls, batch: Batch) -> Tag | None:
        """Parse the tag of an observed batch; None if it has none."""
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
    """A part of a run's requests, fixed when the run began.

    `rows` are 0-based row numbers of the whole input; `offset` and `ids_offset` are the byte
    positions of its first row in the input and in the file of custom_ids. `tokens` is the exact
    token count of the prompts, None if it is only estimated.
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
    """One attempt at a shard, or at its unfinished rows.

    Attributes:
        round: how many times `runner retry` had been run on the job before it.
        counted: whether it counts against `retry.attempts`; a batch that was rejected as a whole
            by a token or queue limit does not.
        since: a lower bound, by the provider's clock, for when the remote object was created.
        intent_at: when the POST was about to be sent; Unix seconds, this machine's clock.
        doubt_at: when a pass first found that the outcome of that POST is unknown.
        not_before: do not submit earlier than this (backoff after a limit), or 0.
        overdue_at: when the batch was first found to take longer than it should.
        tidied_at: when its files were deleted at the provider.
        terminal_at: when the batch was first seen in a terminal status.
        missing_at: when the provider first replied that it does not know the batch.
        cancelling_since: when its batch was first seen in its cancellation or, where it never was,
            when the user requested that; known from the history, and None in a new submission.
        transient: the failed rows that a new attempt may answer; known once it has ended.
        permanent: the failed rows that no attempt can answer; known once it has ended.
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
    cancelling_since: float | None = None
    overdue_at: float | None = None
    tidied_at: float | None = None
    transient: RowSet | None = None
    permanent: RowSet | None = None
    problem: str | None = None
    batch: Batch | None = None

    def tag(self, shard: ShardRecord) -> Tag:
        """Return the tag for the metadata of its batch."""
        return Tag(
            key=self.key,
            requests=self.requests,
            sha256=self.sha256,
            part_of=None if self.sha256 == shard.sha256 else shard.sha256,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A job's revision and everything done for it.

    `shards` and `submissions` are empty in a summary. `folder` is the run's output folder relative
    to the project root; `git` is the commit of the project's repository when the run began, as
    JSON. `spec_…` describe the last document whose revision was this one; a newer document of the
    job may have another. `ceiling` is the largest size of a file in bytes, known after the provider
    rejected a larger one. `truncated` counts the answers so far that were cut at the token limit;
    None if none has been collected, or by an earlier version that did not count them.
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
    truncated: int | None = None
    shards: tuple[ShardRecord, ...] = ()
    submissions: tuple[Submission, ...] = ()
    _by_shard: dict[int, list[Submission]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def short(self) -> str:
        """The short form of the revision."""
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
    """A job as the last pass recorded it; `desired_revision` is None without a spec."""

    name: str
    desired_revision: str | None
    spec_path: str
    spec_line: int
    spec_sha256: str
    spec_document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """A downloaded result file; `path` is relative to the run's folder."""

    kind: str
    file_id: str
    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of the append-only history. `detail` never holds a secret or a prompt."""

    at: float
    kind: str
    job: str | None = None
    revision: str | None = None
    submission: str | None = None
    batch: str | None = None
    detail: Mapping[str, object]
