"""How long a batch was in which status, from times that providers send or leave out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.batch import Batch, BatchStatus
from runner.views.batch_phases import phases

TIMES = (
    "created_at", "in_progress_at", "finalizing_at", "cancelling_at", "completed_at", "failed_at",
    "expired_at", "cancelled_at",
)  # fmt: skip


def shown(status: str, **times: Any) -> Batch:  # noqa: ANN401
    """Return a batch with these times."""
    return Batch.from_api({"id": "batch_1", "status": status, **times})


@pytest.mark.parametrize(
    ("batch", "told"),
    [
        (
            shown("completed", created_at=0, in_progress_at=2, finalizing_at=90, completed_at=95),
            [("validating", 2), ("in_progress", 88), ("finalizing", 5)],
        ),
        (
            shown("in_progress", created_at=0, in_progress_at=2),
            [("validating", 2), ("in_progress", None)],
        ),
        (shown("failed", created_at=0, failed_at=9), [("validating", 9)]),
        (
            shown("cancelled", created_at=0, in_progress_at=2, cancelling_at=9, cancelled_at=12),
            [("validating", 2), ("in_progress", 7), ("cancelling", 3)],
        ),
        (
            shown("expired", created_at=0, in_progress_at=2, finalizing_at=86, expired_at=90),
            [("validating", 2), ("in_progress", 84), ("finalizing", 4)],
        ),
        # A provider without finalizing; one that names the beginning and the end alone.
        (
            shown("completed", created_at=0, in_progress_at=2, completed_at=95),
            [("validating", 2), ("in_progress", 93)],
        ),
        (shown("completed", created_at=0, completed_at=95), []),
        # What the times say is not what the status says: nobody knows since when.
        (shown("in_progress", created_at=0), []),
        (shown("of_tomorrow", created_at=0), []),
        (shown("completed", created_at=0, in_progress_at=2), [("validating", 2)]),
        # A clock that runs backwards.
        (shown("completed", created_at=50, in_progress_at=60, completed_at=40), []),
        (shown("validating"), []),
    ],
)  # fmt: skip
def test_phases(batch: Batch, told: list[tuple[str, int | None]]) -> None:
    assert [(str(phase.status), phase.seconds) for phase in phases(batch)] == told


@given(
    st.sampled_from([*BatchStatus, "other"]),
    st.fixed_dictionaries({}, optional={name: st.integers(0, 99) for name in TIMES}),
)
def test_no_phase_takes_less_than_no_time_and_all_no_longer_than_the_batch(
    status: str, times: dict[str, int]
) -> None:
    batch = shown(status, **times)

    told = phases(batch)

    taken = [phase.seconds for phase in told if phase.seconds is not None]
    assert all(seconds >= 0 for seconds in taken)
    assert all(phase.seconds is not None for phase in told[:-1])
    end = batch.ended_at
    if end is not None and told:
        assert sum(taken) <= end - told[0].since
