from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.batch import CLASSIC_FIELDS, NEWER_FIELDS
from tests.simulation import behaviour as how
from tests.simulation.behaviour import Behaviour, Conditions, Counts, NoFile
from tests.simulation.exchange import Request
from tests.simulation.results import check_answers
from tests.simulation.scene import (
    PHASES,
    create,
    get,
    request_line,
    request_lines,
    results,
    submit,
    upload,
    wait,
    world_of,
)
from tests.simulation.world import VirtualClock, World


def test_a_batch_goes_through_all_its_phases() -> None:
    world = world_of(PHASES)
    path = f"/batches/{submit(world, request_lines(10))}"
    seen = []
    for seconds in (0, 5, 5, 50, 50, 4, 1):
        wait(world, seconds)
        batch = get(world, path)
        seen.append((batch["status"], batch["request_counts"]["completed"]))
        assert set(batch) == {*CLASSIC_FIELDS, *NEWER_FIELDS}
    assert seen == [
        ("validating", 0),
        ("validating", 0),
        ("in_progress", 0),
        ("in_progress", 5),
        ("finalizing", 10),
        ("finalizing", 10),
        ("completed", 10),
    ]
    batch = get(world, path)
    stamps = [batch[f"{name}_at"] for name in ("created", "in_progress", "finalizing", "completed")]
    assert stamps == [1000, 1010, 1110, 1115]
    assert batch["expires_at"] == 1000 + 86400


def test_a_creation_is_answered_before_the_batch_can_have_ended() -> None:
    world = world_of()
    batch = create(world, upload(world, request_lines(1))).document()
    assert (batch["status"], batch["output_file_id"]) == ("validating", None)
    assert get(world, f"/batches/{batch['id']}")["status"] == "completed"


def test_answers_belong_to_their_requests_and_come_in_another_order() -> None:
    world, asked = world_of(), request_lines(50)
    output, errors = results(world, get(world, f"/batches/{submit(world, asked)}"))
    names = [json.loads(line)["custom_id"] for line in output.splitlines()]
    assert check_answers(output, asked) == set(names) == {f"r{number}" for number in range(50)}
    assert names != sorted(names, key=lambda name: int(name[1:]))
    assert errors == b""


@pytest.mark.parametrize(
    "url", ["/v1/embeddings", "/v1/responses", "/v1/completions", "/v1/moderations"]
)
def test_every_endpoint_has_answers_of_its_own(url: str) -> None:
    world, asked = world_of(), request_line("a", url=url)
    made = create(world, upload(world, asked), endpoint=url).document()
    output, _ = results(world, get(world, f"/batches/{made['id']}"))
    assert check_answers(output, asked) == {"a"}


def test_check_answers_notices_a_swapped_answer() -> None:
    world, asked = world_of(), request_lines(2)
    output, _ = results(world, get(world, f"/batches/{submit(world, asked)}"))
    swapped = output.replace(b'"r0"', b'"r9"').replace(b'"r1"', b'"r0"').replace(b'"r9"', b'"r1"')
    with pytest.raises(AssertionError, match="has the answer"):
        check_answers(swapped, asked)
    with pytest.raises(AssertionError, match="answered twice"):
        check_answers(output + output, asked)
    with pytest.raises(AssertionError, match="never asked"):
        check_answers(output, request_line("r0"))


def test_each_kind_of_answer_is_written_as_the_reports_show_it() -> None:
    answers: dict[str, how.Answer] = {
        "http": how.HttpError(status=400, code="invalid_value"),
        "zero": how.HttpError(status=0),
        "not_run": how.NotRun(code="request_timeout"),
        "in_body": how.ErrorInBody(),
        "gone": how.Missing(),
        "broken": how.Malformed(),
        "twice": how.Several(answers=(how.HttpError(status=500), how.Succeed())),
        "text": how.Succeed(text="\u2028\u2029\x85"),
        "same_file": how.HttpError(status=404, place=how.AnswerLocation.OUTPUT),
    }
    world = world_of(Behaviour(answer=how.by_id(answers), final_newline=False))
    asked = b"".join(request_line(name) for name in answers)
    output, errors = results(world, get(world, f"/batches/{submit(world, asked)}"))
    assert not output.endswith(b"\n")
    good: dict[str, Any] = {}
    broken = 0
    for line in output.split(b"\n"):
        try:
            document = json.loads(line)
        except ValueError:
            broken += 1
        else:
            good[document["custom_id"]] = document
    bad = {line["custom_id"]: line for line in map(json.loads, errors.split(b"\n"))}
    assert broken == 1
    assert set(good) == {"in_body", "twice", "text", "same_file"}
    assert set(bad) == {"http", "zero", "not_run", "twice"}
    assert "\u2028\u2029\x85".encode() in output
    assert bad["http"]["error"] is None
    assert bad["http"]["response"]["body"]["error"]["code"] == "invalid_value"
    assert bad["zero"]["response"] == {"status_code": 0, "request_id": "", "body": {}}
    assert bad["not_run"]["response"] is None
    assert bad["not_run"]["error"]["code"] == "request_timeout"
    assert "error" in good["in_body"]["response"]["body"]
    (submission,) = world.submissions()
    assert submission.answered == {"twice", "text"}


