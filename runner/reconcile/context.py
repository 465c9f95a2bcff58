"""Showing how far something has come: what takes its time opens it, whoever watches sees it.

Bytes are moved in several threads at once, and what is shown of each ends when it ends, however
that is: so it is a context manager.

What applying a plan needs: the project, the ledger, the providers, and someone to tell.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from runner.errors import (
    OutOfMoney,
    RateLimited,
    Transient,
    Unauthorized,
    UnexpectedReply,
    Unreachable,
)
from runner.ledger.records import SubmissionKey
from runner.reconcile.concurrency import InlineExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from runner.api.protocol import BatchApi
    from runner.batch import Batch
    from runner.errors import ApiError
    from runner.inputs.fingerprint import Fingerprint
    from runner.ledger.records import Run, RunState
    from runner.ledger.store import Ledger
    from runner.outputs.answer_index import AnswerIndex
    from runner.planning.actions import Plan
    from runner.planning.state import DesiredRun
    from runner.reconcile.concurrency import Executor
    from runner.spec.project import Project


class ProgressReporter(Protocol):
    """Opens something that takes its time; may be called from any thread."""

    def __call__(
        self, job: str, what: str, total: int = 0, /
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Show `what` is being done for a job (or a provider) until the context ends.

        Gives what is to be told how many bytes of `total` are done, as often as one likes;
        `total` 0 stands for work of unknown size.
        """


@contextlib.contextmanager
def no_progress(_job: str, _what: str, _total: int = 0, /) -> Iterator[Callable[[int], None]]:
    """Show nothing."""
    yield ignore_progress


def ignore_progress(_done: int) -> None:
    """Take no notice of how far something has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that was done, for whoever watches: one sentence and what it is about.

    Attributes:
        what: the sentence.
        trouble: it went wrong, and the exit code will say so too.
        event: what kind of thing it is, as the ledger's history calls what is in there.
        aside: it is nothing that people have to be told; machines hear of it all the same.
        state: how a run ended.
        tally: the requests it is about, and how they ended.
        provider: who it is about, where it is not about a job.
        error: what a provider answered, or did not.

    """

    job: str
    what: str
    trouble: bool = False
    event: str = "note"
    aside: bool = False
    revision: str | None = None
    submission: SubmissionKey | None = None
    batch: Batch | None = None
    state: RunState | None = None
    tally: RequestCounts | None = None
    provider: str | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCounts:
    """Requests, and how they ended so far."""

    total: int
    succeeded: int = 0
    failed: int = 0


_PLACES_KEPT: Final = 500_000
"""Rows whose answers' places are kept between collecting and publishing; some 20 MB."""


def ignore_notice(_tidings: Notice) -> None:
    """Tell nobody."""


def in_part(what: str, run: Run, key: SubmissionKey) -> str:
    """Say what is done for a shard; which one, where there are several."""
    return f"{what} shard {key.shard}" if len(run.shards) > 1 else what


