from __future__ import annotations

import time
from collections import Counter

import httpx
import pytest

from tests.simulation import faults as trouble
from tests.simulation.behaviour import Conditions
from tests.simulation.exchange import Request
from tests.simulation.faults import Break
from tests.simulation.scene import request_lines, submit, upload
from tests.simulation.transport import WorldTransport
from tests.simulation.world import VirtualClock, World

BROKEN: list[tuple[trouble.Fault, type[Exception]]] = [
    (trouble.Refuse(), httpx.ConnectError),
    *(
        (trouble.Drop(acted=acted, how=how), error)
        for acted in (False, True)
        for how, error in (
            (Break.CLOSED, httpx.RemoteProtocolError),
            (Break.RESET, httpx.ReadError),
            (Break.WRITE, httpx.WriteError),
        )
    ),
    *((trouble.TimeOut(acted=acted), httpx.ReadTimeout) for acted in (False, True)),
    (trouble.TimeOut(acted=False, how=Break.CONNECT_TIMEOUT), httpx.ConnectTimeout),
    (trouble.TimeOut(acted=True, how=Break.WRITE_TIMEOUT), httpx.WriteTimeout),
    (trouble.Truncate(), httpx.RemoteProtocolError),
    (trouble.Truncate(keep=0), httpx.RemoteProtocolError),
    (trouble.Delay(seconds=61), httpx.ReadTimeout),
    (trouble.Delay(seconds=1, then=trouble.Refuse()), httpx.ConnectError),
]


def client_of(world: World) -> httpx.Client:
    assert isinstance(world.clock, VirtualClock)
    transport = WorldTransport(world, sleep=world.clock.sleep)
    return httpx.Client(transport=transport, base_url="http://world/v1", timeout=60)


def post_file(client: httpx.Client) -> httpx.Response:
    return client.post(
        "/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", request_lines(3))}
    )


@pytest.mark.parametrize(("fault", "error"), BROKEN, ids=str)
def test_broken_connections(fault: trouble.Fault, error: type[Exception]) -> None:
    world = World(VirtualClock(), faults=trouble.scripted({0: fault}))
    with client_of(world) as client:
        with pytest.raises(error):
            post_file(client)
        assert len(world.files()) == fault.acted
        assert post_file(client).status_code == 200
    assert [exchange.fault for exchange in world.requests] == [fault, None]


ANSWERED: list[tuple[trouble.Fault, int, str]] = [
    (trouble.Html(status=502), 502, "text/html"),
    (trouble.Html(status=200, acted=True), 200, "text/html"),
    (trouble.Garbage(), 200, "application/json"),
    (trouble.rate_limited("7"), 429, "application/json"),
    (trouble.out_of_money(), 429, "application/json"),
    (trouble.server_error(acted=False), 500, "application/json"),
    (trouble.server_error(acted=True, status=503), 503, "application/json"),
    (trouble.Status(status=422, body={"detail": "no"}), 422, "application/json"),
]


@pytest.mark.parametrize(("fault", "status", "kind"), ANSWERED, ids=str)
def test_wrong_answers(fault: trouble.Fault, status: int, kind: str) -> None:
    world = World(VirtualClock(), faults=trouble.on("POST", "/files", fault))
    with client_of(world) as client:
        assert client.get("/files").status_code == 200
        reply = post_file(client)
        assert (reply.status_code, reply.headers["content-type"]) == (status, kind)
        assert len(world.files()) == fault.acted
        assert post_file(client).status_code == 200


def test_headers_and_bodies_of_scripted_replies() -> None:
    script = trouble.first_of(
        trouble.on("GET", "/files*", trouble.rate_limited("7"), None, trouble.out_of_money()),
        trouble.on("GET", "/batches", trouble.Status(status=400, body={"error": "text"})),
    )
    world = World(VirtualClock(), faults=script)
    with client_of(world) as client:
        assert client.get("/files").headers["retry-after"] == "7"
        assert client.get("/files").status_code == 200
        third = client.get("/files/x")
        assert third.json()["error"]["code"] == "insufficient_quota"
        assert "retry-after" not in third.headers
        assert client.get("/batches").json() == {"error": "text"}
        assert client.get("/batches").status_code == 200


