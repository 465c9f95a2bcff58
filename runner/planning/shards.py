"""Where a shard stands: which of its rows are answered, given up, or still to be asked.

The arithmetic that everything else rests on. Each row of a shard is in exactly one of the three
sets, whatever its attempts have been through; that is a law the tests hold it to.

How much of a shard goes out at once: all that is left of it, but for two reasons.

A provider may refuse a file for its size, whatever its documentation says (fact sheet, failure
12): then what it refused bounds what the run sends from there on. And a job may send a canary
ahead (failure 32): what is accepted live may be refused in a batch, and it is better to learn that
from ten requests than from a million. Both are read off the ledger. Pure.

What lies before whoever decides about the shards of one run. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.inputs.row_set import RowSet
from runner.ledger.records import SubmissionState
from runner.spec.job import Deadline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.ledger.records import Run, ShardRecord, Submission, SubmissionKey
    from runner.planning.batch_index import BatchIndex
    from runner.planning.state import Observed, PlanInputs
    from runner.spec.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardProgress:
    """One shard of a run, summed over its attempts.

    Attributes:
        answered: rows with a successful response.
        failed: rows that nothing asks again by itself.
        pending: rows that another attempt may ask, or that the open one is asking.
        open: the attempt under way, or None.
        last_attempt: the highest attempt number so far, 0 before the first.
        broken: why the shard as a whole cannot go on, or None.

    """

    shard: ShardRecord
    answered: RowSet
    failed: RowSet
    pending: RowSet
    open: Submission | None
    last_attempt: int
    broken: str | None


def shard_progress(run: Run, shard: ShardRecord, attempts: int) -> ShardProgress:
    """Sum up one shard; `attempts` is how many counted attempts a row may have."""
    answered = given_up = RowSet()
    open_one: Submission | None = None
    broken: str | None = None
    last = 0
    asked: list[RowSet] = []
    for submission in run.shard_submissions(shard.number):
        last = submission.key.attempt
        if not submission.state.closed:
            open_one = submission
            continue
        transient = submission.transient or RowSet()
        permanent = submission.permanent or RowSet()
        answered = answered.union(submission.rows.difference(transient).difference(permanent))
        if submission.round != run.round:
            continue
        given_up = given_up.union(permanent)
        if submission.counted and submission.state is not SubmissionState.ABANDONED:
            _count(asked, submission.rows)
        if submission.state is SubmissionState.LOST or (
            submission.state is SubmissionState.FAILED and permanent
        ):
            broken = submission.problem
    left = shard.rows.difference(answered)
    exhausted = asked[attempts - 1] if len(asked) >= attempts else RowSet()
    if open_one is not None:
        exhausted = exhausted.difference(open_one.rows)
    failed = left.intersection(given_up.union(exhausted))
    return ShardProgress(
        shard=shard,
        answered=answered,
        failed=failed,
        pending=left.difference(failed),
        open=open_one,
        last_attempt=last,
        broken=broken,
    )


def _count(asked: list[RowSet], rows: RowSet) -> None:
    """Count one more attempt at these rows: `asked[n]` are those with more than n attempts."""
    for level, before in enumerate(asked):
        again = rows.intersection(before)
        asked[level] = before.union(rows)
        rows = again
        if not rows:
            return
    asked.append(rows)


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


_UNKNOWN_PROVIDER_GRACE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardContext:
    """A run, and all that may be known while deciding about it.

    `job` is None for a run that no spec asks for. `sizes` says how much of a shard may go out
    at once. `taken` are keys under which another run of
    this ledger has submitted: a name may have been used before.
    """

    run: Run
    job: Job | None
    inputs: PlanInputs
    observed: Observed
    index: BatchIndex
    sizes: BatchSizes
    may_submit: bool
    taken: frozenset[SubmissionKey] = frozenset()

    @property
    def deadline(self) -> Deadline:
        """When a batch of this run is overdue; of one that no spec asks for, people are told."""
        return Deadline() if self.job is None else self.job.deadline

    @property
    def grace(self) -> float:
        """Seconds after a lost call during which a listing may not show what it made."""
        provider = self.inputs.providers.get(self.run.provider)
        return _UNKNOWN_PROVIDER_GRACE if provider is None else provider.grace

    @property
    def moved(self) -> str | None:
        """Say that the provider has another address now than when the run began, or None."""
        provider = self.inputs.providers.get(self.run.provider)
        if provider is None or provider.identity["base_url"] == self.run.base_url:
            return None
        return (
            f"it was submitted to {self.run.base_url}, and provider {self.run.provider} is "
            f"{provider.base_url} now: put the address back to have its answers collected, or "
            f"give the new one a name of its own"
        )

    def unset(self, stamp: float | None) -> bool:
        """Whether a time has not been noted down, or by a clock that was ahead of now.

        Such a stamp is made anew: nobody shall wait for a clock to catch up with it.
        """
        return stamp is None or stamp > self.inputs.now

    @property
    def seen_at(self) -> float:
        """Return when the provider was asked: a pass may have worked for hours since."""
        return self.inputs.now if self.observed.asked_at is None else self.observed.asked_at

    @property
    def loopback(self) -> bool:
        """Whether the provider is on this machine, where nothing takes minutes."""
        provider = self.inputs.providers.get(self.run.provider)
        return provider is not None and provider.loopback
