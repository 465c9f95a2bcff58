"""Failure modes 3, 9, 24, 25 and 30 at their worst: two at the same time, or one that persists."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runner.ledger.records import RunState
from tests.failures.scene import REMOTE, Dialect, asked, each_batch, ids, latest
from tests.failures.test_inputs import plain_json
from tests.failures.test_lists import Gateway, crowd
from tests.simulation.behaviour import (
    TOKEN_LIMIT,
    Behaviour,
    Conditions,
    Fail,
    HttpError,
    ListFault,
    Problem,
    by_id,
    in_turn,
)
from tests.simulation.faults import Drop, on

if TYPE_CHECKING:
    from tests.failures.conftest import MakeSite


@pytest.mark.parametrize("failed", [0, 3, 6])
def test_03_counts_of_no_answer_do_not_shorten_the_wait(make_site: MakeSite, failed: int) -> None:
    """Failure mode 3: counts without any success, and an output file that is named late.

    The results are waited for and read, and not submitted, and paid for, again.
    """
    refused = HttpError(status=400)
    answer = by_id(dict.fromkeys(("r0", "r1", "r2"), refused))

    def late(batch: dict[str, Any]) -> None:
        batch["request_counts"] = {"total": 6, "completed": 0, "failed": failed}
        if site.clock() < site.world.submissions()[0].over_at + 300:
            batch["output_file_id"] = None

    world = Dialect(each_batch(late), behaviour=Behaviour(working=60, answer=answer))
    site = make_site(world=world, base_url=REMOTE)
    assert site.until_done(pause=60).states == {"job": RunState.PARTIAL}
    assert asked(site) == [tuple(ids())]
    site.check(ids())


def test_09_a_file_that_even_get_denies_at_first_is_the_same_file(make_site: MakeSite) -> None:
    """Failure mode 9: creation and GET both deny a new file for minutes: still it is one upload."""
    site = make_site(conditions=Conditions(create_blind=100, file_blind=100), base_url=REMOTE)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(site.world.calls("POST", "/files")) == 1
    assert asked(site) == [tuple(ids())]
    site.check(ids())


def test_24_a_hole_in_the_list_hides_nothing(make_site: MakeSite) -> None:
    """Failure mode 24: an empty page after a full one, and more promised: entries may follow.

    Behind the gap is the very batch that has to be found after a lost ledger.
    """
    site = make_site(Behaviour(working=3600), base_url=REMOTE)
    site.reconcile()
    crowd(site, 150)
    site.drop_ledger()
    site.world.conditions = Conditions(list_fault=ListFault.HOLE)
    for _ in range(3):
        site.reconcile()
        site.clock.sleep(300)
    site.world.conditions = Conditions()
    assert site.until_done(pause=300).states == {"job": RunState.SUCCEEDED}
    assert asked(site).count(tuple(ids())) == 1


def test_24_a_list_of_full_pages_has_an_end_too(make_site: MakeSite) -> None:
    """Failure mode 24: 200 batches fill two pages; the empty third is no hole, and that shows."""
    conditions = Conditions(list_fault=ListFault.ENDLESS)
    site = make_site(Behaviour(working=60), conditions=conditions, base_url=REMOTE)
    crowd(site, 200)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(asked(site)) == 201


class Renaming(Gateway):
    """A gateway that gives batches new ids and leaves files theirs; its list lags."""

    def __init__(self) -> None:
        super().__init__()
        limited = Behaviour(ending=Fail(problems=(TOKEN_LIMIT,)))
        self.behaviour = in_turn(limited, Behaviour(working=1000))
        self.conditions = Conditions(list_lag=45)

    def _manage(self, document: dict[str, Any]) -> None:
        if document["object"] == "batch":
            raw = document["id"]
            document["id"] = f"unified/{self.polls % 3}?{raw[::-1]}"
            self.names[document["id"]] = raw


def test_25_an_earlier_batch_under_another_name_is_not_the_lost_one(make_site: MakeSite) -> None:
    """Failure mode 25: of two batches made from one file the submission key identifies each.

    The first met a limit; the reply to the creation of the second was lost, and the list still
    shows only the first, under an id that is not recorded here.
    """
    world = Renaming()
    site = make_site(world=world, base_url=REMOTE)
    world.faults = on("POST", "/batches", None, Drop(acted=True))
    assert site.until_done(pause=20, passes=120).states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids())] * 2
    site.check(ids())


def test_30_half_a_character_in_a_reason_breaks_no_record(make_site: MakeSite) -> None:
    """Failure mode 30: the messages of a failed batch pass through ledger, record and terminal."""
    reason = Problem(code="invalid_request", message="half \ud83d of it")
    site = make_site(Behaviour(ending=Fail(problems=(reason,))))
    assert site.until_done().states == {"job": RunState.FAILED}
    assert isinstance(plain_json(latest(site, "run.json")), dict)
    assert site.results() == ([], ids())
    for line in latest(site, "errors.jsonl").read_bytes().split(b"\n")[:-1]:
        assert "of it" in json.loads(line.decode())["error"]["message"]


def test_30_half_a_character_in_one_batch_hides_no_list(make_site: MakeSite) -> None:
    """Failure mode 30: despite a text cut in two, the batches can still be listed and read."""

    def cut(batch: dict[str, Any]) -> None:
        batch["metadata"] = {**(batch["metadata"] or {}), "note": "cut \ud83d"}

    site = make_site(world=Dialect(each_batch(cut)), base_url=REMOTE)
    crowd(site, 3)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids())
