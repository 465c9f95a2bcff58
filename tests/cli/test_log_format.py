"""`--log-format json`: everything on stderr is one JSON object per line."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.conftest import FINISH, KEY
from tests.cli.shell import PATIENCE, begin
from tests.report.schemas import check
from tests.simulation.behaviour import Behaviour, HttpError, by_id
from tests.simulation.faults import Status

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.shell import Done, Folder
    from tests.simulation.http import Server
    from tests.simulation.world import World

JSON = ("--log-format", "json")


def said(err: str) -> list[dict[str, Any]]:
    """Return the objects on stderr; there is nothing else, and each is as the schema says."""
    entries = [json.loads(line) for line in err.splitlines()]
    for entry in entries:
        check("log", entry)
    return entries


def pick(entries: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """Return these fields of each entry; None where one has no such field."""
    return [tuple(entry.get(name) for name in names) for entry in entries]


def test_a_job_from_beginning_to_end(lab: Folder, run: Run, world: World) -> None:
    lab.job("half", rows=3)
    world.behaviour = Behaviour(answer=by_id({"half-1": HttpError(status=400, code="bad")}))

    done = run(*FINISH, *JSON)

    assert (done.code, done.out) == (1, "")
    entries = said(done.err)
    [batch] = {entry["batch"] for entry in entries if "batch" in entry}
    assert pick(entries, "event", "level", "job", "batch", "status", "state") == [
        ("run_started", "info", "half", None, None, None),
        ("submitted", "info", "half", batch, "validating", None),
        ("batch_changed", "info", "half", batch, "completed", None),
        ("collected", "info", "half", batch, "completed", None),
        ("run_finished", "error", "half", None, None, "partial"),
    ]
    assert pick(entries, "requests")[-1] == ({"total": 3, "succeeded": 2, "failed": 1},)
    assert {key for (key,) in pick(entries[1:4], "submission")} == {
        f"half/{entries[0]['revision']}/0001/1"
    }


def test_the_history_of_the_ledger_calls_things_the_same(lab: Folder, run: Run) -> None:
    lab.job()
    entries = said(run(*FINISH, *JSON).err)

    events = json.loads(run("show", "hello", "--json").out)["events"]

    assert {entry["event"] for entry in entries} <= {event["kind"] for event in events}


def test_the_sentences_are_those_that_people_read(lab: Folder, run: Run) -> None:
    lab.job("one")
    text = run(*FINISH).err.splitlines()
    lab.job("two")

    told = [f"{entry['job']}: {entry['message']}" for entry in said(run(*FINISH, *JSON).err)]

    assert len([line for line in told if "submitted 3 requests" in line]) == 1
    kinds = [line.partition(" ")[2].partition(" ")[0] for line in text]
    assert [kind for kind in kinds if any(f"two: {kind}" in line for line in told)] == kinds


def test_problems_of_specs_have_their_place(lab: Folder, run: Run) -> None:
    lab.job("good")
    lab.write("specs/bad.yaml", "name: bad\nendpoint: /v1/chat/completions\ninpt: x\n")
    lab.job("wrong")
    lab.write("data/wrong.jsonl", b'{"custom_id": "a"}\n')

    done = run("reconcile", *JSON)

    assert done.code == 2
    problems = [entry for entry in said(done.err) if entry["event"] == "problem"]
    assert set(pick(problems, "path", "line", "column")) >= {
        ("specs/bad.yaml", 3, 1),
        ("data/wrong.jsonl", 1, None),
    }
    assert all(entry["level"] == "error" and entry["job"] is None for entry in problems)


def test_what_a_provider_refuses_is_told_with_its_request_id(
    lab: Folder, run: Run, world: World
) -> None:
    lab.job()
    world.faults = lambda request, _number: (
        Status(status=401, code="invalid_api_key", headers={"x-request-id": "req_42"})
        if request.method == "POST"
        else None
    )

    done = run("reconcile", *JSON)

    assert done.code == 1
    assert pick(said(done.err), "event", "error", "call", "http_status", "code", "request_id")[
        -1
    ] == ("held", "Unauthorized", "POST /files", 401, "invalid_api_key", "req_42")
    assert KEY not in done.err


@pytest.mark.usefixtures("quick")
def test_a_provider_out_of_reach_is_told_once(lab: Folder, run: Run, server: Server) -> None:
    lab.job()
    with server.down():
        done = run("reconcile", *JSON)

    told = [entry for entry in said(done.err) if entry["level"] == "error"]
    assert pick(told, "event", "provider", "error", "call") == [
        ("provider_failed", "lab", "Unreachable", "GET /batches")
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("reconcile", "nonsense", *JSON), 2, "UsageError"),
        (("reconcile", *JSON, "--nonsense"), 2, "UsageError"),
        (("reconcile", "--nonsense", "--log-format=json"), 2, "UsageError"),
        (("cancel", *JSON), 2, "UsageError"),
        (("retry", "hello", *JSON), 2, "UsageError"),
        (("adopt", "batch_x", "--job", "hello", *JSON), 1, "NotFound"),
    ],
    ids=str,
)
def test_what_ends_a_command_is_an_object_too(
    lab: Folder, run: Run, arguments: tuple[str, ...], code: int, error: str
) -> None:
    lab.job()

    done = run(*arguments)

    assert (done.code, done.out) == (code, "")
    assert pick(said(done.err), "event", "level", "error") == [("error", "error", error)]


def test_of_several_formats_the_last_one_counts(lab: Folder, run: Run) -> None:
    lab.job()

    assert run("reconcile", *JSON, "--log-format", "text").err.startswith("hello: submitted")
    assert run("reconcile", "--log-format", "xml").code == 2
    assert run("reconcile", "--", "--log-format=json").err.startswith("error: no job")


@pytest.mark.parametrize(
    ("options", "events"),
    [((), []), (("-v",), ["idle"]), (("-v", "-q"), [])],
    ids=str,
)
@pytest.mark.usefixtures("finished")
def test_an_idle_pass_says_as_much_as_in_words(
    run: Run, options: tuple[str, ...], events: list[str]
) -> None:
    done = run("reconcile", *JSON, *options)

    assert [entry["event"] for entry in said(done.err)] == events


def test_quiet_leaves_only_what_went_wrong(lab: Folder, run: Run, world: World) -> None:
    lab.job("half", rows=3)
    world.behaviour = Behaviour(answer=by_id({"half-1": HttpError(status=400, code="bad")}))

    assert [entry["event"] for entry in said(run(*FINISH, *JSON, "-q").err)] == ["run_finished"]


@pytest.mark.usefixtures("finished")
def test_cancel_and_retry_speak_of_their_job(run: Run) -> None:
    for command in ("cancel", "retry"):
        assert pick(said(run(command, "hello", *JSON).err), "event", "job") == [("note", "hello")]


def test_a_terminal_gets_objects_and_no_drawing(lab: Folder, world: World) -> None:
    lab.job("hello", more='metadata: {a: "größe"}\n')
    world._ground.clock = world.clock = time.time
    world.behaviour = Behaviour(working=1.2)

    screen = lab.terminal(*FINISH, *JSON)

    assert screen.code == 0
    assert said(screen.text)[-1]["event"] == "run_finished"


def test_a_stream_that_is_not_utf_8_gets_json_all_the_same(lab: Folder) -> None:
    lab.write("specs/bad.yaml", "name: größe\n")

    done: Done = lab.sh("reconcile", *JSON, PYTHONIOENCODING="ascii")

    assert done.err.isascii()
    assert any("größe" in entry["message"] for entry in said(done.err))


def test_an_interruption_is_an_object(lab: Folder, world: World) -> None:
    world._ground.clock = world.clock = time.time
    world.behaviour = Behaviour(working=10_000)
    lab.job("one")
    process = begin("reconcile", "--wait", *JSON, cwd=lab.root, env=lab.env)
    assert process.stderr is not None
    first = [process.stderr.readline() for _ in range(2)]
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130
    entries = said("".join([*first, err]))
    assert pick(entries, "event", "level")[-1] == ("interrupted", "error")
