"""Which batch has which submission key: by its metadata, by the name of its file, by its file."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from runner.batch import Batch, File
from runner.ledger.records import SubmissionState, Tag
from runner.planning.actions import AdoptBatch, ClearIntent, Submit
from runner.planning.batch_index import BatchIndex
from runner.planning.state import Observed
from tests.planning.test_plan import GRACE, KEY, NOW, kinds, listing, observed, plan_for
from tests.planning.test_shards import EVERY, attempt

if TYPE_CHECKING:
    from pathlib import Path

    from runner.ledger.records import Submission, SubmissionKey

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


def test_a_second_batch_of_a_file_is_no_attempt_of_another_file(tmp_path: Path) -> None:
    """The number after that of the file belongs to another part of the shard."""
    half, rest = EVERY.head(4), EVERY.difference(EVERY.head(4))
    first = dataclasses.replace(met_a_limit(FIRST_BATCH), rows=half, transient=half)
    other = made("batch_2", 200, input_file_id="file-2", status="completed")
    second = dataclasses.replace(
        attempt(2, rest, SubmissionState.COLLECTED, EVERY.difference(EVERY), rest),
        batch_id=other.id,
        batch=other,
        input_file_id="file-2",
    )
    third = dataclasses.replace(in_doubt(), key=dataclasses.replace(KEY, attempt=3), rows=half)
    at = observed(listing=listing(batches=(made("batch_3", 900), FIRST_BATCH), files=(FILE,)))

    for submissions in ((first, second, third), (first, second)):
        plan = plan_for(tmp_path, *submissions, at=at)
        [action] = [each for each in plan.actions if isinstance(each, AdoptBatch)]
        assert (action.key, action.batch.id) == (third.key, "batch_3")
        assert Submit not in kinds(plan)


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


def tagged(identifier: str, key: SubmissionKey, created_at: int | None = 900) -> Batch:
    """Return a batch with a key in its metadata."""
    return made(identifier, created_at, metadata={"runner": str(Tag(key=key))})


@pytest.mark.parametrize("state", [SubmissionState.UPLOADING, SubmissionState.PREPARED])
def test_nothing_is_submitted_beside_a_batch_that_is_still_to_be_adopted(
    tmp_path: Path, state: SubmissionState
) -> None:
    """Another machine made it, perhaps of all the rows of which this one made two parts."""
    half, rest = EVERY.head(4), EVERY.difference(EVERY.head(4))
    nothing = EVERY.difference(EVERY)
    first = dataclasses.replace(
        attempt(1, half, state, nothing, nothing), transient=None, permanent=None
    )
    second = dataclasses.replace(
        attempt(2, rest, SubmissionState.PREPARED, nothing, nothing),
        transient=None,
        permanent=None,
    )
    at = observed(listing=listing(batches=(tagged("batch_1", KEY),)))

    assert Submit not in kinds(plan_for(tmp_path, first, second, at=at))
    mine = dataclasses.replace(
        attempt(3, half, SubmissionState.SUBMITTED, nothing, nothing),
        batch_id="batch_1",
        batch=tagged("batch_1", KEY),
    )
    at = observed(
        listing=listing(batches=(tagged("batch_1", KEY),)),
        batches={"batch_1": tagged("batch_1", KEY)},
    )
    assert Submit in kinds(plan_for(tmp_path, second, mine, at=at))


def test_batches_are_known_by_what_was_recorded_listed_and_observed() -> None:
    """Oldest first, those without a time before all others; those without a key are not named."""
    third = dataclasses.replace(KEY, attempt=3)
    fourth = dataclasses.replace(KEY, attempt=4)
    index = BatchIndex(
        [
            (KEY, made("batch_a", 300, input_file_id=None)),
            (None, made("batch_b", 1, input_file_id=None)),
            (fourth, made("batch_c", 5, input_file_id=None)),
        ],
        Observed(
            listing=listing(batches=(tagged("batch_d", SECOND, 200),)),
            batches={"batch_e": tagged("batch_e", third, None)},
        ),
        {"batch_b": dataclasses.replace(KEY, attempt=5)},
    )
    assert [(key.attempt, batch.id) for key, batch in index.carried] == [
        (3, "batch_e"),
        (5, "batch_b"),
        (4, "batch_c"),
        (2, "batch_d"),
        (1, "batch_a"),
    ]
    assert [batch.id for _key, batch in index.of_shard(KEY.revision, 1)] == [
        "batch_a",
        "batch_d",
        "batch_e",
        "batch_c",
        "batch_b",
    ]
    assert index.of_shard(KEY.revision, 2) == []


def test_of_batches_without_a_time_the_smallest_id_is_the_oldest() -> None:
    batches = (tagged("batch_z", KEY, None), tagged("batch_a", KEY, 1))
    found = BatchIndex([], observed(listing=listing(batches=batches))).batch(KEY)
    assert found is not None
    assert found.id == "batch_z"


def test_an_adopted_batch_has_the_key_that_it_was_given() -> None:
    """Even if its metadata or the name of its file has another one."""
    other = dataclasses.replace(KEY, revision="b" * 12)
    index = BatchIndex(
        [(SECOND, made("batch_1", 900))],
        observed(listing=listing(batches=(tagged("batch_2", other),), files=(FILE,))),
        {"batch_1": dataclasses.replace(KEY, attempt=7), "batch_2": KEY},
    )
    assert [(str(key), batch.id) for key, batch in index.carried] == [
        (f"job/{'a' * 12}/0001/7", "batch_1"),
        (str(KEY), "batch_2"),
    ]


def test_files_of_others_hide_no_file_of_ours() -> None:
    theirs = [
        File.from_api({"id": f"file-{number}", "filename": name, "bytes": 1})
        for number, name in ((7, "theirs.jsonl"), (8, None))
    ]
    for files in ([*theirs, FILE], [FILE, *theirs]):
        seen = observed(listing=listing(batches=(made("batch_1", 900),), files=tuple(files)))
        assert [key for key, _batch in BatchIndex([], seen).carried] == [KEY]
        assert BatchIndex([], seen).file(KEY, 1) == FILE


def test_a_submitted_batch_keeps_its_key() -> None:
    """Its number is given to no other, and the others get the numbers in between."""
    batches = (made("batch_1", 100), made("batch_2", 200), made("batch_3", 300))
    second = dataclasses.replace(in_doubt(), batch_id="batch_1", batch=batches[0])
    index = BatchIndex(
        [],
        observed(listing=listing(batches=batches, files=(FILE,))),
        submissions=[second, dataclasses.replace(met_a_limit(FIRST_BATCH), batch_id=None)],
    )
    assert [(key.attempt, batch.id) for key, batch in index.carried] == [
        (2, "batch_1"),
        (1, "batch_2"),
        (3, "batch_3"),
    ]


def test_a_second_batch_of_a_key_is_found_by_its_file() -> None:
    """The first one under this key belongs to another attempt of this ledger."""
    batches = (tagged("batch_1", KEY, 100), tagged("batch_2", KEY, 200))
    index = BatchIndex([], observed(listing=listing(batches=batches)))
    found = index.batch(KEY, "file-1", frozenset({"batch_1"}))
    assert found is not None
    assert found.id == "batch_2"
    assert index.batch(KEY, None, frozenset({"batch_1"})) is None
    assert index.batch(SECOND, "file-1", frozenset()) is None
