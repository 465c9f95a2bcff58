"""`runner cancel` and `runner retry`: stop what is in flight, resubmit what has not succeeded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import FINISH, states
from tests.simulation.behaviour import Behaviour, HttpError, Stuck, by_id, first_time

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.world import VirtualClock, World


def test_cancel(run: Run, lab: Folder, world: World, clock: VirtualClock) -> None:
    lab.job("one")
    world.behaviour = Behaviour(working=1000, cancelling=50)
    run("reconcile")

    done = run("cancel", "one")

    assert (done.code, done.out) == (0, "")
    assert "requested the cancellation of batch_" in done.err
    assert "may take some minutes to cancel; then `runner reconcile` collects" in done.err
    clock.sleep(100)
    assert run("reconcile").code == 0
    assert states(run) == {"one": "cancelled"}
    assert run("cancel", "one").err == "one: nothing is in flight\n"


def test_cancel_of_a_job_that_has_just_ended(
    run: Run, lab: Folder, world: World, clock: VirtualClock
) -> None:
    lab.job("one")
    world.behaviour = Behaviour(working=100)
    run("reconcile")
    clock.sleep(200)

    done = run("cancel", "one")

    assert done.code == 0
    assert done.err.endswith("one: succeeded before it could be cancelled\n")


@pytest.mark.parametrize("change", ["another", "invalid"])
def test_cancel_submits_nothing_even_if_the_input_has_changed(
    run: Run, lab: Folder, world: World, clock: VirtualClock, change: str
) -> None:
    lab.job("one", rows=3)
    world.behaviour = Behaviour(working=1000)
    run("reconcile")
    if change == "another":
        lab.job("one", rows=4)
    else:
        lab.write("data/one.jsonl", "nonsense")

    done = run("cancel", "one")

    assert (done.code, done.out) == (0, "")
    assert "the spec or input has changed since the run started" in done.err
    assert len(world.calls("POST", "/batches")) == 1
    run("reconcile")
    clock.sleep(100)
    run("reconcile")
    assert "cancelled: 0 succeeded, 3 failed; cancelled on request" in run("show", "one").out


def test_cancel_of_a_job_whose_spec_is_gone(
    run: Run, lab: Folder, world: World, clock: VirtualClock
) -> None:
    lab.job("one")
    lab.job("two")
    world.behaviour = Behaviour(working=1000)
    run("reconcile")
    (lab.root / "specs" / "one.yaml").unlink()

    done = run("cancel", "one")

    assert done.code == 0
    assert "the spec or input has changed since the run started, or was deleted" in done.err
    run("reconcile")
    clock.sleep(100)
    run("reconcile")
    assert "one  cancelled" in run("show", "one").out
    assert states(run) == {"two": "running"}


def test_retry(run: Run, lab: Folder, world: World) -> None:
    lab.job("one", rows=3)
    assert run("retry", "one").code == 2
    world.behaviour = Behaviour(
        answer=first_time({"one-1": HttpError(status=400, code="bad_value")})
    )
    assert run(*FINISH).code == 1

    done = run("retry", "one")

    assert (done.code, done.out) == (0, "")
    assert "one: submitted 1 request as" in done.err
    assert run(*FINISH).code == 0
    assert states(run) == {"one": "succeeded"}
    again = run("retry", "one")
    assert (again.code, again.err) == (
        0,
        "one: all requests succeeded; nothing to resubmit\n",
    )


def test_retry_of_a_job_whose_input_has_changed_submits_nothing(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job("one", rows=3)
    world.behaviour = Behaviour(answer=by_id({"one-1": HttpError(status=400, code="bad_value")}))
    run(*FINISH)
    lab.job("one", rows=4)

    done = run("retry", "one")

    assert (done.code, done.out) == (2, "")
    assert "has no run of its current spec; run `runner reconcile one`" in done.err
    assert len(world.calls("POST", "/batches")) == 1
    lab.write("data/one.jsonl", b"nonsense\n")
    invalid = run("retry", "one")
    assert invalid.code == 2
    assert invalid.err.startswith("data/one.jsonl:1:1: ")


def test_retry_of_a_job_that_is_still_running(run: Run, lab: Folder, world: World) -> None:
    lab.job("one")
    world.behaviour = Behaviour(ending=Stuck())
    run("reconcile")

    done = run("retry", "one")

    assert (done.code, done.err) == (0, "one: still running; nothing to resubmit yet\n")
    assert len(world.calls("POST", "/batches")) == 1
