"""Who is told of passes, as the ledger knows them: the hooks, and what else may fail to hear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.ledger import notifications

if TYPE_CHECKING:
    from runner.ledger.store import Ledger
    from runner.spec.project import Project


PING: Final = "ping"
METRICS: Final = "metrics"


def register(ledger: Ledger, project: Project) -> None:
    """Let the ledger know whom the project tells, before anything happens to be told of.

    A hook that is new hears nothing of what was before. Raises LedgerError.
    """
    names = {hook.id: str(hook) for hook in project.hooks}
    if project.ping is not None:
        names[PING] = f"ping to {project.ping}"
    if project.metrics is not None:
        names[METRICS] = f"metrics in {project.metrics.name}"
    notifications.register_subscribers(ledger, names)
