"""The closed set of steps that a plan can hold.

An action says everything that is needed to carry it out; `reason` is for people and nothing
branches on it. Applying an action changes the ledger, so that the next plan does not hold it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.batch import Batch, File
    from runner.ledger.records import (
        JobRecord,
        Run,
        RunState,
        ShardRecord,
        Submission,
        SubmissionKey,
    )
    from runner.planning.state import Restorable
    from runner.spec.job import Job


class BatchFailure(StrEnum):
    """Why a batch was turned away as a whole, by what can be done about it."""

    LIMIT = "limit"
    """A token or queue limit: the same file goes in again later, and this does not count."""

    MONEY = "money"
    """No credit, or a hard limit: as above, and a person must see to it."""

    PASSING = "passing"
    """The provider's own trouble (file not found, internal error): a bounded resubmission."""

    LASTING = "lasting"
    """The user's to fix: the run has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAction:
    """What every action has: the run it belongs to, and the reason for it."""

    run: Run
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRun(RunAction):
    """Record a revision that this ledger has not met, with its shards."""

    job: JobRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRun(RunAction):
    """Take over a finished run from its record on disk; the ledger that made it is gone."""

    job: JobRecord
    restorable: Restorable


@dataclass(frozen=True, slots=True, kw_only=True)
class RelocateRun(RunAction):
    """Hand a run and its outputs to the job (or the folder) that asks for it now."""

    job: JobRecord
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReopenRun(RunAction):
    """Go on with a run that ended early because its spec had changed or gone."""

    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSpec(RunAction):
    """Record what the spec says now; no batch comes of it."""

    job: JobRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit(RunAction):
    """Take a submission from wherever it stands to `submitted`.

    `submission` is what is recorded, or will be: a new attempt has state `prepared` and is
    not in the ledger yet (`new`). With `input_file_id` set on a new one, that file is used
    again and nothing is uploaded.
    """

    job: Job
    shard: ShardRecord
    submission: Submission
    new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptBatch(RunAction):
    """Take over a batch at the provider that carries this submission's key or file.

    `submission` is None where this ledger knows nothing of the attempt: its rows are then
    read from the batch's own input file.
    """

    key: SubmissionKey
    shard: ShardRecord
    submission: Submission | None
    batch: Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptFile(RunAction):
    """Take over a file at the provider that carries this submission's name and size."""

    key: SubmissionKey
    file: File
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkUncertain(RunAction):
    """Note that the outcome of an intended call is unknown; the grace time starts now."""

    key: SubmissionKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearIntent(RunAction):
    """Take an intent back: a complete look, late enough, shows that it had no effect."""

    key: SubmissionKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Observe(RunAction):
    """Record what the provider says of a batch now."""

    key: SubmissionKey
    batch: Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteMissing(RunAction):
    """Record that the provider does not know a batch that it made for us."""

    key: SubmissionKey
    batch_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkLost(RunAction):
    """Give a vanished batch up; nothing is asked again by itself, since it may be paid for."""

    submission: Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class Collect(RunAction):
    """Download both files of a terminal batch and settle each of its rows.

    With `early` its output file may still be named: it is then settled only if the error file
    alone has a line for every request.
    """

    shard: ShardRecord
    submission: Submission
    batch: Batch
    early: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRejectedBatch(RunAction):
    """Close a submission whose batch the provider turned away as a whole."""

    submission: Submission
    batch: Batch
    failure: BatchFailure
    not_before: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteOverdue(RunAction):
    """Record, and say, that a batch takes longer than it should."""

    key: SubmissionKey
    batch_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelBatch(RunAction):
    """Ask the provider to stop a batch: a person no longer wants it, or it is overdue."""

    submission: Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonSubmission(RunAction):
    """Close a submission that never became a batch and is no longer wanted."""

    submission: Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish(RunAction):
    """Publish the final files of a run and record its final state.

    `again` is set where a run is finished already but its files are gone from the disk.
    """

    job: Job | None
    state: RunState
    superseded: bool
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PointLatest(RunAction):
    """Let `latest` lead to the revision that the spec asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRemoteFiles(RunAction):
    """Delete a finished run's files at the provider; its results are here."""


Alone = (
    StartRun
    | RestoreRun
    | RelocateRun
    | ReopenRun
    | NoteSpec
    | AdoptBatch
    | AdoptFile
    | MarkUncertain
    | ClearIntent
    | Observe
    | NoteMissing
    | NoteOverdue
    | MarkLost
    | CloseRejectedBatch
    | CancelBatch
    | AbandonSubmission
    | Finish
    | PointLatest
    | DeleteRemoteFiles
)
"""Actions that are carried out one after the other."""

Action = Alone | Submit | Collect
"""Any action; submitting and collecting, which wait for the network, go on side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Something that is not to be done now, and why.

    `until` is when it is worth looking again (Unix seconds), or None if the provider alone
    decides. `trouble` marks what a person must see to: a pass that holds it exits with 1. `listing`
    says that the provider's lists must be looked through before anything is submitted.
    """

    run: Run
    key: SubmissionKey | None
    reason: str
    until: float | None = None
    trouble: bool = False
    listing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be done, in order, and what is being waited for.

    `notes` are sentences for people: edits that cost nothing, twins, drift.
    """

    actions: tuple[Action, ...]
    waits: tuple[Wait, ...]
    notes: tuple[str, ...]
