"""Every transition: whether it must be durable, and all that it writes (golden/transitions.txt).

A power cut may undo what is not durable. So what must be durable is named here, one by one: an
intent before its call, a batch id, how a submission ended, what the user requested, the end of a
run. `UPDATE_GOLDEN=1 pytest tests/ledger` writes the golden file again; review the difference like
any other.
"""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from runner.errors import LedgerError
from runner.inputs.row_set import RowSet
from runner.ledger import run_transitions, submission_transitions
from runner.ledger.records import RunState, SubmissionState
from runner.ledger.store import record_listing
from tests.ledger.entries import (
    CALLS,
    COLLECTED,
    CREATING,
    JOB,
    KEY,
    LOST,
    PREPARED,
    PROVIDER,
    RUN,
    SHARDS,
    SUBMITTED,
    UPLOADED,
    UPLOADING,
    batch,
    bring_to,
    dump,
    result_file,
    start,
    submission,
)
from tests.report.golden_files import check_golden_blocks
from tests.simulation.thrift import blank_ledger, quick_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.ledger.records import Submission
    from runner.ledger.store import Ledger
    from tests.ledger.entries import Clock

GOLDEN: Final = Path(__file__).parent / "golden" / "transitions.txt"

MUST_BE_DURABLE: Final = {
    "intend_upload": True,
    "intend_create": True,
    "submitted": True,
    "close": True,
    "reopen_run": True,
    "match_by_order": True,
    "request_cancel": True,
    "finish_run": True,
    # What a provider, a spec or the disk shows once more needs no disk to wait for.
    "prepare": False,
    "uploaded": False,
    "mark_uncertain": False,
    "clear_intent": False,
    "too_large": False,
    "observed": False,
    "batch_not_found": False,
    "overdue": False,
    "downloaded": False,
    "set_desired": False,
    "clear_desired": False,
    "start_run": False,
    "restore_run": False,
    "restore_history": False,
    "relocate_run": False,
    "submission_files_deleted": False,
    "run_files_deleted": False,
}

OTHER_RUN: Final = dataclasses.replace(
    RUN,
    job="other",
    state=RunState.PARTIAL,
    reason="some failed",
    git="{}",
    spec_path="specs/other.yaml",
    spec_line=3,
    spec_sha256="6" * 64,
    spec_document="name: other\n",
    attempts=5,
    succeeded=4,
    failed=2,
    superseded=True,
    finished_at=1500.0,
    shards=SHARDS,
)
OTHER_JOB: Final = dataclasses.replace(JOB, name="other", spec_line=7)
OTHER_KEY: Final = dataclasses.replace(KEY, job="other")
MOVED: Final = dataclasses.replace(JOB, name="moved", spec_path="specs/moved.yaml")
EDITED: Final = dataclasses.replace(JOB, spec_line=7, spec_document="name: hello  # edited\n")


def ended() -> Submission:
    """Return the submission of another ledger's run, with everything that it may have."""
    return submission(
        OTHER_KEY,
        round=1,
        state=COLLECTED,
        counted=False,
        input_file_id="file-in",
        batch_id="batch_7",
        since=5,
        not_before=6.0,
        submitted_at=1100.0,
        terminal_at=1200.0,
        missing_at=1300.0,
        overdue_at=1400.0,
        tidied_at=1450.0,
        transient=RowSet.parse("0"),
        permanent=RowSet.parse("4"),
        problem="one is missing",
        batch=batch("batch_7", "completed"),
    )


@dataclass(frozen=True)
class Case:
    """A call of a transition, and the state of the submission before it; None without a run."""

    make: Callable[[Ledger], object]
    before: SubmissionState | None = PREPARED
    doubted: bool = False


def _close(**more: object) -> Callable[[Ledger], object]:
    values: dict[str, object] = {
        "state": COLLECTED,
        "transient": RowSet.parse("0-1"),
        "permanent": RowSet.parse("4"),
        "problem": "two failed",
    }
    return lambda ledger: submission_transitions.close(ledger, KEY, **(values | more))  # type: ignore[arg-type]


def _close_twice(ledger: Ledger) -> None:
    _close(truncated=2)(ledger)
    second = dataclasses.replace(KEY, attempt=2)
    submission_transitions.prepare(ledger, ledger.run(1), submission(second))
    submission_transitions.close(
        ledger,
        second,
        state=COLLECTED,
        transient=RowSet(),
        permanent=RowSet(),
        problem=None,
        truncated=3,
    )


