"""The actions, waits and notes of a plan.

The set of actions is closed: every place that handles actions handles each class, which mypy
checks. An action holds all values that are needed to apply it. Its `reason` is for the user, and no
code branches on it. Applying an action changes the ledger, so the next plan does not have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

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


Verb: TypeAlias = Literal[
    "start",
    "restore",
    "move",
    "reopen",
    "note",
    "submit",
    "adopt",
    "adopt_file",
    "doubt",
    "retract",
    "observe",
    "missing",
    "overdue",
    "lose",
    "collect",
    "close",
    "cancel",
    "abandon",
    "publish",
    "point_latest",
    "tidy",
]
"""The words for actions in `plan --json`. They never change."""


class BatchFailure(StrEnum):
    """Why a batch was rejected as a whole, by what can be done about it."""

    LIMIT = "limit"
    """A token or queue limit: the same file is submitted again later; no attempt is counted."""

    MONEY = "money"
    """No credit, or a hard limit: as above, and the user has to act."""

    PASSING = "passing"
    """The provider's own fault (file not found, internal error): resubmitted, and counted."""

    LASTING = "lasting"
    """The request is wrong and the user has to fix it: the run has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAction:
    """The base of all actions: the run that the action is about, and the reason for it.

    Attributes of each class:
        verb: the word for it in `plan --json`, which never changes.
        sign: the sign in front of it in `runner plan`.
        calls_provider: applying it sends a request to the provider.
        bookkeeping: only the ledger changes, so `runner plan` counts it as no change.

    """

    verb: ClassVar[Verb]
    sign: ClassVar[str]
    calls_provider: ClassVar[bool] = False
    bookkeeping: ClassVar[bool] = False

    run: Run
    reason: str

    @property
    def submission_key(self) -> SubmissionKey | None:
        """The key of the submission that it is about; None if it is about the whole run."""
        return None

    @property
    def remote_batch_id(self) -> str | None:
        """The id of the batch that it is about; None if there is no batch yet."""
        return None

    @property
    def subject(self) -> str:
        """The key of its submission, or else the name of its run; a failure holds this subject."""
        key = self.submission_key
        return self.run.name if key is None else str(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionAction(RunAction):
    """An action about a submission that is recorded, or will be."""

    submission: Submission

    @property
    def submission_key(self) -> SubmissionKey:
        """The key of the submission."""
        return self.submission.key


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAction(RunAction):
    """An action about a submission of which only the key matters."""

    key: SubmissionKey

    @property
    def submission_key(self) -> SubmissionKey:
        """The key of the submission."""
        return self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRun(RunAction):
    """Record a revision that is not in this ledger, with its shards."""

    verb = "start"
    sign = "+"

    job: JobRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRun(RunAction):
    """Record a finished run again, from its `run.json`, after the ledger was lost."""

    verb = "restore"
    sign = "<"

    job: JobRecord
    restorable: Restorable


@dataclass(frozen=True, slots=True, kw_only=True)
class RelocateRun(RunAction):
    """Move a run and its outputs to the job, or the folder, that the spec names now."""

    verb = "move"
    sign = "~"

    job: JobRecord
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReopenRun(RunAction):
    """Continue a run that ended early because its spec had changed or was removed."""

    verb = "reopen"
    sign = "+"

    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSpec(RunAction):
    """Record an edit of the spec that makes no new batch."""

    verb = "note"
    sign = " "
    bookkeeping = True

    job: JobRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit(SubmissionAction):
    """Take a submission from its present state to `submitted`.

    A new attempt (`new`) has the state `prepared` and is not in the ledger yet. With
    `input_file_id` set on a new one, that file is used again and nothing is uploaded.
    """

    verb = "submit"
    sign = "+"
    calls_provider = True

    job: Job
    shard: ShardRecord
    new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptBatch(KeyAction):
    """Record a batch at the provider that carries this submission's key or input file.

    `submission` is None where this ledger has no such attempt: its rows are then read from the
    batch's own input file.
    """

    verb = "adopt"
    sign = "<"

    shard: ShardRecord
    submission: Submission | None
    batch: Batch

    @property
    def remote_batch_id(self) -> str:
        """The id of the batch."""
        return self.batch.id


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptFile(KeyAction):
    """Record a file at the provider that has this submission's file name and size."""

    verb = "adopt_file"
    sign = "<"
    calls_provider = True

    file: File
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkUncertain(KeyAction):
    """Record that the outcome of an intended call is unknown; the grace time starts now."""

    verb = "doubt"
    sign = "?"
    bookkeeping = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearIntent(KeyAction):
    """Withdraw an intent: a complete list, read late enough, shows that it had no effect."""

    verb = "retract"
    sign = " "


