"""What is in flight at a provider, in batches and in prompt tokens. Pure.

What a plan is made from: the wish, and what was seen at the provider and on the disk.

Frozen values without behaviour of their own to speak of; the third ingredient, what is known,
comes from the ledger. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.batch import Batch, File
    from runner.inputs.fingerprint import Fingerprint
    from runner.ledger.records import FileRecord, JobRecord, Run, ShardRecord, SubmissionKey
    from runner.spec.job import Job
    from runner.spec.project import Provider


BYTES_A_TOKEN: Final = 3.5
"""UTF-8 bytes of a request line for each prompt token, on the safe side for English, code and
Chinese (fact sheet, section 7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """Prompt tokens: those that were counted, and the bytes of requests that were not.

    `exact` says that nothing of it is an estimate.
    """

    counted: int = 0
    uncounted_bytes: int = 0
    exact: bool = True

    @property
    def tokens(self) -> int:
        """All of them, as well as they are known."""
        return self.counted + tokens(self.uncounted_bytes)

    def __add__(self, other: Enqueued) -> Enqueued:
        """Put two together: bytes are rounded to tokens once, in the sum."""
        return Enqueued(
            counted=self.counted + other.counted,
            uncounted_bytes=self.uncounted_bytes + other.uncounted_bytes,
            exact=self.exact and other.exact,
        )

    def __str__(self) -> str:
        return f"{'' if self.exact else 'about '}{self.tokens:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is in flight at one provider: batches, and prompt tokens by model."""

    batches: int = 0
    enqueued: Mapping[str | None, Enqueued] = field(default_factory=dict)


def tokens(size: int) -> int:
    """Estimate the prompt tokens of so many bytes of request lines."""
    return round(size / BYTES_A_TOKEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restorable:
    """A finished run as its record on disk tells it, with its files by submission key."""

    run: Run
    files: Mapping[str, tuple[FileRecord, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredRun:
    """One job as its spec wants it, with the identity of its answers.

    `shards` is empty where the run is recorded already: its shards were cut when it began.
    `restorable` is a finished run read from its record on disk, for a ledger that lacks it;
    `claims` are the keys, by batch id, of batches of elsewhere that were taken over for it.
    `scanned` is the input as it was just read, where a later write could not go unnoticed.
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
    scanned: Fingerprint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The ledger's side: jobs, runs, and batches seen earlier that had no submission here.

    `loads` says by provider what is in flight, of all jobs, selected or not. `keys` has, for
    revisions that several jobs ask or have asked for, the keys of every submission. Runs in a
    final state are summaries; the others hold their shards and submissions.
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
    """One look through a provider's lists for what may be ours.

    `started_at` (Unix seconds, this machine's clock) is before the first page was asked for:
    only what was doubted earlier than that can be settled by it. `complete` says that every
    batch since the bound was seen; `offered` that the provider has such a list at all. `files`
    is None where there was no reason to list them.
    """

    started_at: float
    complete: bool
    offered: bool = True
    batches: tuple[Batch, ...] = ()
    files: tuple[File, ...] | None = None
    files_complete: bool = False
    files_offered: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What one provider answered in this pass.

    `failure` is why it could not be asked, in words, and `error` what that was; `unusable` that
    asking again cannot help. What was learned before the failure is kept. `batches` holds the
    in-flight batches that were found, `missing` the ids it says it does not know. `asked_at`
    (Unix seconds) is when the asking began: what is missing was missing then.
    """

    failure: str | None = None
    error: Exception | None = None
    unusable: bool = False
    listing: Listing | None = None
    batches: Mapping[str, Batch] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    asked_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInputs:
    """Everything the plan may know besides the wish and the ledger.

    `living` are the names of all jobs in the project's specs, selected or not; None if some
    spec file could not be read, so that no name is known to be gone. `published` are the ids
    of final runs whose output is on the disk; `latest` is what each job's link leads to.
    `held` maps the keys of submissions (as text) and runs that failed earlier in this pass
    to the reason: they are left alone until the next. With `restoring` the plan only writes down
    what there is already. `recorded_batches` and `cancelled` are the keys of
    batches that were recorded, or asked to be cancelled, in this pass already.
    """

    now: float
    observed: Mapping[str, Observed]
    providers: Mapping[str, Provider]
    living: frozenset[str] | None
    published: frozenset[int] = frozenset()
    latest: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    restoring: bool = False
    recorded_batches: frozenset[str] = frozenset()
    cancelled: frozenset[str] = frozenset()

    def of(self, provider: str) -> Observed:
        """Return what was seen at a provider; nothing if there was no question for it."""
        return self.observed.get(provider, Observed())
