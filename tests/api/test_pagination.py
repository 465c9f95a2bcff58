from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.api.batch_list import MOST_LOOKS
from runner.api.pagination import ListPage, read_pages
from runner.batch import Batch
from runner.errors import NotOffered, Rejected, UnexpectedReply
from runner.ledger.records import SubmissionKey
from tests.api.scripted import answer, batch, file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.api.scripted import World


def never(_: Sequence[object]) -> bool:
    return False


def page(*entries: object, more: object = False, **fields: object) -> dict[str, Any]:
    return {"object": "list", "data": list(entries), "has_more": more, **fields}


def many(start: int, count: int) -> list[dict[str, Any]]:
    return [batch(f"batch_{n}", created_at=10_000 - n) for n in range(start, start + count)]


def test_pages_are_walked_by_cursor_to_the_end(world: World) -> None:
    world.server.will(
        answer(200, page(batch("b3", created_at=3), more=True, last_id="b3")),
        answer(200, page(batch("b2", created_at=2), more=True)),
        answer(200, page(batch("b1", created_at=2))),
    )
    listing = world.client().list_batches(enough=never)
    assert [one.id for one in listing.batches] == ["b3", "b2", "b1"]
    assert (listing.complete, listing.descending) == (True, True)
    assert (listing.requests, listing.invalid) == (3, 0)
    assert [one.query for one in world.server.received] == [
        {"limit": "100"},
        {"limit": "100", "after": "b3"},
        {"limit": "100", "after": "b2"},
    ]


def test_enough_ends_the_walk_without_calling_it_complete(world: World) -> None:
    shown: list[int] = []

    def enough(batches: Sequence[Batch]) -> bool:
        shown.append(len(batches))
        return len(batches) == 2

    world.server.will(
        answer(200, page(batch("a"), more=True)), answer(200, page(batch("b"), more=True))
    )
    listing = world.client().list_batches(enough=enough)
    assert (len(listing.batches), listing.complete, shown) == (2, False, [1, 2])


@pytest.mark.parametrize(
    "reply",
    [
        page(),
        page(batch("a"), more=False),
        [],
        [batch("a")],
        {"value": [batch("a")]},
        {"object": "list", "data": None, "has_more": False},
        {"data": many(0, 99)},
        many(0, 101),
    ],
)
def test_a_single_page_is_the_whole_list(world: World, reply: object) -> None:
    world.server.will(answer(200, reply))
    listing = world.client().list_batches(enough=lambda _: pytest.fail("asked at the end"))
    assert listing.complete
    assert listing.requests == 1


@pytest.mark.parametrize("wrap", [lambda data: data, lambda data: {"data": data}])
def test_without_has_more_a_full_page_may_not_be_the_last(world: World, wrap: Any) -> None:  # noqa: ANN401
    world.server.will(answer(200, wrap(many(0, 100))), answer(200, wrap(many(100, 1))))
    listing = world.client().list_batches(enough=never)
    assert (len(listing.batches), listing.complete, listing.requests) == (101, True, 2)


@pytest.mark.parametrize(
    "second",
    [
        page(batch("b"), more=True, last_id="a"),  # a cursor again
        page(*many(0, 100), more=True, last_id="a"),  # a full page, and its cursor again
        page({"status": "validating"}, batch("b"), more=True),  # a cursor is missing
    ],
    ids=["repeated cursor", "full page again", "unreadable entry"],
)
def test_a_list_that_cannot_be_walked_to_its_end_is_incomplete(
    world: World, second: object
) -> None:
    world.server.will(
        answer(200, page(batch("a"), more=True, last_id="a")),
        answer(200, second),
        answer(200, page()),
    )
    listing = world.client().list_batches(enough=never)
    assert not listing.complete
    assert listing.batches[0].id == "a"
    assert len(world.server.received) <= 3