def _observe_beside_another(ledger: Ledger) -> None:
    """Observe a batch whose id another batch, of nobody here, has at the provider's new name."""
    record_listing(ledger, "renamed", "http://x/v1", through=1, tagged=[(OTHER_KEY, batch())])
    submission_transitions.observed(ledger, KEY, "renamed", batch(status="finalizing"))


def _finish(*, truncated: int | None = None) -> Callable[[Ledger], object]:
    return lambda ledger: run_transitions.finish_run(
        ledger,
        ledger.run(1),
        state=RunState.PARTIAL,
        reason="two failed",
        succeeded=4,
        failed=2,
        superseded=True,
        truncated=truncated,
    )


def _match(ledger: Ledger) -> None:
    match = run_transitions.OrderMatch(
        key=KEY,
        file=result_file("by_order"),
        transient=RowSet(),
        permanent=RowSet.parse("4"),
        problem="3 lines were matched",
        detail={"matched": 3},
    )
    run_transitions.match_by_order(ledger, ledger.run(1), [match])


def _match_after_the_end(ledger: Ledger) -> None:
    _finish()(ledger)
    _match(ledger)


CASES: Final = {
    "prepare": Case(
        lambda ledger: submission_transitions.prepare(
            ledger, ledger.run(1), submission(dataclasses.replace(KEY, attempt=2))
        )
    ),
    "prepare the first": Case(
        lambda ledger: submission_transitions.prepare(ledger, start(ledger), submission()), None
    ),
    "intend_upload": Case(CALLS["intend_upload"]),
    "uploaded": Case(CALLS["uploaded"], UPLOADING, doubted=True),
    "uploaded, adopted": Case(CALLS["uploaded, adopted"]),
    "intend_create": Case(CALLS["intend_create"], UPLOADED),
    "submitted": Case(CALLS["submitted"], CREATING, doubted=True),
    "submitted, adopted with other rows": Case(
        lambda ledger: submission_transitions.submitted(
            ledger,
            KEY,
            PROVIDER,
            batch(input_file_id="file-of-another-ledger"),
            adopted=True,
            actual=submission(rows=RowSet.parse("0-1"), requests=2, bytes=9, sha256="8" * 64),
        ),
        CREATING,
    ),
    "mark_uncertain": Case(
        lambda ledger: submission_transitions.mark_uncertain(ledger, KEY, "no reply"), CREATING
    ),
    "mark_uncertain again": Case(
        lambda ledger: submission_transitions.mark_uncertain(ledger, KEY, "still none"),
        UPLOADING,
        doubted=True,
    ),
    "clear_intent of an upload": Case(CALLS["clear_intent"], UPLOADING, doubted=True),
    "clear_intent of a creation": Case(CALLS["clear_intent"], CREATING, doubted=True),
    "clear_intent with the file": Case(CALLS["clear_intent with the file"], CREATING, doubted=True),
    "too_large": Case(
        lambda ledger: submission_transitions.too_large(
            ledger,
            ledger.run(1),
            submission(rows=RowSet.parse("0-1"), requests=2, bytes=199, sha256="8" * 64),
            ceiling=200,
            problem="413",
        ),
        UPLOADING,
        doubted=True,
    ),
    "observed": Case(
        lambda ledger: submission_transitions.observed(
            ledger, KEY, PROVIDER, batch(status="finalizing")
        ),
        SUBMITTED,
    ),
    "observed, terminal": Case(
        lambda ledger: submission_transitions.observed(
            ledger, KEY, PROVIDER, batch(status="completed", output_file_id="file-out")
        ),
        SUBMITTED,
    ),
    "observed, nothing new": Case(
        lambda ledger: submission_transitions.observed(ledger, KEY, PROVIDER, batch()), SUBMITTED
    ),
    "observed under another id": Case(
        lambda ledger: submission_transitions.observed(ledger, KEY, PROVIDER, batch("batch_9")),
        SUBMITTED,
    ),
    "observed at a provider of another name": Case(
        lambda ledger: submission_transitions.observed(
            ledger, KEY, "renamed", batch(status="finalizing")
        ),
        SUBMITTED,
    ),
    "observed at a provider of another name, with another batch of that id": Case(
        _observe_beside_another, SUBMITTED
    ),
    "batch_not_found": Case(
        lambda ledger: submission_transitions.batch_not_found(ledger, KEY, "batch_1"), SUBMITTED
    ),
    "overdue": Case(
        lambda ledger: submission_transitions.overdue(ledger, KEY, "it is late"), SUBMITTED
    ),
    "downloaded": Case(
        lambda ledger: submission_transitions.downloaded(ledger, KEY, result_file()), SUBMITTED
    ),
    "close": Case(_close(), SUBMITTED),
    "close, with all that is known": Case(
        _close(
            state=SubmissionState.FAILED,
            counted=False,
            not_before=4711.0,
            detail={"codes": {"429": 2}},
        ),
        SUBMITTED,
    ),
    "close, with cut answers": Case(_close(truncated=2), SUBMITTED),
    "close, with cut answers of an earlier attempt": Case(_close_twice, SUBMITTED),
    "set_desired": Case(lambda ledger: run_transitions.set_desired(ledger, EDITED)),
    "clear_desired": Case(lambda ledger: run_transitions.clear_desired(ledger, "hello")),
    "start_run": Case(
        lambda ledger: run_transitions.start_run(ledger, JOB, RUN, iter(SHARDS)), None
    ),
    "restore_run": Case(
        lambda ledger: run_transitions.restore_run(
            ledger,
            OTHER_JOB,
            OTHER_RUN,
            [(ended(), ended().batch, [result_file(), result_file("error")])],
        ),
    ),
    "restore_history": Case(
        lambda ledger: run_transitions.restore_history(ledger, OTHER_RUN, [(ended(), None, [])])
    ),
    "relocate_run": Case(
        lambda ledger: run_transitions.relocate_run(
            ledger, ledger.run(1), MOVED, "outputs/moved/9f86d081884c"
        )
    ),
    "reopen_run": Case(
        lambda ledger: run_transitions.reopen_run(
            ledger, ledger.run(1), next_round=True, attempts=4
        ),
        LOST,
    ),
    "reopen_run in the same round": Case(
        lambda ledger: run_transitions.reopen_run(
            ledger, ledger.run(1), next_round=False, attempts=3
        ),
        COLLECTED,
    ),
    "reopen_run, with files to be read once more": Case(
        lambda ledger: run_transitions.reopen_run(
            ledger, ledger.run(1), next_round=True, attempts=3, unmatched=[KEY]
        ),
        COLLECTED,
    ),
    "match_by_order": Case(_match, COLLECTED),
    "match_by_order, of a run that has ended": Case(_match_after_the_end, COLLECTED),
    "request_cancel": Case(
        lambda ledger: run_transitions.request_cancel(ledger, ledger.run(1)), SUBMITTED
    ),
    "finish_run": Case(_finish(), COLLECTED),
    "finish_run, with cut answers": Case(_finish(truncated=7), COLLECTED),
    "submission_files_deleted": Case(
        lambda ledger: run_transitions.submission_files_deleted(
            ledger, KEY, deleted=["file-in"], left={"file-out": "refused"}
        ),
        COLLECTED,
    ),
    "run_files_deleted": Case(
        lambda ledger: run_transitions.run_files_deleted(ledger, ledger.run(1)), COLLECTED
    ),
}


