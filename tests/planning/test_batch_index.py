"""Which batch has which submission key: by its metadata, by the name of its file, by its file."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from runner.batch import Batch, File
from runner.ledger.records import SubmissionState
from runner.planning.actions import AdoptBatch, ClearIntent, Submit
from tests.planning.test_plan import GRACE, KEY, NOW, kinds, listing, observed, plan_for
from tests.planning.test_shards import EVERY, attempt

if TYPE_CHECKING:
    from pathlib import Path

    from runner.ledger.records import Submission

SECOND = dataclasses.replace(KEY, attempt=2)
FILE = File.from_api({"id": "file-1", "filename": KEY.filename, "bytes": 1})
LIMITED = {"data": [{"code": "token_limit_exceeded"}]}


def made(identifier: str, created_at: int | None, **more: Any) -> Batch:  # noqa: ANN401 -- fields
    """Return a batch that was made from the file, at a provider that drops metadata."""
    return Batch.from_api(
        {
            "id": identifier,
            "status": "in_progress",
            "created_at": created_at,
            "input_file_id": "file-1",
            **more,
        }
    )


def met_a_limit(batch: Batch) -> Submission:
    """Return the first attempt, whose batch met a limit, so that its file is used again."""
    first = attempt(1, EVERY, SubmissionState.FAILED, EVERY, EVERY.difference(EVERY), counted=False)
    return dataclasses.replace(first, batch_id=batch.id, batch=batch, input_file_id="file-1")


def in_doubt() -> Submission:
    """Return the second attempt, from the same file; the reply to its creation was lost."""
    second = attempt(2, EVERY, SubmissionState.CREATING, EVERY, EVERY)
    return dataclasses.replace(
        second,
        transient=None,
        permanent=None,
        input_file_id="file-1",
        doubt_at=NOW - GRACE - 1,
    )


FIRST_BATCH = made("batch_1", 100, status="failed", errors=LIMITED)


@pytest.mark.parametrize(
    ("first", "listed"),
    [
        (FIRST_BATCH, (made("batch_2", 900), FIRST_BATCH)),
        # The first lies beyond the bound of the listing.
        (FIRST_BATCH, (made("batch_2", 900),)),
        # Both are of one second, so their order in the list is chance.
        (made("batch_1", 900), (made("batch_2", 900), made("batch_1", 900))),
        (made("batch_3", 900), (made("batch_2", 900), made("batch_3", 900))),
    ],
    ids=["both listed", "the first out of sight", "one second", "one second, the other order"],
)
def test_a_second_batch_of_a_file_is_the_second_attempt(
    tmp_path: Path, first: Batch, listed: tuple[Batch, ...]
) -> None:
    """It is adopted, whatever of the first is seen: otherwise it would be paid for again."""
    at = observed(listing=listing(batches=listed, files=(FILE,)))
    plan = plan_for(tmp_path, met_a_limit(first), in_doubt(), at=at)
    [action] = plan.actions
    assert isinstance(action, AdoptBatch)
    assert (action.key, action.batch.id) == (SECOND, "batch_2")


def test_a_second_batch_that_another_ledger_made_is_the_second_attempt(tmp_path: Path) -> None:
    at = observed(listing=listing(batches=(made("batch_2", 900),), files=(FILE,)))
    plan = plan_for(tmp_path, met_a_limit(FIRST_BATCH), at=at)
    [action] = plan.actions
    assert isinstance(action, AdoptBatch)
    assert (action.key, action.batch.id) == (SECOND, "batch_2")


@pytest.mark.parametrize("created_at", [100, None])
def test_a_first_batch_under_another_id_is_not_the_second(
    tmp_path: Path, created_at: int | None
) -> None:
    """Some gateways change ids from poll to poll (fact sheet, failure 25)."""
    first = made("batch_1", created_at, status="failed", errors=LIMITED)
    renamed = made("batch_9", created_at, status="failed", errors=LIMITED)
    at = observed(listing=listing(batches=(renamed,), files=(FILE,)))
    assert kinds(plan_for(tmp_path, met_a_limit(first), in_doubt(), at=at)) == [ClearIntent]
    assert kinds(plan_for(tmp_path, met_a_limit(first), at=at)) == [Submit]
