"""Queries across jobs and runs, for views and reports."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import runner.ledger
from runner.inputs.reading import Fingerprint
from runner.inputs.row_set import RowSet
from runner.ledger import queries, run_transitions, store, submission_transitions
from runner.ledger.records import RunState, SubmissionState
from tests.ledger.entries import JOB, KEY, RUN, SHARDS, batch, bring_to, start, submission

if TYPE_CHECKING:
    from runner.ledger.store import Ledger
    from tests.ledger.entries import Clock

PRINT = Fingerprint(path="/data/a.jsonl", size=3, mtime_ns=1, ctime_ns=2, inode=7)


def another_run(ledger: Ledger, job: str = "world") -> int:
    """Record a finished run of another job; returns its id."""
    ended = dataclasses.replace(RUN, job=job, state=RunState.SUCCEEDED, shards=SHARDS)
    closed = submission(
        dataclasses.replace(submission().key, job=job, attempt=2),
        state=SubmissionState.COLLECTED,
        batch_id=f"batch_{job}",
    )
    shown = batch(f"batch_{job}", status="completed")
    of = dataclasses.replace(JOB, name=job)
    return run_transitions.restore_run(ledger, of, ended, [(closed, shown, [])])


def test_submissions_are_summed_up_by_run(ledger: Ledger) -> None:
    first = bring_to(ledger, SubmissionState.SUBMITTED)
    second = another_run(ledger)
    unsent = run_transitions.start_run(
        ledger, JOB, dataclasses.replace(RUN, revision="e" * 64), SHARDS
    )

    summaries = queries.submission_summaries(ledger, [first.id, second, unsent])

    assert summaries.keys() == {first.id, second}
    assert [one.raw["id"] for one in summaries[first.id].batches] == ["batch_1"]
    assert (summaries[first.id].attempts, summaries[first.id].any_ended) == (1, False)
    assert [one.awaited for one in summaries[first.id].batches] == [True]
    assert (summaries[second].attempts, summaries[second].any_ended) == (2, True)
    assert [one.awaited for one in summaries[second].batches] == [False]
    assert queries.submission_summaries(ledger, [second]).keys() == {second}


@pytest.mark.parametrize("state", [state for state in SubmissionState if state.closed])
def test_an_attempt_that_has_ended_is_reported(ledger: Ledger, state: SubmissionState) -> None:
    run = bring_to(ledger, state)

    assert queries.submission_summaries(ledger, [run.id])[run.id].any_ended


def test_runs_with_submissions_are_those_that_the_ledger_returns_one_by_one(ledger: Ledger) -> None:
    first = bring_to(ledger, SubmissionState.COLLECTED)
    second = another_run(ledger)

    found = queries.runs_with_submissions(ledger, [second, first.id])

    assert [run.id for run in found] == [first.id, second]
    for run in found:
        alone = ledger.run(run.id)
        without = tuple(dataclasses.replace(one, batch=None) for one in alone.submissions)
        assert run == dataclasses.replace(alone, submissions=without)


def test_only_unchanged_inputs_have_a_digest(ledger: Ledger) -> None:
    other = dataclasses.replace(PRINT, path="/data/b.jsonl")
    for fingerprint in (PRINT, other):
        store.cache_digest(ledger, fingerprint, digest="d" * 64, requests=5)
    touched = dataclasses.replace(other, mtime_ns=9)

    assert queries.cached_digests(ledger, [PRINT, touched]) == {PRINT: ("d" * 64, 5)}
    assert queries.cached_digests(ledger, []) == {}


def test_the_history_is_filtered(ledger: Ledger, clock: Clock) -> None:
    bring_to(ledger, SubmissionState.SUBMITTED)
    clock.now = 2000.0
    another_run(ledger)

    def kinds(**filters: object) -> list[str]:
        return [event.kind for event in queries.history(ledger, **filters)]  # type: ignore[arg-type]

    assert kinds() == [*kinds(jobs=["hello"]), *kinds(jobs=["world"])]
    assert kinds(jobs=["hello", "world"]) == kinds()
    assert kinds(jobs=[]) == []
    assert kinds(since=2000.0) == ["run_restored"]
    assert kinds(limit=2) == kinds()[-2:]
    assert kinds(kinds=["submitted", "uploaded"]) == ["uploaded", "submitted"]
    assert kinds(jobs=["hello"], kinds=["prepared"], limit=1) == ["prepared"]


def test_a_renamed_jobs_history_has_what_it_did_before(ledger: Ledger) -> None:
    run = bring_to(ledger, SubmissionState.SUBMITTED)
    run_transitions.relocate_run(
        ledger, run, dataclasses.replace(JOB, name="world"), "outputs/world/9f"
    )

    assert queries.history(ledger, jobs=["world"]) == ledger.events("world")
    assert len(ledger.events("world")) > 1


def test_every_recorded_kind_of_event_is_listed() -> None:
    recorded: set[str] = set()
    for path in Path(runner.ledger.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_bytes())
        named = {
            node.target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "record_event":
                for word in ast.walk(node.args[0]):
                    if isinstance(word, ast.Constant):
                        recorded.add(str(word.value))
                    elif isinstance(word, ast.Name) and word.id in named:
                        recorded.add(str(named[word.id]))
    recorded |= {str(state) for state in SubmissionState if state.closed}

    assert recorded == set(queries.EVENT_KINDS)


def test_batches_by_run_are_those_of_each_run(ledger: Ledger) -> None:
    run = bring_to(ledger, SubmissionState.SUBMITTED)

    assert queries.batches_by_run(ledger) == {run.id: ledger.batches(run.id)}
    assert queries.batches_by_run(ledger)[run.id]


def test_each_ended_attempt_has_one_outcome(ledger: Ledger) -> None:
    bring_to(ledger, SubmissionState.SUBMITTED)
    assert list(queries.attempt_outcomes(ledger)) == []

    submission_transitions.close(
        ledger,
        KEY,
        state=SubmissionState.COLLECTED,
        transient=RowSet.parse("0"),
        permanent=RowSet(),
        problem=None,
        detail={"codes": {"rate_limit_exceeded": 1}},
    )

    [outcome] = queries.attempt_outcomes(ledger)
    assert (outcome.job, outcome.key, outcome.kind) == (JOB.name, str(KEY), "collected")
    assert outcome.requests == SHARDS[0].requests
    assert outcome.detail["outcome"] == {"codes": {"rate_limit_exceeded": 1}}


def test_the_last_change_of_each_job(ledger: Ledger, clock: Clock) -> None:
    start(ledger)
    clock.now = 2000.0
    run_transitions.clear_desired(ledger, RUN.job)

    assert queries.last_changes(ledger) == {RUN.job: 2000.0}
