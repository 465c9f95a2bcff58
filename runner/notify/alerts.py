"""The problems of a pass, compared with those of earlier passes, and who is notified of them.

An alert has a subject: a provider, a job, a job as far as this machine is to blame, or a file with
problems. An alert lasts as long as its subject has any problem, even if a provider words its error
differently each time. Only for a file do other problems start another alert, since the user has
edited it. An alert is over when a pass has checked its subject and has found no problem.

The subscribers are the project's hooks, its ping and its metrics file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.ledger import notifications

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runner.errors import Problem
    from runner.ledger.notifications import OpenProblem
    from runner.ledger.store import Ledger
    from runner.reconcile.passes import PassReport
    from runner.spec.job import Specs
    from runner.spec.project import Project


_PROVIDER: Final = "provider"
_JOB: Final = "job"
_MACHINE: Final = "machine"
_FILE: Final = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A problem found by a pass: a summary `what`, and all `messages` about its subject."""

    subject: str
    what: str
    messages: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChanges:
    """The problems of a pass, compared with those in the ledger.

    `ongoing` are those that are in the ledger already, each with its entry there.
    """

    began: tuple[Alert, ...]
    ongoing: tuple[tuple[Alert, OpenProblem], ...]
    over: tuple[OpenProblem, ...]


def collect_alerts(
    report: PassReport, specs: Specs, *, stopped: Mapping[str, str]
) -> tuple[Alert, ...]:
    """Return the problems of a pass; `stopped` has the reason for each unusable provider.

    If a provider is unusable, the jobs that wait for it get no alert of their own.
    """
    messages_by_subject: dict[str, list[str]] = {
        f"{_PROVIDER} {name}": [reason] for name, reason in stopped.items()
    }
    for wait in report.waits:
        if wait.is_problem:
            provider = wait.run.provider
            if wait.subject in report.on_this_machine:
                subject = f"{_MACHINE} {wait.run.job}"
            elif provider in stopped:
                subject = f"{_PROVIDER} {provider}"
            else:
                subject = f"{_JOB} {wait.run.job}"
            messages_by_subject.setdefault(subject, []).append(wait.reason)
    for name, reason in report.unreadable_inputs.items():
        messages_by_subject.setdefault(f"{_MACHINE} {name}", []).append(reason)
    for problem in _in_order((*specs.problems, *report.problems)):
        messages_by_subject.setdefault(f"{_FILE} {problem.path}", []).append(str(problem))
    return tuple(
        Alert(subject=subject, what=_summary(messages), messages=frozenset(messages))
        for subject, messages in messages_by_subject.items()
    )


def compare_alerts(
    ledger: Ledger,
    alerts: Sequence[Alert],
    report: PassReport,
    specs: Specs,
    *,
    responded: Iterable[str],
    everything: bool,
) -> AlertChanges:
    """Compare the problems of a pass with those in the ledger.

    `responded` are the providers that have responded; `everything` is true if the pass was for all
    jobs.
    """
    before = notifications.open_problems(ledger)
    now = {alert.subject: alert for alert in alerts}
    began = tuple(
        alert
        for alert in alerts
        if alert.subject not in before or _is_another(alert, before[alert.subject])
    )
    new_subjects = {alert.subject for alert in began}
    checked = _Checked(report, specs, frozenset(responded), everything=everything)
    return AlertChanges(
        began=began,
        ongoing=tuple(
            (alert, before[alert.subject]) for alert in alerts if alert.subject not in new_subjects
        ),
        over=tuple(
            problem
            for subject, problem in before.items()
            if subject not in now and checked.covers(subject)
        ),
    )


class _Checked:
    """The subjects that a pass has checked: only their problems can be over."""

    def __init__(
        self, report: PassReport, specs: Specs, responded: frozenset[str], *, everything: bool
    ) -> None:
        self._states = report.states
        self._responded = responded
        self._everything = everything
        self._names = {job.name for job in specs.jobs} if specs.complete else None

    def covers(self, subject: str) -> bool:
        kind, _, name = subject.partition(" ")
        if kind in (_JOB, _MACHINE):
            gone = self._everything and self._names is not None and name not in self._names
            return name in self._states or gone
        if kind == _PROVIDER:
            # A provider that a pass for all jobs did not call is not used any more.
            return name in self._responded or (self._everything and self._names is not None)
        return self._everything


def _is_another(alert: Alert, before: OpenProblem) -> bool:
    return alert.subject.startswith(f"{_FILE} ") and alert.what != before.what


def _in_order(problems: Iterable[Problem]) -> Iterator[Problem]:
    return iter(sorted(set(problems)))


def _summary(messages: Sequence[str]) -> str:
    """Return the first message, and how many more there are."""
    unique = list(dict.fromkeys(messages))
    return unique[0] if len(unique) == 1 else f"{unique[0]}; and {len(unique) - 1} more"


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