@pytest.mark.parametrize(
    "second",
    [page(more=True), page(batch("a"), more=True, last_id="z")],
    ids=["empty page", "the same page again"],
)
def test_a_list_that_claims_more_behind_its_end_is_complete(world: World, second: object) -> None:
    world.server.will(
        answer(200, page(batch("a"), more=True, last_id="a")),
        answer(200, second),
        answer(200, page()),
    )
    listing = world.client().list_batches(enough=never)
    assert listing.complete
    assert [batch.id for batch in listing.batches] == ["a"]


@pytest.mark.parametrize("bad", [{"id": "x"}, {"status": "failed"}, {"id": ""}, None, "x", 7, []])
def test_nothing_is_concluded_from_a_list_with_unreadable_entries(
    world: World, bad: object
) -> None:
    world.server.will(answer(200, page(bad, batch("a"))))
    listing = world.client().list_batches(enough=never)
    assert [one.id for one in listing.batches] == ["a"]
    assert (listing.complete, listing.invalid) == (False, 1)


DEFECTIVE = {"object": "batch", "status": None, "created_at": 1_700_000_000}
OUR_NAME = str(SubmissionKey(job="job", revision="0123456789ab", shard=0, attempt=1).filename)


@pytest.mark.parametrize("pairs", [1, 15])
def test_a_defective_entry_with_other_metadata_is_anothers(world: World, pairs: int) -> None:
    """Ours would have our key there: the job need not wait for somebody else's defect."""
    metadata = {f"key-{number}": "x" for number in range(pairs)}
    other = DEFECTIVE | {"id": "other", "metadata": metadata}
    world.server.will(
        answer(200, page(other, more=True)), answer(200, page(batch("a"))), answer(404), answer(404)
    )
    world.server.steps.insert(1, world.server.steps.pop())
    listing = world.client().list_batches(enough=never)
    assert [one.id for one in listing.batches] == ["a"]
    assert (listing.complete, listing.invalid, listing.unreadable) == (True, 0, ())
    assert [one.path for one in world.server.received] == [
        "/v1/batches",
        "/v1/batches/other",
        "/v1/batches",
    ]


def test_a_defective_entry_is_read_from_the_object_itself(world: World) -> None:
    """An index finds it then in all its ways, whatever its metadata and its file are."""
    world.server.will(
        answer(200, page(DEFECTIVE | {"id": "b"}, batch("a"))), answer(200, batch("b"))
    )
    listing = world.client().list_batches(enough=never)
    assert [one.id for one in listing.batches] == ["b", "a"]
    assert listing.complete


@pytest.mark.parametrize("metadata", [None, {}, {"team": "b"}])
def test_a_defective_entry_whose_file_has_another_name_is_anothers(
    world: World, metadata: object
) -> None:
    entry = DEFECTIVE | {"id": "other", "metadata": metadata, "input_file_id": "file-9"}
    world.server.will(
        answer(200, page(entry, batch("a"))),
        answer(200, entry),
        answer(200, file("file-9", filename="theirs.jsonl")),
    )
    assert world.client().list_batches(enough=never).complete


@pytest.mark.parametrize(
    ("fields", "filename"),
    [
        pytest.param({"metadata": {"runner": "x"}}, None, id="our key"),
        pytest.param({"metadata": {"runner": None, "team": "b"}}, None, id="our key, no text"),
        pytest.param({"metadata": None}, None, id="metadata dropped"),
        pytest.param({"metadata": {}}, None, id="no metadata"),
        pytest.param({}, None, id="metadata missing"),
        pytest.param({"metadata": "team=b"}, None, id="metadata as text"),
        pytest.param({"metadata": {str(n): "x" for n in range(16)}}, None, id="no room for ours"),
        pytest.param({"metadata": {"a": "b"}, "input_file_id": "file-9"}, None, id="unknown file"),
        pytest.param({"metadata": {"a": "b"}, "input_file_id": 9}, None, id="unreadable file"),
        pytest.param(
            {"metadata": {"a": "b"}, "input_file_id": "file-9"}, OUR_NAME, id="file of ours"
        ),
        pytest.param(
            {"metadata": None, "input_file_id": "file-9"}, f"up/{OUR_NAME}.txt", id="in a folder"
        ),
    ],
)
def test_a_defective_entry_that_may_be_ours_is_named(
    world: World, fields: dict[str, object], filename: str | None
) -> None:
    """It may be the batch that is searched for, so nothing is concluded from the list."""
    entry = DEFECTIVE | {"id": "batch_9"} | fields
    world.server.will(answer(200, page(batch("a"), entry)), answer(404))
    if filename is not None:
        world.server.will(answer(200, file("file-9", filename=filename)))
    elif fields.get("input_file_id") == "file-9":
        world.server.will(answer(404))
    listing = world.client().list_batches(enough=never)
    assert (listing.complete, listing.invalid) == (False, 1)
    assert listing.unreadable == ("entry 2: Batch batch_9 without a status",)
    assert world.server.steps == []