def before(ledger: Ledger, clock: Clock, case: Case) -> None:
    """Bring the ledger to the state before a case, at 1000 s; the case is at 2000 s."""
    if case.before is not None:
        bring_to(ledger, case.before)
    if case.doubted:
        submission_transitions.mark_uncertain(ledger, KEY, "no reply")
    clock.now = 2000.0


def commits(ledger: Ledger, make: Callable[[Ledger], object]) -> list[str]:
    """Return with which `synchronous` each commit was made."""
    said: list[str] = []
    ledger._connection.set_trace_callback(said.append)
    try:
        make(ledger)
    finally:
        ledger._connection.set_trace_callback(None)
    found, mode = [], ""
    for statement in said:
        if statement.startswith("PRAGMA synchronous"):
            mode = statement.rpartition(" ")[2]
        elif statement == "COMMIT":
            found.append(mode)
    return found


def test_every_transition_is_named_here() -> None:
    transitions = {
        name
        for module in (submission_transitions, run_transitions)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if not name.startswith("_") and function.__module__ == module.__name__
    }
    assert transitions == set(MUST_BE_DURABLE)
    assert {name.split()[0].rstrip(",") for name in CASES} == transitions


@pytest.mark.parametrize("name", CASES)
def test_what_must_survive_a_power_cut_waits_for_the_disk(
    ledger: Ledger, clock: Clock, name: str
) -> None:
    before(ledger, clock, CASES[name])
    durable = MUST_BE_DURABLE[name.split(maxsplit=1)[0].rstrip(",")]
    assert commits(ledger, CASES[name].make)[-1:] == ["FULL" if durable else "NORMAL"]


