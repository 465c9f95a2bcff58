"""`runner status`: jobs in every state and every form, selected and without specs."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from runner.ledger.store import Ledger
from tests.cli.conftest import BAD_SPEC, FINISH
from tests.simulation.behaviour import Behaviour, HttpError, by_id

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.http import Server
    from tests.simulation.world import VirtualClock, World


def test_status_of_a_job_in_each_stage(
    run: Run, lab: Folder, world: World, clock: VirtualClock
) -> None:
    lab.job("one", rows=4)
    world.behaviour = Behaviour(
        working=100, answer=by_id({"one-2": HttpError(status=400, code="bad_value")})
    )

    def stage() -> tuple[str, dict[str, int]]:
        [shape] = json.loads(run("status", "--json").out)
        return shape["state"], shape["requests"]

    assert stage() == ("pending", {"total": 4, "succeeded": 0, "failed": 0, "pending": 4})
    run("reconcile")
    assert stage() == ("running", {"total": 4, "succeeded": 0, "failed": 0, "pending": 4})
    clock.sleep(200)
    assert run("reconcile").code == 1
    assert stage() == ("partial", {"total": 4, "succeeded": 3, "failed": 1, "pending": 0})
    text = run("status").out
    assert text.splitlines()[0].split() == [
        "JOB", "STATE", "SUCCEEDED", "FAILED", "TOTAL", "BATCHES", "REVISION",
    ]  # fmt: skip
    assert text.splitlines()[1].split()[:5] == ["one", "partial", "3", "1", "4"]


def test_status_json_has_the_batches_verbatim(run: Run, lab: Folder, server: Server) -> None:
    import httpx

    lab.job("one")
    lab.job("two")
    run(*FINISH, "one")

    done = run("status", "--json")

    one, two = json.loads(done.out)
    headers = {"authorization": f"Bearer {lab.env['LAB_KEY']}"}
    with httpx.Client(headers=headers) as client:
        [seen] = client.get(f"{server.base_url}/batches").json()["data"]
    assert one["batches"] == [seen]
    assert (one["name"], one["state"]) == ("one", "succeeded")
    assert one["output_dir"] == str(lab.root / "outputs" / "one" / one["revision"])
    assert (two["revision"], two["state"], two["batches"]) == (None, "pending", [])


def test_status_of_some(run: Run, folder: Folder) -> None:
    for name in ("a", "b", "c"):
        folder.job(name)

    shapes = json.loads(run("status", "--json", "c", "a").out)

    assert [shape["name"] for shape in shapes] == ["a", "c"]
    assert run("status", "nobody").code == 2


def test_status_of_no_job_answers_nothing(run: Run, folder: Folder) -> None:
    assert folder.root.is_dir()
    done = run("status")

    assert (done.code, done.out) == (0, "")
    assert "no jobs yet" in done.err
    assert run("status", "--json").out == "[]\n"


def test_a_bad_spec_hides_no_other_job(run: Run, folder: Folder) -> None:
    folder.job("good")
    folder.write("specs/bad.yaml", BAD_SPEC)

    done = run("status", "--json")

    assert done.code == 2
    assert [shape["name"] for shape in json.loads(done.out)] == ["good"]
    assert "\nspecs/bad.yaml:3:1: " in done.err


def names(run: Run, *arguments: str) -> list[str]:
    """Return the jobs that `status` lists."""
    done = run("status", "-o", "name", *arguments)
    assert done.code == 0, done.err
    return done.out.split()


@pytest.mark.usefixtures("several")
def test_status_in_every_form(run: Run) -> None:
    shapes = json.loads(run("status", "-o", "json").out)
    rows = list(csv.DictReader(io.StringIO(run("status", "-o", "csv").out, newline="")))

    assert run("status", "--json") == run("status", "-o", "json")
    assert names(run) == ["bad", "good", "later"]
    for shape, row in zip(shapes, rows, strict=True):
        assert (shape["name"], shape["state"]) == (row["name"], row["state"])
        assert {key: str(value) for key, value in shape["requests"].items()}.items() <= row.items()
        assert row["output_dir"] == shape["output_dir"]
        assert re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)?", row["finished_at"])
    assert rows[0]["note"] == "1 of 4 requests ended without a successful response"
    [head, *lines] = run("status", "-o", "wide").out.partition("\n\n")[0].splitlines()
    assert head.split()[7:] == [
        "FOR", "EXPIRES", "IN", "FLIGHT", "PROVIDER", "ATTEMPTS", "TOKENS", "AGE", "WINDOW",
        "ENDPOINT", "OUTPUT",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines] == ["bad", "good", "later"]


@pytest.mark.usefixtures("several")
def test_status_of_those_that_are_selected(run: Run) -> None:
    assert names(run, "--select", "state:partial") == ["bad"]
    assert names(run, "--select", "state:partial,pending") == ["bad", "later"]
    assert names(run, "--select", "state:partial", "--select", "provider:lab") == ["bad"]
    assert names(run, "--select", "metadata.project:acl") == ["bad"]
    assert names(run, "--select", "state:succeeded", "bad", "later") == []
    assert names(run, "g*", "l?ter") == ["good", "later"]
    nothing = run("status", "--select", "state:failed")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "no job matches\n")
    assert run("status", "--json", "--select", "state:failed").out == "[]\n"


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--select", "state:faild"], 'did you mean "failed"'),
        (["--select", "provider:nobody"], "there are: lab, local, openai"),
        (["--select", "colour:red"], "there are: state, provider, endpoint, metadata.KEY"),
        (["x*"], 'no job name matches "x*"; jobs: bad, good, later'),
        (["--json", "-o", "csv"], "--json and -o csv contradict each other"),
        (["-o", "xml"], "'xml' is not one of"),
    ],
)
def test_what_cannot_be_meant_is_an_error(run: Run, arguments: list[str], said: str) -> None:
    done = run("status", *arguments)

    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_a_pattern_names_jobs_for_every_command(run: Run, lab: Folder, world: World) -> None:
    for name in ("bank-a", "bank-b", "other"):
        lab.job(name)

    assert run("validate", "bank*").err == "valid: 2 jobs, 6 requests\n"
    run(*FINISH, "bank-*")
    assert len(world.calls("POST", "/batches")) == 2
    assert "bank-b  succeeded" in run("show", "*-b").out
    many = run("show", "bank*")
    assert many.code == 2
    assert many.err == "error: bank* selects 2 jobs (bank-a, bank-b); select one\n"


def test_a_job_at_work_is_shown_until_it_ends_even_without_a_spec(
    run: Run, at_work: Folder, world: World, clock: VirtualClock
) -> None:
    at_work.job("living")
    (at_work.root / "specs" / "hello.yaml").unlink()

    assert names(run) == ["living", "hello"]
    [_, shape] = json.loads(run("status", "--json").out)
    assert (shape["spec"], shape["state"]) == (None, "running")
    assert "hello: no valid spec describes it; it is followed to its end" in run("status").out
    clock.sleep(2000)
    run("reconcile")
    assert len(world.calls("POST", "/batches")) == 2
    assert names(run) == ["living"]
    assert names(run, "--all") == ["living", "hello"]
    assert names(run, "hello") == ["hello"]
    assert names(run, "h*") == []
    assert run("status", "helo").code == 2


def test_an_earlier_revision_at_work_is_told_of(run: Run, at_work: Folder) -> None:
    [before] = json.loads(run("status", "--json").out)
    at_work.job(more="replicate: 2\n")
    run("reconcile")

    assert f"an earlier revision, {before['revision']}, is still running" in run("status").out


def test_what_is_in_flight_is_told_where_there_is_room(at_work: Folder) -> None:
    at_work.env["NO_COLOR"] = "1"

    wide = at_work.terminal("status", columns=200).text
    narrow = at_work.terminal("status", columns=80).text

    assert re.search(r"EXPIRES +IN FLIGHT\n.* (overdue|in \d+ h.*)  batch_\w+…?\n", wide)
    assert max(map(len, narrow.splitlines())) <= 80
    assert "IN FLIGHT" not in at_work.sh("status").out


def test_more_jobs_take_no_more_queries(
    run: Run, lab: Folder, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    query, asked = Ledger.query, []

    def counted(ledger: Ledger, sql: str, *parameters: object) -> list[Any]:
        asked.append(sql)
        return query(ledger, sql, *parameters)

    def queries() -> int:
        asked.clear()
        run("status")
        return len(asked)

    monkeypatch.setattr(Ledger, "query", counted)
    world.behaviour = Behaviour(working=1000)
    for name in "ab":
        lab.job(name)
    run("reconcile")
    few = queries()
    for name in "cdefgh":
        lab.job(name)
    run("reconcile")

    assert queries() == few
