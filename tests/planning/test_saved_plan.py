"""The terms of a saved plan: equal terms have equal fingerprints and no difference."""

from __future__ import annotations

import dataclasses
import json
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from runner.planning.actions import Collect, Observe, Wait
from runner.planning.saved_plan import PlanTerms, SavedPlan, Selection, difference
from runner.report.json_output import to_json
from runner.report.plan_json import plan_json
from tests.report.plans import PLANS
from tests.report.scenes import HOSTILE, NOW, batch, desired, preview, run, submission, submit

if TYPE_CHECKING:
    from runner.planning.actions import Action, Submit
    from runner.views.preview import Preview


def terms(plan: Preview) -> PlanTerms:
    return PlanTerms.of(plan.desired_runs, plan.plan, Selection())


def collect(number: int = 1) -> Collect:
    of = run()
    return Collect(
        run=of,
        reason="the batch is completed",
        shard=of.shards[0],
        submission=submission(of),
        batch=batch(number),
    )


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_that_is_read_again_has_the_same_terms(name: str) -> None:
    text = to_json(plan_json(PLANS[name], (), made_at=NOW))

    saved = SavedPlan.read(text, shown="plan.json")

    assert saved.terms == terms(PLANS[name])
    saved.require_same(PLANS[name].desired_runs, PLANS[name].plan, embedded=())


def test_plans_share_a_fingerprint_if_and_only_if_nothing_has_difference() -> None:
    for then, now in product(map(terms, PLANS.values()), repeat=2):
        assert (then.fingerprint == now.fingerprint) is (difference(then, now, embedded=()) is None)


@pytest.mark.parametrize(
    "also",
    [
        Observe(run=run(), reason="x", key=submission(run()).key, batch=batch()),
        Wait(run=run(), key=submission(run()).key, reason="in flight", until=NOW),
    ],
    ids=["noted", "waited-for"],
)
def test_what_changes_by_itself_is_not_compared(also: Action | Wait) -> None:
    then = terms(preview(submit(run())))
    now = terms(preview(dataclasses.replace(submit(run()), reason="another reason"), also))

    assert then.fingerprint == now.fingerprint


def test_a_setting_of_the_provider_is_part_of_what_is_asked() -> None:
    asked = desired()
    provider = dataclasses.replace(asked.job.provider, output_expires_after=86_400)
    other = dataclasses.replace(asked, job=dataclasses.replace(asked.job, provider=provider))

    assert difference(terms(preview()), terms(preview(desired_runs=(other,))), embedded=()) == (
        "sentiment: output_expires_after was null, is 86400"
    )


@pytest.mark.parametrize(
    ("was", "would_be", "said"),
    [
        ([submit(run())], [], "shard 1 was to be submitted, and now there is nothing to do for it"),
        ([], [submit(run())], "shard 1 would be submitted, and the plan has nothing for it"),
        ([submit(run())], [collect()], "shard 1 would be collected, was to be submitted"),
        (
            [submit(run(), attempt=2)],
            [submit(run(), attempt=2, requests=19)],
            "shard 1, attempt 2, would be submitted differently: requests was 3080, is 19",
        ),
        (
            [collect(1)],
            [collect(2)],
            f"shard 1 would be collected differently: batch was {batch(1).id}, is {batch(2).id}",
        ),
        (
            [submit(run())],
            [submit(run()), submit(run())],
            "shard 1 would be submitted differently: the number of steps differs",
        ),
    ],
)
def test_a_difference_is_told_in_words(
    was: list[Submit | Collect], would_be: list[Submit | Collect], said: str
) -> None:
    assert (
        difference(terms(preview(*was)), terms(preview(*would_be)), embedded=())
        == f"sentiment: {said}"
    )


def test_of_many_differences_the_first_are_told() -> None:
    of = run(shards=20)
    now = terms(preview(*(submit(of, number) for number in range(1, 21))))

    said = difference(terms(preview()), now, embedded=()) or ""

    assert said.count("would be submitted") == 5
    assert said.endswith("; and 15 more")


def test_what_happened_at_an_embedded_provider_is_not_compared() -> None:
    then, now = terms(preview()), terms(preview(collect(), submit(run(shards=2), 2)))

    assert difference(then, now, embedded=("openai",)) == (
        "sentiment: shard 2 would be submitted, and the plan has nothing for it"
    )


def test_two_runs_of_one_plan_print_the_same_but_for_the_time() -> None:
    def shape(at: float) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(to_json(plan_json(PLANS["new"], (), made_at=at)))
        return shown

    assert shape(1.0) == shape(2.0) | {"made_at": 1.0}


def test_what_is_shown_of_a_difference_is_no_longer_than_a_line() -> None:
    asked = desired()
    long = dataclasses.replace(asked.job, metadata={"note": HOSTILE * 40})

    said = difference(
        terms(preview()),
        terms(preview(desired_runs=(dataclasses.replace(asked, job=long),))),
        embedded=(),
    )

    assert said is not None
    assert len(said) < 120
