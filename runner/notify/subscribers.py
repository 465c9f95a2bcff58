"""The subscribers of a project in the ledger: its hooks, its ping and its metrics file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.ledger import notifications

if TYPE_CHECKING:
    from runner.ledger.store import Ledger
    from runner.spec.project import Project


PING: Final = "ping"
METRICS: Final = "metrics"


def register(ledger: Ledger, project: Project) -> None:
    """Register the subscribers of a project in the ledger, before a pass records any event.

    A new hook gets only the events after its registration. Raises LedgerError.
    """
    names = {hook.id: str(hook) for hook in project.hooks}
    if project.ping is not None:
        names[PING] = f"ping to {project.ping}"
    if project.metrics is not None:
        names[METRICS] = f"metrics in {project.metrics.name}"
    notifications.register_subscribers(ledger, names)
