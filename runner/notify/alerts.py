"""The problems of a pass, compared with those of earlier passes, and who is notified of them.

An alert has a subject: a provider, a job, a job as far as this machine is to blame, or a file with
problems. An alert lasts as long as its subject has any problem, even if a provider words its error
differently each time. Only for a file do other problems start another alert, since the user has
edited it. An alert is over when a pass has shown that its subject works again, not when a pass
merely did not meet the problem.

The subscribers are the project's hooks, its ping and its metrics file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.ledger import notifications
from runner.ledger.records import RunState
from runner.planning.in_flight import awaits_credit

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

    `ongoing` are those that are in the ledger already, each with its entry there. `over` are those
    that the pass has shown to be over, `dropped` those whose subject does not exist any more, and
    `unresolved` those of the jobs of this pass that are neither: nothing has shown yet that the
    subject works again.
    """

    began: tuple[Alert, ...]
    ongoing: tuple[tuple[Alert, OpenProblem], ...]
    over: tuple[OpenProblem, ...]
    dropped: tuple[OpenProblem, ...]
    unresolved: tuple[OpenProblem, ...]


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
            elif wait.of_provider or provider in stopped:
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
    everything: bool,
) -> AlertChanges:
    """Compare the problems of a pass with those in the ledger.

    `everything` is true if the pass was for all jobs.
    """
    before = notifications.open_problems(ledger)
    now = {alert.subject: alert for alert in alerts}
    began = tuple(
        alert
        for alert in alerts
        if alert.subject not in before or _is_another(alert, before[alert.subject])
    )
    new_subjects = {alert.subject for alert in began}
    checked = _Checked(
        report,
        specs,
        frozenset(now),
        everything=everything,
        doubtful=_without_credit(ledger, before, report),
    )
    rest = [problem for subject, problem in before.items() if subject not in now]
    dropped = tuple(problem for problem in rest if checked.is_gone(problem.subject))
    over = tuple(
        problem for problem in rest if problem not in dropped and checked.works(problem.subject)
    )
    return AlertChanges(
        began=began,
        ongoing=tuple(
            (alert, before[alert.subject]) for alert in alerts if alert.subject not in new_subjects
        ),
        over=over,
        dropped=dropped,
        unresolved=tuple(
            problem
            for problem in rest
            if problem not in over and problem not in dropped and checked.is_needed(problem.subject)
        ),
    )


def _without_credit(
    ledger: Ledger, problems: Mapping[str, OpenProblem], report: PassReport
) -> frozenset[str]:
    """Return the providers where a job waits for credit, whether or not the pass was for it.

    Only those with an open problem that have answered or accepted a batch are looked at.
    """
    responded = report.answered | report.accepting
    suspects = {name for name in responded if f"{_PROVIDER} {name}" in problems}
    if not suspects:
        return frozenset()
    return frozenset(
        run.provider
        for run in ledger.runs()
        if run.provider in suspects and not run.state.final and awaits_credit(ledger.run(run.id))
    )


class _Checked:
    """What a pass has shown about the subjects of alerts.

    A pass that found no problem proves nothing about what it did not try: a submission may have
    waited for its turn, or the provider may not have been called. So a job works again if nothing
    of it is left that was not tried; and a provider if it has accepted a batch or, in a pass for
    all jobs, if it has answered and nothing casts doubt on it.
    """

    def __init__(
        self,
        report: PassReport,
        specs: Specs,
        subjects: frozenset[str],
        *,
        everything: bool,
        doubtful: frozenset[str],
    ) -> None:
        self._report = report
        self._subjects = subjects
        self._everything = everything
        self._complete = everything and specs.complete
        self._names = {job.name for job in specs.jobs}
        providers = {job.provider.name for job in specs.jobs}
        self._providers = providers | {wait.run.provider for wait in report.waits}
        self._doubtful = doubtful | {wait.run.provider for wait in report.waits if wait.of_provider}
        self._untried = {wait.run.job for wait in report.waits if not wait.in_flight}
        self._job_provider = {
            desired.job.name: desired.job.provider.name for desired in report.desired_runs
        }

    def works(self, subject: str) -> bool:
        """Whether the subject of an open problem has worked in this pass."""
        kind, _, name = subject.partition(" ")
        if kind in (_JOB, _MACHINE):
            return self._job_works(name)
        if kind == _PROVIDER:
            answered = self._everything and name in self._report.answered
            return (answered or name in self._report.accepting) and name not in self._doubtful
        return self._everything

    def _job_works(self, name: str) -> bool:
        state = self._report.states.get(name)
        provider = f"{_PROVIDER} {self._job_provider.get(name)}"
        return (
            state is not None
            and state not in (RunState.FAILED, RunState.PARTIAL)
            and name not in self._untried
            and provider not in self._subjects
        )

    def is_gone(self, subject: str) -> bool:
        """Whether the job was cancelled or has no spec any more, or no spec uses the provider."""
        kind, _, name = subject.partition(" ")
        if kind in (_JOB, _MACHINE) and self._report.states.get(name) is RunState.CANCELLED:
            return True
        names = {_JOB: self._names, _MACHINE: self._names, _PROVIDER: self._providers}
        return self._complete and kind in names and name not in names[kind]

    def is_needed(self, subject: str) -> bool:
        """Whether jobs of this pass that have not ended depend on the subject."""
        kind, _, name = subject.partition(" ")
        unfinished = {job for job, state in self._report.states.items() if not state.final}
        if kind in (_JOB, _MACHINE):
            return name in unfinished
        return self._everything and name in {self._job_provider[job] for job in unfinished}


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