@dataclass(frozen=True, slots=True, kw_only=True)
class Observe(KeyAction):
    """Record the present state of a batch at the provider."""

    verb = "observe"
    sign = " "
    bookkeeping = True

    batch: Batch

    @property
    def remote_batch_id(self) -> str:
        """The id of the batch."""
        return self.batch.id


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteMissing(KeyAction):
    """Record that the provider does not know a batch that it created for us."""

    verb = "missing"
    sign = "?"
    bookkeeping = True

    batch_id: str

    @property
    def remote_batch_id(self) -> str:
        """The id of the batch."""
        return self.batch_id


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkLost(SubmissionAction):
    """Give up a batch that has vanished, or (`stuck`) whose cancellation never ends.

    Its rows are not resubmitted: they may be paid for.
    """

    stuck: bool = False

    verb = "lose"
    sign = "!"

    @property
    def remote_batch_id(self) -> str | None:
        """The id of the batch."""
        return self.submission.batch_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Collect(SubmissionAction):
    """Download both files of a terminal batch and classify each of its rows.

    With `early` the output file may still be named later: the rows are then classified only if
    the error file alone has a line for every request.
    """

    verb = "collect"
    sign = "<"
    calls_provider = True

    shard: ShardRecord
    batch: Batch
    early: bool = False

    @property
    def remote_batch_id(self) -> str:
        """The id of the batch."""
        return self.batch.id


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRejectedBatch(SubmissionAction):
    """Close a submission whose batch the provider rejected as a whole."""

    verb = "close"
    sign = "!"

    batch: Batch
    failure: BatchFailure
    not_before: float

    @property
    def remote_batch_id(self) -> str:
        """The id of the batch."""
        return self.batch.id


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteOverdue(KeyAction):
    """Record and report that a batch takes longer than it should."""

    verb = "overdue"
    sign = "!"
    bookkeeping = True

    batch_id: str

    @property
    def remote_batch_id(self) -> str:
        """The id of the batch."""
        return self.batch_id


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelBatch(SubmissionAction):
    """Cancel a batch at the provider: the user no longer wants it, or it is overdue."""

    verb = "cancel"
    sign = "-"
    calls_provider = True

    @property
    def remote_batch_id(self) -> str | None:
        """The id of the batch."""
        return self.submission.batch_id


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonSubmission(SubmissionAction):
    """Close a submission without a batch that no spec or user needs any more."""

    verb = "abandon"
    sign = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish(RunAction):
    """Publish the final files of a run and record its final state.

    `again` is true if the run is finished already, and its final files are missing.
    """

    verb = "publish"
    sign = "="

    job: Job | None
    state: RunState
    superseded: bool
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PointLatest(RunAction):
    """Point the link `latest` to the revision that the spec describes."""

    verb = "point_latest"
    sign = "="


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRemoteFiles(RunAction):
    """Delete a finished run's files at the provider; its results are on this disk."""

    verb = "tidy"
    sign = "-"
    calls_provider = True


SequentialAction = (
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
"""Actions that are applied one after the other."""

Action = SequentialAction | Submit | Collect
"""Any action. Submitting and collecting wait for the network and run concurrently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A submission or a run for which nothing can be done now, and the reason.

    `until` is the time after which a pass may continue with it (Unix seconds); None if that depends
    on the provider or the user. `is_problem` is true if the user has to act: a pass that ends with
    such a wait exits with 1. `in_flight` is true if its batch is at the provider, and nothing is
    wrong with it. `of_provider` is true if the reason concerns all jobs at the provider; without
    `is_problem` it is then unknown whether such a problem is over.
    """

    run: Run
    key: SubmissionKey | None
    reason: str
    until: float | None = None
    is_problem: bool = False
    in_flight: bool = False
    of_provider: bool = False

    @property
    def subject(self) -> str:
        """The key of its submission, or else the name of its run."""
        return self.run.name if self.key is None else str(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFirst:
    """The need to list a provider before anything can be decided about a run."""

    run: Run


Steps = list[Action | Wait | ListFirst]
"""The decision about one shard: actions, or waits with the reason why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The actions that will be applied, in order, and the waits.

    `notes` are sentences for the user: edits that cost nothing, jobs with the same requests,
    results that expire soon. `needs_listing` are the providers whose lists have to be read before
    this plan is complete; the plan is then made again.
    """

    actions: tuple[Action, ...]
    waits: tuple[Wait, ...]
    notes: tuple[str, ...]
    needs_listing: frozenset[str] = frozenset()
