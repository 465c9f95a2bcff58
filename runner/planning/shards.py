"""The progress of the shards of a run, the size of their next batches, and the decision's inputs.

Each row of a shard is in exactly one of three sets, in whatever state its attempts are: succeeded,
failed or pending. The tests check this as a law.

An attempt submits all pending rows of a shard, with two exceptions. A provider may refuse a file
for its size, whatever its documentation says (fact sheet, failure 12): that size then limits the
later files of the run, and so does a limit that the user has lowered since the run began: then the
rows of a shard go out in several attempts at the same time. And a job may send a canary first
(failure 32): a batch may refuse requests that the live endpoint accepts, and ten requests are
enough to find out. Both are computed from the recorded submissions. Pure.
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
    from runner.spec.project import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardProgress:
    """One shard of a run, summed over its attempts.

    Attributes:
        succeeded: rows with a successful response.
        failed: rows that are not resubmitted automatically.
        pending: rows of open attempts, and rows that a later attempt may submit.
        open: the attempts that have not ended.
        last_attempt: the highest attempt number so far, 0 before the first.
        broken: the reason why the whole shard cannot continue, or None.

    """

    shard: ShardRecord
    succeeded: RowSet
    failed: RowSet
    pending: RowSet
    open: tuple[Submission, ...]
    last_attempt: int
    broken: str | None

    @property
    def unsent(self) -> RowSet:
        """The pending rows that no open attempt has."""
        rows = self.pending
        for submission in self.open:
            rows = rows.difference(submission.rows)
        return rows


def shard_progress(run: Run, shard: ShardRecord, attempts: int) -> ShardProgress:
    """Return the progress of one shard; `attempts` is the limit of counted attempts of a row."""
    succeeded = given_up = RowSet()
    open_attempts: list[Submission] = []
    broken: str | None = None
    last = 0
    tried: list[RowSet] = []
    for submission in run.shard_submissions(shard.number):
        last = submission.key.attempt
        if not submission.state.closed:
            open_attempts.append(submission)
            continue
        transient = submission.transient or RowSet()
        permanent = submission.permanent or RowSet()
        succeeded = succeeded.union(submission.rows.difference(transient).difference(permanent))
        if submission.round != run.round:
            continue
        given_up = given_up.union(permanent)
        if submission.counted and submission.state is not SubmissionState.ABANDONED:
            _count_attempt(tried, submission.rows)
        if submission.state is SubmissionState.LOST or (
            submission.state is SubmissionState.FAILED and permanent
        ):
            broken = submission.problem
    unfinished = shard.rows.difference(succeeded)
    exhausted = tried[attempts - 1] if len(tried) >= attempts else RowSet()
    for submission in open_attempts:
        exhausted = exhausted.difference(submission.rows)
    failed = unfinished.intersection(given_up.union(exhausted))
    return ShardProgress(
        shard=shard,
        succeeded=succeeded,
        failed=failed,
        pending=unfinished.difference(failed),
        open=tuple(open_attempts),
        last_attempt=last,
        broken=broken,
    )


def _count_attempt(tried: list[RowSet], rows: RowSet) -> None:
    """Add one attempt at these rows; `tried[n]` are the rows with more than n attempts."""
    for level, before in enumerate(tried):
        repeated = rows.intersection(before)
        tried[level] = before.union(rows)
        rows = repeated
        if not rows:
            return
    tried.append(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The unsent rows of a shard that may be submitted now, and why not all of them."""

    rows: RowSet
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSizes:
    """What the next attempts of a run may submit.

    `held` has, by shard number, the shards of which not all unsent rows may be submitted now.
    `ceiling` is the largest file in bytes that the provider has not refused, or None; `limits` are
    those of the provider now. `broken` is the reason why a failed canary stops the run, or None.
    """

    held: dict[int, Held]
    ceiling: int | None = None
    limits: Limits | None = None
    broken: str | None = None

    def parts(self, progress: ShardProgress) -> list[RowSet]:
        """Return the rows of each attempt at a shard that may be submitted now."""
        held = self.held.get(progress.shard.number)
        rows = progress.unsent if held is None else held.rows
        most, parts = self._most_rows(progress.shard), []
        while rows:
            part = rows.head(most)
            parts.append(part)
            rows = rows.difference(part)
        return parts

    def is_split(self, shard: ShardRecord) -> bool:
        """Whether a shard is too large for one file by now."""
        return self._most_rows(shard) < shard.requests

    def _most_rows(self, shard: ShardRecord) -> int:
        """Return how many rows of a shard one file may have; its bytes are estimated."""
        most = shard.requests
        ceilings = [self.ceiling]
        if self.limits is not None:
            most = min(most, self.limits.max_requests)
            ceilings.append(self.limits.max_bytes)
        for ceiling in ceilings:
            if ceiling is not None and shard.bytes > ceiling:
                most = min(most, rows_that_fit(shard, ceiling))
        return most

    def exceeds_limits(self, submission: Submission) -> bool:
        """Whether an attempt that was prepared is larger than the limits allow by now."""
        return (
            self.limits is not None
            and submission.requests > 1
            and (
                submission.requests > self.limits.max_requests
                or submission.bytes > self.limits.max_bytes
            )
        )


