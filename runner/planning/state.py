"""What a plan is made from: the wish, and what was seen at the provider and on the disk.

Frozen values without behaviour of their own to speak of; the third ingredient, what is known,
comes from the ledger. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runner.ledger.records import Key, Tag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runner.batch import Batch, File
    from runner.inputs.fingerprint import Fingerprint
    from runner.ledger.records import FileRecord, JobRecord, Run, ShardRecord
    from runner.planning.loads import Load
    from runner.spec.job import Job
    from runner.spec.project import Provider


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
    claims: Mapping[str, Key] = field(default_factory=dict)
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
    tagged: Mapping[str, tuple[tuple[Key | None, Batch], ...]] = field(default_factory=dict)
    keys: Mapping[str, frozenset[Key]] = field(default_factory=dict)
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

    `failure` is why it could not be asked, in words, and `error` what that was; `hopeless` that
    asking again cannot help. What was learned before the failure is kept. `batches` holds the
    in-flight batches that were found, `missing` the ids it says it does not know. `asked_at`
    (Unix seconds) is when the asking began: what is missing was missing then.
    """

    failure: str | None = None
    error: Exception | None = None
    hopeless: bool = False
    look: Listing | None = None
    batches: Mapping[str, Batch] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    asked_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInputs:
    """Everything the plan may know besides the wish and the ledger.

    `living` are the names of all jobs in the project's specs, selected or not; None if some
    spec file could not be read, so that no name is known to be gone. `published` are the ids
    of final runs whose output is on the disk; `latest` is what each job's link leads to.
    `trouble` maps the keys of submissions (as text) and runs that failed earlier in this pass
    to the reason: they are left alone until the next. With `restoring` the plan only writes down
    what there is already. `noted` and `cancelled` are the keys of
    batches that were recorded, or asked to be cancelled, in this pass already.
    """

    now: float
    seen: Mapping[str, Observed]
    providers: Mapping[str, Provider]
    living: frozenset[str] | None
    published: frozenset[int] = frozenset()
    latest: Mapping[str, str] = field(default_factory=dict)
    trouble: Mapping[str, str] = field(default_factory=dict)
    restoring: bool = False
    noted: frozenset[str] = frozenset()
    cancelled: frozenset[str] = frozenset()

    def of(self, provider: str) -> Observed:
        """Return what was seen at a provider; nothing if there was no question for it."""
        return self.seen.get(provider, Observed())


class BatchIndex:
    """Whatever carries our keys at one provider, seen now or earlier, ready to be found.

    Of several batches with one key the oldest counts: the others repeat it. `carried` has all of
    them with their keys, oldest first. `claims` are the keys of batches that carry none.
    """

    def __init__(
        self,
        known: Sequence[tuple[Key | None, Batch]],
        seen: Observed,
        claims: Mapping[str, Key] | None = None,
    ) -> None:
        claimed = dict(claims or {})
        keys = {batch.id: key for key, batch in known if key is not None}
        batches = {batch.id: batch for _key, batch in known}
        batches |= {batch.id: batch for batch in (seen.look.batches if seen.look else ())}
        batches |= dict(seen.batches)
        self._by_shard: dict[tuple[str, int], dict[Key, Batch]] = {}
        self._by_file: dict[str, list[Batch]] = {}
        # Oldest last in the list, so that of several files with one name the newest counts.
        self._listed = tuple(reversed((seen.look.files if seen.look else None) or ()))
        self._files = {file.filename: file for file in self._listed if file.filename is not None}
        oldest_first = sorted(batches.values(), key=lambda batch: (batch.created_at or 0, batch.id))
        for batch in oldest_first:
            if batch.input_file_id is not None:
                self._by_file.setdefault(batch.input_file_id, []).append(batch)
        keys |= self._keys_by_filename()
        self._carries: dict[str, Key] = {}
        self.carried: list[tuple[Key, Batch]] = []
        self._by_revision: dict[str, list[tuple[Key, Batch]]] = {}
        for batch in oldest_first:
            tag = Tag.of(batch)
            carries = claimed.get(batch.id) or (tag.key if tag is not None else keys.get(batch.id))
            if carries is not None:
                self._carries[batch.id] = carries
                self.carried.append((carries, batch))
                self._by_revision.setdefault(carries.revision, []).append((carries, batch))
                place = (carries.revision, carries.shard)
                self._by_shard.setdefault(place, {}).setdefault(carries, batch)

    def _keys_by_filename(self) -> dict[str, Key]:
        """Return keys by batch id, told by the names of files.

        That is the link where a provider drops metadata or a user left no room. A file that met
        a limit is used again, so the second batch made from it is the next attempt.
        """
        keys: dict[str, Key] = {}
        for file in self._listed:
            key = Key.parse_filename(file.filename or "")
            if key is not None:
                for number, batch in enumerate(self._by_file.get(file.id, ())):
                    keys[batch.id] = replace(key, attempt=key.attempt + number)
        return keys

    def batch(
        self, key: Key, input_file_id: str | None = None, others: frozenset[str] = frozenset()
    ) -> Batch | None:
        """Find the batch with this key, or else one made from this file.

        `others` are the ids of batches that belong to other attempts. A batch that carries another
        key belongs to one as well, whatever it is called this time (fact sheet, failure 25).
        """
        found = self._by_shard.get((key.revision, key.shard), {}).get(key)
        if found is not None and found.id not in others:
            return found
        made = self._by_file.get(input_file_id or "", ())
        return next(
            (
                batch
                for batch in made
                if batch.id not in others and self._carries.get(batch.id, key) == key
            ),
            None,
        )

    def of_shard(self, revision: str, shard: int) -> list[tuple[Key, Batch]]:
        """Return all attempts at one shard, first to last, under whatever job name."""
        found = self._by_shard.get((revision, shard), {})
        return sorted(found.items(), key=lambda item: (item[0].attempt, item[0].job))

    def misfit(self, run: Run) -> Batch | None:
        """Find a batch of this revision that was cut otherwise than the run's shards are.

        That is what is left where a ledger was lost and the limits were changed since.
        """
        cut = {shard.number: (shard.requests, shard.sha256) for shard in run.shards}
        for key, batch in self._by_revision.get(run.short, ()):
            tag = Tag.of(batch)
            if tag is not None and tag.key != key:
                tag = None  # taken over from another revision: it speaks of that one's cut
            if key.shard not in cut or _of_another_cut(key, tag, *cut[key.shard]):
                return batch
        return None

    def file(self, key: Key, size: int) -> File | None:
        """Find the file with this submission's name, if it arrived whole."""
        file = self._files.get(key.filename)
        return file if file is not None and file.bytes in (None, size) else None


def _of_another_cut(key: Key, tag: Tag | None, requests: int, sha256: str) -> bool:
    """Whether a tag speaks of a shard with another content than this."""
    if tag is None or tag.sha256 is None:
        return False
    if tag.part_of is not None:
        return tag.part_of != sha256
    return key.attempt == 1 and (tag.requests, tag.sha256) != (requests, sha256)
