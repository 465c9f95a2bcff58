"""Problems in the ledger: one event when a problem begins and one when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.ledger import notifications
from runner.ledger.store import Ledger
from tests.ledger.entries import kinds

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ledger.entries import Clock


def begin(ledger: Ledger, what: str = "lab is away", subject: str = "provider lab") -> None:
    notifications.record_problems(ledger, began={subject: what}, over=())


def test_a_problem_begins_once(ledger: Ledger, clock: Clock) -> None:
    begin(ledger)
    clock.now += 60
    begin(ledger)

    assert kinds(ledger) == ["trouble"]
    [problem] = notifications.open_problems(ledger).values()
    assert (problem.subject, problem.what) == ("provider lab", "lab is away")
    assert problem.began_at == problem.notified_at == clock.now - 60


def test_another_problem_of_the_same_subject_is_an_event_and_began_when_the_first_did(
    ledger: Ledger, clock: Clock
) -> None:
    begin(ledger, "one")
    clock.now += 60
    begin(ledger, "another")

    assert kinds(ledger) == ["trouble", "trouble"]
    [problem] = notifications.open_problems(ledger).values()
    assert (problem.what, problem.began_at, problem.notified_at) == ("another", 1000.0, 1060.0)


def test_a_problem_is_over_once_though_two_passes_notice(
    ledger: Ledger, path: Path, clock: Clock
) -> None:
    begin(ledger)
    seen = tuple(notifications.open_problems(ledger).values())
    with Ledger.open(path, clock=clock) as other:
        notifications.record_problems(other, began={}, over=seen)
        notifications.record_problems(ledger, began={}, over=seen)

    assert kinds(ledger) == ["trouble", "recovered"]
    assert notifications.open_problems(ledger) == {}


def test_a_problem_that_has_come_back_is_not_ended_by_a_pass_that_saw_the_first(
    ledger: Ledger, clock: Clock
) -> None:
    begin(ledger)
    seen = tuple(notifications.open_problems(ledger).values())
    notifications.record_problems(ledger, began={}, over=seen)
    clock.now += 1
    begin(ledger)
    notifications.record_problems(ledger, began={}, over=seen)

    assert len(notifications.open_problems(ledger)) == 1


def test_the_time_of_a_reminder_is_kept(ledger: Ledger, clock: Clock) -> None:
    begin(ledger)
    clock.now += 500
    notifications.record_problems(ledger, began={}, over=(), repeated=["provider lab"])

    [problem] = notifications.open_problems(ledger).values()
    assert (problem.began_at, problem.notified_at) == (1000.0, 1500.0)


@pytest.mark.parametrize(
    ("subject", "job"), [("job hello", "hello"), ("provider job", None), ("file job x", None)]
)
def test_the_problem_of_a_job_is_in_its_history(
    ledger: Ledger, subject: str, job: str | None
) -> None:
    begin(ledger, subject=subject)

    [row] = ledger.query("SELECT job FROM events")
    assert row["job"] == job
