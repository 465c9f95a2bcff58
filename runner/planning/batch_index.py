"""Find batches and files at a provider by the keys that they carry. Pure."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from runner.ledger.records import SubmissionKey, Tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runner.batch import Batch, File
    from runner.ledger.records import Run, Submission
    from runner.planning.state import Observed


class BatchIndex:
    """The batches and files of one provider, observed now or recorded earlier, by our keys.

    Of several batches with one key the oldest counts: the others are repetitions. `carried` has all
    batches with a key, oldest first. `claims` are the keys of adopted batches, which carry none.
    `submissions` are those of this ledger: their batches need not be in sight.
    """

    def __init__(
        self,
        recorded: Sequence[tuple[SubmissionKey | None, Batch]],
        observed: Observed,
        claims: Mapping[str, SubmissionKey] | None = None,
        submissions: Iterable[Submission] = (),
    ) -> None:
        claimed = dict(claims or {})
        keys = {batch.id: key for key, batch in recorded if key is not None}
        batches = {batch.id: batch for _key, batch in recorded}
        batches |= {
            batch.id: batch for batch in (observed.listing.batches if observed.listing else ())
        }
        batches |= dict(observed.batches)
        self._by_shard: dict[tuple[str, int], dict[SubmissionKey, Batch]] = {}
        self._by_file: dict[str, list[Batch]] = {}
        # Oldest last in the list, so that of several files with one name the newest counts.
        self._listed = tuple(reversed((observed.listing.files if observed.listing else None) or ()))
        self._files = {file.filename: file for file in self._listed if file.filename is not None}
        oldest_first = sorted(batches.values(), key=lambda batch: (batch.created_at or 0, batch.id))
        for batch in oldest_first:
            if batch.input_file_id is not None:
                self._by_file.setdefault(batch.input_file_id, []).append(batch)
        keys |= self._keys_by_filename(submissions)
        self._carries: dict[str, SubmissionKey] = {}
        self.carried: list[tuple[SubmissionKey, Batch]] = []
        self._by_revision: dict[str, list[tuple[SubmissionKey, Batch]]] = {}
        for batch in oldest_first:
            tag = Tag.of(batch)
            carries = claimed.get(batch.id) or (tag.key if tag is not None else keys.get(batch.id))
            if carries is not None:
                self._carries[batch.id] = carries
                self.carried.append((carries, batch))
                self._by_revision.setdefault(carries.revision, []).append((carries, batch))
                place = (carries.revision, carries.shard)
                self._by_shard.setdefault(place, {}).setdefault(carries, batch)

    def _keys_by_filename(self, submissions: Iterable[Submission]) -> dict[str, SubmissionKey]:
        """Return keys by batch id, read from the names of input files.

        They are the link where a provider drops metadata, or the user left no room for ours. A
        file that met a limit is used again, so the next batch made from it is the next attempt. The
        list may show only the later ones, and those of one second in any order, so a batch that
        this ledger has submitted keeps its key, and its number is given to no other, of whatever
        file that is.
        """
        submitted: dict[str, dict[str, Submission]] = {}
        numbers_used: dict[tuple[str, int], set[int]] = {}
        for submission in submissions:
            if submission.batch_id is None:
                continue
            place = (submission.key.revision, submission.key.shard)
            numbers_used.setdefault(place, set()).add(submission.key.attempt)
            if submission.input_file_id is not None:
                made = submitted.setdefault(submission.input_file_id, {})
                made[submission.batch_id] = submission
        keys: dict[str, SubmissionKey] = {}
        for file in self._listed:
            key = SubmissionKey.parse_filename(file.filename or "")
            if key is None:
                continue
            listed = self._by_file.get(file.id, ())
            shown = {batch.id for batch in listed}
            by_id = submitted.get(file.id, {})
            # The same batch may be listed under another id (fact sheet, failure 25).
            renamed = {
                submission.batch.created_at: submission.key
                for identifier, submission in by_id.items()
                if submission.batch is not None and identifier not in shown
            }
            used = numbers_used.get((key.revision, key.shard), set())
            numbers = (number for number in itertools.count(key.attempt) if number not in used)
            for batch in listed:
                if batch.id in by_id:
                    keys[batch.id] = by_id[batch.id].key
                elif batch.created_at in renamed:
                    keys[batch.id] = renamed[batch.created_at]
                else:
                    keys[batch.id] = replace(key, attempt=next(numbers))
        return keys

    def batch(
        self,
        key: SubmissionKey,
        input_file_id: str | None = None,
        others: frozenset[str] = frozenset(),
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

    def of_shard(self, revision: str, shard: int) -> list[tuple[SubmissionKey, Batch]]:
        """Return all attempts at one shard, first to last, under any job name."""
        found = self._by_shard.get((revision, shard), {})
        return sorted(found.items(), key=lambda item: (item[0].attempt, item[0].job))

    def batch_of_other_shards(self, run: Run) -> Batch | None:
        """Find a batch of this revision that was cut into other shards than this run.

        There is one where a ledger was lost and the limits were changed since.
        """
        cut = {shard.number: (shard.requests, shard.sha256) for shard in run.shards}
        for key, batch in self._by_revision.get(run.short, ()):
            tag = Tag.of(batch)
            if tag is not None and tag.key != key:
                tag = None  # adopted from another revision: its tag describes that one's shards
            if key.shard not in cut or _is_other_shard(key, tag, *cut[key.shard]):
                return batch
        return None

    def file(self, key: SubmissionKey, size: int) -> File | None:
        """Find the file with this submission's name, if it has the right size."""
        file = self._files.get(key.filename)
        return file if file is not None and file.bytes in (None, size) else None


def _is_other_shard(key: SubmissionKey, tag: Tag | None, requests: int, sha256: str) -> bool:
    """Whether a tag describes a shard with another content than this."""
    if tag is None or tag.sha256 is None:
        return False
    if tag.part_of is not None:
        return tag.part_of != sha256
    return key.attempt == 1 and (tag.requests, tag.sha256) != (requests, sha256)