@dataclass(slots=True, kw_only=True)
class Context:
    """Where a plan is carried out. Mutable: it remembers what went wrong in this pass.

    Attributes:
        open_api: opens a provider by name; may raise ApiError or MissingExtra. Called at
            most once a provider, and only when there is something to ask it.
        clock: Unix seconds.
        tell: hears of each thing done, once it is in the ledger.
        moving: shows what is under way, and how far it has come.
        trouble: why a submission (by key) or a run (`job/revision`) is left alone for the
            rest of this pass.
        stopped: why a provider is left alone for the rest of this pass.
        noted, cancelled: the keys of submissions whose batch was recorded, or asked to be
            cancelled, in this pass: once is enough, whatever the provider then says.
        answered: the providers that have answered since this program was started.
        patience_until: until when a provider that does answer needs patience, or 0.
        proven: the providers that have taken a batch in this pass: before the first, nobody
            knows whether they take any, and one try is enough to find out.
        ceilings: how many bytes a file of a run may have, by the run's id, as this pass learned.
        fresh: inputs that this pass has read, and their digests, where the file as it lies is
            what is uploaded: what has not been touched since need not be hashed once more.
        claims: the keys of batches, by id, that were taken over from elsewhere.
        agree: is shown the first plan before anything of it is done, once, with the wishes it is
            made for; whatever it raises ends the pass there.
        hands: who makes the calls that may be made side by side.
        hopeless: the providers whose key is refused or where money has run out: waiting for
            them cannot help.

    """

    project: Project
    ledger: Ledger
    open_api: Callable[[str], BatchApi]
    clock: Callable[[], float]
    tell: Callable[[Notice], None] = ignore_notice
    moving: ProgressReporter = no_progress
    trouble: dict[str, str] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)
    noted: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    hopeless: set[str] = field(default_factory=set)
    proven: set[str] = field(default_factory=set)
    agree: Callable[[Sequence[DesiredRun], Plan], None] | None = None
    executor: Executor = field(default_factory=InlineExecutor)
    ceilings: dict[int, int] = field(default_factory=dict)
    fresh: dict[Path, tuple[Fingerprint, str]] = field(default_factory=dict)
    claims: dict[str, SubmissionKey] = field(default_factory=dict)
    patience_until: float = 0.0
    _git: list[str | None] = field(default_factory=list)
    _apis: dict[str, BatchApi] = field(default_factory=dict)
    _places: dict[str, AnswerIndex] = field(default_factory=dict)

    def api(self, provider: str) -> BatchApi:
        """Return the provider's API, opening it if this is the first time."""
        if provider not in self._apis:
            self._apis[provider] = self.open_api(provider)
        return self._apis[provider]

    def remember(self, key: SubmissionKey, places: AnswerIndex) -> None:
        """Keep where the answers of a submission are, for when its run is published.

        As many as memory may hold; whatever is not kept is read once more.
        """
        if sum(map(len, self._places.values())) + len(places) <= _PLACES_KEPT:
            self._places[str(key)] = places

    def recall(self, key: SubmissionKey) -> AnswerIndex | None:
        """Return where the answers of a submission are, if it was kept; once."""
        return self._places.pop(str(key), None)

    def folder(self, run: Run) -> Path:
        """Return a run's output folder."""
        return self.project.root / run.folder

    def git(self) -> str | None:
        """Return where the project's repository stands, as JSON; asked once a process."""
        if not self._git:
            import dataclasses
            import json

            from runner.outputs.provenance import git_state

            state = git_state(self.project.root)
            self._git.append(None if state is None else json.dumps(dataclasses.asdict(state)))
        return self._git[0]

    def scratch(self, key: SubmissionKey) -> Path:
        """Return where the input file of a submission is put together."""
        return self.ledger.path.parent / "uploads" / key.filename

    def hold(self, name: str, error: Exception, *, job: str) -> None:
        """Leave a submission or a run alone for the rest of this pass, and say why."""
        self.leave(name, str(error))
        self.tell(
            Notice(
                job=job,
                what=str(error),
                trouble=True,
                event="held",
                submission=SubmissionKey.parse(name),
                error=error,
            )
        )

    def leave(self, name: str, reason: str) -> None:
        """Leave a submission or a run alone for the rest of this pass without a word."""
        self.trouble[name] = reason

    def note_provider(self, provider: str, error: ApiError) -> None:
        """Leave a provider alone for the rest of this pass if asking again cannot help."""
        if isinstance(error, OutOfMoney | Unauthorized | Unreachable):
            self.stopped.setdefault(provider, str(error))
        if isinstance(error, OutOfMoney | Unauthorized):
            self.hopeless.add(provider)
        passing = isinstance(error, Transient | UnexpectedReply) and provider in self.answered
        if passing or isinstance(error, RateLimited):
            self.patience_until = max(
                self.patience_until, self.clock() + (error.retry_after or 0.0)
            )

    def begin_pass(self) -> None:
        """Forget the troubles of the last pass."""
        self.trouble.clear()
        self.stopped.clear()
        self.noted.clear()
        self.cancelled.clear()
        self.hopeless.clear()
        self.proven.clear()
        self.ceilings.clear()
        self.fresh.clear()
        self._places.clear()
        self.patience_until = 0.0
