"""Many seeds keep every promise, and a reconciler with a part removed does not.

The second half proves that the first can fail: each mutation removes one of the precautions of
the protocol, and the trials must detect it within a thousand seeds.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.simulation.census import EVERYTHING
from tests.simulation.mutations import MUTATIONS
from tests.simulation.thrift import quick_folder
from tests.simulation.trial import trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SEEDS = 250
PATIENCE = 1000
ROOT = Path(__file__).resolve().parents[2]

_ONE_STORY = """
import sys, tempfile
from pathlib import Path
from tests.simulation.trial import trial
with tempfile.TemporaryDirectory() as folder:
    site = trial(int(sys.argv[1]), Path(folder)).site
for line in [*site.told, *(f"{each} {each.query} {each.filename}" for each in site.world.requests)]:
    print(line)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder


def test_every_promise_holds_whatever_is_drawn(folder: Path) -> None:
    met: Counter[str] = Counter()
    for seed in range(SEEDS):
        met.update(trial(seed, folder / str(seed)).met)

    # The stories are only as good as what happens in them.
    assert met.keys() >= EVERYTHING, f"never happened: {sorted(EVERYTHING - met.keys())}"


def _told(seed: int, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _ONE_STORY, str(seed)],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("seed", [9, 12])
def test_a_seed_tells_the_same_story_in_every_process(seed: int) -> None:
    first = _told(seed, "1")

    assert first.count("\n") > 20
    assert _told(seed, "2") == first


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_the_trials_notice_what_is_missing(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    mutate: Callable[[pytest.MonkeyPatch], None],
) -> None:
    mutate(monkeypatch)
    for seed in itertools.count():
        assert seed < PATIENCE, "nobody noticed"
        try:
            trial(seed, folder / str(seed))
        except AssertionError:
            return
