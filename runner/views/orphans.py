"""What lies at the providers under our keys and belongs to no job here.

A key names a job, a revision, a shard and an attempt. Whatever carries one was made by some
runner: by this project before a spec was removed, from another ledger, or by a call that was
repeated by hand. Nothing is deleted here: it may be another machine's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import ApiError, LocalFileError, MissingExtra, NotOffered
from runner.ledger.records import REVISION_SHOWN, SubmissionKey
from runner.planning.batch_index import BatchIndex
from runner.planning.state import Listing, Observed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runner.api.protocol import BatchApi
    from runner.batch import Batch, File
    from runner.ledger.store import Ledger
    from runner.planning.state import DesiredRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A batch or a file; `size` is bytes of a file, requests of a batch, or None if not told.

    `files` are the ids of a batch's own files: they cost storage too. `status` is the batch's.
    """

    provider: str
    kind: str
    id: str
    key: SubmissionKey
    created_at: int | None
    status: str | None
    size: int | None
    files: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """All that were found; `unasked` says by provider why it could not be asked, or not all."""

    found: tuple[Orphan, ...]
    unasked: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expected:
    """What the next reconcile takes over by itself: (job, revision) that are wanted, not over."""

    wanted: set[tuple[str, str]]
    living: frozenset[str]
    over: set[tuple[str, str]]

    def takes(self, key: SubmissionKey) -> bool:
        """Whether a key is of a run that goes on, under its name or under a new one."""
        if key.job in self.living:
            return (key.job, key.revision) in self.wanted
        return any(revision == key.revision for _job, revision in self.wanted)

    def whose(self, key: SubmissionKey) -> str:
        """Say why nobody here takes what carries a key."""
        if (key.job, key.revision) in self.over:
            return f"job {key.job} has ended, without this attempt"
        if key.job in self.living:
            return (
                f"job {key.job} asks for another revision, and this ledger does not know this one"
            )
        return f"no spec is called {key.job}, and this ledger does not know it"


def find_orphans(
    desired_runs: Sequence[DesiredRun],
    ledger: Ledger | None,
    providers: Sequence[str],
    open_api: Callable[[str], BatchApi],
) -> Orphans:
    """List what some runner has left at these providers; asks, and changes nothing."""
    runs = ledger.runs() if ledger is not None else ()
    over = {(run.job, run.short) for run in runs if run.state.final}
    wanted = {
        (desired.job.name, desired.revision[:REVISION_SHOWN]) for desired in desired_runs
    } - over
    expected = _Expected(
        wanted=wanted,
        living=frozenset(desired.job.name for desired in desired_runs),
        over=over,
    )
    found: list[Orphan] = []
    unasked: dict[str, str] = {}
    for provider in providers:
        mine = ledger.batch_keys(provider) if ledger is not None else {}
        names = ledger.input_files(provider) if ledger is not None else {}
        try:
            api = open_api(provider)
            batches = api.list_batches(enough=_never)
            if not batches.complete:
                unasked[provider] = "its list of batches could not be read to its end"
            files = _files(api)
        except (ApiError, LocalFileError, MissingExtra) as error:
            unasked[provider] = str(error)
            continue
        listing = Listing(started_at=0.0, complete=True, batches=batches.batches, files=files)
        carried = BatchIndex((), Observed(listing=listing)).carried
        found += _batches(provider, carried, mine, expected)
        taken = {batch.input_file_id for _key, batch in carried}
        found += [
            _file(provider, key, file, names)
            for file in files
            if file.id not in names
            and file.id not in taken
            and (key := SubmissionKey.parse_filename(file.filename or "")) is not None
            and (str(key) in names.values() or not expected.takes(key))
        ]
    return Orphans(found=tuple(found), unasked=unasked)


def _never(_seen: object) -> bool:
    return False


def _files(api: BatchApi) -> tuple[File, ...]:
    try:
        return api.list_files(enough=_never).files
    except NotOffered:
        return ()


def _batches(
    provider: str,
    carried: Sequence[tuple[SubmissionKey, Batch]],
    mine: Mapping[str, str],
    expected: _Expected,
) -> list[Orphan]:
    found: list[Orphan] = []
    keys = set(mine.values())
    for key, batch in carried:
        if batch.id in mine:
            continue
        if str(key) in keys:
            reason = "a second batch of an attempt that is recorded as another"
        elif expected.takes(key):
            continue  # the next reconcile takes it over
        else:
            reason = expected.whose(key)
        files = (batch.input_file_id, batch.output_file_id, batch.error_file_id)
        found.append(
            Orphan(
                provider=provider,
                kind="batch",
                id=batch.id,
                key=key,
                created_at=batch.created_at,
                status=batch.status,
                size=batch.request_counts.total or None,
                files=tuple(file for file in files if file),
                reason=reason,
            )
        )
    return found


def _file(provider: str, key: SubmissionKey, file: File, names: Mapping[str, str]) -> Orphan:
    again = str(key) in names.values()
    return Orphan(
        provider=provider,
        kind="file",
        id=file.id,
        key=key,
        created_at=file.created_at,
        status=None,
        size=file.bytes,
        files=(),
        reason="a second upload of an attempt that is recorded with another"
        if again
        else "an input that no batch here was made from",
    )
