"""The inputs of a plan: desired runs, recorded state, and what was observed at the providers.

Frozen values. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from runner.ledger.records import Run, RunState
from runner.spec.identity import REVISION_SHOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.batch import Batch, File
    from runner.inputs.reading import Fingerprint
    from runner.ledger.records import FileRecord, JobRecord, ShardRecord, SubmissionKey
    from runner.spec.job import Job
    from runner.spec.project import Provider


BYTES_A_TOKEN: Final = 3.5
"""UTF-8 bytes of a request line for each prompt token, on the safe side for English, code and
Chinese (fact sheet, section 7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """A number of prompt tokens: counted tokens, and the bytes of requests that were not counted.

    `exact` is true if no part of it is an estimate.
    """

    counted: int = 0
    uncounted_bytes: int = 0
    exact: bool = True

    @property
    def tokens(self) -> int:
        """The number of prompt tokens; those of uncounted requests are estimated."""
        return self.counted + tokens(self.uncounted_bytes)

    def __add__(self, other: Enqueued) -> Enqueued:
        """Add two; bytes are converted to tokens once, in the sum."""
        return Enqueued(
            counted=self.counted + other.counted,
            uncounted_bytes=self.uncounted_bytes + other.uncounted_bytes,
            exact=self.exact and other.exact,
        )

    def __str__(self) -> str:
        return f"{'' if self.exact else 'about '}{self.tokens:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The batches in flight at one provider, and their prompt tokens by model."""

    batches: int = 0
    enqueued: Mapping[str | None, Enqueued] = field(default_factory=dict)


def tokens(size: int) -> int:
    """Estimate the prompt tokens of `size` bytes of request lines."""
    return round(size / BYTES_A_TOKEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restorable:
    """A finished run, read from its record on the disk, with its files by submission key."""

    run: Run
    files: Mapping[str, tuple[FileRecord, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRun:
    """A run of the same requests by the same job, at another provider or address.

    `provider_edited` is true if the `provider` of the spec was edited since, to one at another
    address. `asked_again` is true if the spec of that run had `ask_again: true` already.
    """

    run: Run
    provider_edited: bool
    asked_again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredRun:
    """The desired run of one job: its spec and its revision.

    `shards` is empty if the run is recorded already: its shards were cut when it began.
    `restorable` is a finished run that was read from its `run.json` because the ledger does not
    have it. `claims` are the submission keys, by batch id, of batches that `runner adopt` has
    adopted for it. `earlier` are the runs of the same requests elsewhere, while this run is not
    submitted yet. `scanned` is the fingerprint of the input that this pass has read; None if the
    input was not read, or if a later write might leave the same fingerprint.
    """

    job: Job
    revision: str
    digest: str
    requests: int
    bytes: int
    folder: str
    record: JobRecord
    shards: tuple[ShardRecord, ...] = ()
    restorable: Restorable | None = None
    claims: Mapping[str, SubmissionKey] = field(default_factory=dict)
    earlier: tuple[EarlierRun, ...] = ()
    scanned: Fingerprint | None = None

    @property
    def short(self) -> str:
        """The revision as submission keys, folder names and messages have it."""
        return self.revision[:REVISION_SHOWN]

    def new_run(self, now: float) -> Run:
        """Return the run that it becomes where the ledger has none; its id is 0."""
        return Run(
            id=0,
            job=self.job.name,
            revision=self.revision,
            state=RunState.PENDING,
            provider=self.job.provider.name,
            base_url=self.job.provider.identity["base_url"],
            endpoint=self.job.endpoint,
            replicate=self.job.replicate,
            digest=self.digest,
            requests=self.requests,
            bytes=self.bytes,
            input_path=self.job.input_shown,
            folder=self.folder,
            attempts=self.job.attempts,
            created_at=now,
            shards=self.shards,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The recorded state: the jobs and runs of the ledger, and listed batches without a submission.

    `tagged` has these batches by provider. `loads` has, by provider, the batches in flight of all
    jobs, selected or not. `keys` has the keys of all submissions, for revisions that several jobs
    share or have shared. Runs in a final state are summaries; the others have their shards and
    submissions.
    """

    jobs: Mapping[str, JobRecord]
    runs: tuple[Run, ...]
    tagged: Mapping[str, tuple[tuple[SubmissionKey | None, Batch], ...]] = field(
        default_factory=dict
    )
    keys: Mapping[str, frozenset[SubmissionKey]] = field(default_factory=dict)
    loads: Mapping[str, Load] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The lists of a provider, read once to find batches and files with our keys.

    `started_at` (Unix seconds, this machine's clock) is the time before the first page was
    requested: only what happened before is sure to be in the list. `complete` is true if it has
    every batch since the bound, `offered` if the provider has such a list at all. `files` is None
    if there was no reason to list them. `unreadable` says which entries of the list of batches
    could not be read and may be ours.
    """

    started_at: float
    complete: bool
    offered: bool = True
    batches: tuple[Batch, ...] = ()
    files: tuple[File, ...] | None = None
    files_complete: bool = False
    files_offered: bool = True
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The observed state of one provider in this pass.

    `failure` is the reason why it could not be queried, as text, and `error` the exception;
    `unusable` is true if another try does not help. What was observed before the failure is kept.
    `batches` are the batches that were found, by id; `missing` are the ids of batches that the
    provider does not know. `queried_at` (Unix seconds) is the time when the queries began.
    """

    failure: str | None = None
    error: Exception | None = None
    unusable: bool = False
    listing: Listing | None = None
    batches: Mapping[str, Batch] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    queried_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInputs:
    """The inputs of a plan except desired and recorded state.

    `job_names` are the names of all jobs in the project's specs, selected or not; None if a spec
    file could not be read, so that no job is known to be removed. `published` are the ids of
    final runs whose output is on the disk; `latest` is the revision that each job's link leads
    to. `held` maps submissions (by key) and runs (by `job/revision`) that failed earlier in this
    pass to the reason: they are skipped until the next pass. With `restoring` the plan only
    records what exists already. `recorded_batches` and `cancelled` are the keys of submissions
    whose batch was recorded, or cancelled, in this pass already. `lost_providers` are the
    providers of earlier runs that the project does not know, if its `runner.yaml` is gone.
    """

    now: float
    observed: Mapping[str, Observed]
    providers: Mapping[str, Provider]
    job_names: frozenset[str] | None
    published: frozenset[int] = frozenset()
    latest: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    restoring: bool = False
    recorded_batches: frozenset[str] = frozenset()
    cancelled: frozenset[str] = frozenset()
    lost_providers: frozenset[str] = frozenset()

    def of(self, provider: str) -> Observed:
        """Return what was observed at a provider; nothing if it was not queried."""
        return self.observed.get(provider, Observed())
