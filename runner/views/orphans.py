"""Orphans: batches and files at the providers with a submission key, but without a job here.

The key names a job, a revision, a shard and an attempt. Something that carries one was made by
runner: by this project before a spec was removed, with another ledger, or by a call that was
repeated by hand. Nothing is deleted, since it may belong to a project on another machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import ApiError, LocalFileError, MissingExtra, NotOffered
from runner.ledger.records import SubmissionKey
from runner.planning.batch_index import BatchIndex
from runner.planning.state import Listing, Observed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runner.api.protocol import BatchApi, BatchListing
    from runner.batch import Batch, File
    from runner.ledger.store import Ledger
    from runner.planning.state import DesiredRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A batch or a file without a job.

    `size` is bytes for a file and requests for a batch, None if the provider does not report it.
    `status` and `files` are those of a batch; `files` are ids of files, which cost storage too.
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
    """All orphans found; `not_queried` has the providers whose list is not complete, and why."""

    found: tuple[Orphan, ...]
    not_queried: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expected:
    """The submissions that the next reconcile adopts: those of unfinished (job, revision) pairs.

    `desired_pairs` are the pairs of the specs, `finished` the finished ones, `jobs` the names of
    the jobs in the specs.
    """

    desired_pairs: set[tuple[str, str]]
    jobs: frozenset[str]
    finished: set[tuple[str, str]]

    def adopts(self, key: SubmissionKey) -> bool:
        """Whether a key belongs to an unfinished run, under its name or under a new one."""
        if key.job in self.jobs:
            return (key.job, key.revision) in self.desired_pairs
        return any(revision == key.revision for _job, revision in self.desired_pairs)

    def reason(self, key: SubmissionKey) -> str:
        """Write why no job of this project adopts a submission."""
        if (key.job, key.revision) in self.finished:
            return f"job {key.job} has ended, without this attempt"
        if key.job in self.jobs:
            return f"job {key.job} has another revision now, and this ledger does not know this one"
        return f"no spec is called {key.job}, and this ledger does not know it"


def find_orphans(
    desired_runs: Sequence[DesiredRun],
    ledger: Ledger | None,
    providers: Sequence[str],
    open_api: Callable[[str], BatchApi],
) -> Orphans:
    """Find the orphans at these providers, from their lists of batches and files."""
    runs = ledger.runs() if ledger is not None else ()
    finished = {(run.job, run.short) for run in runs if run.state.final}
    desired_pairs = {(desired.job.name, desired.short) for desired in desired_runs} - finished
    expected = _Expected(
        desired_pairs=desired_pairs,
        jobs=frozenset(desired.job.name for desired in desired_runs),
        finished=finished,
    )
    found: list[Orphan] = []
    not_queried: dict[str, str] = {}
    for provider in providers:
        recorded_here = ledger.batch_keys(provider) if ledger is not None else {}
        names = ledger.input_files(provider) if ledger is not None else {}
        try:
            api = open_api(provider)
            batches = api.list_batches(enough=_never)
            if not batches.complete:
                not_queried[provider] = _incomplete(batches)
            files = _files(api)
        except (ApiError, LocalFileError, MissingExtra) as error:
            not_queried[provider] = str(error)
            continue
        listing = Listing(started_at=0.0, complete=True, batches=batches.batches, files=files)
        carried = BatchIndex((), Observed(listing=listing)).carried
        found += _batches(provider, carried, recorded_here, expected)
        input_file_ids = {batch.input_file_id for _key, batch in carried}
        found += [
            _file(provider, key, file, names)
            for file in files
            if file.id not in names
            and file.id not in input_file_ids
            and (key := SubmissionKey.parse_filename(file.filename or "")) is not None
            and (str(key) in names.values() or not expected.adopts(key))
        ]
    return Orphans(found=tuple(found), not_queried=not_queried)


def _incomplete(batches: BatchListing) -> str:
    """Return why a list of batches is incomplete."""
    if not batches.unreadable:
        return "its list of batches could not be read to its end"
    return (
        "its list of batches has what cannot be read and may be ours "
        f"({'; '.join(batches.unreadable)}): ask the provider to correct or remove it"
    )


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
    recorded_here: Mapping[str, str],
    expected: _Expected,
) -> list[Orphan]:
    found: list[Orphan] = []
    keys = set(recorded_here.values())
    for key, batch in carried:
        if batch.id in recorded_here:
            continue
        if str(key) in keys:
            reason = "a second batch of an attempt that is recorded as another"
        elif expected.adopts(key):
            continue  # the next reconcile adopts it
        else:
            reason = expected.reason(key)
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
