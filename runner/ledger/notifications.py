"""Notifications in the ledger: subscribers, the events they still have to get, open problems.

A notification is about one event; for each subscriber the ledger has the number of the last event
that was delivered. A message is sent before its delivery is recorded, so it is sent at least once:
after a crash in between it is sent again. The try is recorded first, so that a ledger that cannot
be written sends no message, instead of the same message in each pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.ledger.mapping import read_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runner.ledger.records import Event
    from runner.ledger.store import Ledger


TROUBLE: Final = "trouble"
RECOVERED: Final = "recovered"
_NOTIFIED_KINDS: Final = ("run_finished", "overdue", TROUBLE, RECOVERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """A hook, or another receiver of notifications, as recorded in the ledger.

    `delivered` is the number of the last event that needs no message any more. `tries` counts the
    tries to send the message of the next one, `failures` the failed tries in a row. `problem` is
    the reason of the last failure. `not_before` is the time of the next try, and `last_sent_at`
    that of the last delivery, in Unix seconds.
    """

    id: str
    name: str
    delivered: int
    tries: int
    failures: int
    not_before: float
    last_sent_at: float | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenProblem:
    """A problem that was open when the last pass ended; the user was notified at `notified_at`."""

    subject: str
    what: str
    began_at: float
    notified_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEvent:
    """An event that subscribers are notified of, and its number."""

    number: int
    event: Event

    @property
    def kind(self) -> str:
        """The final state of a finished run, else the kind of the event."""
        ended = self.event.kind == "run_finished"
        return str(self.event.detail.get("state")) if ended else self.event.kind


def register_subscribers(ledger: Ledger, names: Mapping[str, str]) -> None:
    """Record these subscribers (id to name) and delete all others.

    A new subscriber gets the events that follow. Nothing is written if all are recorded already.
    The tables that are needed after a pass are read here, so that a ledger that is damaged there is
    found before anything is sent.
    """
    open_problems(ledger)
    recorded = {row["id"] for row in ledger.query("SELECT id FROM hooks")}
    if recorded == names.keys():
        return
    with ledger.transaction() as transaction:
        for removed in recorded - names.keys():
            transaction.write("DELETE FROM hooks WHERE id = ?", removed)
        for new in names.keys() - recorded:
            transaction.write(
                "INSERT OR IGNORE INTO hooks (id, name, heard) "
                "VALUES (?, ?, (SELECT coalesce(max(id), 0) FROM events))",
                new,
                names[new],
            )


def subscribers(ledger: Ledger) -> dict[str, Subscriber]:
    """Return the recorded subscribers, by id."""
    rows = ledger.query(
        "SELECT id, name, heard AS delivered, tries, failures, not_before, "
        "told_at AS last_sent_at, problem FROM hooks"
    )
    return {row["id"]: Subscriber(**dict(row)) for row in rows}


def newest_event_number(ledger: Ledger) -> int:
    """Return the number of the newest event; 0 if there is none."""
    [row] = ledger.query("SELECT coalesce(max(id), 0) AS newest FROM events")
    return int(row["newest"])


def pending_events(ledger: Ledger, *, after: int, through: int) -> tuple[PendingEvent, ...]:
    """Return the events in a range that subscribers are notified of, oldest first."""
    placeholders = ", ".join("?" * len(_NOTIFIED_KINDS))
    rows = ledger.query(
        f"SELECT * FROM events WHERE id > ? AND id <= ? AND kind IN ({placeholders}) "  # noqa: S608
        "ORDER BY id",
        after,
        through,
        *_NOTIFIED_KINDS,
    )
    return tuple(PendingEvent(number=row["id"], event=read_event(row)) for row in rows)


def record_try(ledger: Ledger, hook: str) -> None:
    """Record that a message to a subscriber is about to be sent."""
    with ledger.transaction() as transaction:
        transaction.write("UPDATE hooks SET tries = tries + 1 WHERE id = ?", hook)


def record_delivery(ledger: Ledger, hook: Subscriber, pending: PendingEvent) -> None:
    """Record that a message was delivered to a subscriber."""
    with ledger.transaction() as transaction:
        transaction.write(
            "UPDATE hooks SET heard = max(heard, ?), tries = 0, failures = 0, not_before = 0, "
            "told_at = ?, problem = NULL WHERE id = ?",
            pending.number,
            transaction.now,
            hook.id,
        )
        event = pending.event
        transaction.record_event(
            "told", job=event.job, revision=event.revision, hook=hook.name, of=pending.kind
        )


def record_failed_delivery(
    ledger: Ledger,
    hook: Subscriber,
    problem: str,
    *,
    not_before: float = 0.0,
    given_up: PendingEvent | None = None,
) -> None:
    """Record that a message could not be delivered, and when the next try is due.

    `given_up` is the event that is not tried again.
    """
    with ledger.transaction() as transaction:
        transaction.write(
            "UPDATE hooks SET failures = failures + 1, not_before = ?, problem = ? WHERE id = ?",
            not_before,
            problem,
            hook.id,
        )
        if given_up is None:
            return
        transaction.write(
            "UPDATE hooks SET heard = max(heard, ?), tries = 0 WHERE id = ?",
            given_up.number,
            hook.id,
        )
        transaction.record_event(
            "not_told",
            job=given_up.event.job,
            revision=given_up.event.revision,
            hook=hook.name,
            of=given_up.kind,
            problem=problem,
        )


def record_recovery(ledger: Ledger, subscriber: Subscriber) -> None:
    """Record that a subscriber with failures works again."""
    with ledger.transaction() as transaction:
        transaction.write(
            "UPDATE hooks SET failures = 0, problem = NULL WHERE id = ?", subscriber.id
        )


def mark_delivered(ledger: Ledger, hook: str, number: int) -> None:
    """Record that a subscriber needs no message about any event up to this number."""
    with ledger.transaction() as transaction:
        transaction.write(
            "UPDATE hooks SET heard = ?, tries = 0 WHERE id = ? AND heard < ?", number, hook, number
        )


def open_problems(ledger: Ledger) -> dict[str, OpenProblem]:
    """Return the problems that were open when the last pass ended, by subject."""
    rows = ledger.query(
        "SELECT subject, what, began_at, said_at AS notified_at FROM troubles ORDER BY subject"
    )
    return {row["subject"]: OpenProblem(**dict(row)) for row in rows}


def record_problems(
    ledger: Ledger,
    *,
    began: Mapping[str, str],
    over: Iterable[OpenProblem],
    dropped: Iterable[OpenProblem] = (),
    reworded: Mapping[str, str] | None = None,
    repeated: Iterable[str] = (),
) -> None:
    """Record the problems that have begun, those that are over, and those notified again.

    `dropped` are over as well, since their subject does not exist any more: the event says so.
    `began` maps the subject of a problem to its text; a subject that is open already gets the new
    text. `reworded` has the new texts of open problems that only say it differently, which is no
    event. `repeated` are the subjects that the user was reminded of. Two passes that record the
    same at the same time write one event.
    """
    with ledger.transaction() as transaction:
        for problem, gone in (*((one, False) for one in over), *((one, True) for one in dropped)):
            if transaction.write(
                "DELETE FROM troubles WHERE subject = ? AND began_at = ?",
                problem.subject,
                problem.began_at,
            ):
                transaction.record_event(
                    RECOVERED,
                    job=_job(problem.subject),
                    subject=problem.subject,
                    what=problem.what,
                    since=problem.began_at,
                    gone=gone,
                )
        for subject, what in began.items():
            if transaction.write(
                "INSERT INTO troubles (subject, what, began_at, said_at) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (subject) DO UPDATE SET what = excluded.what, "
                "said_at = excluded.said_at WHERE what != excluded.what",
                subject,
                what,
                transaction.now,
                transaction.now,
            ):
                transaction.record_event(TROUBLE, job=_job(subject), subject=subject, what=what)
        for subject, what in (reworded or {}).items():
            transaction.write("UPDATE troubles SET what = ? WHERE subject = ?", what, subject)
        for subject in repeated:
            transaction.write(
                "UPDATE troubles SET said_at = ? WHERE subject = ?", transaction.now, subject
            )


def _job(subject: str) -> str | None:
    """Return the name of the job if the subject is about one job, else None."""
    kind, _, name = subject.partition(" ")
    return name if kind in ("job", "machine") else None
