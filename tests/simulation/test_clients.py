"""The checks can fail: a client that retries blindly is caught, one that lists first is not.

Both clients are as small as possible and use nothing of the code under test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.simulation import chance, scene
from tests.simulation import faults as trouble
from tests.simulation.behaviour import Behaviour, Complete, HttpError, Missing, NotRun, by_chance
from tests.simulation.results import check_answers
from tests.simulation.scene import CHAT, request_lines
from tests.simulation.transport import WorldTransport
from tests.simulation.world import VirtualClock, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

KEY = "job/1/1/1"
ASKED = request_lines(5)
KINDS = (
    trouble.Refuse(),
    trouble.Drop(acted=True),
    trouble.Drop(acted=False),
    trouble.TimeOut(acted=True),
    trouble.server_error(acted=True),
    trouble.Html(acted=True),
    trouble.Truncate(),
)
FAILURES = (HttpError(status=500), HttpError(status=0), NotRun(), Missing())


def until_answered(call: Callable[[], httpx.Response]) -> Any:  # noqa: ANN401  (decoded JSON)
    while True:
        try:
            reply = call()
            if reply.status_code == 200:
                return reply.json()
        except (httpx.TransportError, ValueError):
            pass


def listed(client: httpx.Client, path: str, sought: Callable[[Any], bool]) -> str | None:
    page = until_answered(lambda: client.get(path))
    return next((entry["id"] for entry in page["data"] if sought(entry)), None)


def submit(client: httpx.Client, *, looks: bool) -> str:
    def post_file() -> httpx.Response:
        files = {"file": (f"{KEY}.jsonl", ASKED)}
        return client.post("/files", data={"purpose": "batch"}, files=files)

    def post_batch() -> httpx.Response:
        parameters = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"}
        return client.post("/batches", json={**parameters, "metadata": {"runner": KEY}})

    def once(post: Callable[[], httpx.Response], path: str, sought: Callable[[Any], bool]) -> str:
        while looks and (found := listed(client, path, sought)) is None:
            try:
                post()
            except httpx.TransportError:
                continue
        identifier: str = found if looks and found else until_answered(post)["id"]
        return identifier

    file = once(post_file, "/files", lambda entry: entry["filename"] == f"{KEY}.jsonl")
    return once(post_batch, "/batches", lambda entry: entry["metadata"]["runner"] == KEY)


def live(seed: int, *, looks: bool) -> World:
    world = World(
        VirtualClock(),
        seed,
        behaviour=Behaviour(working=60, answer=by_chance(seed, 0.2)),
        faults=trouble.chaos(seed, 0.4, KINDS),
    )
    with httpx.Client(transport=WorldTransport(world), base_url="http://world/v1") as client:
        submit(client, looks=looks)
    return world


def test_a_client_that_looks_before_it_acts_keeps_the_promises() -> None:
    for seed in range(40):
        world = live(seed, looks=True)
        world.check_exactly_once()
        world.check_uploads_once()
        world.check_nothing_lost(f"r{number}" for number in range(5))
        assert len(world.submissions()) == 1


def test_a_client_that_retries_blindly_is_caught() -> None:
    caught = 0
    for seed in range(40):
        world = live(seed, looks=False)
        twice = len(world.submissions()) > 1
        caught += twice
        if twice:
            with pytest.raises(AssertionError, match="carry the submission key 'job/1/1/1'"):
                world.check_exactly_once()
    assert caught > 5


def test_any_provider_can_be_drawn_by_lot() -> None:
    def draw(seed: int) -> list[object]:
        behaviour = chance.behaviours(seed)
        return [chance.conditions(seed), *(behaviour(index, []).ending for index in range(6))]

    assert draw(1) == draw(1)
    assert len({str(draw(seed)) for seed in range(20)}) == 20
    assert all(draw(seed)[4:] == [Complete()] * 3 for seed in range(20))


def test_a_drawn_provider_ends_every_batch() -> None:
    for seed in range(60):
        clock = VirtualClock()
        world = World(clock, seed, behaviour=chance.behaviours(seed, wrong_rows=1.0, troubled=4))
        for _ in range(4):
            scene.submit(world, ASKED)
            clock.sleep(2000)
        over = [each.status for each in world.submissions()]
        assert len(over) == 4
        assert set(over) <= {"completed", "expired", "cancelled", "failed"}


def test_the_answers_of_any_life_belong_to_their_requests() -> None:
    for seed in range(20):
        behaviour = Behaviour(answer=by_chance(seed, 0.3, FAILURES))
        world = World(VirtualClock(), seed, behaviour=behaviour)
        with httpx.Client(transport=WorldTransport(world), base_url="http://world/v1") as client:
            batch = client.get(f"/batches/{submit(client, looks=True)}").json()
            output = batch["output_file_id"]
            lines = client.get(f"/files/{output}/content").content if output else b""
        assert check_answers(lines, ASKED) == world.submissions()[0].answered
