"""What may go out at once: prompt tokens counted where they can be, estimated where not."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.inputs.row_set import RowSet
from runner.ledger.records import SubmissionState
from runner.ledger.store import Ledger
from runner.planning.actions import Submit
from runner.planning.admission import admit
from runner.planning.state import Enqueued, Load, tokens
from runner.reconcile.recorded import load_recorded
from tests.inputs.writing import chat
from tests.reconcile.test_plan import PROVIDER, desired
from tests.reconcile.test_standing import EVERY, ROWS, attempt, run_of, shard
from tests.simulation.behaviour import Behaviour
from tests.simulation.site import Site
from tests.simulation.world import VirtualClock, World

if TYPE_CHECKING:
    from runner.inputs.row_set import RowSet as RequestHashes
    from runner.planning.actions import Wait
    from runner.reconcile.passes import PassReport
    from tests.reconcile.conftest import MakeSite

ROOT: Final = Path(__file__).resolve().parents[2]

volumes = st.builds(
    Enqueued,
    counted=st.integers(0, 10**12),
    uncounted_bytes=st.integers(0, 10**12),
    exact=st.booleans(),
)


def submit(number: int = 1, *, recorded: int | None, rows: RequestHashes = EVERY) -> Submit:
    """Return a submission of 100 bytes a shard, or of a part of it."""
    cut = dataclasses.replace(shard(), number=number, tokens=recorded)
    made = attempt(1, rows, SubmissionState.PREPARED, RowSet(), RowSet())
    whole = len(rows) == ROWS
    return Submit(
        run=run_of([]),
        reason="",
        job=desired(Path()).job,
        shard=cut,
        submission=dataclasses.replace(made, requests=len(rows), bytes=100 if whole else 0),
        new=True,
    )


def admitted(*actions: Submit, limit: int, load: Load | None = None) -> tuple[int, list[Wait]]:
    """Return how many go out, and the waits of the others."""
    provider = dataclasses.replace(PROVIDER, max_enqueued_tokens=limit)
    loads = {} if load is None else {"openai": load}
    out, waits = admit(actions, loads, {"openai": provider})
    return len(out), waits


# Pure ------------------------------------------------------------------------------------------


@given(volumes, volumes, volumes)
def test_putting_together_keeps_order_out_of_it(a: Enqueued, b: Enqueued, c: Enqueued) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Enqueued() == a
    assert (a + b).tokens >= max(a.tokens, b.tokens)
    assert (a + b).exact == (a.exact and b.exact)


@pytest.mark.parametrize(
    ("volume", "text"),
    [
        (Enqueued(counted=12_345), "12,345"),
        (Enqueued(counted=12_345, exact=False), "about 12,345"),
        (Enqueued(counted=1000, uncounted_bytes=350, exact=False), "about 1,100"),
    ],
)
def test_only_an_estimate_is_about(volume: Enqueued, text: str) -> None:
    assert str(volume) == text


@pytest.mark.parametrize(
    ("recorded", "limit", "out", "reason"),
    [
        # 100 bytes each: 29 tokens, two of them 57.
        (None, 56, 1, "about 29 of 56 tokens are enqueued at openai"),
        (None, 57, 2, None),
        (10, 19, 1, "10 of 19 tokens are enqueued at openai"),
        (10, 20, 2, None),
        (40, 79, 1, "40 of 79 tokens are enqueued at openai"),
    ],
)
def test_what_does_not_fit_waits(
    recorded: int | None, limit: int, out: int, reason: str | None
) -> None:
    count, waits = admitted(submit(1, recorded=recorded), submit(2, recorded=recorded), limit=limit)

    assert count == out
    assert [wait.reason for wait in waits] == ([] if reason is None else [reason])


def test_one_that_is_too_large_alone_goes_out_alone() -> None:
    assert admitted(submit(1, recorded=500), limit=100)[0] == 1
    load = Load(batches=1, enqueued={"m": Enqueued(counted=1)})
    count, waits = admitted(submit(1, recorded=500), limit=100, load=load)
    assert count == 0
    assert [wait.reason for wait in waits] == ["1 of 100 tokens are enqueued at openai"]


def test_other_models_have_allowances_of_their_own() -> None:
    load = Load(batches=1, enqueued={"other": Enqueued(counted=100)})
    assert admitted(submit(1, recorded=50), limit=100, load=load)[0] == 1


def test_what_is_left_of_a_shard_has_its_part_of_the_tokens() -> None:
    load = Load(batches=1, enqueued={"m": Enqueued(counted=50)})
    rest = submit(1, recorded=81, rows=RowSet.span(0, 4))
    assert admitted(rest, limit=91, load=load)[0] == 1
    assert admitted(rest, limit=90, load=load)[0] == 0

    _, waits = admitted(rest, submit(2, recorded=81), limit=100)
    assert [wait.reason for wait in waits] == ["about 41 of 100 tokens are enqueued at openai"]


@given(
    st.lists(st.none() | st.integers(0, 200), max_size=6),
    st.integers(1, 400),
    st.none() | volumes,
)
@example([200, None], 1, None)
def test_never_more_is_enqueued_than_allowed_but_one_alone(
    recorded: list[int | None], limit: int, before: Enqueued | None
) -> None:
    actions = [submit(number, recorded=each) for number, each in enumerate(recorded, start=1)]
    load = None if before is None else Load(batches=1, enqueued={"m": before})
    provider = dataclasses.replace(PROVIDER, max_enqueued_tokens=limit)
    out, waits = admit(actions, {} if load is None else {"openai": load}, {"openai": provider})

    assert len(out) + len(waits) == len(actions)
    total = before or Enqueued()
    for action in out:
        assert isinstance(action, Submit)
        size = action.shard.tokens
        more = Enqueued(uncounted_bytes=100) if size is None else Enqueued(counted=size)
        assert not total.tokens or (total + more).tokens <= limit
        total += more


# Stories ---------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("most", "reason"),
    [
        (1, "1 batch is in flight at openai already"),
        (2, "2 batches are in flight at openai already"),
    ],
)
def test_no_more_batches_are_in_flight_than_may_be(most: int, reason: str) -> None:
    provider = dataclasses.replace(PROVIDER, max_active_batches=most)

    out, waits = admit([submit(row, recorded=None) for row in (1, 2, 3)], {}, {"openai": provider})

    assert len(out) == most
    assert {wait.reason for wait in waits} == {reason}
