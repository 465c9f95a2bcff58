"""What the actions of a plan need to be applied: the context of a command, and the pass state.

`Context` is made once for a command and never changes. `PassState` is made new for each pass, so
that nothing of one pass leaks into the next.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from runner.errors import LocalFileError
from runner.files import require_no_link
from runner.reconcile.concurrency import InlineExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from runner.api.protocol import BatchApi
    from runner.batch import Batch
    from runner.errors import Problem
    from runner.inputs.reading import Fingerprint
    from runner.ledger.records import Run, RunState, SubmissionKey
    from runner.ledger.store import Ledger
    from runner.outputs.answer_index import AnswerIndex
    from runner.reconcile.concurrency import Executor
    from runner.spec.project import Project


class ProgressReporter(Protocol):
    """Shows the progress of something that takes time; may be called from any thread."""

    def __call__(
        self, job: str, what: str, total: int = 0, /
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Show that `what` is being done for a job (or a provider) until the context ends.

        Returns a function that takes the number of bytes done so far of `total`; it may be
        called any number of times. `total` 0 stands for work of unknown size.
        """


@contextlib.contextmanager
def no_progress(_job: str, _what: str, _total: int = 0, /) -> Iterator[Callable[[int], None]]:
    """Show nothing."""
    yield ignore_progress


def ignore_progress(_done: int) -> None:
    """Ignore the number of bytes done so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCounts:
    """A number of requests, and how many of them have succeeded and failed so far."""

    total: int
    succeeded: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that a pass did, or a problem: a sentence for the user, and fields for programs.

    Attributes:
        job: the name of the job; empty if the notice is not about one job.
        message: the sentence.
        is_problem: whether it is a problem; the exit code of the pass is then not 0.
        event: the kind of the event; the same word as in the ledger's history, if it is there too.
        debug: whether it is for the JSON log only, not for the terminal.
        state: the final state of a run.
        counts: the requests that it is about, by state.
        provider: the name of the provider, if the notice is not about a job.
        error: the error that the provider returned, or the local error.

    """

    job: str
    message: str
    is_problem: bool = False
    event: str = "note"
    debug: bool = False
    revision: str | None = None
    submission: SubmissionKey | None = None
    batch: Batch | None = None
    state: RunState | None = None
    counts: RequestCounts | None = None
    provider: str | None = None
    error: Exception | None = None


def ignore_notice(_notice: Notice) -> None:
    """Ignore a notice."""


def ignore_warnings(_warnings: Sequence[Problem]) -> None:
    """Ignore the warnings."""


def with_shard(what: str, run: Run, key: SubmissionKey) -> str:
    """Add the number of the shard to a description, if the run has several."""
    return f"{what} shard {key.shard}" if len(run.shards) > 1 else what


class ProviderPool:
    """The APIs of the providers, each opened at most once, when it is first needed.

    `responded` names the providers that have responded since this program was started.
    """

    def __init__(self, open_api: Callable[[str], BatchApi]) -> None:
        self._open_api = open_api
        self._apis: dict[str, BatchApi] = {}
        self.responded: set[str] = set()

    def api(self, provider: str) -> BatchApi:
        """Return the API of a provider. Raises ApiError, LocalFileError or MissingExtra."""
        if provider not in self._apis:
            self._apis[provider] = self._open_api(provider)
        return self._apis[provider]

    def opened(self, provider: str) -> BatchApi | None:
        """Return the API of a provider that is open already; None for any other."""
        return self._apis.get(provider)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an action needs to be applied; the same for all passes of a command.

    Attributes:
        providers: opens the APIs of the providers.
        clock: returns Unix seconds.
        report_notice: is called with a notice of each thing done, once it is in the ledger.
        report_warnings: is called before a run begins, with what the provider will probably refuse.
        report_progress: shows an upload, a download or another step that takes long.
        executor: makes the calls to providers that may run at the same time.

    """

    project: Project
    ledger: Ledger
    providers: ProviderPool
    clock: Callable[[], float]
    report_notice: Callable[[Notice], None] = ignore_notice
    report_warnings: Callable[[Sequence[Problem]], None] = ignore_warnings
    report_progress: ProgressReporter = no_progress
    executor: Executor = field(default_factory=InlineExecutor)

    def api(self, provider: str) -> BatchApi:
        """Return the API of a provider. Raises ApiError, LocalFileError or MissingExtra."""
        return self.providers.api(provider)

    def folder(self, run: Run) -> Path:
        """Return a run's output folder. Raises LocalFileError: see `place`."""
        return self.place(run.folder)

    def place(self, shown: str) -> Path:
        """Return an output folder by its path as the ledger has it.

        Raises LocalFileError if it is neither in the project nor in its outputs, or if a link
        leads to it: a ledger and links may have come with a clone.
        """
        folder = self.project.root / shown
        require_no_link(folder, within=self.project.base_of(folder))
        return folder

    @property
    def uploads(self) -> Path:
        """The folder of the files that are uploaded or compared, beside the ledger."""
        return self.ledger.path.parent / "uploads"

    def scratch(self, key: SubmissionKey) -> Path:
        """Return the path at which the input file of a submission is written.

        Raises LocalFileError if it would be in another folder: the ledger may have come with a
        clone.
        """
        path = self.uploads / key.filename
        if path.parent != self.uploads:
            raise LocalFileError(f"the ledger has a job whose name is none: {key}")
        require_no_link(self.uploads, within=self.ledger.path.parent)
        return path


