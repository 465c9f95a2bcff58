"""Failure modes 14 and 15: a POST is made once, whatever the reply. A second one costs money."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from runner.ledger.records import RunState, SubmissionKey, SubmissionState
from tests.failures.scene import REMOTE, Dialect, asked, history, ids, known
from tests.simulation import faults as trouble
from tests.simulation.behaviour import (
    TOKEN_LIMIT,
    Behaviour,
    Conditions,
    Fail,
)
from tests.simulation.faults import Break, Death, Drop, Garbage, Html, Status, TimeOut, on
from tests.simulation.replies import Refusal
from tests.simulation.scene import get

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.failures.conftest import MakeSite
    from tests.simulation.exchange import Request, Response
    from tests.simulation.faults import Fault
    from tests.simulation.site import Site
    from tests.simulation.world import Exchange


def posts(site: Site, path: str = "/batches") -> list[Exchange]:
    return site.world.calls("POST", path)


# 14: a run that dies at an upload -------------------------------------------------------------


def test_14_every_call_is_announced_before_and_recorded_after(make_site: MakeSite) -> None:
    """Failure mode 14: the ledger knows of each POST before it is made, and of its outcome next.

    So there is no moment at which a death loses more than the answer to one call.
    """
    site = make_site(rows=6, shard=2)
    announced: list[str] = []

    def watch(request: Request, _number: int) -> None:
        if request.method != "POST":
            return
        upload = request.form.file if request.form else None
        if upload is not None:
            key, state = (
                SubmissionKey.parse_filename(upload.filename or ""),
                SubmissionState.UPLOADING,
            )
        else:
            value = json.loads(request.body)["metadata"]["runner"]
            key, state = SubmissionKey.parse(value.split(" ")[0]), SubmissionState.CREATING
        recorded = {each.key: each for each in known(site).submissions}
        assert key is not None
        assert recorded[key].state is state
        assert recorded[key].intent_at is not None
        assert (recorded[key].input_file_id is not None) == (upload is None)
        earlier = [each for each in recorded.values() if str(each.key) in announced]
        assert all(each.batch_id for each in earlier if each.key != key), "it was written down"
        announced.append(str(key))

    site.world.faults = watch
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(announced) == 6
    site.check(ids())


TIMEOUTS = [TimeOut(acted=acted, how=how) for acted, how in (
    (False, Break.CONNECT_TIMEOUT), (False, Break.WRITE_TIMEOUT), (False, Break.READ_TIMEOUT),
    (True, Break.READ_TIMEOUT))]  # fmt: skip


@pytest.mark.parametrize("fault", TIMEOUTS)
def test_14_an_upload_that_times_out_ends_nothing(make_site: MakeSite, fault: Fault) -> None:
    """Failure mode 14: the other shards go out in the same pass, the file itself in a later one.

    An upload that had arrived is found by its name and used: no file is stored twice.
    """
    site = make_site(rows=6, shard=2, base_url=REMOTE)
    site.world.faults = on("POST", "/files", None, fault)
    site.reconcile()
    expected = 3 if isinstance(fault, TimeOut) and fault.how is Break.CONNECT_TIMEOUT else 2
    assert len(asked(site)) == expected
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.world.check_uploads_once()
    assert sorted(asked(site)) == [("r0", "r1"), ("r2", "r3"), ("r4", "r5")]
    site.check(ids())


@pytest.mark.parametrize("acted", [False, True])
@pytest.mark.parametrize("call", range(6))
def test_14_a_death_at_any_call_is_gone_on_from(
    make_site: MakeSite, call: int, *, acted: bool
) -> None:
    """Failure mode 14: SIGKILL at each POST, one after the other; the next process continues.

    Whether the call had arrived or not: nothing is stored twice, submitted twice or left out.
    """
    site = make_site(rows=6, shard=2)
    site.world.faults = on("POST", "*", *[None] * call, trouble.Die(acted=acted))
    with pytest.raises(Death):
        site.reconcile()
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert sorted(asked(site)) == [("r0", "r1"), ("r2", "r3"), ("r4", "r5")]
    site.world.check_uploads_once()
    site.check(ids())


# 15: a creation whose answer was lost ---------------------------------------------------------

AMBIGUOUS: Sequence[Fault] = (
    Drop(acted=True),
    Drop(acted=True, how=Break.RESET),
    TimeOut(acted=True),
    trouble.server_error(acted=True),
    trouble.server_error(acted=True, status=503),
    Status(status=408, acted=True),
    Html(status=502, acted=True),
    Html(status=200, acted=True),
    Garbage(acted=True),
    Garbage(acted=True, body=b"{}"),
    trouble.Truncate(keep=20),
)


def no_list_of_files(request: Request, response: Response) -> Response:
    """Keep what files there are to itself, so that no file's name can help."""
    if (request.method, request.path) == ("GET", "/files"):
        return Refusal(404, "Invalid URL (GET /v1/files)").reply()
    return response


