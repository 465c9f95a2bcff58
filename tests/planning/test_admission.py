"""What may be in flight: submissions that do not fit into the limits of a provider wait."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.inputs.row_set import RowSet
from runner.ledger.records import SubmissionState
from runner.ledger.store import Ledger
from runner.planning.actions import Submit
from runner.planning.plan import admit
from runner.planning.state import Enqueued, Load
from runner.reconcile.recorded import load_recorded
from tests.planning.test_plan import PROVIDER, desired
from tests.planning.test_shards import EVERY, ROWS, attempt, run_of, shard

if TYPE_CHECKING:
    from runner.inputs.row_set import RowSet as RequestHashes
    from runner.planning.actions import Wait
    from tests.simulation.site import Site


volumes = st.builds(
    Enqueued,
    counted=st.integers(0, 10**12),
    uncounted_bytes=st.integers(0, 10**12),
    exact=st.booleans(),
)


def submit(number: int = 1, *, recorded: int | None, rows: RequestHashes = EVERY) -> Submit:
    """Return a submission of 100 bytes a shard, or of a part of it."""
    cut = dataclasses.replace(shard(), number=number, tokens=recorded)
    made = attempt(1, rows, SubmissionState.PREPARED, RowSet(), RowSet())
    whole = len(rows) == ROWS
    return Submit(
        run=run_of([]),
        reason="",
        job=desired(Path()).job,
        shard=cut,
        submission=dataclasses.replace(made, requests=len(rows), bytes=100 if whole else 0),
        new=True,
    )


def admitted(*actions: Submit, limit: int, load: Load | None = None) -> tuple[int, list[Wait]]:
    """Return how many go out, and the waits of the others."""
    provider = dataclasses.replace(PROVIDER, max_enqueued_tokens=limit)
    loads = {} if load is None else {"openai": load}
    out, waits = admit(actions, loads, {"openai": provider})
    return len(out), waits


@given(volumes, volumes, volumes)
def test_putting_together_keeps_order_out_of_it(a: Enqueued, b: Enqueued, c: Enqueued) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Enqueued() == a
    assert (a + b).tokens >= max(a.tokens, b.tokens)
    assert (a + b).exact == (a.exact and b.exact)


@pytest.mark.parametrize(
    ("volume", "text"),
    [
        (Enqueued(counted=12_345), "12,345"),
        (Enqueued(counted=12_345, exact=False), "about 12,345"),
        (Enqueued(counted=1000, uncounted_bytes=350, exact=False), "about 1,100"),
    ],
)
def test_only_an_estimate_is_about(volume: Enqueued, text: str) -> None:
    assert str(volume) == text


@pytest.mark.parametrize(
    ("recorded", "limit", "out", "reason"),
    [
        # 100 bytes each: 29 tokens, two of them 57.
        (None, 56, 1, "about 29 of 56 tokens are enqueued at openai"),
        (None, 57, 2, None),
        (10, 19, 1, "10 of 19 tokens are enqueued at openai"),
        (10, 20, 2, None),
        (40, 79, 1, "40 of 79 tokens are enqueued at openai"),
    ],
)
def test_what_does_not_fit_waits(
    recorded: int | None, limit: int, out: int, reason: str | None
) -> None:
    count, waits = admitted(submit(1, recorded=recorded), submit(2, recorded=recorded), limit=limit)

    assert count == out
    assert [wait.reason for wait in waits] == ([] if reason is None else [reason])


def test_one_that_is_too_large_alone_goes_out_alone() -> None:
    assert admitted(submit(1, recorded=500), limit=100)[0] == 1
    load = Load(batches=1, enqueued={"m": Enqueued(counted=1)})
    count, waits = admitted(submit(1, recorded=500), limit=100, load=load)
    assert count == 0
    assert [wait.reason for wait in waits] == ["1 of 100 tokens are enqueued at openai"]


def test_other_models_have_allowances_of_their_own() -> None:
    load = Load(batches=1, enqueued={"other": Enqueued(counted=100)})
    assert admitted(submit(1, recorded=50), limit=100, load=load)[0] == 1


def test_what_is_left_of_a_shard_has_its_part_of_the_tokens() -> None:
    load = Load(batches=1, enqueued={"m": Enqueued(counted=50)})
    rest = submit(1, recorded=81, rows=RowSet.span(0, 4))
    assert admitted(rest, limit=91, load=load)[0] == 1
    assert admitted(rest, limit=90, load=load)[0] == 0

    _, waits = admitted(rest, submit(2, recorded=81), limit=100)
    assert [wait.reason for wait in waits] == ["about 41 of 100 tokens are enqueued at openai"]


@given(
    st.lists(st.none() | st.integers(0, 200), max_size=6),
    st.integers(1, 400),
    st.none() | volumes,
)
@example([200, None], 1, None)
def test_never_more_is_enqueued_than_allowed_but_one_alone(
    recorded: list[int | None], limit: int, before: Enqueued | None
) -> None:
    actions = [submit(number, recorded=each) for number, each in enumerate(recorded, start=1)]
    load = None if before is None else Load(batches=1, enqueued={"m": before})
    provider = dataclasses.replace(PROVIDER, max_enqueued_tokens=limit)
    out, waits = admit(actions, {} if load is None else {"openai": load}, {"openai": provider})

    assert len(out) + len(waits) == len(actions)
    total = before or Enqueued()
    for action in out:
        assert isinstance(action, Submit)
        size = action.shard.tokens
        more = Enqueued(uncounted_bytes=100) if size is None else Enqueued(counted=size)
        assert not total.tokens or (total + more).tokens <= limit
        total += more


def loads(site: Site) -> dict[str, Load]:
    """Return what the next pass takes to be in flight."""
    ledger = Ledger.open_read_only(site.ledger, clock=site.clock)
    assert ledger is not None
    with ledger:
        return dict(load_recorded(ledger, (), everything=True).loads)


@pytest.mark.parametrize(
    ("most", "reason"),
    [
        (1, "1 batch is in flight at openai already"),
        (2, "2 batches are in flight at openai already"),
    ],
)
def test_no_more_batches_are_in_flight_than_may_be(most: int, reason: str) -> None:
    provider = dataclasses.replace(PROVIDER, max_active_batches=most)

    out, waits = admit([submit(row, recorded=None) for row in (1, 2, 3)], {}, {"openai": provider})

    assert len(out) == most
    assert {wait.reason for wait in waits} == {reason}