def test_every_transition_writes_what_it_wrote_at_the_last_review() -> None:
    from runner.ledger.store import Ledger
    from tests.ledger.entries import Clock

    blocks = {}
    for name, case in CASES.items():
        clock = Clock()
        with quick_folder() as folder:
            path = folder / "ledger.db"
            blank_ledger(path)
            with Ledger.open(path, clock=clock) as ledger:
                before(ledger, clock, case)
                old = dump(path)
                case.make(ledger)
                new = dump(path)
        changed = [f"- {line}" for line in old if line not in new]
        changed += [f"+ {line}" for line in new if line not in old]
        blocks[name] = "".join(f"{line}\n" for line in changed)
    check_golden_blocks(GOLDEN, blocks)


@pytest.mark.parametrize(
    "case", ["too_large", "overdue", "batch_not_found", "downloaded", "match_by_order"]
)
@pytest.mark.parametrize("state", list(SubmissionState))
def test_a_transition_from_another_state_is_refused(
    ledger: Ledger, path: Path, clock: Clock, case: str, state: SubmissionState
) -> None:
    before(ledger, clock, dataclasses.replace(CASES[case], before=state, doubted=False))
    if state is CASES[case].before:
        CASES[case].make(ledger)
        return
    old = dump(path)
    with pytest.raises(LedgerError, match=str(KEY)):
        CASES[case].make(ledger)
    assert dump(path) == old


def test_the_first_time_is_kept_unless_the_clock_was_ahead(ledger: Ledger, clock: Clock) -> None:
    """The times of a doubt, a denial and an end move back, never forward."""
    bring_to(ledger, SUBMITTED)
    found = []
    for clock.now in (1500.0, 1600.0, 1400.0):
        submission_transitions.batch_not_found(ledger, KEY, "batch_1")
        found.append(ledger.run(1).submissions[0].missing_at)
    for clock.now in (1500.0, 1600.0, 1400.0):
        submission_transitions.observed(ledger, KEY, PROVIDER, batch(status="completed"))
        found.append(ledger.run(1).submissions[0].terminal_at)
    submission_transitions.observed(ledger, KEY, PROVIDER, batch(status="in_progress"))
    found.append(ledger.run(1).submissions[0].terminal_at)
    for clock.now in (1500.0, 1600.0, 1400.0):
        submission_transitions.overdue(ledger, KEY, "it is late")
        found.append(ledger.run(1).submissions[0].overdue_at)
    assert found == [1500, 1500, 1400, 1500, 1500, 1400, None, 1500, 1500, 1500]


def test_a_doubt_of_a_clock_that_was_ahead_is_dated_again(ledger: Ledger, clock: Clock) -> None:
    bring_to(ledger, CREATING)
    found = []
    for clock.now, said in ((1500.0, "first"), (1500.0, "second"), (1400.0, "third")):
        submission_transitions.mark_uncertain(ledger, KEY, said)
        attempt = ledger.run(1).submissions[0]
        found.append((attempt.doubt_at, attempt.problem))
    assert found == [(1500, "first"), (1500, "first"), (1400, "third")]


def test_the_smallest_size_limit_counts(ledger: Ledger) -> None:
    bring_to(ledger, PREPARED)
    found = []
    for ceiling in (300, 200, 250):
        submission_transitions.intend_upload(ledger, KEY, since=None)
        submission_transitions.too_large(
            ledger, ledger.run(1), submission(), ceiling=ceiling, problem="413"
        )
        found.append(ledger.run(1).ceiling)
    assert found == [300, 200, 200]


def test_only_an_end_closes_a_submission(ledger: Ledger, path: Path) -> None:
    bring_to(ledger, SUBMITTED)
    old = dump(path)
    with pytest.raises(ValueError, match="submitted is not a final state of a submission"):
        _close(state=SUBMITTED)(ledger)
    assert dump(path) == old


def test_shards_that_do_not_hold_all_requests_start_no_run(ledger: Ledger, path: Path) -> None:
    old = dump(path)
    with pytest.raises(LedgerError, match="run hello/9f86d081884c has shards that do not hold"):
        run_transitions.start_run(ledger, JOB, RUN, SHARDS[:1])
    assert dump(path) == old
