"""The contract of the command line, checked from outside against a simulated provider."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.faults.project import SPEC, WAITING, Project, ended, ids, sent
from tests.faults.worlds import check_all_asked_once
from tests.simulation import faults as trouble
from tests.simulation.behaviour import (
    MODEL_NOT_FOUND,
    Behaviour,
    Fail,
    HttpError,
    Stuck,
    by_id,
    first_time,
    in_turn,
)
from tests.simulation.scene import get, request_lines

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.launching import Launcher, Run
    from tests.simulation.http import Server
    from tests.simulation.world import World

PLACE = re.compile(r"[^:\s][^:]*:\d+(:\d+)?: \S.*")
"""`path:line[:col]: message`, as the contract has it."""

BROKEN = "name: broken\nendpoint: /v1/chat/completions\ninput: missing.jsonl\nretries: 3\n"


# status ---------------------------------------------------------------------------------------


def test_status_from_the_first_day_to_the_last(run: Run, project: Project, world: World) -> None:
    [new] = run.status()
    assert new["name"] == "job"
    assert new["state"] == "pending"
    assert new["requests"] == {"total": 12, "succeeded": 0, "failed": 0, "pending": 12}
    assert new["batches"] == []

    run("reconcile")
    [begun] = run.status()
    assert begun["state"] == "running"
    assert begun["requests"] == {"total": 12, "succeeded": 0, "failed": 0, "pending": 12}
    revision = begun["revision"]
    assert begun["output_dir"] == str(project.root / "outputs" / "job" / revision)
    assert re.fullmatch("[0-9a-f]{12}", revision)
    assert [batch["object"] for batch in begun["batches"]] == ["batch"] * 3

    run(*WAITING)
    [ended] = run.status()
    assert ended["state"] == "succeeded"
    assert ended["revision"] == revision
    assert ended["requests"] == {"total": 12, "succeeded": 12, "failed": 0, "pending": 0}
    assert [batch["status"] for batch in ended["batches"]].count("expired") == 1
    assert len(ended["batches"]) == 4
    for batch in ended["batches"]:
        assert batch == get(world, f"/batches/{batch['id']}")


def test_status_is_one_object_a_job_with_the_fields_of_the_contract(run: Run) -> None:
    run(*WAITING)
    fields = {"name", "revision", "state", "requests", "output_dir", "batches"}
    for job in run.status():
        assert fields <= job.keys()
        assert job["requests"].keys() == {"total", "succeeded", "failed", "pending"}
    assert [job["name"] for job in run.status("job")] == ["job"]
    assert "job" in run("status").out
    assert run("status", "nobody", code=2).out == ""


def test_show_tells_the_whole_story(run: Run) -> None:
    run(*WAITING)
    told = run("show", "job", "--json").json()
    assert told["name"] == "job"
    assert "succeeded" in run("show", "job").out
    run("show", "nobody", code=2)


# validate and plan ----------------------------------------------------------------------------


def test_validate_is_offline_and_silent_about_what_is_right(
    run: Run, project: Project, server: Server, world: World
) -> None:
    with server.down():
        assert run("validate").out == ""
    assert run("validate", "job").out == ""
    assert run("validate", "specs/job.yaml").out == ""
    assert run("validate", "specs").out == ""
    assert world.requests == []
    assert not project.ledger.parent.exists()


def test_validate_puts_one_problem_on_one_line_with_its_place(run: Run, project: Project) -> None:
    project.write("specs/broken.yaml", BROKEN)
    project.write("specs/half.yaml", "name: half\nendpoint: [\n")
    lines = request_lines(2) + b"{not json}\n" + request_lines(1)
    project.write("torn.jsonl", lines)
    project.write("specs/torn.yaml", SPEC.replace("requests", "torn").replace("job", "torn"))
    end = run("validate", code=2)
    assert end.out == ""
    told = end.err.splitlines()
    assert [line for line in told if not PLACE.fullmatch(line)] == []
    for place in ("specs/broken.yaml:3", "specs/broken.yaml:4", "specs/half.yaml", "torn.jsonl:3"):
        assert any(line.startswith(place) for line in told), (place, told)
    assert run("validate", "job").err.startswith("valid")
    run("validate", "specs/torn.yaml", code=2)


def test_plan_changes_nothing_here_or_there(run: Run, project: Project, world: World) -> None:
    before = project.picture()
    assert "12 requests" in run("plan").out
    assert run("plan", "--detailed-exitcode", code=2).err == ""
    told = run("plan", "--json").json()
    assert told["changes"] is True
    assert project.picture() == before
    run("reconcile")
    before = project.picture()
    run("plan", "--detailed-exitcode", code=2)  # by now there is something to collect
    assert project.picture() == before
    run(*WAITING)
    assert run("plan", "--detailed-exitcode").err == ""
    assert run("plan", "--json", "--detailed-exitcode").json()["changes"] is False
    check_all_asked_once(world, ids(12), batches=4)


def test_plan_asks_with_nothing_but_get(run: Run, world: World) -> None:
    run("plan")
    run("reconcile")
    asked = len(world.requests)
    run("plan", "--json")
    assert {each.method for each in world.requests[asked:]} == {"GET"}
    assert world.requests[0].method == "GET"


def test_a_plan_of_work_in_flight_is_nothing_to_do(run: Run, world: World) -> None:
    world.behaviour = Behaviour(ending=Stuck())
    run("reconcile")
    run("reconcile")
    run("plan", "--detailed-exitcode")


@pytest.mark.parametrize("command", [("plan",), ("plan", "--json")])
def test_plan_with_a_detailed_exitcode_has_one_code_for_all_errors(
    run: Run, project: Project, command: tuple[str, ...]
) -> None:
    project.write("specs/broken.yaml", BROKEN)
    run(*command, "--detailed-exitcode", code=1)
    run(*command, code=2)


def test_plan_of_a_provider_that_refuses(run: Run, world: World) -> None:
    world.key = "sk-another"
    run("plan", "--detailed-exitcode", code=1)
    run("plan", code=1)


# reconcile ------------------------------------------------------------------------------------


def test_an_invalid_spec_stops_nobody_else(run: Run, project: Project, world: World) -> None:
    project.write("specs/broken.yaml", BROKEN)
    end = run(*WAITING, code=2)
    assert any(PLACE.fullmatch(line) for line in end.err.splitlines())
    project.check_results(ids(12))
    check_all_asked_once(world, ids(12), batches=4)
    run("reconcile", "job")
    run("reconcile", "broken", code=2)
    assert run("reconcile", code=2).err.count("specs/broken.yaml:") == 2


def test_an_invalid_input_sends_nothing_for_its_spec(
    run: Run, project: Project, world: World
) -> None:
    project.write("requests.jsonl", request_lines(5) + b"{}\n")
    end = run("reconcile", code=2)
    assert "requests.jsonl:6" in end.err
    assert sent(world) == []


def test_specs_are_named_by_file_folder_or_job(run: Run, project: Project, world: World) -> None:
    for name in ("one", "two", "deep/three"):
        spec = SPEC.replace("job", name.rpartition("/")[2]) + f"replicate: {len(name)}\n"
        project.write(f"specs/{name}.yaml", spec)
    run("reconcile", "one")
    run("reconcile", "specs/deep")
    run("reconcile", "specs/job.yaml")
    names = {each.key.split("/")[0] for each in world.submissions() if each.key}
    assert names == {"one", "three", "job"}
    run("reconcile", "nobody", code=2)
    run("reconcile", "specs/nothing.yaml", code=2)


def test_under_cron_a_pass_with_nothing_to_say_says_nothing(run: Run, world: World) -> None:
    run(*WAITING)
    idle = run("reconcile")
    assert idle.out + idle.err == ""
    assert "nothing to do" in run("reconcile", "--verbose").err
    asked = len(world.requests)
    run(*WAITING)
    assert len(world.requests) == asked


def test_an_interval_is_a_positive_number(run: Run) -> None:
    for interval in ("0", "-1", "soon"):
        run("reconcile", "--wait", "--poll-interval", interval, code=2)
    run("reconcile", "--if-locked", "perhaps", code=2)
    run("nonsense", code=2)
    run("reconcile", "--nonsense", code=2)


def test_permanent_failures_make_a_job_partial(run: Run, project: Project, world: World) -> None:
    refused = HttpError(status=400, code="invalid_value", message="No such thing.")
    world.behaviour = Behaviour(answer=by_id({"r3": refused, "r7": refused}))
    end = run(*WAITING, code=1)
    assert "partial" in end.err
    project.check_results(ids(12), failed=["r3", "r7"])
    [job] = run.status()
    assert job["state"] == "partial"
    assert job["requests"] == {"total": 12, "succeeded": 10, "failed": 2, "pending": 0}
    asked = len(world.requests)
    run("reconcile", code=1)
    assert len(world.requests) == asked
    check_all_asked_once(world, ids(12), batches=3)


def test_retry_asks_what_had_no_answer_and_nothing_else(
    run: Run, project: Project, world: World
) -> None:
    refused = HttpError(status=400, code="invalid_value")
    world.behaviour = Behaviour(answer=first_time({"r3": refused, "r7": refused}))
    run(*WAITING, code=1)
    run("retry", "job")
    run(*WAITING)
    project.check_results(ids(12))
    assert sorted(each.rows for each in world.submissions()[3:]) == [("r3",), ("r7",)]
    world.check_exactly_once()
    asked = len(sent(world))
    assert "nothing to resubmit" in run("retry", "job").err
    assert len(sent(world)) == asked
    run("retry", "nobody", code=2)


def test_retry_before_anything_was_asked_is_a_mistake(run: Run, world: World) -> None:
    assert "reconcile" in run("retry", "job", code=2).err
    assert sent(world) == []


def test_cancel_stops_what_is_in_flight_and_keeps_what_was_answered(
    run: Run, project: Project, world: World
) -> None:
    world.behaviour = Behaviour(ending=Stuck(fraction=0.5))
    run("reconcile")
    run("cancel", "job")
    run(*WAITING)
    [job] = run.status()
    assert job["state"] == "cancelled"
    assert [batch["status"] for batch in job["batches"]] == ["cancelled"] * 3
    good, bad = project.results()
    assert sorted(good + bad) == sorted(ids(12))
    assert job["requests"]["succeeded"] == len(good) == 5
    asked = len(world.requests)
    run("reconcile")
    assert len(world.requests) == asked
    assert "nothing is in flight" in run("cancel", "job").err
    run("cancel", "nobody", code=2)
    world.check_exactly_once()


def test_a_batch_that_is_refused_as_a_whole_fails_the_job_in_the_apis_own_words(
    run: Run, world: World
) -> None:
    world.behaviour = Behaviour(ending=Fail(problems=(MODEL_NOT_FOUND,)))
    end = run(*WAITING, code=1)
    assert MODEL_NOT_FOUND.message is not None
    assert MODEL_NOT_FOUND.message in end.err
    assert run.status()[0]["state"] == "failed"


def test_a_token_limit_is_waited_for(run: Run, project: Project, world: World) -> None:
    world.behaviour = in_turn(Behaviour(), Behaviour(ending=Fail()), Behaviour())
    run(*WAITING)
    project.check_results(ids(12))
    world.check_uploads_once()


def test_a_reader_that_has_seen_enough_is_no_failure(run: Run, project: Project) -> None:
    run(*WAITING)
    for command in (("status", "--json"), ("show", "job"), ("plan",), ("--help",)):
        process = project.start(*command)
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        end = ended(process)
        assert (end.code, end.err) == (0, ""), command


# where it works -------------------------------------------------------------------------------


def test_a_project_is_found_from_below_and_from_afar(
    launcher: Launcher, project: Project, world: World, tmp_path: Path
) -> None:
    below = Project(root=project.root / "specs", environment=project.environment)
    assert launcher.run(below, "reconcile").code == 0
    afar = Project(root=tmp_path, environment=project.environment)
    assert launcher.run(afar, "-C", str(project.root), *WAITING).code == 0
    assert launcher.run(afar, "-C", str(project.root / "specs"), "status", "job").code == 0
    assert launcher.run(afar, "-C", str(tmp_path / "nowhere"), "status").code == 2
    assert list(tmp_path.iterdir()) == []
    assert not (project.root / "specs" / ".runner").exists()
    project.check_results(ids(12))
    check_all_asked_once(world, ids(12), batches=4)


def test_a_spec_and_two_variables_are_enough(
    memory_path: Path, server: Server, world: World, launcher: Launcher
) -> None:
    project = Project(root=memory_path / "bare")
    project.environment["OPENAI_BASE_URL"] = server.base_url
    project.write("specs/job.yaml", SPEC)
    project.write("requests.jsonl", request_lines(12))
    end = launcher.run(project, *WAITING)
    assert end.code == 0, end
    project.check_results(ids(12))
    check_all_asked_once(world, ids(12), batches=2)
    launcher.check_idle(project, world)


def test_what_init_makes_runs_at_once(memory_path: Path, launcher: Launcher) -> None:
    project = Project(root=memory_path)
    del project.environment["OPENAI_API_KEY"]
    made = launcher.run(project, "init", "new")
    assert (made.code, made.out) == (0, ""), made
    new = Project(root=memory_path / "new", environment=project.environment)
    end = launcher.run(new, "reconcile", "--wait")
    assert end.code == 0, end
    assert len((new.root / "outputs/hello/latest/output.jsonl").read_bytes().splitlines()) > 0
    launcher.check_idle(new, None)


def test_the_key_is_nowhere(project: Project, world: World) -> None:
    world.faults = trouble.on("POST", "/batches", trouble.server_error(acted=True))
    commands = [
        ("plan",),
        ("reconcile", "-v"),
        (*WAITING, "-v"),
        ("status", "--json"),
        ("show", "job", "--json"),
        ("plan", "--json"),
    ]
    ends = [project.run(*command) for command in commands]
    project.check_results(ids(12))
    project.check_nothing_secret(*ends)
    record = json.loads((project.root / "outputs/job/latest/run.json").read_bytes())
    assert record["job"] == "job"
    check_all_asked_once(world, ids(12), batches=4)
