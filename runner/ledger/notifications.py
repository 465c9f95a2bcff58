"""What has to be told, to whom it was told, and which troubles there are.

What is told of is an event; a hook has heard of all events up to one. Word is sent before that is
recorded, so it is sent at least once: a crash in between sends it again. The try is recorded
first, so that a ledger that cannot be written sends nothing, rather than the same in each pass.
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
    """A hook, or anything else that is told of passes, as the ledger knows it.

    `delivered` is the last event it need not be told of, `tries` how often the next one was
    tried, `failures` how many tries have failed in a row and `problem` why the last one did, and
    `not_before` when the next is due.
    """

    id: str
    name: str
    delivered: int
    tries: int
    failures: int
    not_before: float
    told_at: float | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenProblem:
    """A trouble that was there when the last pass ended; `said_at` is when people were told."""

    subject: str
    what: str
    began_at: float
    said_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEvent:
    """An event that is worth telling, and its number."""

    number: int
    event: Event

    @property
    def kind(self) -> str:
        """What it tells of: how a job has ended, or the event itself."""
        ended = self.event.kind == "run_finished"
        return str(self.event.detail.get("state")) if ended else self.event.kind


def register_subscribers(ledger: Ledger, names: Mapping[str, str]) -> None:
    """Know these hooks, by id, and no others; a new one hears of what happens from now on.

    Writes nothing if they are known. What is read after a pass is read here for the first time: a
    ledger that is damaged there is to be found so before anything is sent.
    """
    open_problems(ledger)
    known = {row["id"] for row in ledger.query("SELECT id FROM hooks")}
    if known == names.keys():
        return
    with ledger.transaction() as transaction:
        for gone in known - names.keys():
            transaction.write("DELETE FROM hooks WHERE id = ?", gone)
        for new in names.keys() - known:
            transaction.write(
                "INSERT OR IGNORE INTO hooks (id, name, heard) "
                "VALUES (?, ?, (SELECT coalesce(max(id), 0) FROM events))",
                new,
                names[new],
            )


def subscribers(ledger: Ledger) -> dict[str, Subscriber]:
    """Return whoever is told, by id."""
    rows = ledger.query(
        "SELECT id, name, heard AS delivered, tries, failures, not_before, told_at, problem "
        "FROM hooks"
    )
    return {row["id"]: Subscriber(**dict(row)) for row in rows}


def newest_event_number(ledger: Ledger) -> int:
    """Return the number of the newest event; 0 where there is none."""
    [row] = ledger.query("SELECT coalesce(max(id), 0) AS newest FROM events")
    return int(row["newest"])


def pending_events(ledger: Ledger, *, after: int, through: int) -> tuple[PendingEvent, ...]:
    """Return what is worth telling of the events after one and up to another, oldest first."""
    marks = ", ".join("?" * len(_NOTIFIED_KINDS))
    rows = ledger.query(
        f"SELECT * FROM events WHERE id > ? AND id <= ? AND kind IN ({marks}) "  # noqa: S608
        "ORDER BY id",
        after,
        through,
        *_NOTIFIED_KINDS,
    )
    return tuple(PendingEvent(number=row["id"], event=read_event(row)) for row in rows)


def record_try(ledger: Ledger, hook: str) -> None:
    """Note that a hook is about to be told: whatever comes of it, this was a try."""
    with ledger.transaction() as transaction:
        transaction.write("UPDATE hooks SET tries = tries + 1 WHERE id = ?", hook)


def record_delivery(ledger: Ledger, hook: Subscriber, pending: PendingEvent) -> None:
    """Record that a hook was told."""
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
    """Record that a hook could not be told, and when that is worth another try.

    `given_up` is what it will not be told of any more.
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
    """Record that what had failed works again."""
    with ledger.transaction() as transaction:
        transaction.write(
            "UPDATE hooks SET failures = 0, problem = NULL WHERE id = ?", subscriber.id
        )


def mark_delivered(ledger: Ledger, hook: str, number: int) -> None:
    """Record that there is nothing to tell a hook of up to an event."""
    with ledger.transaction() as transaction:
        transaction.write(
            "UPDATE hooks SET heard = ?, tries = 0 WHERE id = ? AND heard < ?", number, hook, number
        )


def open_problems(ledger: Ledger) -> dict[str, OpenProblem]:
    """Return the troubles that were there when the last pass ended, by subject."""
    rows = ledger.query("SELECT subject, what, began_at, said_at FROM troubles ORDER BY subject")
    return {row["subject"]: OpenProblem(**dict(row)) for row in rows}


def record_problems(
    ledger: Ledger,
    *,
    began: Mapping[str, str],
    over: Iterable[OpenProblem],
    said: Iterable[str] = (),
) -> None:
    """Record which troubles have begun and which are over, and of which people were told again.

    `began` is what each is, by subject; one that was there already has become another. Two
    passes that notice the same at once make one event of it.
    """
    with ledger.transaction() as transaction:
        for trouble in over:
            if transaction.write(
                "DELETE FROM troubles WHERE subject = ? AND began_at = ?",
                trouble.subject,
                trouble.began_at,
            ):
                transaction.record_event(
                    RECOVERED,
                    job=_job(trouble.subject),
                    subject=trouble.subject,
                    what=trouble.what,
                    since=trouble.began_at,
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
        for subject in said:
            transaction.write(
                "UPDATE troubles SET said_at = ? WHERE subject = ?", transaction.now, subject
            )


def _job(subject: str) -> str | None:
    """Return the job that a subject is, if it is one."""
    kind, _, name = subject.partition(" ")
    return name if kind == "job" else None
