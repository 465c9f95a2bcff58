"""The life of a job, from the first pass to the last, against a provider that behaves so or so."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.ledger.records import RunState
from tests.reconcile.conftest import ids
from tests.simulation.behaviour import (
    CANNOT_FIND_FILE,
    MODEL_NOT_FOUND,
    TOKEN_LIMIT,
    Behaviour,
    Cancelled,
    Complete,
    Conditions,
    Counts,
    Expire,
    Fail,
    HttpError,
    Malformed,
    Missing,
    NoFile,
    Succeed,
    Vanish,
    by_id,
    first_time,
)
from tests.simulation.faults import Delay, on

if TYPE_CHECKING:
    from tests.reconcile.conftest import MakeSite

GOOD = Behaviour()


def test_all_goes_well(make_site: MakeSite) -> None:
    site = make_site(rows=12, shard=5)
    report = site.until_done()
    assert report.states == {"job": RunState.SUCCEEDED}
    site.check(ids(12))
    assert len(site.world.submissions()) == 3


def test_a_finished_job_is_left_in_peace(make_site: MakeSite) -> None:
    site = make_site()
    site.until_done()
    before = {path: path.stat().st_mtime_ns for path in site.root.rglob("*") if path.is_file()}
    exchanges = len(site.world.requests)
    report = site.reconcile()
    assert not report.changed
    assert len(site.world.requests) == exchanges
    assert before == {
        path: path.stat().st_mtime_ns for path in site.root.rglob("*") if path.is_file()
    }


def test_an_expired_batch_keeps_its_answers_and_only_the_rest_is_asked_again(
    make_site: MakeSite,
) -> None:
    site = make_site(Behaviour(ending=Expire(fraction=0.5)), GOOD)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids())
    assert [len(batch.rows) for batch in site.world.submissions()] == [6, 3]


def test_a_batch_cancelled_by_someone_else_is_finished(make_site: MakeSite) -> None:
    site = make_site(Behaviour(ending=Cancelled(fraction=0.5), lists_unrun=False), GOOD)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids())


def test_rows_that_failed_for_the_moment_are_asked_again_up_to_the_limit(
    make_site: MakeSite,
) -> None:
    site = make_site(Behaviour(answer=by_id({"r2": HttpError(status=500)})))
    assert site.until_done().states == {"job": RunState.PARTIAL}
    site.check(ids())
    assert site.results()[1] == ["r2"]
    assert [batch.rows for batch in site.world.submissions()[1:]] == [("r2",), ("r2",)]


def test_rows_that_failed_for_good_are_not_asked_again(make_site: MakeSite) -> None:
    site = make_site(Behaviour(answer=by_id({"r1": HttpError(status=400)})))
    assert site.until_done().states == {"job": RunState.PARTIAL}
    assert site.results() == (["r0", "r2", "r3", "r4", "r5"], ["r1"])
    assert len(site.world.submissions()) == 1


@pytest.mark.parametrize("counts", [each for each in Counts if each is not Counts.ALL_WELL])
def test_a_row_in_neither_file_is_asked_again(make_site: MakeSite, counts: Counts) -> None:
    site = make_site(
        Behaviour(answer=first_time({"r0": Missing(), "r5": Malformed()}), counts=counts)
    )
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids())


def test_a_row_in_neither_file_is_not_asked_again_if_it_is_counted_as_answered(
    make_site: MakeSite,
) -> None:
    site = make_site(Behaviour(answer=first_time({"r0": Missing()}), counts=Counts.ALL_WELL))
    assert site.until_done(pause=900).states == {"job": RunState.PARTIAL}
    assert [batch.rows for batch in site.world.submissions()] == [tuple(ids())]


def test_a_limit_is_waited_for_and_does_not_count(make_site: MakeSite) -> None:
    limited = Behaviour(ending=Fail(problems=(TOKEN_LIMIT,)))
    site = make_site(limited, limited, limited, limited, GOOD)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids())
    uploads = site.world.calls("POST", "/files")
    assert len(uploads) == 1, "the same file goes in again"


def test_a_provider_that_loses_the_file_is_given_it_again(make_site: MakeSite) -> None:
    site = make_site(Behaviour(ending=Fail(problems=(CANNOT_FIND_FILE,))), GOOD)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids())


def test_a_failure_that_is_the_users_ends_the_job_in_the_apis_words(make_site: MakeSite) -> None:
    site = make_site(Behaviour(ending=Fail(problems=(MODEL_NOT_FOUND,))), rows=12, shard=5)
    assert site.until_done().states == {"job": RunState.FAILED}
    site.check(ids(12))
    assert len(site.results()[1]) == 12
    assert str(MODEL_NOT_FOUND.message) in " ".join(site.told)
    count = len(site.world.submissions())
    site.reconcile()
    assert len(site.world.submissions()) == count


def test_a_batch_that_vanishes_is_not_asked_again_unasked(make_site: MakeSite) -> None:
    site = make_site(Behaviour(working=100, ending=Vanish(after=10)), GOOD)
    assert site.until_done().states == {"job": RunState.FAILED}
    assert "has vanished" in " ".join(site.told)
    assert len(site.world.submissions()) == 1


@pytest.mark.parametrize("empty", list(NoFile))
def test_all_rows_failed_and_there_is_no_output_file(make_site: MakeSite, empty: NoFile) -> None:
    refused = by_id({identifier: HttpError(status=400) for identifier in ids()})
    site = make_site(Behaviour(answer=refused, no_output=empty))
    assert site.until_done().states == {"job": RunState.PARTIAL}
    assert site.results() == ([], ids())


def test_a_provider_without_a_list_is_asked_for_each_batch(make_site: MakeSite) -> None:
    site = make_site(
        Behaviour(working=50), rows=12, shard=5, conditions=Conditions(list_missing=404)
    )
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids(12))


def test_a_list_that_stays_stale_is_found_out(make_site: MakeSite) -> None:
    site = make_site(Behaviour(working=50), rows=12, shard=5, conditions=Conditions(list_stale=1e6))
    assert site.until_done(passes=6).states == {"job": RunState.SUCCEEDED}


def test_a_hundred_batches_in_flight_cost_one_list_and_a_spot_check(make_site: MakeSite) -> None:
    site = make_site(Behaviour(working=1e5), rows=100, shard=1)
    site.reconcile()
    before = len(site.world.requests)
    site.reconcile()
    assert len(site.world.requests) - before == 2


def test_line_separators_in_answers_are_data(make_site: MakeSite) -> None:
    site = make_site(
        Behaviour(
            answer=by_id({"r3": Succeed(text="a\u2028b\u2029c\u0085d")}),
            shuffled=True,
            final_newline=False,
        )
    )
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids())


def test_a_provider_that_drops_metadata_is_recognised_by_the_files_name(
    make_site: MakeSite,
) -> None:
    site = make_site(
        Behaviour(working=100), rows=12, shard=5, conditions=Conditions(metadata=False)
    )
    site.reconcile()
    site.drop_ledger()
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(site.world.submissions()) == 3


def test_sixteen_pairs_of_the_users_own_leave_the_file_as_the_link(make_site: MakeSite) -> None:
    pairs = ", ".join(f"k{number}: v" for number in range(16))
    site = make_site(
        Behaviour(working=100),
        spec="name: job\nendpoint: /v1/chat/completions\ninput: requests.jsonl\n"
        f"metadata: {{{pairs}}}\n",
    )
    site.reconcile()
    site.drop_ledger()
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert len(site.world.submissions()) == 1


def test_the_record_tells_how_the_answers_came_to_be(make_site: MakeSite) -> None:
    site = make_site(Behaviour(ending=Expire(fraction=0.5)), Behaviour(ending=Complete()))
    site.until_done()
    record = json.loads((site.root / "outputs/job/latest/run.json").read_text())
    assert record["state"] == "succeeded"
    assert record["counts"] == {"total": 6, "succeeded": 6, "failed": 0, "codes": {}}
    [shard] = record["shards"]
    first, second = shard["submissions"]
    assert (first["requests"], second["requests"]) == (6, 3)
    assert second["rows"] == first["transient"]
    assert first["batch"]["status"] == "expired"
    for entry in (first, second):
        for result in entry["results"]:
            assert (site.root / "outputs/job/latest" / result["path"]).is_file()


def test_a_thousand_tokens_at_a_time_get_through_a_small_tier(make_site: MakeSite) -> None:
    site = make_site(Behaviour(working=20), rows=12, shard=1)
    with (site.root / "runner.yaml").open("a", encoding="utf-8") as config:
        config.write("    max_enqueued_tokens: 150\n    max_active_batches: 3\n")
    most = 0
    for _ in range(40):
        site.reconcile()
        flying = [batch for batch in site.world.submissions() if batch.over_at > site.clock()]
        most = max(most, len(flying))
        site.clock.sleep(30)
    assert [view.state for view in site.views()] == [RunState.SUCCEEDED]
    assert most == 3
    site.check(ids(12))


def test_names_of_raw_files_are_durable_before_they_count_as_collected(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site()
    synced: list[str] = []
    really = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        really(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    site.until_done()
    assert [path for path in synced if path.endswith("/raw")]


def test_an_answer_that_was_long_on_its_way_is_no_long_denial(make_site: MakeSite) -> None:
    site = make_site(Behaviour(content_after=4))
    site.reconcile()
    site.clock.sleep(1)
    site.reconcile()
    site.clock.sleep(1)
    site.world.faults = on("GET", "/files/*", None, Delay(seconds=20))
    site.reconcile()
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids())