def sizes(
    run: Run, all_progress: Sequence[ShardProgress], canary: int | None, limits: Limits | None
) -> BatchSizes:
    """Return what the next attempts at each shard of a run may submit."""
    held: dict[int, Held] = {}
    broken = None
    if canary is not None:
        for group in _by_model(all_progress):
            broken = _hold_for_canary(run, group, canary, held) or broken
    return BatchSizes(held=held, ceiling=run.ceiling, limits=limits, broken=broken)


def rows_that_fit(shard: ShardRecord, ceiling: int) -> int:
    """Return how many rows of a shard fit into `ceiling` bytes, estimated; at least one."""
    return max(1, shard.requests * ceiling // shard.bytes)


def _canary_size(run: Run, shard: ShardRecord) -> int:
    """Return how many requests the canary had when it was submitted; 0 if there was none."""
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


def _hold_for_canary(
    run: Run, group: Sequence[ShardProgress], canary: int, held: dict[int, Held]
) -> str | None:
    """Limit a model's batches to its canary until that has ended; return why it failed, or None."""
    first = group[0]
    canary_rows = first.shard.rows.head(max(canary, _canary_size(run, first.shard)))
    if len(group) == 1 and len(canary_rows) == first.shard.requests:
        return None
    for progress in group:
        for submission in run.shard_submissions(progress.shard.number):
            if submission.rows.difference(canary_rows):
                return None  # the others have been submitted already
    model = f" of {first.shard.model}" if first.shard.model is not None else ""
    if first.pending.intersection(canary_rows) or first.open:
        reason = f"waiting for the canary ({len(canary_rows):,} requests{model})"
        for progress in group:
            held[progress.shard.number] = Held(rows=RowSet(), reason=reason)
        rows = first.unsent.intersection(canary_rows)
        held[first.shard.number] = Held(rows=rows, reason=reason)
        return None
    succeeded = len(first.succeeded.intersection(canary_rows))
    if 2 * succeeded >= len(canary_rows):
        return None
    return (
        f"the canary has failed: {succeeded:,} of its {len(canary_rows):,} requests{model} "
        f"succeeded, so nothing else was submitted; errors.jsonl says why, and "
        f"`runner retry {run.job}` sends the canary again"
    )


_UNKNOWN_PROVIDER_GRACE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardContext:
    """The inputs of the decisions about the shards of one run.

    `job` is None for a run that no spec describes. `sizes` has the rows of each shard that may be
    submitted next. `used_keys` are the keys of submissions of another run in this ledger: a job
    name may have been used before.
    """

    run: Run
    job: Job | None
    inputs: PlanInputs
    observed: Observed
    index: BatchIndex
    sizes: BatchSizes
    may_submit: bool
    used_keys: frozenset[SubmissionKey] = frozenset()

    @property
    def deadline(self) -> Deadline:
        """The deadline of the spec; without a spec the default, which only reports."""
        return Deadline() if self.job is None else self.job.deadline

    @property
    def grace(self) -> float:
        """The seconds after a lost response in which a list may not show what the call created."""
        provider = self.inputs.providers.get(self.run.provider)
        return _UNKNOWN_PROVIDER_GRACE if provider is None else provider.grace

    @property
    def address_change(self) -> str | None:
        """Describe how the provider's address differs from that of the run; None if it does not."""
        provider = self.inputs.providers.get(self.run.provider)
        if provider is None or provider.has_batches_of(self.run.provider, self.run.base_url):
            return None
        return (
            f"it was submitted to {self.run.base_url}, and provider {self.run.provider} is "
            f"{provider.base_url} now: put the address back to have its results collected, give "
            f"the new one a name of its own, or write `same_as: [{self.run.base_url}]` for it in "
            f"runner.yaml if it is the same provider"
        )

    def is_unset(self, stamp: float | None) -> bool:
        """Whether a time is not recorded yet, or was recorded by a clock that was ahead.

        Such a time is recorded again, so that nothing waits for the clock to catch up.
        """
        return stamp is None or stamp > self.inputs.now

    @property
    def observed_at(self) -> float:
        """The time when the provider was queried, in Unix seconds; it may be hours before now."""
        return self.inputs.now if self.observed.queried_at is None else self.observed.queried_at

    def patience(self, usual: float) -> float:
        """Return the seconds to wait for what the provider may still show; `usual` is the rule."""
        provider = self.inputs.providers.get(self.run.provider)
        return usual if provider is None else provider.patience(usual)
