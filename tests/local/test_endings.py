"""Every way in which a batch can end: each request has exactly one result."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from openai import ConflictError

from runner.local.worker import CHUNK_ROWS
from tests.local.support import PATIENCE, Clock, chat_lines, served

if TYPE_CHECKING:
    from pathlib import Path

    from openai.types import Batch

    from tests.local.support import Bench

DAY = 24 * 3600
ROWS = 5 * CHUNK_ROWS + 7


def outcome(bench: Bench, batch: Batch) -> tuple[list[str], list[str], set[Any]]:
    """Give the ids answered, the ids not executed, and the codes that say why."""
    failures = bench.failures(batch)
    assert all(line["response"] is None for line in failures)
    return (
        [line["custom_id"] for line in bench.answers(batch)],
        [line["custom_id"] for line in failures],
        {line["error"]["code"] for line in failures},
    )


def test_a_cancelled_batch_keeps_what_was_answered(bench: Bench) -> None:
    bench.clock.hold_before_chunk(3)
    batch = bench.create(chat_lines(ROWS))
    assert bench.clock.held.wait(PATIENCE)
    bench.clock.now += 5
    running = bench.client.batches.retrieve(batch.id)
    assert running.status == "in_progress"
    assert running.output_file_id is None
    assert running.request_counts is not None
    assert running.request_counts.to_dict() == {
        "total": ROWS,
        "completed": 2 * CHUNK_ROWS,
        "failed": 0,
    }
    cancelling = bench.client.batches.cancel(batch.id)
    assert cancelling.status == "cancelling"
    assert cancelling.cancelling_at == bench.clock.now
    assert bench.client.batches.cancel(batch.id) == cancelling
    bench.clock.released.set()
    cancelled = bench.finished(batch)
    assert cancelled.status == "cancelled"
    assert cancelled.cancelled_at == bench.clock.now
    answered, excused, codes = outcome(bench, cancelled)
    assert len(answered) == 3 * CHUNK_ROWS  # the chunk in hand was finished
    assert answered + excused == [f"row-{number}" for number in range(ROWS)]
    assert codes == {"batch_cancelled"}
    assert cancelled.request_counts is not None
    assert cancelled.request_counts.to_dict() == {
        "total": ROWS,
        "completed": 3 * CHUNK_ROWS,
        "failed": 0,
    }
    assert bench.client.batches.cancel(batch.id) == cancelled


def test_an_expired_batch_keeps_what_was_answered(bench: Bench) -> None:
    bench.clock.hold_before_chunk(3)
    batch = bench.create(chat_lines(ROWS))
    assert bench.clock.held.wait(PATIENCE)
    bench.clock.now += DAY
    bench.clock.released.set()
    expired = bench.finished(batch)
    assert expired.status == "expired"
    assert expired.expired_at == expired.finalizing_at == bench.clock.now
    assert expired.completed_at is None
    answered, excused, codes = outcome(bench, expired)
    assert len(answered) == 2 * CHUNK_ROWS
    assert answered + excused == [f"row-{number}" for number in range(ROWS)]
    assert codes == {"batch_expired"}
    with pytest.raises(ConflictError):
        bench.client.batches.cancel(batch.id)


def test_a_batch_answered_in_time_is_completed_however_late_it_is_closed(bench: Bench) -> None:
    bench.clock.hold_before_chunk(2)  # after a single chunk, that is the look that closes it
    batch = bench.create(chat_lines(CHUNK_ROWS))
    assert bench.clock.held.wait(PATIENCE)
    bench.clock.now += DAY
    bench.clock.released.set()
    assert bench.finished(batch).status == "completed"


def test_a_batch_cancelled_before_it_began_has_no_rows(bench: Bench) -> None:
    bench.clock.hold_at = 1
    batch = bench.create(chat_lines(3))
    assert bench.clock.held.wait(PATIENCE)
    bench.client.batches.cancel(batch.id)
    bench.clock.released.set()
    cancelled = bench.finished(batch)
    assert cancelled.status == "cancelled"
    assert cancelled.in_progress_at is None
    assert outcome(bench, cancelled) == ([], [], set())


def test_a_batch_that_waited_too_long_expires_unopened(bench: Bench) -> None:
    bench.clock.hold_at = 1
    first, second = bench.create(chat_lines(3)), bench.create(chat_lines(3))
    assert bench.clock.held.wait(PATIENCE)
    bench.clock.now += DAY
    bench.clock.released.set()
    for batch in (first, second):
        expired = bench.finished(batch)
        assert expired.status == "expired"
        assert outcome(bench, expired) == ([], [], set())


def test_batches_are_answered_in_the_order_of_their_creation(bench: Bench) -> None:
    bench.clock.hold_at = 1
    batches = [bench.create(chat_lines(2)) for _ in range(3)]
    assert not bench.provider.work(0)
    bench.clock.released.set()
    assert [bench.finished(batch).status for batch in batches] == ["completed"] * 3


def test_leaving_stops_within_a_chunk_and_returning_goes_on(tmp_path: Path) -> None:
    clock = Clock()
    clock.hold_before_chunk(3)
    with served(tmp_path, clock) as bench:
        batch = bench.create(chat_lines(ROWS))
        assert clock.held.wait(PATIENCE)
        worker = bench.provider._worker
        assert worker is not None

        def release_once_asked_to_stop() -> None:
            with worker._changed:
                assert worker._changed.wait_for(lambda: worker._stopping, PATIENCE)
            clock.released.set()

        watcher = threading.Thread(target=release_once_asked_to_stop)
        watcher.start()
        bench.provider.__exit__(None, None, None)
    watcher.join()
    with served(tmp_path, clock) as bench:
        done = bench.finished(batch)
        assert done.status == "completed"
        answered, excused, _ = outcome(bench, done)
        assert answered == [f"row-{number}" for number in range(ROWS)]
        assert excused == []
        assert clock.looks < 20  # it went on; it did not begin again
