"""The commands that change nothing: validate, plan, status, show."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import FINISH
from tests.simulation.behaviour import Behaviour, HttpError, by_id

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.http import Server
    from tests.simulation.world import VirtualClock, World

BAD_SPEC = "name: bad\nendpoint: /v1/chat/completions\ninptu: data/hello.jsonl\n"


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_validate_says_what_is_there(run: Run, folder: Folder) -> None:
    folder.job("hello", rows=3)
    folder.job("world", rows=4)

    done = run("validate")

    assert (done.code, done.out, done.err) == (0, "", "valid: 2 jobs, 7 requests\n")


@pytest.mark.parametrize("selector", ["world", "specs/world.yaml"])
def test_validate_checks_what_was_asked_for(run: Run, folder: Folder, selector: str) -> None:
    folder.write("specs/bad.yaml", BAD_SPEC)
    folder.job("world", rows=4)

    assert run("validate", selector).err == "valid: 1 job, 4 requests\n"
    assert run("validate").code == 2


def test_validate_prints_every_problem_on_a_line_with_its_place(run: Run, folder: Folder) -> None:
    folder.write("specs/bad.yaml", BAD_SPEC)
    folder.job("hello")
    folder.write("data/hello.jsonl", b'{"custom_id": "a"}\nnonsense\n')

    done = run("validate")

    assert (done.code, done.out) == (2, "")
    lines = done.err.splitlines()
    assert len(lines) >= 3
    assert lines == sorted(lines)
    assert {line.split(":")[0] for line in lines} == {"specs/bad.yaml", "data/hello.jsonl"}
    assert [line for line in lines if line.startswith("specs/bad.yaml:3:1: ")]
    assert [line for line in lines if line.startswith("data/hello.jsonl:2:1: ")]


def test_validate_shows_a_spec_without_obeying_it(run: Run, folder: Folder) -> None:
    folder.write("specs/bad.yaml", 'name: "\\e]0;owned\\a\\u202e"\nendpoint: /v1/x\n')

    done = run("validate")

    assert done.code == 2
    assert not {"\x1b", "\x07", "\u202e"} & set(done.err)


def test_looking_makes_nothing_in_a_fresh_project(run: Run, folder: Folder) -> None:
    folder.job()
    before = snapshot(folder.root)

    for command in (("validate",), ("plan",), ("status",), ("show", "hello")):
        assert run(*command).code == 0, command

    assert snapshot(folder.root) == before


def test_a_plan_is_what_reconcile_then_does(run: Run, lab: Folder, world: World) -> None:
    lab.job(rows=3)
    plan = run("plan")
    assert (plan.code, plan.err) == (0, "")
    assert plan.out.splitlines()[-1].startswith("Plan: submit 1 batch (3 requests, ")
    assert not world.calls("POST", "/batches")

    run(*FINISH)

    assert len(world.calls("POST", "/batches")) == 1
    assert run("plan").out.splitlines()[-1] == "Nothing to do: 1 job up to date."


@pytest.mark.parametrize("extra", [(), ("--json",)])
def test_the_detailed_exit_code(
    run: Run, lab: Folder, world: World, clock: VirtualClock, extra: tuple[str, ...]
) -> None:
    lab.job()
    world.behaviour = Behaviour(working=100)
    command = ("plan", "--detailed-exitcode", *extra)
    assert run(*command).code == 2
    run("reconcile")
    assert run(*command).code == 0
    clock.sleep(200)
    assert run(*command).code == 2
    run("reconcile")
    assert run(*command).code == 0


@pytest.mark.usefixtures("quick")
def test_the_detailed_exit_code_of_any_error_is_1(run: Run, lab: Folder, server: Server) -> None:
    assert run("plan", "--detailed-exitcode", "nobody").code == 1
    assert run("plan", "nobody").code == 2
    lab.job()
    with server.down():
        assert run("plan", "--detailed-exitcode").code == 1
        assert run("plan").code == 1
    lab.write("specs/bad.yaml", BAD_SPEC)
    done = run("plan", "--detailed-exitcode")
    assert done.code == 1
    assert "specs/bad.yaml:3:1: " in done.err
    assert "Plan: submit 1 batch" in done.out
    lab.write("runner.yaml", "nonsense: true\n")
    assert run("plan", "--detailed-exitcode").code == 1


def test_a_plan_without_a_key_says_whom_it_could_not_ask(run: Run, lab: Folder) -> None:
    lab.job()
    lab.env["LAB_KEY"] = ""

    done = run("plan")

    assert done.code == 0
    assert "note: the batches at lab were not listed: LAB_KEY is not set" in " ".join(
        done.out.split()
    )
    assert "submit 1 batch" in done.out


def test_plan_json(run: Run, lab: Folder) -> None:
    lab.job(rows=3)

    done = run("plan", "--json")

    shape = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert (shape["format_version"], shape["changes"]) == (1, True)
    assert [action["action"] for action in shape["actions"]] == ["start", "submit"]
    assert {"job", "revision", "submission", "why"} <= shape["actions"][1].keys()


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


def test_show_tells_each_attempt_and_what_to_do_next(run: Run, lab: Folder, world: World) -> None:
    lab.job("one", rows=4)
    refusal = HttpError(status=400, code="bad_value", message="No such colour.")
    world.behaviour = Behaviour(answer=by_id({"one-2": refusal}))
    run(*FINISH)

    done = run("show", "one")

    assert (done.code, done.err) == (0, "")
    text = " ".join(done.out.split())
    assert "one partial" in text
    assert "requests 4: 3 succeeded, 1 failed, 0 pending" in text
    assert "`runner retry one` submits the 1 failed request again" in text
    assert "shard 1, attempt 1: 4 requests, 3 succeeded, 1 failed" in text
    assert "1 x bad_value: No such colour." in text


def test_show_json(run: Run, lab: Folder) -> None:
    lab.job("one")
    run(*FINISH)

    shape = json.loads(run("show", "one", "--json").out)

    assert (shape["name"], shape["state"]) == ("one", "succeeded")
    assert [event["kind"] for event in shape["events"]][-1] == "run_finished"
    assert [its["revision"] for its in shape["runs"]] == [shape["revision"]]


def test_show_of_a_job_that_has_not_begun(run: Run, folder: Folder) -> None:
    folder.job("one")

    assert "`runner reconcile one` starts it" in run("show", "one").out
    assert json.loads(run("show", "one", "--json").out)["state"] == "pending"


def test_show_takes_the_file_of_a_spec_for_its_job(run: Run, folder: Folder) -> None:
    folder.job("one")

    assert run("show", "specs/one.yaml").out == run("show", "one").out


def test_show_of_a_job_whose_spec_is_gone(run: Run, lab: Folder) -> None:
    lab.job("one")
    run(*FINISH)
    (lab.root / "specs" / "one.yaml").unlink()

    done = run("show", "one")

    assert done.code == 0
    assert "one  succeeded" in done.out
    assert run("show", "two").code == 2


def test_a_folder_without_specs_says_how_to_begin(run: Run, folder: Folder) -> None:
    (folder.root / "specs").rmdir()

    for command in (("validate",), ("plan",), ("status",), ("reconcile",)):
        done = run(*command)
        assert (done.code, done.out) == (2, ""), command
        assert "`runner init` makes a project" in done.err


def test_a_folder_that_is_not_there_is_an_error(run: Run, folder: Folder) -> None:
    assert folder.root.is_dir()
    done = run("-C", "nowhere", "status")

    assert (done.code, done.out) == (2, "")
    assert "nowhere" in done.err


def test_a_current_folder_that_is_gone_is_an_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    for command in (("status",), ("plan",), ("reconcile",), ("init", "x"), ("validate",)):
        done = run(*command)
        assert (done.code, done.out) == (2, ""), command
        assert done.err.startswith("error: the current folder is gone"), command


def test_the_project_is_found_from_below(run: Run, folder: Folder) -> None:
    folder.job("one")
    (folder.root / "specs" / "deep").mkdir()

    assert run("-C", "specs/deep", "status", "--json").out == run("status", "--json").out
