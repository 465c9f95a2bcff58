"""What lies before whoever decides about the shards of one run. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.spec.job import Deadline

if TYPE_CHECKING:
    from runner.ledger.records import Run, SubmissionKey
    from runner.planning.batch_index import BatchIndex
    from runner.planning.batch_sizing import BatchSizes
    from runner.planning.state import Observed, PlanInputs
    from runner.spec.job import Job


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