def test_time_passes_only_as_told() -> None:
    clock = VirtualClock(0.0)
    world = World(clock, faults=trouble.scripted({1: trouble.Delay(seconds=5)}))
    transport = WorldTransport(world, sleep=clock.sleep, latency=0.25)
    with httpx.Client(transport=transport, base_url="http://world/v1", timeout=60) as client:
        client.get("/files")
        assert clock() == 0.25
        client.get("/files")
        assert clock() == 5.5
        world.faults = trouble.scripted({2: trouble.TimeOut(acted=True)})
        with pytest.raises(httpx.ReadTimeout):
            client.get("/files")
        assert clock() == 65.75
    assert transport.closed


def test_a_clean_looking_cut_can_only_be_noticed_by_counting() -> None:
    world = World(VirtualClock())
    batch = submit(world, request_lines(10))
    with client_of(world) as client:
        output = client.get(f"/batches/{batch}").json()["output_file_id"]
        world.faults = trouble.on(
            "GET", f"/files/{output}/content", trouble.Truncate(keep=100, clean=True)
        )
        cut = client.get(f"/files/{output}/content")
        assert (len(cut.content), "content-length" in cut.headers) == (100, False)
        assert world.submissions()[0].downloaded_at == float("inf")
        whole = client.get(f"/files/{output}/content")
        assert int(whole.headers["content-length"]) == len(whole.content)
        assert world.submissions()[0].downloaded_at == world.clock()
        world.conditions = Conditions(chunked=True)
        chunked = client.get(f"/files/{output}/content")
        assert "content-length" not in chunked.headers
        assert chunked.content == whole.content


def test_death_is_held_back_by_nothing_that_catches_errors() -> None:
    world = World(VirtualClock(), faults=trouble.scripted({0: trouble.Die(acted=True)}))
    with client_of(world) as client, pytest.raises(trouble.Death):
        post_file(client)
    assert not issubclass(trouble.Death, Exception)
    assert len(world.files()) == 1


def test_chaos_is_the_same_for_the_same_seed() -> None:
    def strikes(seed: int) -> list[trouble.Fault | None]:
        script = trouble.chaos(seed, 0.3)
        request = Request.json("GET", "/files")
        return [script(request, number) for number in range(500)]

    assert strikes(1) == strikes(1) != strikes(2)
    share = 1 - Counter(fault is None for fault in strikes(1))[True] / 500
    assert 0.2 < share < 0.4


def test_chaos_strikes_with_every_kind() -> None:
    script = trouble.chaos(0, 1.0)
    request = Request.json("GET", "/files")
    struck = [script(request, number) for number in range(1000)]
    assert all(kind in struck for kind in trouble.EVERY_KIND)


def test_the_log_tells_what_was_asked() -> None:
    world = World(VirtualClock(), faults=trouble.scripted({1: trouble.Refuse()}))
    with client_of(world) as client:
        post_file(client)
        with pytest.raises(httpx.ConnectError):
            client.get("/batches", params={"limit": "5"})
    first, second = world.requests
    assert (first.method, first.path, first.filename, first.status) == (
        "POST",
        "/files",
        "a.jsonl",
        200,
    )
    assert (second.query, second.acted, second.status) == ({"limit": "5"}, False, None)
    assert world.calls("GET", "/batch*") == [second]
    assert "GET /batches -> None Refuse" in str(second)


def test_an_exchange_is_fast() -> None:
    world = World(VirtualClock())
    submit(world, request_lines(20))
    file = upload(world, request_lines(1))
    with client_of(world) as client:
        begun = time.process_time()
        for _ in range(500):
            client.get(f"/files/{file}")
        spent = (time.process_time() - begun) / 500
    assert spent < 0.003, f"{spent * 1000:.2f} ms an exchange; 0.2 ms is usual"
