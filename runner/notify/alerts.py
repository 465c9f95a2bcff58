"""What a pass could not do, and which of it is new, lasts or is over.

A trouble has a subject: a provider, a job, or a file with problems in it. As long as the subject is
in trouble it is one trouble, in whatever words a provider puts it each time; only for a file do
other problems make another one, since a person has been at it. It is over when a pass has looked
at the subject and has not met it.
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


_PROVIDER: Final = "provider"
_JOB: Final = "job"
_FILE: Final = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A trouble that a pass has met; `sentences` are all the words that were used for it."""

    subject: str
    what: str
    sentences: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChanges:
    """How the troubles of a pass compare with those that were there before.

    `lasting` have been told of before; `said_at` is when last.
    """

    began: tuple[Alert, ...]
    lasting: tuple[tuple[Alert, OpenProblem], ...]
    over: tuple[OpenProblem, ...]


def collect_alerts(
    report: PassReport, specs: Specs, *, stopped: Mapping[str, str]
) -> tuple[Alert, ...]:
    """Return the troubles of a pass; `stopped` says why providers are left alone.

    What a provider in trouble holds up is its trouble, not that of each job.
    """
    said: dict[str, list[str]] = {
        f"{_PROVIDER} {name}": [reason] for name, reason in stopped.items()
    }
    for wait in report.waits:
        if wait.is_problem:
            provider = wait.run.provider
            subject = f"{_PROVIDER} {provider}" if provider in stopped else _job(wait.run.job)
            said.setdefault(subject, []).append(wait.reason)
    for name, reason in report.unread.items():
        said.setdefault(_job(name), []).append(reason)
    for problem in _in_order((*specs.problems, *report.problems)):
        said.setdefault(f"{_FILE} {problem.path}", []).append(str(problem))
    return tuple(
        Alert(subject=subject, what=_summed(sentences), sentences=frozenset(sentences))
        for subject, sentences in said.items()
    )


def compare_alerts(
    ledger: Ledger,
    troubles: Sequence[Alert],
    report: PassReport,
    specs: Specs,
    *,
    answered: Iterable[str],
    everything: bool,
) -> AlertChanges:
    """Compare the troubles of a pass with those that the ledger knows.

    `answered` are the providers that have answered; `everything` says that no selection of jobs
    was made.
    """
    before = notifications.open_problems(ledger)
    now = {trouble.subject: trouble for trouble in troubles}
    began = tuple(
        trouble
        for trouble in troubles
        if trouble.subject not in before or _is_another(trouble, before[trouble.subject])
    )
    fresh = {trouble.subject for trouble in began}
    looked_at = _Looked(report, specs, frozenset(answered), everything=everything)
    return AlertChanges(
        began=began,
        lasting=tuple(
            (trouble, before[trouble.subject])
            for trouble in troubles
            if trouble.subject not in fresh
        ),
        over=tuple(
            trouble
            for subject, trouble in before.items()
            if subject not in now and looked_at.at(subject)
        ),
    )


class _Looked:
    """What a pass has looked at: of that alone it can say that a trouble is over."""

    def __init__(
        self, report: PassReport, specs: Specs, answered: frozenset[str], *, everything: bool
    ) -> None:
        self._states = report.states
        self._answered = answered
        self._everything = everything
        self._names = {job.name for job in specs.jobs} if specs.complete else None

    def at(self, subject: str) -> bool:
        kind, _, name = subject.partition(" ")
        if kind == _JOB:
            gone = self._everything and self._names is not None and name not in self._names
            return name in self._states or gone
        if kind == _PROVIDER:
            # Nobody needs a provider that a pass over all specs has not asked.
            return name in self._answered or (self._everything and self._names is not None)
        return self._everything


def _job(name: str) -> str:
    return f"{_JOB} {name}"


def _is_another(trouble: Alert, before: OpenProblem) -> bool:
    return trouble.subject.startswith(f"{_FILE} ") and trouble.what != before.what


def _in_order(problems: Iterable[Problem]) -> Iterator[Problem]:
    return iter(sorted(set(problems)))


def _summed(sentences: Sequence[str]) -> str:
    """Say all of it in one line: the first, and how many more there are."""
    several = list(dict.fromkeys(sentences))
    return several[0] if len(several) == 1 else f"{several[0]}; and {len(several) - 1} more"