def test_first_time_answers_change_when_a_line_is_asked_again() -> None:
    failing: dict[str, how.Answer] = {"r0": how.HttpError(status=500)}
    world = world_of(Behaviour(answer=how.first_time(failing)))
    submit(world, request_lines(2))
    submit(world, request_lines(1))
    assert [each.answered for each in world.submissions()] == [{"r1"}, {"r0"}]


@pytest.mark.parametrize("lists_unrun", [True, False])
def test_an_expired_batch_has_what_was_done(lists_unrun: bool) -> None:  # noqa: FBT001
    world = world_of(Behaviour(ending=how.Expire(fraction=0.3), lists_unrun=lists_unrun))
    batch = get(world, f"/batches/{submit(world, request_lines(10))}")
    output, errors = results(world, batch)
    assert batch["status"] == "expired"
    assert batch["expired_at"] == 1000
    assert output.count(b"\n") == 3
    assert errors.count(b"batch_expired") == (7 if lists_unrun else 0)


def test_a_batch_cancelled_by_someone_else_has_what_was_done() -> None:
    world = world_of(Behaviour(ending=how.Cancelled(fraction=0.5), cancelling=60))
    path = f"/batches/{submit(world, request_lines(10))}"
    assert get(world, path)["status"] == "cancelling"
    assert get(world, path)["output_file_id"] is None
    wait(world, 60)
    output, errors = results(world, get(world, path))
    assert (output.count(b"\n"), errors.count(b"batch_cancelled")) == (5, 5)


def test_a_cancel_keeps_what_was_done_by_then() -> None:
    world = world_of(PHASES)
    path = f"/batches/{submit(world, request_lines(10))}"
    wait(world, 40)
    reply = world.handle(Request.json("POST", f"{path}/cancel"))
    assert (reply.status, reply.document()["status"]) == (200, "cancelling")
    again = world.handle(Request.json("POST", f"{path}/cancel"))
    assert (again.status, again.document()["cancelling_at"]) == (200, 1040)
    wait(world, 20)
    batch = get(world, path)
    output, errors = results(world, batch)
    assert (batch["status"], batch["cancelled_at"]) == ("cancelled", 1060)
    assert (output.count(b"\n"), errors.count(b"batch_cancelled")) == (3, 7)
    assert world.handle(Request.json("POST", f"{path}/cancel")).status == 200


def test_a_cancel_may_come_too_late() -> None:
    world = world_of(replace(PHASES, cancel_loses=True))
    path = f"/batches/{submit(world, request_lines(4))}"
    wait(world, 20)
    world.handle(Request.json("POST", f"{path}/cancel"))
    wait(world, 20)
    assert get(world, path)["status"] == "completed"
    assert get(world, path)["request_counts"]["completed"] == 4


def test_a_batch_can_be_stuck_until_it_is_cancelled() -> None:
    world = world_of(Behaviour(ending=how.Stuck(fraction=0.5)))
    path = f"/batches/{submit(world, request_lines(4))}"
    wait(world, 1e7)
    assert get(world, path)["status"] == "in_progress"
    world.handle(Request.json("POST", f"{path}/cancel"))
    assert get(world, path)["status"] == "cancelled"
    assert results(world, get(world, path))[0].count(b"\n") == 2
    with pytest.raises(ValueError, match="stuck in 'done'"):
        submit(world_of(Behaviour(ending=how.Stuck(status="done"))), request_lines(1))


def test_a_batch_can_vanish() -> None:
    world = world_of(replace(PHASES, ending=how.Vanish(after=50)))
    path = f"/batches/{submit(world, request_lines(1))}"
    assert get(world, path)["status"] == "validating"
    wait(world, 1000)
    assert world.handle(Request.json("GET", path)).status == 404
    assert get(world, "/batches")["data"] == []
    assert len(world.files()) == 1


@pytest.mark.parametrize("late", [True, False])
def test_a_batch_can_fail_as_a_whole(late: bool) -> None:  # noqa: FBT001
    ending = how.Fail(problems=(how.TOKEN_LIMIT,), late=late)
    world = world_of(replace(PHASES, ending=ending))
    path = f"/batches/{submit(world, request_lines(1))}"
    wait(world, 1000)
    batch = get(world, path)
    assert batch["status"] == "failed"
    assert batch["failed_at"] == (1110 if late else 1010)
    assert batch["errors"]["data"][0]["code"] == "token_limit_exceeded"
    assert batch["output_file_id"] is None
    assert world.submissions()[0].answered == frozenset()


