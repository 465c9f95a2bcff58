"""How much of a shard goes out at once: all that is left of it, but for two reasons.

A provider may refuse a file for its size, whatever its documentation says (fact sheet, failure
12): then what it refused bounds what the run sends from there on. And a job may send a canary
ahead (failure 32): what is accepted live may be refused in a batch, and it is better to learn that
from ten requests than from a million. Both are read off the ledger. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.inputs.row_set import RowSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.ledger.records import Run, ShardRecord
    from runner.planning.shard_progress import ShardProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSize:
    """What of a shard's pending rows its next attempt may hold; `reason` it is not all of them."""

    rows: RowSet
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSizes:
    """The portions of a run by shard number; shards that are not there go out as they are.

    `broken` says why a canary forbids to go on, or None.
    """

    by_shard: dict[int, BatchSize]
    broken: str | None = None

    def of(self, progress: ShardProgress) -> RowSet:
        """Return the rows that the next attempt at a shard may hold."""
        portion = self.by_shard.get(progress.shard.number)
        return progress.pending if portion is None else portion.rows


def sizes(run: Run, all_progress: Sequence[ShardProgress], canary: int | None) -> BatchSizes:
    """Work out what may go out of each shard of a run next."""
    by_shard: dict[int, BatchSize] = {}
    ceiling = run.ceiling
    if ceiling is not None:
        for progress in all_progress:
            fits = rows_that_fit(progress.shard, ceiling)
            if len(progress.pending) > fits:
                by_shard[progress.shard.number] = BatchSize(
                    rows=progress.pending.head(fits), reason="the provider refused a larger file"
                )
    broken = None
    if canary is not None:
        for group in _by_model(all_progress):
            broken = _send_ahead(run, group, canary, by_shard) or broken
    return BatchSizes(by_shard=by_shard, broken=broken)


def rows_that_fit(shard: ShardRecord, ceiling: int) -> int:
    """Return how many rows of a shard will do; at least one."""
    return max(1, shard.requests * ceiling // shard.bytes)


def _sent_ahead(run: Run, shard: ShardRecord) -> int:
    """Return how many requests a canary had when it went, whatever the spec says of it now."""
    attempts = run.shard_submissions(shard.number)
    if not attempts or run.ceiling is not None:
        return 0
    rows = attempts[0].rows
    part = len(rows) < shard.requests and rows == shard.rows.head(len(rows))
    return len(rows) if part else 0


def _by_model(all_progress: Sequence[ShardProgress]) -> list[list[ShardProgress]]:
    groups: dict[str | None, list[ShardProgress]] = {}
    for progress in all_progress:
        groups.setdefault(progress.shard.model, []).append(progress)
    return list(groups.values())


def _send_ahead(
    run: Run, group: Sequence[ShardProgress], canary: int, by_shard: dict[int, BatchSize]
) -> str | None:
    """Hold a model's requests back until its canary is home; returns why they may never go."""
    first = group[0]
    ahead = first.shard.rows.head(max(canary, _sent_ahead(run, first.shard)))
    if len(group) == 1 and len(ahead) == first.shard.requests:
        return None
    for progress in group:
        for submission in run.shard_submissions(progress.shard.number):
            if submission.rows.difference(ahead):
                return None  # the others are under way already
    model = f" of {first.shard.model}" if first.shard.model is not None else ""
    if first.pending.intersection(ahead) or first.open is not None:
        reason = f"the canary, {len(ahead):,} requests{model}, is not home yet"
        narrowed = by_shard.get(first.shard.number)
        rows = (first.pending if narrowed is None else narrowed.rows).intersection(ahead)
        for progress in group:
            by_shard[progress.shard.number] = BatchSize(rows=RowSet(), reason=reason)
        by_shard[first.shard.number] = BatchSize(rows=rows, reason=reason)
        return None
    answered = len(first.answered.intersection(ahead))
    if 2 * answered >= len(ahead):
        return None
    return (
        f"the canary has failed: {answered:,} of its {len(ahead):,} requests{model} succeeded, "
        f"so nothing else was submitted; errors.jsonl says why, and `runner retry {run.job}` "
        f"sends the canary again"
    )
