"""What an edit of a spec, of its input or of its place does, and what it costs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from runner.ledger import run_transitions
from runner.ledger.records import RunState
from runner.ledger.store import Ledger
from tests.reconcile.conftest import ids
from tests.simulation.behaviour import Behaviour, Expire, HttpError, by_id, first_time
from tests.simulation.scene import request_lines
from tests.simulation.site import SPEC

if TYPE_CHECKING:
    from tests.reconcile.conftest import MakeSite
    from tests.simulation.site import Site

SLOW = Behaviour(working=100)


def asked(site: Site) -> int:
    """Count the batches that were made."""
    return len(site.world.submissions())


def test_an_edit_that_changes_no_answer_makes_no_batch(make_site: MakeSite) -> None:
    site = make_site()
    site.until_done()
    site.write_spec(
        f"# a comment\n{SPEC}metadata: {{project: acl}}\ncompletion_window: 24h\n"
        "retry: {attempts: 9}\n"
    )
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == 1
    assert "no new batch" in " ".join(site.told)


def test_a_changed_input_is_a_new_revision_beside_the_old(make_site: MakeSite) -> None:
    site = make_site()
    site.until_done()
    (site.root / "requests.jsonl").write_bytes(request_lines(7))
    site.until_done()
    site.check(ids(7))
    assert asked(site) == 2
    assert len(list((site.root / "outputs/job").glob("*/output.jsonl"))) == 3, "two and `latest`"


def test_an_edit_undone_returns_to_the_results_there_were(make_site: MakeSite) -> None:
    site = make_site()
    site.until_done()
    site.write_spec(SPEC + "replicate: 2\n")
    site.until_done()
    site.write_spec(SPEC)
    before = asked(site)
    site.until_done()
    assert asked(site) == before == 2
    site.check(ids())
    [view] = site.views()
    assert (site.root / "outputs/job/latest").readlink().name == view.revision


def test_a_touched_input_is_the_same_revision(make_site: MakeSite) -> None:
    site = make_site()
    site.until_done()
    (site.root / "requests.jsonl").write_bytes(request_lines(6))
    assert site.reconcile().all_final
    assert asked(site) == 1


def test_a_run_whose_spec_changed_is_collected_and_nothing_new_is_sent_for_it(
    make_site: MakeSite,
) -> None:
    site = make_site(Behaviour(working=100, ending=Expire(fraction=0.5)), Behaviour())
    site.reconcile()
    site.write_spec(SPEC + "replicate: 2\n")
    for _ in range(6):
        site.clock.sleep(60)
        site.reconcile()
    assert asked(site) == 2, "the rest of the first revision is not asked again"
    outputs = sorted((site.root / "outputs/job").glob("[0-9a-f]*/output.jsonl"))
    assert sorted(len(path.read_bytes().splitlines()) for path in outputs) == [3, 6]
    site.write_spec(SPEC)
    site.until_done()
    assert asked(site) == 3, "and once it is wanted again, only the rest"
    site.check(ids())


def test_a_run_whose_spec_is_gone_is_collected(make_site: MakeSite) -> None:
    site = make_site(SLOW)
    site.reconcile()
    (site.root / "specs/job.yaml").unlink()
    for _ in range(4):
        site.clock.sleep(60)
        site.reconcile()
    assert len(list((site.root / "outputs/job").glob("*/output.jsonl"))) == 1


def test_a_renamed_job_takes_its_run_along(make_site: MakeSite) -> None:
    site = make_site()
    site.until_done()
    site.write_spec(SPEC.replace("name: job", "name: other"))
    report = site.reconcile()
    assert report.states == {"other": RunState.SUCCEEDED}
    assert asked(site) == 1
    site.check(ids(), job="other")
    assert not (site.root / "outputs/job").exists()


def test_a_job_renamed_in_flight_goes_on(make_site: MakeSite) -> None:
    site = make_site(Behaviour(working=100, ending=Expire(fraction=0.5)), Behaviour())
    site.reconcile()
    site.write_spec(SPEC.replace("name: job", "name: other"))
    assert site.until_done().states == {"other": RunState.SUCCEEDED}
    good, bad = site.results("other")
    assert (good, bad) == (ids(), [])
    assert asked(site) == 2


def test_two_living_jobs_with_one_revision_each_run_with_a_warning(make_site: MakeSite) -> None:
    site = make_site()
    site.write_spec(SPEC.replace("name: job", "name: twin"), name="twin")
    assert set(site.until_done().states.values()) == {RunState.SUCCEEDED}
    assert asked(site) == 2
    assert "submits the same requests as job again" in " ".join(site.told)


def test_a_job_can_move_its_outputs(make_site: MakeSite) -> None:
    site = make_site()
    site.until_done()
    site.write_spec(SPEC + "output: results/here\n")
    assert site.until_done().all_final
    assert asked(site) == 1
    assert (site.root / "results/here/latest/output.jsonl").is_file()


def test_outputs_that_were_deleted_are_written_again(make_site: MakeSite) -> None:
    site = make_site()
    site.until_done()
    before = (site.root / "outputs/job/latest/output.jsonl").read_bytes()
    (site.root / "outputs/job/latest/output.jsonl").unlink()
    exchanges = len(site.world.requests)
    site.reconcile()
    assert (site.root / "outputs/job/latest/output.jsonl").read_bytes() == before
    assert len(site.world.requests) == exchanges, "the raw files are on the disk"


def test_outputs_that_were_deleted_whole_are_fetched_again(make_site: MakeSite) -> None:
    import shutil

    site = make_site()
    site.until_done()
    shutil.rmtree(site.root / "outputs")
    assert site.until_done().all_final
    assert asked(site) == 1
    site.check(ids())


def _change(site: Site, what: str) -> None:
    with Ledger.open(site.root / ".runner/ledger.db", clock=site.clock) as ledger:
        [run] = ledger.runs()
        if what == "cancel":
            run_transitions.request_cancel(ledger, run)
        else:
            run_transitions.reopen_run(ledger, run, next_round=True, attempts=3)


def test_a_cancelled_job_keeps_what_was_answered_and_rests(make_site: MakeSite) -> None:
    site = make_site(Behaviour(working=100, cancelling=20))
    site.reconcile()
    site.clock.sleep(50)
    _change(site, "cancel")
    assert site.until_done().states == {"job": RunState.CANCELLED}
    site.check(ids())
    assert not site.reconcile().changed
    assert asked(site) == 1


def test_a_job_cancelled_before_anything_was_created_ends_at_once(make_site: MakeSite) -> None:
    from tests.simulation.faults import Refuse, on

    site = make_site()
    site.world.faults = on("POST", "/batches", *[Refuse()] * 20)
    site.reconcile()
    assert asked(site) == 0
    _change(site, "cancel")
    assert site.until_done().states == {"job": RunState.CANCELLED}
    good, bad = site.results()
    assert (good, bad) == ([], ids())
    assert asked(site) == 0


def test_a_retry_asks_permanent_failures_too_and_only_them(make_site: MakeSite) -> None:
    site = make_site(
        Behaviour(answer=first_time({"r1": HttpError(status=400), "r4": HttpError(status=404)}))
    )
    assert site.until_done().states == {"job": RunState.PARTIAL}
    _change(site, "retry")
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids())
    assert site.world.submissions()[-1].rows == ("r1", "r4")


def test_a_lost_ledger_is_no_reason_to_ask_a_retry_again(make_site: MakeSite) -> None:
    site = make_site(
        Behaviour(working=50, answer=first_time({"r1": HttpError(status=400)})),
        Behaviour(working=50),
    )
    site.until_done()
    _change(site, "retry")
    site.reconcile()
    assert asked(site) == 2
    site.drop_ledger()
    (site.root / "outputs/job/latest/run.json").unlink()
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == 2
    site.check(ids())


def test_an_invalid_job_stops_only_itself(make_site: MakeSite) -> None:
    site = make_site()
    (site.root / "bad.jsonl").write_text("{}\n")
    site.write_spec(
        SPEC.replace("name: job", "name: bad").replace("requests.jsonl", "bad.jsonl"), name="bad"
    )
    report = site.until_done()
    assert report.states == {"job": RunState.SUCCEEDED}
    assert {problem.path for problem in report.problems} == {"bad.jsonl"}
    assert asked(site) == 1


def test_an_input_that_changes_between_passes_while_in_doubt_is_not_mixed_up(
    make_site: MakeSite,
) -> None:
    from tests.simulation.faults import Drop, on

    site = make_site()
    site.world.faults = on("POST", "/batches", Drop(acted=True))
    site.reconcile()
    (site.root / "requests.jsonl").write_bytes(request_lines(6, prefix="s"))
    for _ in range(6):
        site.clock.sleep(60)
        site.reconcile()
    site.world.check_exactly_once()
    assert asked(site) == 2
    assert len(list((site.root / "outputs/job").glob("[0-9a-f]*/output.jsonl"))) == 2


def test_an_unchanged_input_is_not_read_again(make_site: MakeSite) -> None:
    site = make_site()
    site.clock.sleep(time.time() + 60 - site.clock())
    site.until_done()
    with Ledger.open(site.root / ".runner/ledger.db", clock=site.clock) as ledger:
        assert len(ledger.query("SELECT * FROM input_cache")) == 1


def test_rows_that_are_never_answered_say_so_in_one_error_line(make_site: MakeSite) -> None:
    site = make_site(Behaviour(answer=by_id({"r2": HttpError(status=503)})))
    assert site.until_done().states == {"job": RunState.PARTIAL}
    assert site.results()[1] == ["r2"]


def test_a_lost_ledger_and_changed_limits_pay_nothing_twice(make_site: MakeSite) -> None:
    site = make_site(SLOW, rows=6, shard=6)
    site.reconcile()
    site.drop_ledger()
    config = site.root / "runner.yaml"
    before = config.read_text()
    config.write_text(before.replace("max_requests_per_batch: 6", "max_requests_per_batch: 4"))
    for _ in range(4):
        site.reconcile()
        site.clock.sleep(60)
    report = site.reconcile()
    assert report.has_problem
    assert "in other shards" in report.waits[0].reason
    assert asked(site) == 1
    config.write_text(before)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == 1


def test_a_finished_run_outlives_its_ledger_whatever_the_limits(make_site: MakeSite) -> None:
    site = make_site(rows=6, shard=6)
    site.until_done()
    site.drop_ledger()
    config = site.root / "runner.yaml"
    config.write_text(
        config.read_text().replace("max_requests_per_batch: 6", "max_requests_per_batch: 4")
    )
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == 1
    [view] = site.views()
    assert (view.total, view.succeeded) == (6, 6)


def test_the_record_of_a_superseded_run_holds_the_spec_that_asked_for_it(
    make_site: MakeSite,
) -> None:
    import json

    site = make_site(SLOW)
    site.reconcile()
    site.write_spec(SPEC + "replicate: 2\n")
    site.until_done()
    documents = {
        record["request"]["replicate"]: record["spec"]["document"]
        for record in (
            json.loads(path.read_text())
            for path in (site.root / "outputs/job").glob("[0-9a-f]*/run.json")
        )
    }
    assert "replicate" not in documents[1]
    assert "replicate: 2" in documents[2]


def test_a_superseded_run_is_gone_on_with_even_from_its_record(make_site: MakeSite) -> None:
    site = make_site(Behaviour(working=100, ending=Expire(fraction=0.5)), Behaviour())
    site.reconcile()
    site.write_spec(SPEC + "replicate: 2\n")
    for _ in range(6):
        site.clock.sleep(60)
        site.reconcile()
    site.drop_ledger()
    site.write_spec(SPEC)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == 3
    site.check(ids())


def test_the_same_rows_in_another_file_are_still_the_right_rows(make_site: MakeSite) -> None:
    site = make_site(
        Behaviour(working=50, answer=first_time({"r15": HttpError(status=500)})), rows=40, shard=10
    )
    site.reconcile()
    path = site.root / "requests.jsonl"
    path.write_bytes(b"\xef\xbb\xbf\n" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids(40))
    assert site.world.submissions()[-1].rows == ("r15",)


def test_a_whole_input_rewritten_before_its_upload_is_cut_anew(make_site: MakeSite) -> None:
    from tests.simulation.faults import Refuse, on

    site = make_site()
    site.world.faults = on("POST", "/files", *[Refuse()] * 5)
    site.reconcile()
    path = site.root / "requests.jsonl"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids())


def test_names_that_are_swapped_take_their_runs_along(make_site: MakeSite) -> None:
    site = make_site(SLOW)
    (site.root / "other.jsonl").write_bytes(request_lines(4, prefix="s"))
    other = SPEC.replace("requests.jsonl", "other.jsonl")
    site.write_spec(other.replace("name: job", "name: other"), name="other")
    site.reconcile()
    site.write_spec(SPEC.replace("name: job", "name: other"))
    site.write_spec(other, name="other")
    assert set(site.until_done().states.values()) == {RunState.SUCCEEDED}
    assert asked(site) == 2
    site.check(ids(), job="other")


def test_a_rename_while_another_spec_is_broken_waits(make_site: MakeSite) -> None:
    site = make_site(SLOW)
    site.reconcile()
    site.write_spec("broken: [", name="broken")
    site.write_spec(SPEC.replace("name: job", "name: other"))
    report = site.reconcile()
    assert report.has_problem
    assert asked(site) == 1
    (site.root / "specs/broken.yaml").unlink()
    assert site.until_done().states == {"other": RunState.SUCCEEDED}
    assert asked(site) == 1


def test_a_name_that_is_used_again_starts_a_run_of_its_own(make_site: MakeSite) -> None:
    site = make_site()
    site.until_done()
    site.write_spec(SPEC.replace("name: job", "name: other"))
    site.until_done()
    site.write_spec(SPEC, name="again")
    assert set(site.until_done().states.values()) == {RunState.SUCCEEDED}
    assert asked(site) == 2, "two living jobs each run"


def test_a_deleted_job_that_comes_back_twice_is_asked_once_more_only(make_site: MakeSite) -> None:
    site = make_site()
    site.clock.sleep(time.time() + 60 - site.clock())
    site.until_done()
    site.reconcile()
    (site.root / "specs/job.yaml").unlink()
    for name in ("b", "c"):
        site.write_spec(SPEC.replace("name: job", f"name: {name}"), name=name)
    assert set(site.until_done().states.values()) == {RunState.SUCCEEDED}
    assert asked(site) == 2
    for view in site.views():
        assert (view.total, view.succeeded) == (6, 6)


def test_an_address_edited_in_flight_loses_nothing(make_site: MakeSite) -> None:
    site = make_site(SLOW)
    site.reconcile()
    config = site.root / "runner.yaml"
    before = config.read_text()
    config.write_text(before.replace("127.0.0.1:9", "127.0.0.1:8"))
    site.write_spec(SPEC.replace("name: job", "name: elsewhere"))
    for _ in range(3):
        site.clock.sleep(700)
        site.reconcile()
    config.write_text(before)
    site.write_spec(SPEC)
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    site.check(ids())


def test_a_second_ledger_asks_nothing_that_the_first_has_asked(make_site: MakeSite) -> None:
    import shutil

    site = make_site(
        Behaviour(working=50, ending=Expire(fraction=0.5)), Behaviour(working=50), Behaviour()
    )
    site.reconcile()
    mine, theirs = site.root / ".runner", site.root.parent / "theirs"
    for _ in range(8):
        for _machine in range(2):
            site.reconcile()
            swap = site.root.parent / "swap"
            mine.rename(swap)
            if theirs.exists():
                theirs.rename(mine)
            swap.rename(theirs)
            shutil.rmtree(site.root / "outputs", ignore_errors=True)
            site.clock.sleep(60)
    site.world.check_exactly_once()
    assert asked(site) == 2


def test_a_batch_lost_for_want_of_the_right_key_comes_back_on_retry(make_site: MakeSite) -> None:
    site = make_site(Behaviour(working=1000))
    site.reconcile()
    [batch] = site.world.submissions()
    from tests.simulation.faults import Status

    site.world.faults = lambda request, _number: (
        Status(status=404, message="No batch found")
        if request.path.startswith("/batches/")
        else None
    )
    assert site.until_done().states == {"job": RunState.FAILED}
    site.world.faults = lambda _request, _number: None
    site.clock.sleep(2000)
    _change(site, "retry")
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == 1
    assert batch.key is not None


def test_results_that_are_gone_end_the_job_and_a_retry_asks_again(make_site: MakeSite) -> None:
    from tests.simulation.faults import Status

    site = make_site()
    site.world.faults = lambda request, _number: (
        Status(status=410, message="deleted") if request.path.endswith("/content") else None
    )
    assert site.until_done().states == {"job": RunState.FAILED}
    site.world.faults = lambda request, _number: (
        Status(status=410, message="deleted")
        if request.path.endswith("/content") and asked(site) == 1
        else None
    )
    _change(site, "retry")
    assert site.until_done().states == {"job": RunState.SUCCEEDED}
    assert asked(site) == 2
