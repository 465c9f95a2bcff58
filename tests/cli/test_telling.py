"""The commands that show the ledger: status, show, events."""

from __future__ import annotations

import csv
import io
import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from runner.ledger.store import Ledger
from tests.cli.conftest import FINISH
from tests.simulation.behaviour import Behaviour, HttpError, by_id

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.world import VirtualClock, World

REFUSAL = HttpError(status=400, code="bad_value", message="No such colour.")


def schema(name: str) -> dict[str, Any]:
    """Return a schema as it is shipped."""
    text = files("runner.report").joinpath("schemas", f"{name}.json").read_text("utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def names(run: Run, *arguments: str) -> list[str]:
    """Return the jobs that `status` lists."""
    done = run("status", "-o", "name", *arguments)
    assert done.code == 0, done.err
    return done.out.split()


@pytest.fixture
def several(run: Run, lab: Folder, world: World) -> Folder:
    """Make a project of a job that is done, one that is partial, and one not begun."""
    world.behaviour = Behaviour(answer=by_id({"bad-1": REFUSAL}))
    lab.job("bad", rows=4, more="metadata: {project: acl}\n")
    lab.job("good")
    run(*FINISH)
    lab.job("later")
    return lab


@pytest.fixture
def at_work(run: Run, lab: Folder, world: World) -> Folder:
    """Make a project of one job that is at work."""
    lab.job()
    world.behaviour = Behaviour(working=1000)
    run("reconcile")
    return lab


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
        (["--select", "provider:nobody"], "there are lab, local, openai"),
        (["--select", "colour:red"], "write state, provider, endpoint or metadata.KEY"),
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

    assert re.search(r"EXPIRES +IN FLIGHT\n.* (overdue|in \d+ h.*)  batch_\w+\n", wide)
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


def test_show_groups_errors_and_says_how_long_what_took(
    run: Run, lab: Folder, world: World
) -> None:
    refused = {f"one-{number}": REFUSAL for number in range(5)}
    other = {"one-7": HttpError(status=400, code="too_long", message="Too long.")}
    world.behaviour = Behaviour(answer=by_id(refused | other))
    lab.job("one", rows=9)
    run(*FINISH)

    text = run("show", "one").out

    section = text.partition("Errors of 6 failed requests\n")[2]
    assert section.partition("\n\n")[0].splitlines() == [
        "  5 x bad_value",
        "    one-0: No such colour.",
        "    one-1: No such colour.",
        "    one-2: No such colour.",
        "  1 x too_long",
        "    one-7: Too long.",
    ]
    assert re.search(r"\n    validating \d+ s, in_progress \d+ s, finalizing \d+ s\n", text)
    assert re.search(r"\n  started   \S+ \S+ UTC, took \d+ s\n", text)


def test_show_without_outputs_falls_back_on_the_ledger(run: Run, several: Folder) -> None:
    (several.root / "outputs" / "bad" / "latest" / "errors.jsonl").unlink()

    text = run("show", "bad").out

    assert "Errors of" not in text
    assert "1 x bad_value: No such colour." in text
    assert json.loads(run("show", "bad", "--json").out)["failures"] is None


def test_show_all_tells_the_attempts_of_every_revision(run: Run, finished: Folder) -> None:
    finished.job(more="replicate: 2\n")
    run(*FINISH)

    assert run("show", "hello").out.count("shard 1, attempt 1: 3 requests, 3 succeeded") == 1
    assert run("show", "hello", "--all").out.count("shard 1, attempt 1: 3 requests, 3 succ") == 2


@pytest.mark.usefixtures("several")
def test_events_in_every_form(run: Run) -> None:
    shapes = json.loads(run("events", "--json").out)
    lines = [json.loads(line) for line in run("events", "-o", "jsonl").out.splitlines()]
    rows = list(csv.DictReader(io.StringIO(run("events", "-o", "csv").out, newline="")))
    table = run("events").out.splitlines()

    assert shapes == lines == json.loads(run("events", "-o", "json").out)
    assert [shape["kind"] for shape in shapes] == [row["kind"] for row in rows]
    assert len(table) == 1 + len(shapes)
    assert re.fullmatch(r"TIME \(UTC\) +JOB +KIND +WHAT", table[0])
    assert [shape["at"] for shape in shapes] == sorted(shape["at"] for shape in shapes)


def test_events_are_chosen_by_job_kind_and_time(run: Run, several: Folder) -> None:
    def told(*arguments: str) -> list[tuple[str, str]]:
        done = run("events", "--json", *arguments)
        assert done.code == 0, done.err
        return [(shape["job"], shape["kind"]) for shape in json.loads(done.out)]

    assert {job for job, _ in told("good")} == {"good"}
    assert told("--kind", "run_finished") == [("bad", "run_finished"), ("good", "run_finished")]
    assert told("--kind", "run_*", "--limit", "1") == [("good", "run_finished")]
    assert told("--since", "0s") == []
    assert told("--since", "2d") == told() == told("bad", "g*")
    (several.root / "specs" / "good.yaml").unlink()
    assert ("good", "submitted") in told("good")
    assert told("specs/later.yaml") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kind", "submited"], 'did you mean "submitted"'),
        (["--since", "yesterday"], "write 2d, 12h"),
        (["--limit", "0"], "--limit"),
        (["nobody"], "called"),
    ],
)
def test_events_that_cannot_be_meant(
    run: Run, folder: Folder, arguments: list[str], said: str
) -> None:
    folder.job()
    done = run("events", *arguments)

    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_events_of_a_spec_that_is_none_are_an_error(run: Run, finished: Folder) -> None:
    finished.write("specs/bad.yaml", "inptu: x\n")

    done = run("events", "specs/bad.yaml", "hello", "--kind", "run_started")

    assert done.code == 2
    assert "specs/bad.yaml:1:1: " in done.err
    assert "run_started" in done.out


def test_events_of_a_fresh_project(run: Run, folder: Folder) -> None:
    folder.job()

    assert run("events").err == "no events yet\n"
    assert run("events", "--json").out == "[]\n"
    assert run("events", "-o", "jsonl").out == ""
    assert run("events", "-o", "csv").out.startswith("at,kind,job,")
    assert not (folder.root / ".runner").exists()


def test_events_say_when_nothing_is_asked_for(run: Run, finished: Folder) -> None:
    assert finished.root.is_dir()
    assert run("events", "--since", "0s").err == "no event matches\n"


@pytest.mark.usefixtures("several")
def test_what_is_printed_is_what_the_schemas_say(run: Run) -> None:
    for name, command in (
        ("status", ("status",)),
        ("show", ("show", "bad")),
        ("show", ("show", "later")),
        ("events", ("events",)),
    ):
        printed = json.loads(run(*command, "--json").out)

        jsonschema.validate(printed, closed(schema(name)))


def test_what_is_printed_of_a_job_at_work_is_what_the_schemas_say(
    run: Run, at_work: Folder
) -> None:
    (at_work.root / "specs" / "hello.yaml").unlink()

    jsonschema.validate(json.loads(run("status", "--json").out), closed(schema("status")))
    jsonschema.validate(json.loads(run("show", "hello", "--json").out), closed(schema("show")))


def closed(part: Any) -> Any:  # noqa: ANN401 -- any part of a schema
    """Return a schema that takes no field it does not describe, but of what is not ours."""
    if isinstance(part, list):
        return [closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    made = {key: closed(value) for key, value in part.items()}
    ours = set(part.get("required", ())) == set(part.get("properties", ())) != set()
    if part.get("type") == "object" and ours and "id" not in part["properties"]:
        made["additionalProperties"] = False
    return made
