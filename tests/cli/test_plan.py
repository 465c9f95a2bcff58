"""`runner plan` as an explanation: what changed, what it costs, what the user has to do."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.conftest import BAD_SPEC, FINISH
from tests.report.schemas import check
from tests.simulation.behaviour import Behaviour, HttpError, by_id
from tests.simulation.scene import request_line, submit

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.http import Server
    from tests.simulation.world import VirtualClock, World


def lines(*names: str, ask: str | None = None) -> bytes:
    """Return request lines as `Folder.job` writes them; with `ask` they ask that."""
    whole = b"".join(request_line(name, model="echo") for name in names)
    return (
        whole
        if ask is None
        else re.sub(rb'"content": "[^"]*"', b'"content": "%b"' % ask.encode(), whole)
    )


def told(run: Run, *arguments: str) -> str:
    """Return what a plan says, without its layout."""
    done = run("plan", *arguments)
    assert (done.code, done.err) == (0, "")
    return " ".join(done.out.split())


def shape(run: Run) -> dict[str, Any]:
    """Return the plan as JSON, which keeps to its schema."""
    printed: dict[str, Any] = json.loads(run("plan", "--json").out)
    check("plan", printed)
    return printed


def since(run: Run) -> dict[str, Any]:
    """Return what the plan's JSON says has changed of the only job."""
    [job] = shape(run)["jobs"]
    changed: dict[str, Any] = job["since"]
    return changed


def commit(folder: Folder) -> str:
    """Commit all of a project; return the commit."""
    for command in ("init -q", "add data specs", "commit -qm x"):
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *command.split()],
            cwd=folder.root,
            check=True,
        )
    shown = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder.root, check=True, capture_output=True, text=True
    )
    return shown.stdout.strip()


def edit_input(folder: Folder) -> None:
    """Take a request of `finished` away, add one, ask another thing with a third."""
    folder.write("data/hello.jsonl", lines("hello-1") + lines("hello-2", "new", ask="other"))


def test_an_edit_that_changes_no_answer_is_shown_with_what_it_reaches(
    run: Run, finished: Folder
) -> None:
    assert since(run) is None
    finished.job(more="# why\nmetadata: {project: acl}\nretry: {attempts: 5}\n")

    text = told(run)

    assert (
        "+ spec metadata.project: acl — costs nothing; it reaches batches that are not created yet"
        in text
    )
    assert "~ spec retry.attempts: 3 → 5 — costs nothing; it reaches requests" in text
    assert " rows " not in text
    assert since(run)["same_revision"]


def test_an_edit_of_no_key_says_so(run: Run, finished: Folder) -> None:
    finished.job(more="# why\n")

    assert "~ spec no field changed: comments, layout or path of the file — costs nothing" in told(
        run
    )
    assert since(run)["spec"] == []


def test_what_makes_another_revision_is_marked(run: Run, finished: Folder) -> None:
    [before] = json.loads(run("status", "--json").out)
    finished.job(more="replicate: 2\ncompletion_window: 24h\ncanary: 2\n")

    text = told(run)

    assert f"before {before['revision']}; its results stay in outputs/hello/" in text
    assert "~ spec replicate: 1 → 2 — makes another revision" in text
    assert "+ spec canary: 2 — costs nothing by itself" in text
    assert "completion_window" not in text, "the default, written out"
    assert since(run)["requests"] is None


def test_another_address_of_the_provider_makes_another_revision(run: Run, finished: Folder) -> None:
    text = (finished.root / "runner.yaml").read_text()
    finished.write("runner.yaml", text.replace("127.0.0.1", "localhost"))

    assert "~ spec base_url: http://127.0.0.1:" in told(run)


def test_an_edit_undone_returns_to_what_was_asked(run: Run, finished: Folder) -> None:
    finished.job(more="replicate: 2\n")
    run(*FINISH)
    finished.job()

    text = told(run)

    assert "~ spec replicate: 2 → 1 — makes another revision" in text
    assert (
        "the spec describes this revision again; requests that succeeded are not submitted again"
        in text
    )
    assert "changes no answer" not in text


def test_rows_are_compared_with_what_git_has(run: Run, finished: Folder) -> None:
    # The results came first and the commit later, as it happens.
    known = commit(finished)
    edit_input(finished)
    commit(finished)

    assert (
        f"~ rows 1 added, 1 removed, 1 changed, 1 unchanged (compared with commit {known[:7]}) — "
        "a new revision submits all 3 requests"
    ) in told(run)
    assert since(run)["requests"] == {
        "added": 1,
        "removed": 1,
        "kept": 2,
        "changed": 1,
        "source": f"commit {known[:7]}",
    }


def test_rows_are_compared_with_the_earlier_file_if_it_is_there(run: Run, finished: Folder) -> None:
    finished.write("data/other.jsonl", lines("hello-2", "hello-1", "hello-0"))
    spec = (finished.root / "specs" / "hello.yaml").read_text()
    finished.write("specs/hello.yaml", spec.replace("data/hello", "data/other"))

    text = told(run)

    assert "~ spec input: data/hello.jsonl → data/other.jsonl — costs nothing by itself" in text
    assert "~ rows the same 3 requests in another order (compared with data/hello.jsonl)" in text


def test_without_git_the_ids_tell_what_came_and_went(run: Run, finished: Folder) -> None:
    edit_input(finished)

    assert (
        "~ rows 1 added, 1 removed; whether the other 2 requests changed is not known (compared "
        "with the custom_ids that were kept)"
    ) in told(run)
    assert since(run)["requests"]["changed"] is None


