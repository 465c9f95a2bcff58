"""Passes over a provider with a limit of tokens: counted where they can be, else estimated."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from runner.ledger.store import Ledger
from runner.planning.state import Enqueued, Load, tokens
from runner.reconcile.recorded import load_recorded
from tests.inputs.writing import chat
from tests.simulation.behaviour import Behaviour
from tests.simulation.site import Site
from tests.simulation.world import VirtualClock, World

if TYPE_CHECKING:
    from runner.reconcile.passes import PassReport
    from tests.reconcile.conftest import MakeSite


ROOT: Final = Path(__file__).resolve().parents[2]


def small_tier(site: Site, limit: int) -> Site:
    """Let the provider take only so many tokens of a model at a time."""
    with (site.root / "runner.yaml").open("a", encoding="utf-8") as config:
        config.write(f"    max_enqueued_tokens: {limit}\n")
    return site


def held_back(report: PassReport) -> list[str]:
    """Return why submissions wait for their turn."""
    return [wait.reason for wait in report.waits if "enqueued" in wait.reason]


def loads(site: Site) -> dict[str, Load]:
    """Return what the next pass takes to be in flight."""
    ledger = Ledger.open_read_only(site.ledger, clock=site.clock)
    assert ledger is not None
    with ledger:
        return dict(load_recorded(ledger, (), everything=True).loads)


@pytest.mark.parametrize("installed", [True, False], ids=["counted", "estimated"])
def test_short_questions_go_out_together_where_they_are_counted(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, *, installed: bool
) -> None:
    if not installed:
        monkeypatch.setitem(sys.modules, "toktok", None)
    # Each request is some 150 bytes of JSON around two tokens of text.
    site = small_tier(make_site(Behaviour(working=20), rows=2, shard=1), 50)

    report = site.reconcile()

    batches = len(site.world.submissions())
    if installed:
        assert (batches, held_back(report)) == (2, [])
        assert loads(site) == {
            "openai": Load(batches=2, enqueued={"gpt-4o-mini": Enqueued(counted=2 * 9)})
        }
    else:
        size = len(site.lines) // 2
        assert batches == 1
        assert held_back(report) == [f"about {tokens(size)} of 50 tokens are enqueued at openai"]
    assert site.until_done().all_final
    site.check(["r0", "r1"])


@pytest.mark.parametrize("installed", [True, False], ids=["counted", "estimated"])
def test_dense_text_goes_out_one_by_one_where_it_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, installed: bool
) -> None:
    if not installed:
        monkeypatch.setitem(sys.modules, "toktok", None)
    dense = "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(50))
    lines = chat("a", "gpt-4o", dense) + b"\n" + chat("b", "gpt-4o", dense) + b"\n"
    world = World(VirtualClock())
    # Two of them are some 1,900 tokens by their bytes, and really 3,658.
    site = small_tier(Site(tmp_path / "project", world, lines, max_requests=1), 2000)

    report = site.reconcile()

    assert len(world.submissions()) == (1 if installed else 2)
    assert held_back(report) == (
        ["1,829 of 2,000 tokens are enqueued at openai"] if installed else []
    )
    assert site.until_done().all_final
    site.check(["a", "b"])


SCRIPT: Final = """
import sys
from pathlib import Path
from tests.simulation.scene import request_lines
from tests.simulation.site import Site
from tests.simulation.world import VirtualClock, World
folder, limited = sys.argv[1:]
site = Site(Path(folder), World(VirtualClock()), request_lines(2), max_requests=1)
if limited == "True":
    with (site.root / "runner.yaml").open("a", encoding="utf-8") as config:
        config.write("    max_enqueued_tokens: 50\\n")
site.reconcile()
print(len(site.world.submissions()), *sorted({"runner.inputs.tokens", "toktok"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("limited", "found"),
    [(False, ["2"]), (True, ["2", "runner.inputs.tokens", "toktok"])],
    ids=["nobody-asks", "somebody-asks"],
)
def test_nothing_is_imported_where_nobody_asks(
    tmp_path: Path, *, limited: bool, found: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "project"), str(limited)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == found