def test_only_the_first_entries_are_named_and_looked_at(world: World) -> None:
    entries = [DEFECTIVE | {"id": f"b{number}"} for number in range(200)]
    world.server.will(answer(200, page(*entries)), *[answer(404)] * 200)
    listing = world.client().list_batches(enough=never)
    assert (listing.invalid, len(listing.unreadable)) == (200, 4)
    assert listing.unreadable[-1] == "197 more"
    assert len(world.server.received) == 1 + MOST_LOOKS


def test_a_provider_with_a_problem_is_not_asked_about_each_entry(world: World) -> None:
    entries = [DEFECTIVE | {"id": f"b{number}"} for number in range(9)]
    world.server.will(answer(200, page(*entries)), *[answer(500)] * 99)
    assert world.client().list_batches(enough=never).invalid == 9
    assert len(world.server.received) == 1 + 5


def test_an_endless_list_ends_at_the_cap() -> None:
    def fetch(cursor: str | None) -> tuple[ListPage, int | None]:
        number = int(cursor or 0) + 1
        raw = page(batch(str(number)), more=True)
        return ListPage.from_api(raw), 100

    seen = read_pages(fetch, read=Batch.from_api, enough=never, page_cap=7)
    assert (seen.requests, len(seen.entries), seen.complete) == (7, 7, False)


def test_an_entry_shown_twice_counts_once_and_its_later_view_is_kept(world: World) -> None:
    world.server.will(
        answer(200, page(batch("b"), batch("a", "in_progress"), more=True)),
        answer(200, page(batch("a", "completed"), batch("c"))),
    )
    listing = world.client().list_batches(enough=never)
    assert [(one.id, one.status) for one in listing.batches] == [
        ("b", "validating"),
        ("a", "completed"),
        ("c", "validating"),
    ]


@pytest.mark.parametrize(
    ("times", "descending"),
    [([3, 2, 2, 1], True), ([1, 2], False), ([3, None, 1], False), ([], True)],
)
def test_an_order_is_claimed_only_where_it_was_seen(
    world: World,
    times: list[int | None],
    descending: bool,  # noqa: FBT001
) -> None:
    entries = [batch(f"b{n}", created_at=time) for n, time in enumerate(times)]
    world.server.will(answer(200, page(*entries)))
    assert world.client().list_batches(enough=never).descending is descending


@pytest.mark.parametrize(
    "reply", [{}, {"data": {}}, {"data": "x"}, "x", 7, None, {"error": "busy"}]
)
def test_what_is_no_list_is_not_an_empty_one(world: World, reply: object) -> None:
    world.server.will(answer(200, b"null" if reply is None else reply))
    if isinstance(reply, str):
        world.server.steps[:] = [answer(200, b'"x"')]
    with pytest.raises(UnexpectedReply):
        world.client().list_batches(enough=never)
    assert len(world.server.received) == 1


def test_a_provider_without_a_list_is_told_apart(world: World) -> None:
    world.server.will(answer(404, {"detail": "Not Found"}))
    with pytest.raises(NotOffered):
        world.client().list_batches(enough=never)


