"""Every transition of a submission from every state: allowed ones are complete, others fail."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest

from runner.errors import LedgerError
from runner.inputs.row_set import RowSet
from runner.ledger import submission_transitions
from runner.ledger.records import RunState, SubmissionState
from tests.ledger.entries import (
    CALLS,
    CREATING,
    KEY,
    PREPARED,
    PROVIDER,
    SUBMITTED,
    UPLOADED,
    UPLOADING,
    attempt,
    batch,
    bring_to,
    close,
    dump,
    kinds,
    start,
    submission,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.ledger.store import Ledger
    from tests.ledger.entries import Clock

OPEN: Final = frozenset({PREPARED, UPLOADING, UPLOADED, CREATING})
ENDS: Final = (
    SubmissionState.COLLECTED,
    SubmissionState.FAILED,
    SubmissionState.LOST,
    SubmissionState.ABANDONED,
)


@dataclass(frozen=True)
class Step:
    """A transition: its call, the states it may start from, its next state and its event."""

    make: Callable[[Ledger], None]
    start: frozenset[SubmissionState]
    leads_to: SubmissionState
    tells: str


STEPS: Final = {
    "intend_upload": Step(
        make=CALLS["intend_upload"],
        start=frozenset({PREPARED}),
        leads_to=UPLOADING,
        tells="uploading",
    ),
    "uploaded": Step(
        make=CALLS["uploaded"],
        start=frozenset({PREPARED, UPLOADING}),
        leads_to=UPLOADED,
        tells="uploaded",
    ),
    "adopted_file": Step(
        make=CALLS["uploaded, adopted"],
        start=frozenset({PREPARED, UPLOADING}),
        leads_to=UPLOADED,
        tells="file_adopted",
    ),
    "intend_create": Step(
        make=CALLS["intend_create"],
        start=frozenset({UPLOADED}),
        leads_to=CREATING,
        tells="creating",
    ),
    "submitted": Step(
        make=CALLS["submitted"],
        start=OPEN,
        leads_to=SUBMITTED,
        tells="submitted",
    ),
    "adopted_batch": Step(
        make=CALLS["submitted, adopted"],
        start=OPEN,
        leads_to=SUBMITTED,
        tells="batch_adopted",
    ),
    "retract_an_upload": Step(
        make=CALLS["clear_intent"],
        start=frozenset({UPLOADING}),
        leads_to=PREPARED,
        tells="not_sent",
    ),
    "retract_a_creation": Step(
        make=CALLS["clear_intent"],
        start=frozenset({CREATING, UPLOADED}),
        leads_to=UPLOADED,
        tells="not_sent",
    ),
    "retract_with_the_file": Step(
        make=CALLS["clear_intent with the file"],
        start=frozenset({UPLOADING, CREATING, UPLOADED}),
        leads_to=PREPARED,
        tells="not_sent",
    ),
} | {
    f"close_as_{end}": Step(
        make=partial(close, state=end), start=OPEN | {SUBMITTED}, leads_to=end, tells=str(end)
    )
    for end in ENDS
}

ALLOWED: Final = [
    pytest.param(step, state, id=f"{name}-from-{state}")
    for name, step in STEPS.items()
    for state in SubmissionState
    if state in step.start
]
REFUSED: Final = [
    pytest.param(step, state, id=f"{name}-from-{state}")
    for name, step in STEPS.items()
    for state in SubmissionState
    # The effect of `clear_intent` depends on the state, so the table has it three times.
    if state not in step.start and not (name.startswith("retract") and state in (OPEN - {PREPARED}))
]


@pytest.mark.parametrize(("step", "state"), ALLOWED)
def test_an_allowed_step_writes_the_state_and_one_event(
    ledger: Ledger, clock: Clock, step: Step, state: SubmissionState
) -> None:
    bring_to(ledger, state)
    before = kinds(ledger)
    clock.now = 2000.0

    step.make(ledger)

    assert attempt(ledger).state is step.leads_to
    assert kinds(ledger) == [*before, step.tells]
    event = ledger.events("hello")[-1]
    assert (event.at, event.job, event.revision) == (2000.0, "hello", KEY.revision)
    assert event.submission == str(KEY)


@pytest.mark.parametrize(("step", "state"), REFUSED)
def test_any_other_step_is_refused_and_changes_nothing(
    ledger: Ledger, path: Path, step: Step, state: SubmissionState
) -> None:
    bring_to(ledger, state)
    before = dump(path)

    with pytest.raises(LedgerError, match=str(KEY)):
        step.make(ledger)

    assert dump(path) == before


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_step_of_a_submission_that_is_not_there_is_refused(
    ledger: Ledger, path: Path, step: Step
) -> None:
    start(ledger)
    before = dump(path)

    with pytest.raises(LedgerError):
        step.make(ledger)

    assert dump(path) == before


def test_preparing_makes_the_run_a_running_one(ledger: Ledger) -> None:
    run = start(ledger)

    submission_transitions.prepare(ledger, run, submission())

    assert ledger.run(run.id).state is RunState.RUNNING
    assert attempt(ledger) == submission()
    assert kinds(ledger) == ["run_started", "prepared"]


def test_an_attempt_is_prepared_once(ledger: Ledger, path: Path) -> None:
    run = bring_to(ledger, PREPARED)
    before = dump(path)

    with pytest.raises(LedgerError):
        submission_transitions.prepare(ledger, run, submission())

    assert dump(path) == before


def test_an_intent_notes_when_and_how_far_the_list_was_known(ledger: Ledger, clock: Clock) -> None:
    bring_to(ledger, PREPARED)
    clock.now = 1234.5

    submission_transitions.intend_upload(ledger, KEY, since=77)

    assert (attempt(ledger).intent_at, attempt(ledger).since) == (1234.5, 77)


def test_a_fact_ends_intent_and_doubt(ledger: Ledger) -> None:
    bring_to(ledger, CREATING)
    submission_transitions.mark_uncertain(ledger, KEY, "no answer")

    submission_transitions.submitted(ledger, KEY, PROVIDER, batch())

    assert (attempt(ledger).intent_at, attempt(ledger).doubt_at) == (None, None)
    assert (attempt(ledger).batch_id, attempt(ledger).submitted_at) == ("batch_1", 1000.0)


def test_only_the_first_doubt_counts(ledger: Ledger, clock: Clock) -> None:
    bring_to(ledger, CREATING)
    clock.now = 1100.0
    submission_transitions.mark_uncertain(ledger, KEY, "no answer")
    clock.now = 1200.0

    submission_transitions.mark_uncertain(ledger, KEY, "still none")

    assert (attempt(ledger).doubt_at, attempt(ledger).problem) == (1100.0, "no answer")
    assert kinds(ledger).count("outcome_unknown") == 1


@pytest.mark.parametrize("state", [UPLOADING, CREATING])
def test_a_retracted_intent_leaves_no_doubt(ledger: Ledger, state: SubmissionState) -> None:
    bring_to(ledger, state)
    submission_transitions.mark_uncertain(ledger, KEY, "no answer")

    submission_transitions.clear_intent(ledger, KEY, "it never arrived")

    assert (attempt(ledger).intent_at, attempt(ledger).doubt_at) == (None, None)
    assert attempt(ledger).problem == "it never arrived"


def test_a_file_that_is_gone_is_forgotten(ledger: Ledger) -> None:
    bring_to(ledger, CREATING)
    assert attempt(ledger).input_file_id == "file-in"

    submission_transitions.clear_intent(ledger, KEY, "no such file", file_gone=True)

    assert attempt(ledger).input_file_id is None


def test_the_batch_says_which_file_it_was_made_from(ledger: Ledger) -> None:
    bring_to(ledger, PREPARED)

    submission_transitions.submitted(
        ledger, KEY, PROVIDER, batch(input_file_id="file-of-another-life"), adopted=True
    )

    assert attempt(ledger).input_file_id == "file-of-another-life"


def test_what_is_observed_is_what_is_read_back(ledger: Ledger) -> None:
    bring_to(ledger, SUBMITTED)

    submission_transitions.observed(ledger, KEY, PROVIDER, batch(status="finalizing"))

    assert attempt(ledger).batch == batch(status="finalizing")
    assert kinds(ledger)[-1] == "batch_changed"


def test_the_first_sight_of_the_end_is_remembered(ledger: Ledger, clock: Clock) -> None:
    bring_to(ledger, SUBMITTED)
    for clock.now in (1100.0, 1200.0):
        submission_transitions.observed(ledger, KEY, PROVIDER, batch(status="completed"))

    assert attempt(ledger).terminal_at == 1100.0


def test_a_batch_that_is_missing_can_come_back(ledger: Ledger, clock: Clock) -> None:
    bring_to(ledger, SUBMITTED)
    for clock.now in (1100.0, 1200.0):
        submission_transitions.batch_not_found(ledger, KEY, "batch_1")
    assert attempt(ledger).missing_at == 1100.0

    submission_transitions.observed(ledger, KEY, PROVIDER, batch())

    assert attempt(ledger).missing_at is None


def test_the_end_of_an_attempt_says_which_rows_are_left(ledger: Ledger) -> None:
    bring_to(ledger, SUBMITTED)

    submission_transitions.close(
        ledger,
        KEY,
        state=SubmissionState.COLLECTED,
        transient=RowSet.parse("0-1"),
        permanent=RowSet.parse("4"),
        problem=None,
        counted=False,
        not_before=4711.0,
        detail={"codes": {"429": 2}},
    )

    closed = attempt(ledger)
    assert (closed.transient, closed.permanent) == (RowSet.parse("0-1"), RowSet.parse("4"))
    assert (closed.counted, closed.not_before) == (False, 4711.0)
    event = ledger.events("hello")[-1]
    assert (event.detail["transient"], event.detail["permanent"]) == (2, 1)
    assert event.detail["outcome"] == {"codes": {"429": 2}}
