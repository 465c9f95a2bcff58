"""Providers that cannot be reached, refuse, limit the rate or have no credit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.project import WAITING, ids
from tests.faults.worlds import check_all_asked_once
from tests.simulation import faults as trouble
from tests.simulation.behaviour import Conditions

if TYPE_CHECKING:
    from tests.faults.launching import Run
    from tests.faults.project import Project
    from tests.simulation.exchange import Request
    from tests.simulation.http import Server
    from tests.simulation.world import World


def test_a_provider_out_of_reach(run: Run, server: Server, world: World) -> None:
    with server.down():
        end = run("reconcile", code=1, hurry=1.0)
    assert "cannot be reached" in end.err
    assert world.requests == []


def test_a_refused_key_is_tried_once(run: Run, world: World, project: Project) -> None:
    world.key, world.conditions = "sk-another", Conditions(echoes_key=True)
    for command in (("reconcile",), WAITING):
        asked = len(world.requests)
        end = run(*command, code=1)
        assert "OPENAI_API_KEY" in end.err
        assert len(world.requests) == asked + 1
    project.check_nothing_secret()


def test_a_key_that_is_not_set(run: Run, project: Project, world: World) -> None:
    del project.environment["OPENAI_API_KEY"]
    assert "OPENAI_API_KEY is not set" in run("reconcile", code=1).err
    assert "OPENAI_API_KEY is not set" in run(*WAITING, code=1).err
    run("validate")
    run("status")
    assert world.requests == []


@pytest.mark.parametrize("call", ["GET /batches", "POST /files", "POST /batches"])
def test_a_rate_limit_is_kept_to_the_second(
    run: Run, project: Project, world: World, call: str
) -> None:
    times: list[float] = []

    def limited(request: Request, _number: int) -> trouble.Fault | None:
        if f"{request.method} {request.path}" != call:
            return None
        times.append(time.monotonic())
        return trouble.rate_limited("2") if len(times) == 1 else None

    world.faults = limited
    run("reconcile")
    assert 2 <= times[1] - times[0] < 10
    run(*WAITING)
    project.check_results(ids(12))
    check_all_asked_once(world, ids(12), batches=4)


def test_a_rate_limit_of_an_hour_is_left_to_a_later_pass(
    run: Run, project: Project, world: World
) -> None:
    world.faults = trouble.on("POST", "/files", *[trouble.rate_limited("3600")] * 3)
    begun = time.monotonic()
    run("reconcile", code=1)
    assert time.monotonic() - begun < 10
    run(*WAITING)
    project.check_results(ids(12))


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("call", ["POST /files", "POST /batches", "GET /files/*"])
def test_waiting_outlasts_a_provider_that_asks_for_patience(
    run: Run, project: Project, world: World, call: str, status: int
) -> None:
    # A wait this long is not made within a call, so each of these ends a pass.
    busy = trouble.Status(status=status, headers={"retry-after": "90"})
    method, path = call.split()
    world.faults = trouble.on(method, path, *[busy] * 16)
    run(*WAITING)
    project.check_results(ids(12))
    check_all_asked_once(world, ids(12), batches=4)


@pytest.mark.parametrize("call", ["GET /batches", "POST /files", "POST /batches"])
def test_without_money_nothing_is_tried_again(
    run: Run, project: Project, world: World, call: str
) -> None:
    def broke(request: Request, _number: int) -> trouble.Fault | None:
        hit = f"{request.method} {request.path}" == call
        return trouble.out_of_money() if hit else None

    world.faults = broke
    for command in (("reconcile",), WAITING):
        asked = len(world.calls(*call.split()))
        end = run(*command, code=1)
        assert "quota" in end.err
        assert len(world.calls(*call.split())) == asked + 1
    world.faults = trouble.never
    run(*WAITING)
    project.check_results(ids(12))
    world.check_exactly_once()