def test_files_are_asked_for_by_purpose_newest_first(world: World) -> None:
    world.server.will(answer(200, page(file("f1", filename="k.jsonl"), more=False)))
    listing = world.client().list_files(enough=never)
    assert [one.filename for one in listing.files] == ["k.jsonl"]
    assert (listing.complete, listing.descending) == (True, True)
    assert (listing.requests, listing.invalid) == (1, 0)
    assert world.server.received[0].path == "/v1/files"
    assert world.server.received[0].query == {"purpose": "batch", "order": "desc", "limit": "10000"}


@pytest.mark.parametrize("status", [400, 422])
def test_refused_parameters_are_left_out(world: World, status: int) -> None:
    world.server.will(
        answer(status, {"error": "limit is at most 100"}),
        answer(200, {"data": [file("f1")]}),
        answer(200, {"data": []}),
    )
    listing = world.client().list_files(enough=never)
    assert ([one.id for one in listing.files], listing.complete) == (["f1"], True)
    assert [one.query for one in world.server.received[1:]] == [{}, {"after": "f1"}]


def test_a_list_refused_without_parameters_too_is_an_error(world: World) -> None:
    world.server.will(answer(400, {"error": "no"}), answer(400, {"error": "no"}))
    with pytest.raises(Rejected):
        world.client().list_files(enough=never)
    assert len(world.server.received) == 2


def test_a_refusal_in_the_middle_of_a_list_is_an_error(world: World) -> None:
    world.server.will(answer(200, page(file("f1"), more=True)), answer(400, {"error": "no"}))
    with pytest.raises(Rejected):
        world.client().list_files(enough=never)


@settings(deadline=None)
@given(
    total=st.integers(0, 60),
    size=st.integers(1, 10),
    says_more=st.booleans(),
    says_last=st.booleans(),
)
def test_an_honest_list_is_seen_whole_and_in_order(
    total: int,
    size: int,
    says_more: bool,  # noqa: FBT001
    says_last: bool,  # noqa: FBT001
) -> None:
    everything = many(0, total)

    def fetch(cursor: str | None) -> tuple[ListPage, int | None]:
        ids = [one["id"] for one in everything]
        start = ids.index(cursor) + 1 if cursor is not None else 0
        data = everything[start : start + size]
        raw: dict[str, object] = {"data": data}
        if says_more:
            raw["has_more"] = start + size < total
        if says_last and data:
            raw["last_id"] = data[-1]["id"]
        return ListPage.from_api(raw), size

    seen = read_pages(fetch, read=Batch.from_api, enough=never)
    assert [one.id for one in seen.entries] == [one["id"] for one in everything]
    assert seen.complete
    assert seen.descending


PAGES: st.SearchStrategy[Any] = st.lists(
    st.builds(
        lambda ids, more, last: {
            "data": [{"id": one, "status": "validating", "created_at": 1} for one in ids],
            **({} if more is None else {"has_more": more}),
            **({} if last is None else {"last_id": last}),
        },
        st.lists(st.sampled_from(["a", "b", "c", "d", ""]), max_size=3),
        st.none() | st.booleans(),
        st.none() | st.sampled_from(["a", "b", "z"]),
    ),
    min_size=1,
    max_size=5,
)


@settings(deadline=None)
@given(pages=PAGES)
def test_no_list_is_endless_or_shows_an_id_twice(pages: list[dict[str, Any]]) -> None:
    served = iter(range(10**6))

    def fetch(_: str | None) -> tuple[ListPage, int | None]:
        return ListPage.from_api(pages[next(served) % len(pages)]), 3

    seen = read_pages(fetch, read=Batch.from_api, enough=never, page_cap=50)
    ids = [one.id for one in seen.entries]
    assert len(ids) == len(set(ids))
    assert seen.requests <= 10
    assert not (seen.complete and seen.unreadable)