def test_without_ids_the_results_tell_what_came_and_went(run: Run, finished: Folder) -> None:
    for kept in (finished.root / ".runner" / "ids").iterdir():
        kept.unlink()
    finished.write("data/hello.jsonl", lines("hello-0", "hello-1", "hello-2", ask="other"))

    assert (
        "~ rows none added or removed; whether the other 3 requests changed is not known (compared "
        in (told(run))
    )


def test_what_nobody_can_know_is_not_guessed(run: Run, finished: Folder) -> None:
    for kept in (finished.root / ".runner" / "ids").iterdir():
        kept.unlink()
    for output in finished.root.glob("outputs/hello/*/output.jsonl"):
        output.write_bytes(b"nonsense\n")
    edit_input(finished)

    text = told(run)

    assert "? rows the changed requests are not known: the earlier input is not here" in text
    assert set(since(run)["requests"].values()) == {None}


def test_a_job_under_a_new_name_is_told_to_be_the_old_one(run: Run, finished: Folder) -> None:
    (finished.root / "specs" / "hello.yaml").rename(finished.root / "specs" / "bye.yaml")
    spec = (finished.root / "specs" / "bye.yaml").read_text()
    finished.write("specs/bye.yaml", spec.replace("name: hello", "name: bye"))

    text = told(run)

    assert "~ spec name: hello → bye — costs nothing; the run and its outputs move along" in text


def test_a_plan_estimates_the_prompt_tokens(run: Run, lab: Folder) -> None:
    lab.job(rows=100)
    size = (lab.root / "data" / "hello.jsonl").stat().st_size
    plan = shape(run)

    assert (plan["summary"]["tokens"], plan["summary"]["tokens_exact"]) == (
        round(size / 3.5),
        False,
    )
    assert "prompt tokens at 3.5 bytes each)." in told(run)


def test_a_plan_tells_prompt_tokens_that_were_counted(run: Run, lab: Folder) -> None:
    config = (lab.root / "runner.yaml").read_text()
    lab.write("runner.yaml", config + "    max_enqueued_tokens: 1000000\n")
    lab.job(rows=2)
    lab.write("data/hello.jsonl", lines("a", "b").replace(b'"echo"', b'"gpt-4o"'))

    text = told(run)

    [action] = [action for action in shape(run)["actions"] if action["action"] == "submit"]
    assert action["tokens_exact"]
    assert f"{action['tokens']} prompt tokens)." in text
    assert "about" not in text


def test_what_ended_without_an_answer_is_left_to_retry(run: Run, lab: Folder, world: World) -> None:
    lab.job()
    world.behaviour = Behaviour(answer=by_id({"hello-1": HttpError(status=400, code="bad")}))
    run(*FINISH)

    text = told(run)

    assert (
        "manual steps: hello: 1 request ended without a successful response: not submitted again — "
        "`runner retry hello` Nothing to do: 1 job up to date."
    ) in text
    run("retry", "hello")
    run(*FINISH)
    [left] = shape(run)["left_to_you"]
    assert (left["kind"], left["command"]) == ("unanswered", "runner retry hello")


def test_a_finished_job_leaves_nothing_to_anybody(run: Run, finished: Folder) -> None:
    assert finished.root.is_dir()

    assert "manual steps" not in run("plan").out


def test_what_is_in_flight_for_an_older_spec_is_left_to_cancel(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job()
    lab.job("other")
    world.behaviour = Behaviour(working=100)
    run("reconcile")
    lab.job(more="replicate: 2\n")
    (lab.root / "specs" / "other.yaml").unlink()

    plan = shape(run)

    assert [(left["kind"], left["job"], left["command"]) for left in plan["left_to_you"]] == [
        ("older_revision", "hello", "runner cancel hello"),
        ("no_spec", "other", "runner cancel other"),
    ]
    assert "not cancelled, since what is in flight is paid for" in told(run)
    assert f"before {plan['jobs'][0]['since']['revision']}; its results go to" in told(run)
    run("reconcile")
    assert "cancelling stops the new revision, too" in told(run)
    run("cancel", "hello")
    kinds = [left["kind"] for left in shape(run)["left_to_you"]]
    assert kinds == ["unanswered", "no_spec"]


def test_batches_of_others_are_counted_and_left_alone(run: Run, lab: Folder, world: World) -> None:
    submit(world, lines("x"))
    submit(world, lines("y"), "gone/0123456789ab/0001/1")
    lab.job()

    text = told(run)

    assert (
        "lab: 1 batch with submission keys of no job here: not touched — `runner orphans`" in text
    )
    assert (
        "lab: 1 batch made by others: never touched, nor adopted — "
        "`runner adopt BATCH_ID --job NAME`"
    ) in text


def test_a_plan_looks_before_it_says_what_would_be_submitted(
    run: Run, lab: Folder, world: World
) -> None:
    config = (lab.root / "runner.yaml").read_text()
    lab.write("runner.yaml", config + "    max_requests_per_batch: 2\n    max_active_batches: 1\n")
    lab.job(rows=4)
    world.behaviour = Behaviour(working=100)
    run("reconcile")

    text = told(run)

    assert ". wait shard 2 — 1 batch is in flight at lab already" in text
    assert "is looked at first" not in text


def test_a_plan_is_what_reconcile_then_does(run: Run, lab: Folder, world: World) -> None:
    lab.job(rows=3)
    plan = run("plan")
    assert (plan.code, plan.err) == (0, "")
    assert plan.out.splitlines()[-1].startswith("In total: submit 1 batch (3 requests, ")
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
    assert "In total: submit 1 batch" in done.out
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
