"""Lists and ids that cannot be trusted: failure modes 24 and 25."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from runner.api.client import Client
from runner.api.pagination import PAGE_CAP, ListPage, read_pages
from runner.batch import Batch
from runner.ledger.records import RunState
from runner.spec.project import Provider
from tests.failures.scene import REMOTE, Dialect, asked, history, ids, known
from tests.simulation.behaviour import (
    TOKEN_LIMIT,
    Behaviour,
    Conditions,
    Fail,
    ListFault,
    ListShape,
    in_turn,
)
from tests.simulation.exchange import Request
from tests.simulation.faults import Drop, on
from tests.simulation.http import serve
from tests.simulation.replies import json_reply
from tests.simulation.scene import request_line, submit
from tests.simulation.world import VirtualClock, World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.failures.conftest import MakeSite
    from tests.simulation.exchange import Response
    from tests.simulation.site import Site


def crowd(site: Site, count: int) -> None:
    """Fill the provider's list with batches of another client."""
    for number in range(count):
        submit(site.world, request_line(f"theirs-{number}"))
        site.clock.sleep(1)


def listings(site: Site) -> int:
    return len(site.world.calls("GET", "/batches"))


def never(_seen: Sequence[Batch]) -> bool:
    return False


def test_24_a_cursor_that_does_not_advance_ends_the_walk(make_site: MakeSite) -> None:
    """Failure mode 24: an endless first page is read twice, and proves nothing.

    The list was not read to its end, so nothing is created; with a good list, it is.
    """
    site = make_site(base_url=REMOTE)
    crowd(site, 150)
    site.world.conditions = Conditions(list_fault=ListFault.REPEATED)
    for _ in range(3):
        before = listings(site)
        report = site.reconcile()
        assert listings(site) - before <= 3
        assert report.has_problem
        assert any("could not be read completely" in wait.reason for wait in report.waits)
        site.clock.sleep(300)
    assert site.world.calls("POST", "/batches") == []
    site.world.conditions = Conditions()
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(asked(site)) == 151


def test_24_a_lost_answer_is_not_settled_by_a_list_without_an_end(make_site: MakeSite) -> None:
    """Failure mode 24: a walk in circles never shows that a batch does not exist."""
    site = make_site(base_url=REMOTE)
    crowd(site, 150)
    site.world.faults = on("POST", "/batches", Drop(acted=False))
    site.reconcile()
    site.world.conditions = Conditions(list_fault=ListFault.REPEATED)
    for _ in range(4):
        site.clock.sleep(300)
        site.reconcile()
    assert len(site.world.calls("POST", "/batches")) == 1
    site.world.conditions = Conditions()
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(site.world.calls("POST", "/batches")) == 2


@pytest.mark.parametrize("shape", list(ListShape))
def test_24_empty_pages_that_promise_more_end_the_walk(
    make_site: MakeSite, shape: ListShape
) -> None:
    """Failure mode 24: after the last batch there is always one more page, and it is empty."""
    conditions = Conditions(list_fault=ListFault.ENDLESS, list_shape=shape)
    site = make_site(Behaviour(working=60), conditions=conditions, base_url=REMOTE)
    crowd(site, 130)
    before = listings(site)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert listings(site) - before <= 4
    assert len(asked(site)) == 131


def test_24_pages_that_overlap_show_each_batch_once_over_real_http() -> None:
    """Failure mode 24: what two pages show is one batch, in its later view; the walk is whole."""
    clock = VirtualClock()
    world = World(clock, behaviour=Behaviour(working=30))

    def overlap(request: Request, response: Response) -> Response:
        # Each page begins two entries before where it should.
        after = request.query.get("after")
        if after is None or request.path != "/batches":
            return response
        everything = World.handle(world, Request.json("GET", "/batches", limit="100")).document()[
            "data"
        ]
        everything += response.document()["data"]
        ids = [entry["id"] for entry in everything]
        place = max(ids.index(after) - 1, 0)
        page = everything[place : place + 100]
        return json_reply(
            {
                "object": "list",
                "data": page,
                "has_more": page[-1]["id"] != ids[-1],
                "last_id": page[-1]["id"],
            }
        )

    world = Dialect(overlap, behaviour=Behaviour(working=30))
    made = [submit(world, request_line(f"r{number}")) for number in range(150)]
    with serve(world) as server:
        provider = Provider(name="lab", base_url=server.base_url)
        with Client(provider, None) as client:
            listing = client.list_batches(enough=never)
    assert [batch.id for batch in listing.batches] == made[::-1]
    assert listing.complete
    assert listing.requests == 2


