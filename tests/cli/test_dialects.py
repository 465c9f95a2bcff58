"""The dialects of real servers, over real HTTP: nothing is paid twice, and what they say is shown.

OGX writes each body as a JSON text, and of a failure only the words. Gateways send errors with
status 200. Several servers give the reasons of a failed batch in a form of their own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.conftest import FINISH, KEY
from tests.simulation.behaviour import (
    Behaviour,
    Conditions,
    Fail,
    Malformed,
    NotRun,
    Problem,
    Reasons,
    Succeed,
    by_id,
    first_time,
)
from tests.simulation.faults import Status, first_of, never, on
from tests.simulation.results import check_answers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.cli.shell import Done, Folder
    from tests.simulation.behaviour import Answer
    from tests.simulation.world import VirtualClock, World


def asked(world: World) -> list[tuple[str, ...]]:
    """Return the custom_ids of each batch ever created."""
    return [batch.rows for batch in world.submissions()]


def latest(lab: Folder, name: str, job: str = "one") -> Path:
    return lab.root / "outputs" / job / "latest" / name


def documents(path: Path) -> dict[str, Any]:
    """Return the lines of a result file by custom_id."""
    found = map(json.loads, path.read_bytes().splitlines())
    return {document["custom_id"]: document for document in found}


def job_shape(run: Run) -> Any:  # noqa: ANN401 -- decoded JSON
    [shape] = json.loads(run("status", "--json").out)
    return shape


def check_quiet(done: Done) -> None:
    """Assert that a command ended in words and not in a crash."""
    assert "Traceback" not in done.err
    assert KEY not in done.err + done.out


def ogx(words: str) -> NotRun:
    return NotRun(code="request_failed", message=words)


def test_bodies_as_texts_are_answers_and_are_paid_once(
    run: Run, lab: Folder, world: World, quick: VirtualClock
) -> None:
    del quick
    lab.job("one", rows=6)
    passing = {
        "one-1": ogx("Error code: 500 - {'error': {'message': 'no GPU', 'code': 500}}"),
        "one-2": ogx("litellm.RateLimitError: slow down"),
        "one-3": ogx("Request timed out."),
    }
    lasting = ogx("Error code: 400 - {'detail': 'too long'}")
    answers = first_time(passing)
    world.behaviour = Behaviour(
        answer=lambda row: lasting if row.custom_id == "one-4" else answers(row),
        bodies_as_text=True,
    )
    done = run(*FINISH)
    check_quiet(done)
    assert done.code == 1
    assert asked(world) == [
        tuple(f"one-{number}" for number in range(6)),
        ("one-1", "one-2", "one-3"),
    ]
    world.check_exactly_once()
    output = latest(lab, "output.jsonl").read_bytes()
    assert check_answers(output, (lab.root / "data/one.jsonl").read_bytes()) == {
        f"one-{number}" for number in (0, 1, 2, 3, 5)
    }
    raw = {line for path in latest(lab, "raw").iterdir() for line in path.read_bytes().splitlines()}
    for line in output.splitlines():
        assert line in raw, "copied as it came"
        assert isinstance(json.loads(line)["response"]["body"], str)
    [(name, error)] = documents(latest(lab, "errors.jsonl")).items()
    assert name == "one-4"
    assert "too long" in error["error"]["message"]
    run("report", "-o", "page.html")
    assert "echo " in (lab.root / "page.html").read_text(), "a response is shown, not its JSON text"
    assert run("verify").code == 0


def response(status: str, **more: object) -> Succeed:
    body = {"id": "resp_1", "object": "response", "status": status, "error": None}
    return Succeed(body={**body, **more})


CUT = response("incomplete", incomplete_details={"reason": "max_output_tokens"})


def test_unfinished_responses_are_no_success_and_only_passing_ones_are_asked_again(
    run: Run, lab: Folder, world: World, quick: VirtualClock
) -> None:
    del quick
    lab.job("one", rows=6)
    broken = {"code": "server_error", "message": "Something broke."}
    world.behaviour = Behaviour(
        answer=first_time(
            {
                "one-0": response("failed", error=broken),
                "one-1": response("failed", error={"code": "invalid_prompt", "message": "No."}),
                "one-2": CUT,
                "one-3": response("incomplete", incomplete_details={"reason": "content_filter"}),
                "one-4": response("cancelled"),
            }
        )
    )
    done = run(*FINISH)
    check_quiet(done)
    assert done.code == 1
    assert asked(world)[1:] == [("one-0", "one-4")]
    assert documents(latest(lab, "output.jsonl")).keys() == {"one-0", "one-4", "one-5"}
    cut = documents(latest(lab, "errors.jsonl"))["one-2"]
    assert cut["response"]["body"]["incomplete_details"] == {"reason": "max_output_tokens"}
    record = json.loads(latest(lab, "run.json").read_bytes())
    assert record["counts"]["codes"] == {"content_filter": 1, "invalid_prompt": 1, "truncated": 1}
    assert record["truncated"] == 1
    shown = run("show", "one").out
    assert "1 x truncated" in shown
    assert "one-2: the response is incomplete: max_output_tokens" in shown


def test_answers_cut_at_the_token_limit_are_answers_and_are_counted(
    run: Run, lab: Folder, world: World, quick: VirtualClock
) -> None:
    del quick
    lab.job("one", rows=5)
    world.behaviour = Behaviour(
        answer=by_id({f"one-{number}": Succeed(finish="length") for number in (1, 3)})
    )
    assert job_shape(run)["truncated"] is None
    done = run(*FINISH)
    assert done.code == 0
    assert "2 answers were cut at the token limit" in done.err
    assert len(asked(world)) == 1
    assert job_shape(run)["truncated"] == 2
    assert json.loads(run("show", "one", "--json").out)["truncated"] == 2
    assert json.loads(latest(lab, "run.json").read_bytes())["truncated"] == 2
    for command in (("status",), ("show", "one")):
        assert "2 answers were cut at the token limit" in run(*command).out
    run("report", "-o", "page.html")
    assert "2 answers were cut at the token limit" in (lab.root / "page.html").read_text()
    # A ledger that is made again from the record knows it too.
    (lab.root / ".runner").rename(lab.root / "gone")
    assert run(*FINISH).code == 0
    assert len(asked(world)) == 1
    assert job_shape(run)["truncated"] == 2


def test_the_count_is_known_while_other_requests_go_on(
    run: Run, lab: Folder, world: World, quick: VirtualClock
) -> None:
    lab.job("one", rows=4)
    limit: dict[str, Answer] = {"one-0": Succeed(finish="length"), "one-1": ogx("HTTP 503")}
    world.behaviour = Behaviour(answer=first_time(limit))
    run("reconcile")
    world.behaviour = Behaviour(answer=first_time(limit), working=1000)
    run("reconcile")
    shape = job_shape(run)
    assert (shape["state"], shape["truncated"]) == ("running", 1)
    assert "1 answer was cut at the token limit" in run("status").out
    quick.sleep(2000)
    assert run(*FINISH).code == 0
    assert job_shape(run)["truncated"] == 1


NO_GPU = Problem(code="no_gpu", message="There is no GPU in this region.")


@pytest.mark.parametrize("reasons", Reasons)
def test_a_failed_batch_says_why_in_every_form(
    run: Run, lab: Folder, world: World, quick: VirtualClock, reasons: Reasons
) -> None:
    del quick
    lab.job("one")
    world.behaviour = Behaviour(ending=Fail(problems=(NO_GPU,)), reasons=reasons)
    done = run(*FINISH)
    check_quiet(done)
    assert done.code == 1
    reason = "There is no GPU in this region."
    assert reason in done.err
    assert "without a reason" not in done.err
    assert reason in " ".join(run("show", "one").out.split())
    assert reason in run("events", "one").out
    assert (
        reason
        in json.loads(latest(lab, "run.json").read_bytes())["shards"][0]["submissions"][0][
            "problem"
        ]
    )
    for line in documents(latest(lab, "errors.jsonl")).values():
        assert reason in line["error"]["message"]


def stated(code: str | None, words: str, **more: object) -> Status:
    """Return an error with status 200."""
    return Status(status=200, body={"error": {"message": words, "code": code, **more}})


CALLS = [
    ("POST", "/files"),
    ("POST", "/batches"),
    ("GET", "/batches"),
    ("GET", "/batches/*"),
    ("GET", "/files/*"),
]


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
@pytest.mark.parametrize("code", ["rate_limit_exceeded", "server_error", "insufficient_quota"])
def test_an_error_with_status_200_ends_no_job_and_is_said(
    run: Run, lab: Folder, world: World, quick: VirtualClock, call: tuple[str, str], code: str
) -> None:
    lab.job("one", rows=3)
    world.faults = on(*call, *[stated(code, "They are tired today.")] * 12)
    said = ""
    for _ in range(4):
        done = run("reconcile")
        check_quiet(done)
        said += done.err
        quick.sleep(600)
    world.faults = never
    assert run(*FINISH).code == 0
    assert "They are tired today." in said
    assert len(asked(world)) == 1
    world.check_exactly_once()


def test_a_list_that_is_an_error_is_no_empty_one(
    run: Run, lab: Folder, world: World, quick: VirtualClock
) -> None:
    """The reply to a creation is lost, and then the list is `{"data": [], "error": ...}`."""
    lab.job("one", rows=3)
    failing = Status(status=200, body={"object": "list", "data": [], "error": "Try later, please."})
    lost = Status(status=502, message="Gone.", acted=True)
    world.faults = first_of(
        on("POST", "/batches", lost), on("GET", "/batches", None, *[failing] * 200)
    )
    said = ""
    for _ in range(5):
        done = run("reconcile")
        check_quiet(done)
        said += done.err
        quick.sleep(3600)
    assert "Try later, please." in said
    assert len(asked(world)) == 1
    world.faults = never
    assert run(*FINISH).code == 0
    assert len(asked(world)) == 1


def test_a_provider_that_refuses_everything_with_status_200(
    run: Run, lab: Folder, world: World, quick: VirtualClock
) -> None:
    del quick
    lab.job("one", rows=3)
    lab.env["LAB_KEY"] = "sk-of-somebody-else"
    world.conditions = Conditions(refuses_with=200, echoes_key=True)
    done = run(*FINISH)
    assert done.code == 1
    assert "Incorrect API key provided: ***" in done.err
    assert "check that the API key in LAB_KEY is right" in done.err
    assert "sk-of-somebody-else" not in done.err
    lab.env["LAB_KEY"] = KEY
    assert run(*FINISH).code == 0
    assert len(asked(world)) == 1


def test_a_refusal_with_status_200_ends_the_job_in_its_words(
    run: Run, lab: Folder, world: World, quick: VirtualClock
) -> None:
    del quick
    lab.job("one", rows=3)
    world.faults = on("POST", "/batches", stated("invalid_value", "No such window."))
    done = run(*FINISH)
    assert done.code == 1
    assert job_shape(run)["state"] == "failed"
    assert "No such window." in done.err
    assert asked(world) == []


@pytest.mark.parametrize("levels", [1_000, 10_000])
def test_an_answer_is_one_however_deeply_it_is_nested(
    run: Run, lab: Folder, world: World, quick: VirtualClock, levels: int
) -> None:
    del quick
    lab.job("one", rows=3)
    line = (
        b'{"id":"r","custom_id":"one-2","response":{"status_code":200,"body":{"id":"x","v":'
        + b"[" * levels
        + b"]" * levels
        + b"}},"
        + b'"error":null}'
    )
    world.behaviour = Behaviour(answer=by_id({"one-2": Malformed(line=line)}), shuffled=False)
    world.conditions = Conditions(chunked=True)
    done = run(*FINISH)
    check_quiet(done)
    assert done.code == 0
    assert len(asked(world)) == 1
    assert line in latest(lab, "output.jsonl").read_bytes().splitlines()
    for command in (("status",), ("show", "one"), ("verify",), ("report", "-o", "page.html")):
        done = run(*command)
        check_quiet(done)
        assert done.code == 0
    assert "one-2" in (lab.root / "page.html").read_text()


@pytest.mark.parametrize("levels", [1_000, 10_000])
@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_a_reply_that_is_nested_too_deeply_is_said_and_waited_out(
    run: Run, lab: Folder, world: World, quick: VirtualClock, call: tuple[str, str], levels: int
) -> None:
    lab.job("one", rows=3)
    deep = b'{"id":"x","status":"completed","data":' + b"[" * levels + b"]" * levels + b"}"
    world.faults = on(*call, *[Status(status=200, body=deep)] * 6)
    for _ in range(4):
        check_quiet(run("reconcile"))
        quick.sleep(600)
    world.faults = never
    assert run(*FINISH).code == 0
    assert len(asked(world)) == 1
