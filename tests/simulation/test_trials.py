"""Many seeds hold every promise, and a reconciler with a part taken out does not.

The second half proves that the first could fail: each mutation removes one of the precautions of
the protocol, and the trials must notice within a thousand seeds.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from runner.ledger import transitions
from runner.ledger.records import SubmissionState
from runner.reconcile.facts import Traces
from tests.simulation.trial import trial

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.ledger.records import Key
    from runner.ledger.store import Ledger

SEEDS = 150
PATIENCE = 1000


def test_every_promise_holds_whatever_is_drawn(tmp_path: Path) -> None:
    came_to = [trial(seed, tmp_path / str(seed)) for seed in range(SEEDS)]
    assert sum(one.deaths for one in came_to) > SEEDS, "the storm was not one"
    assert sum(one.lost_ledgers for one in came_to) > 3


def _without_adoption(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Traces, "batch", lambda *_: None)
    monkeypatch.setattr(Traces, "of_shard", lambda *_: [])


def _with_a_blind_second_creation(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(ledger: Ledger, key: Key, problem: str) -> None:
        transitions.retract(ledger, key, problem)

    monkeypatch.setattr(transitions, "doubt", forget)


def _without_the_intent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transitions, "intend_create", lambda *_args, **_more: None)


def _settling_only_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.outputs import results

    settle = results.settle
    monkeypatch.setattr(results, "settle", lambda files, ids: settle(files[:0], ids))


def _counting_what_was_turned_away_as_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    close: Callable[..., None] = transitions.close

    def careless(ledger: Ledger, key: Key, **more: Any) -> None:  # noqa: ANN401
        if more["state"] is SubmissionState.COLLECTED:
            more["transient"] = more["permanent"]
        close(ledger, key, **more)

    monkeypatch.setattr(transitions, "close", careless)


@pytest.mark.parametrize(
    "mutate",
    [
        _without_adoption,
        _with_a_blind_second_creation,
        _without_the_intent,
        _settling_only_one_file,
        _counting_what_was_turned_away_as_answered,
    ],
)
def test_the_trials_notice_what_is_missing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mutate: Callable[[pytest.MonkeyPatch], None],
) -> None:
    mutate(monkeypatch)
    for seed in itertools.count():
        assert seed < PATIENCE, "nobody noticed"
        try:
            trial(seed, tmp_path / str(seed))
        except AssertionError:
            return
