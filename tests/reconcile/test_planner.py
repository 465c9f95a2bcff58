"""What `runner plan` shows is what the next pass begins with, whatever came before."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import PlanMoved
from runner.planning.saved_plan import PlanTerms, SavedPlan, Selection
from tests.simulation.behaviour import (
    Behaviour,
    Cancelled,
    Complete,
    Expire,
    Stuck,
    Vanish,
    in_turn,
)
from tests.simulation.faults import Break, Drop, TimeOut, never, on
from tests.simulation.scene import request_lines
from tests.simulation.site import SPEC, Site
from tests.simulation.world import VirtualClock, World

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from runner.planning.actions import Action, Plan
    from runner.planning.state import DesiredRun


class FirstPlan(SavedPlan):
    """Stands for a saved plan, and keeps the plan that it is compared with."""

    def require_same(
        self, desired_runs: Sequence[DesiredRun], plan: Plan, *, embedded: Collection[str]
    ) -> None:
        """Keep the first plan of the pass."""
        super().require_same(desired_runs, plan, embedded=embedded)
        FOUND.append(plan)


FOUND: list[Plan] = []

BEHAVIOURS = [
    Behaviour(working=60.0),
    Behaviour(working=60.0, ending=Expire(fraction=0.5)),
    Behaviour(ending=Complete(), files_after=30.0),
    Behaviour(ending=Stuck(fraction=0.5)),
    Behaviour(ending=Vanish(after=120.0)),
    Behaviour(ending=Cancelled(fraction=0.4)),
]


def edit(line: str) -> Callable[[Site], None]:
    return lambda site: site.write_spec(SPEC + line)


def lose_ledger(site: Site) -> None:
    site.drop_ledger()


def remove_spec(site: Site) -> None:
    (site.root / "specs" / "job.yaml").unlink(missing_ok=True)


def rename_job(site: Site) -> None:
    site.write_spec(SPEC.replace("name: job", "name: other"))


def lost_answer(path: str, *, acted: bool) -> Callable[[Site], None]:
    def strike(site: Site) -> None:
        site.world.faults = on("POST", path, Drop(acted=acted, how=Break.CLOSED))
        site.reconcile()
        site.world.faults = never

    return strike


def time_out(site: Site) -> None:
    site.world.faults = on("POST", "/v1/batches", TimeOut(acted=True))
    site.reconcile()
    site.world.faults = never


def wait(seconds: float) -> Callable[[Site], None]:
    return lambda site: site.clock.sleep(seconds)


STEPS: dict[str, Callable[[Site], Any]] = {
    "wait a second": wait(1.0),
    "wait a minute": wait(61.0),
    "wait an hour": wait(3700.0),
    "ask twice": edit("replicate: 2\n"),
    "add metadata": edit("metadata: {project: x}\n"),
    "send a canary": edit("canary: 2\n"),
    "as it was": edit(""),
    "rename": rename_job,
    "remove the spec": remove_spec,
    "lose the ledger": lose_ledger,
    "lose the answer to an upload": lost_answer("/v1/files", acted=True),
    "lose an upload": lost_answer("/v1/files", acted=False),
    "lose the answer to a creation": lost_answer("/v1/batches", acted=True),
    "lose a creation": lost_answer("/v1/batches", acted=False),
    "time out": time_out,
}


def timeless(action: Action) -> Action:
    """Leave out when a run was begun: a preview and its pass are not of the same moment."""
    return dataclasses.replace(action, run=dataclasses.replace(action.run, created_at=0.0))


@given(
    rows=st.integers(1, 7),
    shard=st.integers(2, 4),
    behaviours=st.lists(st.sampled_from(BEHAVIOURS), min_size=1, max_size=3),
    steps=st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_the_first_plan_of_a_pass_is_what_runner_plan_shows(
    rows: int, shard: int, behaviours: list[Behaviour], steps: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(VirtualClock(), behaviour=in_turn(*behaviours))
        site = Site(Path(folder) / "project", world, request_lines(rows), max_requests=shard)
        site.latency = 0.0
        for step in ["wait a second", *steps]:
            STEPS[step](site)
            shown = site.preview()
            FOUND.clear()
            terms = PlanTerms.of(shown.desired_runs, shown.plan, Selection())
            site.reconcile(saved_plan=FirstPlan(shown="plan.json", terms=terms))

            assert [*map(timeless, FOUND[0].actions)] == [*map(timeless, shown.plan.actions)]
            assert [dataclasses.replace(wait, run=None) for wait in FOUND[0].waits] == [  # type: ignore[arg-type]
                dataclasses.replace(wait, run=None)  # type: ignore[arg-type]
                for wait in shown.plan.waits
            ]
            assert FOUND[0].notes == shown.plan.notes
            assert FOUND[0].needs_listing == shown.plan.needs_listing


def test_a_plan_that_is_out_of_date_stops_the_pass_before_anything_is_done(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path / "project", World(VirtualClock()), request_lines(3))
    shown = site.preview()
    terms = PlanTerms.of(shown.desired_runs, shown.plan, Selection())
    site.write_spec(SPEC + "replicate: 2\n")

    with pytest.raises(PlanMoved, match=r"plan\.json is out of date, and nothing was done"):
        site.reconcile(saved_plan=SavedPlan(shown="plan.json", terms=terms))

    assert not site.world.submissions()
