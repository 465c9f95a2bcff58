"""Gateways rewrite the lines of an uploaded file, or do not know its size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.ledger.records import RunState
from tests.failures.scene import REMOTE, Dialect, asked, ids, told
from tests.simulation.replies import json_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.failures.conftest import MakeSite
    from tests.failures.scene import Retell
    from tests.simulation.exchange import Request, Response


def sizes(change: Callable[[int], int | None]) -> Retell:
    """Say another size of every uploaded file."""

    def retell(request: Request, response: Response) -> Response:
        if (request.method, request.path, response.status) != ("POST", "/files", 200):
            return response
        document = response.document()
        return json_reply(document | {"bytes": change(document["bytes"])})

    return retell


@pytest.mark.parametrize(
    ("change", "uploads", "remarks"),
    [
        (lambda size: size + 92, 2, 1),
        (lambda size: size - 1, 2, 1),
        (lambda _size: 0, 1, 0),
        (lambda _size: None, 1, 0),
    ],
    ids=["more", "less", "0", "null"],
)
def test_another_size_costs_one_more_upload_and_no_job(
    make_site: MakeSite, change: Callable[[int], int | None], uploads: int, remarks: int
) -> None:
    site = make_site(world=Dialect(sizes(change)), base_url=REMOTE)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == [tuple(ids())]
    assert len(site.world.calls("POST", "/files")) == uploads
    assert told(site).count("it is used as it is") == remarks


def test_a_gateway_that_rewrites_all_files_gets_only_the_first_twice(make_site: MakeSite) -> None:
    site = make_site(world=Dialect(sizes(lambda size: size + 9)), rows=6, shard=2, base_url=REMOTE)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(asked(site)) == 3
    assert len(site.world.calls("POST", "/files")) == 4
