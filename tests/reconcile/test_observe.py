"""What is queried at a provider, and how far back its lists are read."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from runner.batch import Batch
from runner.ledger.records import RunState, SubmissionState
from runner.reconcile.observe import ProviderQuery, _is_far_enough, provider_queries
from tests.planning.test_plan import PROVIDER, desired, submission
from tests.planning.test_shards import run_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runner.ledger.records import Run, Submission

CREATING = SubmissionState.CREATING
UPLOADING = SubmissionState.UPLOADING
SUBMITTED = SubmissionState.SUBMITTED


def run(*submissions: Submission, number: int = 1, **more: Any) -> Run:  # noqa: ANN401 -- fields
    """Return a run of a job of its own."""
    made = dataclasses.replace(run_of(submissions), id=number, base_url=PROVIDER.base_url)
    return dataclasses.replace(made, **({"job": f"job{number}"} | more))


def query(*runs: Run, through: int | None = 5000) -> ProviderQuery | None:
    """Return what is queried for these runs; `through` is the end of the last listing."""
    return provider_queries([], runs, {"openai": PROVIDER}, lambda _provider: through).get("openai")


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ((7000,), 7000),
        ((7000, 6000), 6000),
        ((6000, 7000), 6000),
        # One that may have been created at any time makes the listing go all the way back.
        ((None, 7000), None),
        ((7000, None), None),
        ((None,), None),
    ],
)
@pytest.mark.parametrize("state", [CREATING, UPLOADING])
def test_a_listing_goes_back_as_far_as_every_doubt_needs(
    state: SubmissionState, bounds: Sequence[int | None], expected: int | None
) -> None:
    """A doubt without a bound is not searched only as far as another job's bound."""
    runs = [
        run(submission(state, since=since), number=number) for number, since in enumerate(bounds)
    ]
    found = query(*runs)
    assert found is not None
    assert (found.listing, found.since) == (True, expected)
    assert found.files == (state is UPLOADING)


@pytest.mark.parametrize("through", [4000, None])
def test_a_new_job_bounds_the_listing_by_the_last_one(tmp_path: Path, through: int | None) -> None:
    """And does not shorten it for a doubt that goes back further."""
    queries = provider_queries(
        [desired(tmp_path)], [], {"openai": PROVIDER}, lambda _provider: through
    )
    assert queries["openai"] == ProviderQuery(listing=True, since=through)
    queries = provider_queries(
        [desired(tmp_path)],
        [run(submission(CREATING, since=3000))],
        {"openai": PROVIDER},
        lambda _provider: through,
    )
    assert queries["openai"].since == (None if through is None else 3000)


def test_a_batch_in_flight_is_followed_and_not_listed() -> None:
    flying = submission(SUBMITTED)
    assert query(run(flying)) == ProviderQuery(in_flight={"batch_1": flying.batch})


@pytest.mark.parametrize(
    "more", [{"state": RunState.SUCCEEDED}, {"base_url": "https://old.example/v1"}]
)
def test_what_is_over_or_elsewhere_is_not_queried(more: dict[str, Any]) -> None:
    assert query(run(submission(CREATING, since=1), **more)) is None


def test_a_run_without_a_batch_is_listed_only_if_a_spec_describes_it(tmp_path: Path) -> None:
    prepared = run(submission(SubmissionState.PREPARED), job="job")
    assert query(prepared) is None
    queries = provider_queries(
        [desired(tmp_path)], [prepared], {"openai": PROVIDER}, lambda _provider: 5000
    )
    assert queries == {"openai": ProviderQuery(listing=True, since=5000)}


def batches(*times: int | None) -> list[Batch]:
    """Return listed batches of these times."""
    return [
        Batch.from_api({"id": f"batch_{number}", "status": "completed", "created_at": time})
        for number, time in enumerate(times)
    ]


MONTH = 30 * 24 * 3600


@pytest.mark.parametrize(
    ("times", "since", "far"),
    [
        ((), 9000, False),
        ((20_000, 5399), 9000, True),
        # An hour beyond the bound, and not a second less.
        ((20_000, 5400), 9000, False),
        # Without a bound, as long as results are kept.
        ((MONTH + 20_000, 16_399), None, True),
        ((MONTH + 20_000, 16_400), None, False),
        # A list in no order, or of one second, or without times, shows nothing.
        ((20_000, 1, 30_000), 9000, False),
        ((20_000, 30_000, 1), 9000, False),
        ((1, 1), 9000, False),
        ((20_000, None, 1), 9000, False),
        ((20_000, 20_000, 1), 9000, True),
    ],
)
def test_how_far_back_is_far_enough(
    times: Sequence[int | None], since: int | None, *, far: bool
) -> None:
    assert _is_far_enough(batches(*times), since) is far
