from __future__ import annotations

import pytest

from tests.simulation import behaviour as how
from tests.simulation.behaviour import Behaviour, Conditions
from tests.simulation.exchange import Request
from tests.simulation.scene import create, get, request_line, request_lines, submit, upload
from tests.simulation.world import VirtualClock, World


def world_of(*behaviours: Behaviour) -> tuple[World, VirtualClock]:
    clock = VirtualClock(1000.0)
    return World(clock, behaviour=how.in_turn(*(behaviours or (Behaviour(),)))), clock


def fetch(world: World, batch_id: str) -> None:
    output = get(world, f"/batches/{batch_id}")["output_file_id"]
    world.exchange(Request.json("GET", f"/files/{output}/content"))


def test_one_batch_a_key_is_fine() -> None:
    world, clock = world_of()
    for key in ("job/1/1/1", "job/1/2/1", "job/2/1/1", "other/1/1/1"):
        submit(world, request_lines(2, prefix=key), key)
        clock.sleep(1)
    world.check_exactly_once()
    world.check_nothing_lost(["job/1/1/10", "other/1/1/11"])
    assert set(world.paid().values()) == {1}


def test_two_batches_with_one_key_are_not() -> None:
    world, _ = world_of()
    submit(world, request_lines(1), "job/1/1/1")
    submit(world, request_lines(1, prefix="s"), "job/1/1/1")
    with pytest.raises(AssertionError, match="2 batches carry the submission key 'job/1/1/1'"):
        world.check_exactly_once()


def test_asking_while_the_first_is_at_work_is_not() -> None:
    world, clock = world_of(Behaviour(working=100))
    submit(world, request_lines(2), "job/1/1/1")
    clock.sleep(50)
    submit(world, request_lines(1), "job/1/1/2")
    with pytest.raises(AssertionError, match=r"'r0' is asked by batch #1 .* still at work"):
        world.check_exactly_once()


def test_asking_what_was_answered_is_not() -> None:
    world, clock = world_of()
    submit(world, request_lines(2), "job/1/1/1")
    clock.sleep(50)
    submit(world, request_lines(1), "job/1/1/2")
    with pytest.raises(AssertionError, match=r"'r0' is asked by .* had answered it"):
        world.check_exactly_once()
    assert world.paid()["job/1", "r0"] == 2


def test_a_batch_in_between_hides_nothing() -> None:
    world, clock = world_of(Behaviour(), Behaviour(ending=how.Fail()), Behaviour())
    first = submit(world, request_lines(1), "job/1/1/1")
    fetch(world, first)
    clock.sleep(1)
    for attempt in (2, 3):
        submit(world, request_lines(1), f"job/1/1/{attempt}")
        clock.sleep(1)
    with pytest.raises(AssertionError, match=r"'r0' is asked by batch #2 .* though batch #0"):
        world.check_exactly_once()


def test_asking_again_what_was_not_answered_is_fine() -> None:
    failing: dict[str, how.Answer] = {"r1": how.HttpError(status=500), "r2": how.Missing()}
    world, clock = world_of(Behaviour(answer=how.first_time(failing)))
    submit(world, request_lines(3), "job/1/1/1")
    clock.sleep(1)
    submit(world, request_line("r1") + request_line("r2"), "job/1/1/2")
    world.check_exactly_once()
    assert set(world.paid().values()) == {1}


def test_what_could_not_be_had_may_be_asked_again() -> None:
    world, clock = world_of(Behaviour(working=10, ending=how.Vanish(after=5)))
    submit(world, request_lines(1), "job/1/1/1")
    clock.sleep(20)
    submit(world, request_lines(1), "job/1/1/2")
    world.check_exactly_once()


def test_what_expired_may_be_asked_again_unless_it_was_fetched() -> None:
    for fetched in (False, True):
        world, clock = world_of()
        batch = submit(world, request_lines(1), "job/1/1/1")
        if fetched:
            fetch(world, batch)
        clock.sleep(31 * 86400)
        submit(world, request_lines(1), "job/1/1/2")
        if fetched:
            with pytest.raises(AssertionError, match="had answered it"):
                world.check_exactly_once()
        else:
            world.check_exactly_once()


def test_batches_without_keys_are_held_together_by_their_lines() -> None:
    world, clock = world_of()
    world.conditions = Conditions(metadata=False)
    file = upload(world, request_lines(1))
    create(world, file)
    clock.sleep(1)
    create(world, file)
    with pytest.raises(AssertionError, match="no key"):
        world.check_exactly_once()


def test_what_was_never_asked_is_lost() -> None:
    world, _ = world_of(Behaviour(ending=how.Fail()), Behaviour())
    submit(world, request_lines(1))
    with pytest.raises(AssertionError, match="'r0' was never asked"):
        world.check_nothing_lost(["r0"])
    submit(world, request_lines(1))
    world.check_nothing_lost(["r0"])


def test_a_file_uploaded_twice_is_noticed() -> None:
    world, _ = world_of()
    upload(world, request_lines(1), "a.jsonl")
    upload(world, request_lines(1), "b.jsonl")
    world.check_uploads_once()
    upload(world, request_lines(1), "b.jsonl")
    with pytest.raises(AssertionError, match=r"'b.jsonl' was uploaded 2 times"):
        world.check_uploads_once()


def test_long_lists_of_violations_are_cut() -> None:
    world, _ = world_of()
    with pytest.raises(AssertionError, match="and 80 more"):
        world.check_nothing_lost(map(str, range(100)))
