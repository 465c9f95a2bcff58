"""Helpers of the simulation's own tests: request lines, and the steps of submitting a batch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.simulation.behaviour import Behaviour, in_turn
from tests.simulation.exchange import Request
from tests.simulation.world import VirtualClock, World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.simulation.behaviour import Conditions
    from tests.simulation.exchange import Response

CHAT = "/v1/chat/completions"


PHASES = Behaviour(validating=10, working=100, finalizing=5, cancelling=20)


def world_of(*behaviours: Behaviour, conditions: Conditions | None = None) -> World:
    """Make a world at time 1000 whose batches behave so in turn, the last for all that follow."""
    turns = in_turn(*behaviours) if behaviours else None
    return World(VirtualClock(1000.0), behaviour=turns, conditions=conditions)


def wait(world: World, seconds: float) -> None:
    """Let virtual time pass."""
    assert isinstance(world.clock, VirtualClock)
    world.clock.sleep(seconds)


def request_line(custom_id: str, *, url: str = CHAT, model: str = "gpt-4o-mini") -> bytes:
    """Return one request line, whose question is its own custom_id."""
    body = {"model": model, "messages": [{"role": "user", "content": custom_id}]}
    document = {"custom_id": custom_id, "method": "POST", "url": url, "body": body}
    return json.dumps(document).encode() + b"\n"


def request_lines(count: int, *, prefix: str = "r") -> bytes:
    """Return `count` request lines, r0, r1, ..."""
    return b"".join(request_line(f"{prefix}{number}") for number in range(count))


def upload(world: World, lines: bytes, filename: str = "a.jsonl") -> str:
    """Upload a file, past all faults of exchanges, and return its id."""
    identifier: str = world.handle(Request.upload(filename, lines)).document()["id"]
    return identifier


def create(
    world: World, file_id: str, key: str | None = None, *, endpoint: str = CHAT, **more: object
) -> Response:
    """Ask for a batch over a file; `key` is the submission's own, in its metadata."""
    document: dict[str, object] = {
        "input_file_id": file_id,
        "endpoint": endpoint,
        "completion_window": "24h",
        **more,
    }
    if key is not None:
        document["metadata"] = {"runner": key}
    return world.handle(Request.json("POST", "/batches", document))


def submit(world: World, lines: bytes, key: str | None = None) -> str:
    """Upload lines and create a batch over them; return its id."""
    identifier: str = create(world, upload(world, lines), key).document()["id"]
    return identifier


def get(world: World, path: str, **query: str) -> Any:  # noqa: ANN401  (decoded JSON)
    """Return what the provider shows at a path."""
    return world.handle(Request.json("GET", path, **query)).document()


def results(world: World, batch: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Return the output and the error file of a batch, empty where there is none."""
    output, error = batch["output_file_id"], batch["error_file_id"]
    return world.content(output) if output else b"", world.content(error) if error else b""