def test_24_a_list_that_never_ends_is_left_at_the_cap() -> None:
    """Failure mode 24: pages of new entries without end stop somewhere, as no whole list."""
    pages = 0

    def fetch(_cursor: str | None) -> tuple[ListPage, int | None]:
        nonlocal pages
        pages += 1
        entry = {"id": f"batch_{pages}", "status": "completed"}
        page = {"data": [entry], "has_more": True, "last_id": entry["id"]}
        return ListPage.from_api(page), 1

    seen = read_pages(fetch, read=Batch.from_api, enough=never)
    assert pages == PAGE_CAP == 10_000
    assert not seen.complete


# 25: ids that change their form ---------------------------------------------------------------


class Gateway(World):
    """A gateway that hands out ids of its own, and in lists forgets to.

    Its ids hold whatever a URL could stumble over and differ from one poll to the next; it
    understands each id that it or the provider behind it ever gave out.
    """

    def __init__(self) -> None:
        super().__init__(VirtualClock(), behaviour=Behaviour(working=100, finalizing=60))
        self.polls = 0
        self.names: dict[str, str] = {}

    def handle(self, request: Request) -> Response:
        self.polls += 1
        reply = super().handle(
            dataclasses.replace(
                request,
                path=self._raw(request.path),
                query={name: self._raw(value) for name, value in request.query.items()},
                body=self._raw(request.body.decode()).encode(),
            )
        )
        if request.path.endswith("/content") or reply.status != 200:
            return reply
        document = reply.document()
        if document["object"] != "list":
            self._manage(document)
        return json_reply(document)

    def _manage(self, document: dict[str, Any]) -> None:
        for name in ("id", "input_file_id", "output_file_id", "error_file_id"):
            raw = document.get(name)
            if raw:
                document[name] = f"unified/{self.polls % 3}?{raw[::-1]}%2F+#=="
                self.names[document[name]] = raw

    def _raw(self, text: str) -> str:
        for managed, raw in self.names.items():
            text = text.replace(managed, raw)
        return text


def test_25_ids_that_change_from_poll_to_poll_are_opaque(make_site: MakeSite) -> None:
    """Failure mode 25: an id is text to be sent back, and the latest form of it is the one used.

    Nothing is read into it, it is escaped in a path, and a batch with another name is the same.
    """
    world = Gateway()
    site = make_site(world=world, base_url=REMOTE)
    site.reconcile()
    [first] = [each.batch_id for each in known(site).submissions]
    names = {first}
    while not site.reconcile().all_final:
        [now] = [each.batch_id for each in known(site).submissions]
        names.add(now)
        site.clock.sleep(30)
    assert len(names) > 1, "or this shows nothing"
    assert all(name and name.startswith("unified/") for name in names)
    assert known(site).state is RunState.SUCCEEDED
    assert asked(site) == [tuple(ids())]
    assert history(site, "batch_not_found") == []
    site.check(ids())


def test_25_a_batch_is_adopted_under_whatever_name_the_list_gives_it(make_site: MakeSite) -> None:
    """Failure mode 25: lost answers and lost ledgers are met by the key, not by an id's form."""
    world = Gateway()
    site = make_site(world=world, base_url=REMOTE)
    world.faults = on("POST", "/batches", Drop(acted=True))
    site.reconcile()
    site.clock.sleep(90)
    site.reconcile()
    assert len(history(site, "batch_adopted")) == 1
    site.drop_ledger()
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids())]
    site.check(ids())


def test_15_a_second_batch_of_a_file_is_found_though_the_first_is_out_of_sight(
    make_site: MakeSite,
) -> None:
    """Failure mode 15: where metadata is dropped, a batch is found by the name of its file.

    The first batch met a limit, its file was used again, and the reply to the second creation was
    lost. Between the two lies more than a page of other batches, so the list is not read back to
    the first: what is seen is then the second attempt, not the first.
    """
    hour = 3600.0
    site = make_site(base_url=REMOTE, conditions=Conditions(metadata=False))
    site.world.behaviour = in_turn(
        Behaviour(validating=4 * hour, ending=Fail(problems=(TOKEN_LIMIT,))), Behaviour()
    )
    site.reconcile()
    site.clock.sleep(2 * hour)
    crowd(site, 150)
    site.clock.sleep(hour)
    crowd(site, 10)
    site.clock.sleep(2 * hour)
    site.world.faults = on("POST", "/batches", Drop(acted=True))
    for _ in range(3):
        site.reconcile()
        site.clock.sleep(90)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site).count(tuple(ids())) == 2
    assert site.results() == (ids(), [])
