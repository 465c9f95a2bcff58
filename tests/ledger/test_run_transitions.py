"""The transitions of jobs and runs, and the values read back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from runner.errors import LedgerError
from runner.inputs.reading import Fingerprint
from runner.ledger import run_transitions, store, submission_transitions
from runner.ledger.records import RunState, SubmissionState
from runner.spec.project import Provider
from tests.ledger.entries import (
    JOB,
    KEY,
    PROVIDER,
    REVISION,
    RUN,
    SHARDS,
    attempt,
    batch,
    bring_to,
    dump,
    kinds,
    result_file,
    start,
    submission,
)

if TYPE_CHECKING:
    from pathlib import Path

    from runner.ledger.store import Ledger
    from tests.ledger.entries import Clock


LAB = Provider(name=PROVIDER, base_url="http://lab/v1")


def test_a_run_is_read_back_as_it_was_written(ledger: Ledger) -> None:
    run = start(ledger)

    assert run == dataclasses.replace(
        RUN,
        id=run.id,
        shards=SHARDS,
        spec_path=JOB.spec_path,
        spec_line=JOB.spec_line,
        spec_sha256=JOB.spec_sha256,
        spec_document=JOB.spec_document,
    )
    assert ledger.runs() == (dataclasses.replace(run, shards=()),)
    assert ledger.jobs() == (JOB,)
    assert kinds(ledger) == ["run_started"]


def test_a_revision_of_a_job_is_started_once(ledger: Ledger, path: Path) -> None:
    start(ledger)
    before = dump(path)

    with pytest.raises(LedgerError):
        start(ledger)

    assert dump(path) == before


def test_a_spec_that_changes_its_mind_is_recorded(ledger: Ledger) -> None:
    start(ledger)
    changed = dataclasses.replace(
        JOB, desired_revision="0" * 64, spec_line=7, spec_document="name: hello"
    )

    run_transitions.set_desired(ledger, changed)

    assert ledger.jobs() == (changed,)


def test_a_spec_that_is_gone_wants_nothing(ledger: Ledger) -> None:
    start(ledger)

    run_transitions.clear_desired(ledger, "hello")

    assert ledger.jobs() == (dataclasses.replace(JOB, desired_revision=None),)
    assert kinds(ledger) == ["run_started", "spec_gone"]


def test_a_run_ends_and_goes_on_in_another_round(ledger: Ledger, clock: Clock) -> None:
    run = bring_to(ledger, SubmissionState.COLLECTED)
    clock.now = 2000.0
    run_transitions.finish_run(
        ledger,
        run,
        state=RunState.PARTIAL,
        reason="one is missing",
        succeeded=5,
        failed=1,
        superseded=False,
    )
    [ended] = ledger.runs()
    assert (ended.state, ended.reason, ended.finished_at) == (
        RunState.PARTIAL,
        "one is missing",
        2000.0,
    )
    assert (ended.succeeded, ended.failed) == (5, 1)

    run_transitions.reopen_run(ledger, run, next_round=True, attempts=5)

    [again] = ledger.runs()
    assert (again.state, again.reason, again.finished_at) == (RunState.RUNNING, None, None)
    assert (again.round, again.attempts) == (1, 5)
    assert kinds(ledger)[-2:] == ["run_finished", "run_reopened"]


def test_a_wish_to_cancel_lasts_until_the_run_is_reopened(ledger: Ledger) -> None:
    run = start(ledger)

    run_transitions.request_cancel(ledger, run)
    assert ledger.run(run.id).cancel_requested

    run_transitions.reopen_run(ledger, run, next_round=True, attempts=3)
    assert not ledger.run(run.id).cancel_requested


def test_a_renamed_job_takes_its_run_and_its_history_along(ledger: Ledger) -> None:
    run = bring_to(ledger, SubmissionState.SUBMITTED)

    run_transitions.relocate_run(
        ledger, run, dataclasses.replace(JOB, name="world"), "outputs/world/9f"
    )

    moved = ledger.run(run.id)
    assert (moved.job, moved.folder) == ("world", "outputs/world/9f")
    history = ledger.events("world")
    assert [event.kind for event in history][-1] == "run_moved"
    assert {event.submission for event in history} > {str(KEY)}


def test_a_restored_run_has_its_attempts_batches_and_files(ledger: Ledger) -> None:
    finished = dataclasses.replace(
        RUN, state=RunState.SUCCEEDED, succeeded=6, finished_at=1500.0, shards=SHARDS
    )
    closed = submission(state=SubmissionState.COLLECTED, batch_id="batch_1")

    identifier = run_transitions.restore_run(
        ledger, JOB, finished, [(closed, batch(status="completed"), [result_file()])]
    )

    run = ledger.run(identifier)
    assert (run.state, run.succeeded, run.finished_at) == (RunState.SUCCEEDED, 6, 1500.0)
    assert attempt(ledger).batch == batch(status="completed")
    assert ledger.files(identifier) == {str(KEY): (result_file(),)}
    assert kinds(ledger) == ["run_restored"]


def test_files_are_read_back_output_first_and_replaced_by_a_second_download(
    ledger: Ledger,
) -> None:
    run = bring_to(ledger, SubmissionState.SUBMITTED)
    again = dataclasses.replace(result_file("error"), bytes=41)

    for record in (result_file("error"), result_file("output"), again):
        submission_transitions.downloaded(ledger, KEY, record)

    assert ledger.files(run.id) == {str(KEY): (result_file("output"), again)}


def test_batches_are_read_back_verbatim_in_order_of_submission(ledger: Ledger) -> None:
    run = start(ledger)
    second = dataclasses.replace(KEY, shard=2)
    later = dataclasses.replace(KEY, attempt=2)
    unknown = [1, 2.5, "ü\u2028"]
    for number, key in enumerate((second, later, KEY), start=1):
        submission_transitions.prepare(ledger, run, submission(key))
        made = batch(f"batch_{number}", a_field_of_tomorrow=unknown)
        submission_transitions.submitted(ledger, key, PROVIDER, made)

    found = ledger.batches(run.id)

    assert [(key, raw["id"]) for key, raw in found] == [
        (str(KEY), "batch_3"),
        (str(later), "batch_2"),
        (str(second), "batch_1"),
    ]
    assert found[0][1] == batch("batch_3", a_field_of_tomorrow=unknown).raw


def test_a_look_is_remembered_with_what_belongs_to_nobody_yet(ledger: Ledger) -> None:
    assert ledger.listed_through(LAB) is None

    store.record_listing(ledger, PROVIDER, "http://lab/v1", through=950, tagged=[(KEY, batch())])

    assert ledger.listed_through(LAB) == 950
    assert ledger.foreign_batches(PROVIDER) == [(KEY, batch())]
    assert ledger.batch_ids(PROVIDER) == {"batch_1"}


def test_a_batch_that_was_nobodys_is_found_its_submission(ledger: Ledger) -> None:
    bring_to(ledger, SubmissionState.PREPARED)
    store.record_listing(ledger, PROVIDER, "http://lab/v1", through=950, tagged=[(KEY, batch())])

    submission_transitions.submitted(ledger, KEY, PROVIDER, batch(), adopted=True)
    store.record_listing(ledger, PROVIDER, "http://lab/v1", through=960, tagged=[(KEY, batch())])

    assert ledger.foreign_batches(PROVIDER) == []
    assert attempt(ledger).batch_id == "batch_1"


def test_two_providers_may_use_one_batch_id(ledger: Ledger) -> None:
    for provider in ("lab", "other"):
        store.record_listing(ledger, provider, "http://x/v1", through=1, tagged=[(KEY, batch())])

    assert ledger.batch_ids("lab") == ledger.batch_ids("other") == {"batch_1"}


@pytest.mark.parametrize("field", ["size", "mtime_ns", "ctime_ns", "inode", "path"])
def test_a_digest_is_known_while_the_file_is_the_same(
    ledger: Ledger, tmp_path: Path, field: str
) -> None:
    source = tmp_path / "x.jsonl"
    source.write_bytes(b"{}\n")
    fingerprint = Fingerprint.of(source)

    store.cache_digest(ledger, fingerprint, digest=REVISION, requests=1)

    assert ledger.cached_digest(fingerprint) == (REVISION, 1)
    other: Any = "y" if field == "path" else getattr(fingerprint, field) + 1
    assert ledger.cached_digest(dataclasses.replace(fingerprint, **{field: other})) is None