@pytest.mark.parametrize("lists_unrun", [True, False])
def test_a_batch_can_fail_with_files(lists_unrun: bool) -> None:  # noqa: FBT001
    ending = how.Fail(problems=(how.TOKEN_LIMIT,), fraction=0.5)
    behaviour = replace(PHASES, ending=ending, lists_unrun=lists_unrun, shuffled=False)
    world = world_of(behaviour)
    path = f"/batches/{submit(world, request_lines(4))}"
    wait(world, 1000)
    batch = get(world, path)
    assert (batch["status"], batch["failed_at"]) == ("failed", 1110)
    assert batch["errors"]["data"][0]["code"] == "token_limit_exceeded"
    assert world.submissions()[0].answered == {"r0", "r1"}
    answered, unrun = (list(map(json.loads, file.splitlines())) for file in results(world, batch))
    assert [line["custom_id"] for line in answered] == ["r0", "r1"]
    assert [(line["custom_id"], line["error"]["code"]) for line in unrun] == (
        [("r2", "batch_failed"), ("r3", "batch_failed")] if lists_unrun else []
    )


def test_other_windows_can_be_offered() -> None:
    world = World(VirtualClock(1000.0), windows=("24h", "7d"))
    made = create(world, upload(world, request_lines(1)), completion_window="7d").document()
    assert made["expires_at"] == 1000 + 7 * 86400


@pytest.mark.parametrize(
    ("no_file", "shown"), [(NoFile.NULL, None), (NoFile.EMPTY_TEXT, ""), (NoFile.EMPTY_FILE, "id")]
)
def test_an_empty_file_is_shown_in_three_ways(no_file: NoFile, shown: str | None) -> None:
    all_fail = Behaviour(answer=lambda _row: how.HttpError(status=400), no_output=no_file)
    world = world_of(Behaviour(no_error=no_file), all_fail)
    good = get(world, f"/batches/{submit(world, request_lines(1))}")
    bad = get(world, f"/batches/{submit(world, request_lines(1))}")
    for identifier in (good["error_file_id"], bad["output_file_id"]):
        if shown == "id":
            assert world.content(identifier) == b""
        else:
            assert identifier == shown


def test_counts_lie() -> None:
    kinds = (Counts.TRUE, Counts.ALL_WELL, Counts.EMPTY, Counts.NULL_MEMBERS, Counts.NULL)
    fail: dict[str, how.Answer] = {"r0": how.HttpError(status=500), "r1": how.Missing()}
    behaviours = [Behaviour(counts=kind, answer=how.by_id(fail)) for kind in kinds]
    world = world_of(*behaviours)
    shown = [
        get(world, f"/batches/{submit(world, request_lines(3))}")["request_counts"] for _ in kinds
    ]
    assert shown == [
        {"total": 3, "completed": 1, "failed": 1},
        {"total": 3, "completed": 3, "failed": 0},
        {},
        {"total": None, "completed": None, "failed": None},
        None,
    ]


def test_dialects_of_the_object() -> None:
    words = {"in_progress": "in_queue"}
    conditions = Conditions(status_words=words, classic=True, metadata=False, create_status=201)
    world = world_of(replace(PHASES, validating=0), conditions=conditions)
    reply = create(world, upload(world, request_lines(1)), "k")
    assert reply.status == 201
    batch = get(world, f"/batches/{reply.document()['id']}")
    assert set(batch) == set(CLASSIC_FIELDS)
    assert (batch["status"], batch["metadata"]) == ("in_queue", None)
    assert world.submissions()[0].key == "k"


endings = st.sampled_from(
    [how.Complete(), how.Expire(), how.Cancelled(fraction=0.7), how.Vanish(after=1e9)]
)


@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 20),
    ending=endings,
    rate=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_the_same_seed_gives_the_same_bytes(
    seed: int, count: int, ending: how.Ending, rate: float
) -> None:
    def live() -> list[bytes]:
        world = World(
            VirtualClock(),
            seed,
            behaviour=replace(PHASES, ending=ending, answer=how.by_chance(seed, rate)),
        )
        path = f"/batches/{submit(world, request_lines(count))}"
        seen = []
        for _ in range(8):
            wait(world, 20)
            seen.append(world.handle(Request.json("GET", path)).body.whole())
        seen += results(world, get(world, path))
        return seen

    assert live() == live()


@given(count=st.integers(1, 30), moment=st.floats(0, 130), lists_unrun=st.booleans())
def test_a_cancel_at_any_moment_accounts_for_every_row(
    count: int,
    moment: float,
    lists_unrun: bool,  # noqa: FBT001
) -> None:
    world = world_of(replace(PHASES, lists_unrun=lists_unrun))
    path = f"/batches/{submit(world, request_lines(count))}"
    wait(world, moment)
    before = world.submissions()[0].answered
    world.handle(Request.json("POST", f"{path}/cancel"))
    wait(world, 1000)
    output, errors = results(world, get(world, path))
    assert world.submissions()[0].answered >= before
    assert check_answers(output, request_lines(count)) == world.submissions()[0].answered
    total = output.count(b"\n") + errors.count(b"\n")
    assert total == (count if lists_unrun else output.count(b"\n"))
