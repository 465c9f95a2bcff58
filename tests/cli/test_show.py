"""`runner show`: attempts, errors, other revisions, and what to do next."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from tests.cli.conftest import FINISH, REFUSAL
from tests.simulation.behaviour import Behaviour, HttpError, by_id

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.world import World


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
