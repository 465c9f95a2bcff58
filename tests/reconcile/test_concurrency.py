"""Calls side by side, everything else one after the other, and no call lost or made twice."""

from __future__ import annotations

import operator
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from runner.errors import LocalFileError
from runner.ledger.records import RunState
from runner.reconcile.concurrency import BYTES_AT_ONCE, InlineExecutor, TaskRunner, ThreadExecutor
from tests.reconcile.conftest import ids
from tests.simulation.behaviour import Behaviour, Expire
from tests.simulation.faults import on, out_of_money

if TYPE_CHECKING:
    from collections.abc import Generator

    from runner.reconcile.concurrency import Call, Executor, Steps
    from tests.reconcile.conftest import MakeSite

HANDS = [InlineExecutor(1), InlineExecutor(3), ThreadExecutor(3)]


def squares(numbers: list[int], results: list[int]) -> Steps:
    for number in numbers:
        result: int = yield partial(operator.mul, number, number)
        results.append(result)


@pytest.mark.parametrize("executor", HANDS)
def test_each_gets_its_own_answers_in_its_own_order(executor: Executor) -> None:
    crew = TaskRunner(executor)
    results: list[list[int]] = [[] for _ in range(20)]
    ended: list[Exception | None] = []
    for number in range(20):
        crew.wait_for_room(1)
        crew.begin(
            squares(list(range(number, number + 4)), results[number]), size=1, on_end=ended.append
        )
    crew.finish()
    assert results == [[n * n for n in range(number, number + 4)] for number in range(20)]
    assert ended == [None] * 20


@pytest.mark.parametrize("executor", HANDS)
def test_what_a_call_raises_is_raised_where_it_was_asked_for(executor: Executor) -> None:
    def steps() -> Generator[Call, Any, None]:
        def fail() -> None:
            raise LocalFileError("full")

        with pytest.raises(LocalFileError, match="full"):
            yield fail
        yield lambda: None
        raise LocalFileError("again")

    ended: list[Exception | None] = []
    crew = TaskRunner(executor)
    crew.begin(steps(), size=0, on_end=ended.append)
    crew.finish()
    [error] = ended
    assert str(error) == "again"


def test_calls_are_under_way_side_by_side_and_steps_are_not() -> None:
    barrier = threading.Barrier(3, timeout=10)
    here = threading.get_ident()
    observed: list[int] = []

    def steps() -> Steps:
        yield barrier.wait
        observed.append(threading.get_ident())

    crew = TaskRunner(ThreadExecutor(3))
    for _ in range(3):
        crew.begin(steps(), size=0, on_end=lambda _: None)
    crew.finish()
    assert observed == [here] * 3


def test_no_more_than_so_many_at_once() -> None:
    lock = threading.Lock()
    now = most = 0

    def work() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.001)
        with lock:
            now -= 1

    def steps() -> Steps:
        yield work

    crew = TaskRunner(ThreadExecutor(3))
    for _ in range(30):
        crew.wait_for_room(0)
        crew.begin(steps(), size=0, on_end=lambda _: None)
    crew.finish()
    assert most <= 3


def test_large_files_do_not_go_out_together() -> None:
    order: list[str] = []

    def steps(name: str) -> Steps:
        order.append(f"{name} begins")
        yield lambda: None
        order.append(f"{name} ends")

    crew = TaskRunner(InlineExecutor(4))
    for name in ("a", "b"):
        crew.wait_for_room(BYTES_AT_ONCE)
        crew.begin(steps(name), size=BYTES_AT_ONCE, on_end=lambda _: None)
    crew.finish()
    assert order == ["a begins", "a ends", "b begins", "b ends"]


def test_a_job_goes_through_with_several_calls_at_once(make_site: MakeSite) -> None:
    site = make_site(Behaviour(ending=Expire(fraction=0.5)), Behaviour(), rows=24, shard=3)
    site.executor = InlineExecutor(4)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids(24))


def test_one_try_shows_that_there_is_no_money(make_site: MakeSite) -> None:
    site = make_site(rows=24, shard=3)
    site.executor = InlineExecutor(4)
    site.world.faults = on("POST", "/files", *[out_of_money()] * 8)
    site.reconcile()
    assert len(site.world.calls("POST", "/files")) == 1