_ROWS_KEPT: Final = 500_000
"""Rows whose answer index a pass keeps in memory from collecting to publishing: 20 MB."""


class AnswerIndexCache:
    """The answer indexes of collected submissions, kept until their run is published.

    It holds at most `_ROWS_KEPT` rows; an index that is not kept is read from the files again.
    """

    def __init__(self) -> None:
        self._kept: dict[SubmissionKey, AnswerIndex] = {}

    def put(self, key: SubmissionKey, index: AnswerIndex) -> None:
        """Keep the index of a submission, if there is room for it."""
        if sum(map(len, self._kept.values())) + len(index) <= _ROWS_KEPT:
            self._kept[key] = index

    def take(self, key: SubmissionKey) -> AnswerIndex | None:
        """Remove and return the index of a submission; None if it was not kept."""
        return self._kept.pop(key, None)


@dataclass(slots=True, kw_only=True)
class PassState:
    """What one pass has learned so far.

    Attributes:
        held: the submissions (by key) and runs (by `job/revision`) that are skipped for the rest
            of the pass, each with the reason.
        on_this_machine: those of them whose reason is on this machine: a disk, or an input.
        stopped: the providers that get no more requests in this pass, each with the reason.
        unusable: the providers whose API key is refused, or where there is no credit: waiting
            does not help.
        answered: the providers that have answered a query in this pass.
        refused: the keys of the submissions whose results have been refused, or unusable, for so
            long that `--wait` does not wait for them.
        accepting: the providers that have accepted a batch in this pass. Before the first one is
            accepted, submissions to a provider are made one at a time: one call shows whether the
            API key is refused or the credit is used up.
        recorded_batches, cancelled: the keys of the submissions whose batch was recorded, or whose
            cancellation was requested, in this pass. Each is done once in a pass, so that a
            provider that contradicts itself causes no endless loop.
        no_room: the size in bytes of the smallest file that a provider has refused in this pass
            because the account is full, by provider, with the reason: no file as large is tried.
        recounting: the providers that say another size of each file than was sent.
        max_file_bytes: the largest file of a run, by the run's id, after a provider has refused a
            larger one in this pass.
        unwritable: why the results of a run could not be written, by the run's id; None if they
            could when the pass tried.
        unsynced: whether this pass has said that the disk cannot sync folders.
        scanned: the inputs that this pass has read and may upload as they are, each with its
            fingerprint and digest: an unchanged one need not be hashed again.
        claims: the submission keys of adopted batches that carry none, by batch id.
        answers: the answer indexes of the submissions collected in this pass.
        patience_until: the time (Unix seconds) before which a provider wants no more requests
            (Retry-After), or 0.

    """

    held: dict[str, str] = field(default_factory=dict)
    on_this_machine: set[str] = field(default_factory=set)
    stopped: dict[str, str] = field(default_factory=dict)
    unusable: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    accepting: set[str] = field(default_factory=set)
    recorded_batches: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    no_room: dict[str, tuple[int, str]] = field(default_factory=dict)
    recounting: set[str] = field(default_factory=set)
    max_file_bytes: dict[int, int] = field(default_factory=dict)
    unwritable: dict[int, str | None] = field(default_factory=dict)
    unsynced: bool = False
    scanned: dict[Path, tuple[Fingerprint, str]] = field(default_factory=dict)
    claims: dict[str, SubmissionKey] = field(default_factory=dict)
    answers: AnswerIndexCache = field(default_factory=AnswerIndexCache)
    patience_until: float = 0.0