@pytest.mark.parametrize(
    ("fault", "by"),
    [(fault, "key") for fault in AMBIGUOUS] + [(fault, "input file") for fault in AMBIGUOUS[::4]],
    ids=str,
)
def test_15_a_batch_whose_creation_went_unheard_is_adopted(
    make_site: MakeSite, fault: Fault, by: str
) -> None:
    """Failure mode 15: one POST, whatever the reply; then a listing, and the batch is adopted.

    By the key in its metadata, or, where the provider drops metadata, by its input file. The
    list may lag behind by most of a minute.
    """
    conditions = Conditions(metadata=by == "key", list_lag=45)
    world = Dialect(no_list_of_files, behaviour=Behaviour(working=100), conditions=conditions)
    site = make_site(world=world, base_url=REMOTE)
    site.world.faults = on("POST", "/batches", fault)
    report = site.reconcile()
    assert report.waits
    assert len(posts(site)) == 1
    assert known(site).submissions[0].state is SubmissionState.CREATING
    assert site.until_done(pause=25).states == {"job": RunState.SUCCEEDED}
    assert len(posts(site)) == 1, "it is never sent again"
    assert len(history(site, "batch_adopted")) == 1
    assert asked(site) == [tuple(ids())]
    site.check(ids())


@pytest.mark.parametrize(
    "fault",
    [Drop(acted=False), TimeOut(acted=False), trouble.server_error(acted=False), Html(status=502)],
    ids=str,
)
def test_15_a_batch_that_was_not_created_is_created_after_a_look(
    make_site: MakeSite, fault: Fault
) -> None:
    """Failure mode 15: what may have acted is sent again only once a whole list shows it did not.

    That look begins when the grace time has passed since the doubt: a minute.
    """
    site = make_site(base_url=REMOTE)
    site.world.faults = on("POST", "/batches", fault)
    assert site.until_done(pause=25).states == {"job": RunState.SUCCEEDED}
    first, second = posts(site)
    looks = [each.at for each in site.world.calls("GET", "/batches")]
    assert any(first.at + 60 <= at < second.at for at in looks)
    assert asked(site) == [tuple(ids())]
    site.check(ids())


def test_15_while_nobody_can_look_nothing_is_created_again(make_site: MakeSite) -> None:
    """Failure mode 15: without a list there is no second creation, for as long as it takes."""
    site = make_site(base_url=REMOTE)
    site.world.faults = trouble.first_of(
        on("POST", "/batches", Drop(acted=True)),
        lambda request, _number: (
            trouble.server_error(acted=False)
            if request.method == "GET" and request.path == "/batches" and len(posts(site))
            else None
        ),
    )
    for _ in range(10):
        site.reconcile()
        site.clock.sleep(600)
    assert len(posts(site)) == 1
    site.world.faults = trouble.never
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(posts(site)) == 1


def test_15_where_no_list_is_offered_a_person_decides(make_site: MakeSite) -> None:
    """Failure mode 15: a provider without a list: never again automatically, with the reason."""
    site = make_site(conditions=Conditions(list_missing=404), base_url=REMOTE)
    site.world.faults = on("POST", "/batches", Drop(acted=True))
    for _ in range(10):
        site.reconcile()
        site.clock.sleep(600)
    report = site.reconcile()
    assert report.has_problem
    [wait] = report.waits
    for words in ("cannot list batches", "paid twice", "runner cancel job", "runner retry job"):
        assert words in wait.reason
    assert len(posts(site)) == 1


def test_15_every_batch_carries_a_key_of_its_own(make_site: MakeSite) -> None:
    """Failure mode 15: the mark to search for is in the metadata, one value per submission."""
    limited = Behaviour(ending=Fail(problems=(TOKEN_LIMIT,)))
    site = make_site(limited, Behaviour(), rows=6, shard=2)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    keys = [get(site.world, f"/batches/{each.batch_id}")["metadata"]["runner"].split(" ")[0]
            for each in site.world.submissions()]  # fmt: skip
    assert len(keys) == len(set(keys)) == 4
    assert all(SubmissionKey.parse(key) is not None for key in keys)
