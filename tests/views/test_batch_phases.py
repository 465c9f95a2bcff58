"""How long a batch was in which status, from times that providers send or leave out."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.batch import Batch, BatchStatus
from runner.views.batch_phases import in_status_since, phases, seconds_in

TIMES = (
    "created_at", "in_progress_at", "finalizing_at", "cancelling_at", "completed_at", "failed_at",
    "expired_at", "cancelled_at",
)  # fmt: skip


T = 1_770_000_000
NOW = T + 1000


def shown(status: str, **times: Any) -> Batch:  # noqa: ANN401
    """Return a batch with these times, in seconds after T."""
    moments = {name: None if at is None else T + at for name, at in times.items()}
    return Batch.from_api({"id": "batch_1", "status": status, **moments})


@pytest.mark.parametrize(
    ("batch", "expected"),
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
        # Cancelled while its results were written, or results written after the cancellation.
        (
            shown("cancelling", created_at=0, in_progress_at=2, finalizing_at=5, cancelling_at=9),
            [("validating", 2), ("in_progress", 3), ("finalizing", 4), ("cancelling", None)],
        ),
        (
            shown("finalizing", created_at=0, in_progress_at=2, finalizing_at=9, cancelling_at=5),
            [("validating", 2), ("in_progress", 3), ("cancelling", 4), ("finalizing", None)],
        ),
        # A provider without finalizing; one that reports the beginning and the end alone.
        (
            shown("completed", created_at=0, in_progress_at=2, completed_at=95),
            [("validating", 2), ("in_progress", 93)],
        ),
        (shown("completed", created_at=0, completed_at=95), [(None, 95)]),
        # Missing: the beginning, the time of the present status, the end.
        (shown("in_progress", in_progress_at=2), [("in_progress", None)]),
        (shown("in_progress", created_at=0), [(None, None)]),
        (shown("finalizing", created_at=0, in_progress_at=2), [("validating", 2), (None, None)]),
        (shown("of_tomorrow", created_at=0), [(None, None)]),
        (shown("completed", created_at=0, in_progress_at=2), [("validating", 2)]),
        (shown("completed", created_at=0), []),
        (shown("validating"), []),
        # Equal.
        (
            shown("completed", created_at=5, in_progress_at=5, finalizing_at=5, completed_at=5),
            [("validating", 0), ("in_progress", 0), ("finalizing", 0)],
        ),
        # Out of order: before an earlier phase, after the end, an end before the beginning.
        (
            shown("completed", created_at=5, in_progress_at=1, finalizing_at=7, completed_at=9),
            [(None, 2), ("finalizing", 2)],
        ),
        (
            shown("completed", created_at=0, in_progress_at=2, finalizing_at=99, completed_at=95),
            [("validating", 2), ("in_progress", 93)],
        ),
        (shown("completed", created_at=50, in_progress_at=60, completed_at=40), []),
        # No times at all: 0 and -1 for "not yet", a moment in the future, milliseconds.
        (
            shown("in_progress", created_at=0, in_progress_at=-T),
            [(None, None)],
        ),
        (shown("in_progress", created_at=0, in_progress_at=-T - 1), [(None, None)]),
        (shown("validating", created_at=NOW - T + 86_401), []),
        (shown("validating", created_at=NOW - T + 86_400), [("validating", None)]),
        (
            shown("completed", created_at=0, in_progress_at=2, completed_at=T * 999),
            [("validating", 2)],
        ),
    ],
)  # fmt: skip
def test_phases(batch: Batch, expected: list[tuple[str | None, int | None]]) -> None:
    assert [(phase.status, phase.seconds) for phase in phases(batch, NOW)] == expected


def test_a_phase_that_goes_on_ends_now() -> None:
    _, current = phases(shown("in_progress", created_at=0, in_progress_at=9), NOW)
    [ahead] = phases(shown("validating", created_at=NOW - T + 60), NOW)

    assert current.ends(NOW) == NOW
    assert ahead.ends(NOW) == ahead.since, "the provider's clock is ahead"


def test_how_long_a_batch_had_a_status_and_since_when_it_has_the_last() -> None:
    batch = shown("in_progress", created_at=0, in_progress_at=9)

    assert seconds_in(phases(batch, NOW), BatchStatus.VALIDATING) == 9
    assert seconds_in(phases(batch, NOW), BatchStatus.IN_PROGRESS) is None
    assert seconds_in(phases(batch, NOW), BatchStatus.CANCELLING) is None
    assert in_status_since(batch, NOW) == T + 9
    assert in_status_since(shown("in_progress", created_at=0), NOW) is None
    assert in_status_since(shown("failed", created_at=0, failed_at=5), NOW) is None
    assert in_status_since(shown("validating"), NOW) is None


AT = st.none() | st.integers(-50, NOW - T + 90_000) | st.integers()


@given(
    st.sampled_from([*BatchStatus, "other"]),
    st.fixed_dictionaries({}, optional=dict.fromkeys(TIMES, AT)),
)
def test_phases_have_no_gaps_and_never_go_back(status: str, times: dict[str, int | None]) -> None:
    batch = shown(status, **times)

    found = phases(batch, NOW)

    assert all(phase.seconds is not None for phase in found[:-1])
    assert all(phase.seconds is None or phase.seconds >= 0 for phase in found)
    assert all(before.ends(NOW) == after.since for before, after in pairwise(found))
    named = [phase.status for phase in found if phase.status is not None]
    assert len(named) == len(set(named))
    if found:
        assert (found[-1].seconds is None) == (not batch.terminal)
