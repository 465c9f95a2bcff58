"""Alerts over sequences of passes: one `trouble`, one `recovered`, and exit code 1 in between.

Passes are drawn: over all jobs or over one, seconds or hours apart, with work that ends in between.
The condition lasts for all of them. However a pass meets it, or does not meet it, no message says
that it is over, until a pass after its end has shown that.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runner.cli.after_pass import after_pass, exit_code
from runner.cli.console import Console
from runner.ledger.records import RunState
from runner.reconcile.passes import reconcile_once
from tests.simulation.behaviour import Behaviour, Fail, Problem
from tests.simulation.faults import Refuse, Status, never, out_of_money
from tests.simulation.scene import request_line, request_lines
from tests.simulation.site import Site
from tests.simulation.world import VirtualClock, World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.reconcile.passes import PassReport
    from tests.simulation.exchange import Request
    from tests.simulation.faults import Fault

OTHER = "name: other\nendpoint: /v1/chat/completions\ninput: other.jsonl\n"
NO_CREDIT = Fail(problems=(Problem(code="insufficient_quota", message="No credit left."),))
WORKING = Behaviour(validating=20, working=100)
REFUSED = "refused-model"


@dataclass
class House:
    """A project of two jobs at one provider, and what its passes have said and recorded."""

    site: Site
    codes: list[int] = field(default_factory=list)

    @classmethod
    def at(cls, folder: Path) -> House:
        """Make it. `job` has a model of its own and two batches; one batch may be in flight."""
        world = World(VirtualClock(), behaviour=WORKING)
        lines = b"".join(request_line(f"r{number}", model=REFUSED) for number in range(4))
        site = Site(folder / "project", world, lines, max_requests=2)
        config = site.root / "runner.yaml"
        config.write_text(
            config.read_text().replace("http://127.0.0.1:9", "https://api.example.com")
            + "    max_active_batches: 1\n"
        )
        (site.root / "other.jsonl").write_bytes(request_lines(6, prefix="o"))
        site.write_spec(OTHER, name="other")
        site.frozen = True
        return cls(site=site)

    def reconcile(self, *selectors: str) -> PassReport:
        """Make a pass, and do what follows it."""
        with self.site.context(selectors) as (context, specs), Console(quiet=True) as console:
            report = reconcile_once(context, specs, everything=not selectors)
            report = after_pass(
                context, console, specs, report, everything=not selectors, seconds=0.0
            )
            if not selectors:
                self.codes.append(exit_code(report, specs))
            return report

    def said(self) -> list[_Said]:
        """Return the events of alerts, oldest first."""
        with self.site.context() as (context, _specs):
            rows = context.ledger.query(
                "SELECT kind, at, detail FROM events WHERE kind IN ('trouble', 'recovered') "
                "ORDER BY id"
            )
            return [
                _Said(kind=row["kind"], at=row["at"], subject=json.loads(row["detail"])["subject"])
                for row in rows
            ]


@dataclass(frozen=True)
class _Said:
    kind: str
    at: float
    subject: str


def key_refused(house: House) -> None:
    house.site.world.faults = lambda _request, _number: Status(status=401, message="Bad key.")


def away(house: House) -> None:
    house.site.world.faults = lambda _request, _number: Refuse()


def no_credit(house: House) -> None:
    house.site.world.faults = lambda request, _number: (
        out_of_money() if (request.method, request.path) == ("POST", "/batches") else None
    )


def batches_without_credit(house: House) -> None:
    house.site.world.behaviour = lambda _index, _rows: Behaviour(validating=20, ending=NO_CREDIT)


def model_refused(house: House) -> None:
    """Refuse what `job` sends, and nothing else."""
    refusal = Status(status=403, code="model_not_allowed", message="Not this model.")
    world = house.site.world

    def strike(request: Request, _number: int) -> Fault | None:
        if (request.method, request.path) != ("POST", "/batches"):
            return None
        file = json.loads(request.body)["input_file_id"]
        return refusal if REFUSED.encode() in world.content(file) else None

    world.faults = strike


CONDITIONS = {
    "provider openai": (key_refused, away, no_credit, batches_without_credit),
    "job job": (model_refused,),
}
EITHER: tuple[list[str], ...] = ([], ["trouble", "recovered"])
STEPS = st.tuples(
    st.sampled_from([(), (), (), ("job",), ("other",)]),
    st.sampled_from([1.0, 30.0, 70.0, 600.0, 4000.0]),
)


@pytest.mark.parametrize(
    ("condition", "subject"),
    [(one, subject) for subject, several in CONDITIONS.items() for one in several],
    ids=lambda each: getattr(each, "__name__", each),
)
@settings(
    max_examples=3, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(before=st.integers(0, 3), steps=st.lists(STEPS, min_size=2, max_size=6))
@example(before=0, steps=[((), 30.0)] * 6)
@example(before=0, steps=[((), 30.0), (("other",), 70.0), ((), 1.0), ((), 600.0)])
@example(before=2, steps=[((), 70.0), (("job",), 1.0), (("other",), 1.0), ((), 1.0)])
@example(before=1, steps=[((), 600.0), ((), 30.0), ((), 1.0), (("other",), 1.0)])
@example(before=0, steps=[((), 30.0), ((), 70.0), (("other",), 1.0)])
def test_one_trouble_one_recovery_and_a_steady_exit_code(
    condition: object, subject: str, before: int, steps: Sequence[tuple[tuple[str, ...], float]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        house = House.at(Path(folder))
        clock = house.site.clock
        for _ in range(before):
            house.reconcile()
            clock.sleep(30)
        assert house.said() == []
        assert callable(condition)
        condition(house)
        for selectors, pause in steps:
            known = [one.subject for one in house.said()]
            house.reconcile(*selectors)
            if known and not selectors:
                assert house.codes[-1] == 1
            clock.sleep(pause)
        lasting = [one for one in house.said() if one.subject == subject]
        assert [one.kind for one in lasting] in ([], ["trouble"])
        ended = clock()
        house.site.world.faults = never
        house.site.world.behaviour = lambda _index, _rows: WORKING
        report = house.reconcile()
        while not report.all_final and len(house.codes) < 60:
            clock.sleep(300)
            report = house.reconcile()
        assert set(report.states.values()) == {RunState.SUCCEEDED}
        assert house.codes[-1] == 0
        told = [one for one in house.said() if one.subject == subject]
        # A batch that was made meanwhile may fail after the end.
        assert [one.kind for one in told] in ([["trouble", "recovered"]] if lasting else EITHER)
        assert all(one.at >= ended for one in told if one.kind == "recovered")
