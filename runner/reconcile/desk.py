"""What lies before whoever decides about the shards of one run. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from runner.ledger.records import Run
    from runner.reconcile.facts import Facts, Seen, Traces
    from runner.spec.job import Job

_UNKNOWN_PROVIDER_GRACE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A run, and all that may be known while deciding about it.

    `job` is None for a run that no spec asks for. `first` says that nothing of this run was
    ever submitted by this ledger, so that it must look before it does.
    """

    run: Run
    job: Job | None
    facts: Facts
    seen: Seen
    traces: Traces
    may_submit: bool
    first: bool

    @property
    def grace(self) -> float:
        """Seconds after a lost call during which a listing may not show what it made."""
        provider = self.facts.providers.get(self.run.provider)
        return _UNKNOWN_PROVIDER_GRACE if provider is None else provider.grace

    @property
    def loopback(self) -> bool:
        """Whether the provider is on this machine, where nothing takes minutes."""
        provider = self.facts.providers.get(self.run.provider)
        return provider is not None and provider.loopback
