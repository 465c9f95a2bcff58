"""Recovery in the middle of something: after a kill, too early, over something else."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from runner.errors import LedgerError
from runner.ledger import submission_transitions
from runner.ledger.store import Ledger
from runner.reconcile.concurrency import TaskRunner, ThreadExecutor
from tests.cli.conftest import states
from tests.simulation.behaviour import Behaviour, Conditions, ListFault
from tests.simulation.faults import Death
from tests.simulation.scene import request_line, submit

if TYPE_CHECKING:
    from runner.reconcile.concurrency import Steps
    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.world import World

SLOW = Behaviour(working=1000)


def lines(count: int, name: str = "hello") -> bytes:
    return b"".join(request_line(f"{name}-{number}", model="echo") for number in range(count))


def sizes(world: World) -> list[int]:
    return [len(batch.rows) for batch in world.submissions()]


@pytest.mark.parametrize("step", ["prepare", "submitted"])
def test_an_adoption_that_is_killed_half_way_is_finished_by_the_next_pass(
    run: Run, lab: Folder, world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    lab.job(rows=6)
    world.behaviour = SLOW
    mine = submit(world, lines(6))

    def die(*_arguments: object, **_more: object) -> None:
        raise Death

    with monkeypatch.context() as patch:
        patch.setattr(submission_transitions, step, die)
        with pytest.raises(Death):
            run("adopt", mine, "--job", "hello")

    assert run("reconcile").code == 0
    assert sizes(world) == [6]
    assert states(run) == {"hello": "running"}


def test_a_finished_job_without_its_ledger_is_not_begun_again_by_adopt(
    run: Run, finished: Folder, world: World
) -> None:
    shutil.rmtree(finished.root / ".runner")
    mine = submit(world, lines(3))
    refused = run("adopt", mine, "--job", "hello")
    assert refused.code == 2
    assert "runner rebuild" in refused.err
    assert run("reconcile").code == 0
    assert states(run) == {"hello": "succeeded"}


def test_a_renamed_job_goes_to_reconcile_first(run: Run, lab: Folder, world: World) -> None:
    lab.job(rows=6)
    world.behaviour = SLOW
    run("reconcile")
    spec = lab.root / "specs/hello.yaml"
    spec.write_text(spec.read_text().replace("name: hello", "name: other"))
    mine = submit(world, lines(6))
    refused = run("adopt", mine, "--job", "other")
    assert refused.code == 2
    assert "run `runner reconcile` first" in refused.err


def test_a_list_that_cannot_be_read_to_its_end_hands_out_no_keys(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job(rows=2)
    mine = submit(world, lines(2))
    world.conditions = Conditions(list_fault=ListFault.REPEATED)
    for number in range(150):
        submit(world, request_line(f"x{number}"))
    refused = run("adopt", mine, "--job", "hello")
    assert refused.code == 1
    assert "which keys are used" in refused.err
    assert states(run) == {"hello": "pending"}


def test_a_batch_of_another_revision_of_ours_stays_adopted_without_a_ledger(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job(rows=4)
    world.behaviour = SLOW
    run("reconcile")
    [old] = world.submissions()
    shutil.rmtree(lab.root / ".runner")
    lab.job(rows=4, more="replicate: 2\n")
    assert run("adopt", str(old.batch_id), "--job", "hello").code == 0
    shutil.rmtree(lab.root / ".runner")
    assert run("reconcile").code == 0
    assert sizes(world) == [4]


def test_an_input_laid_out_anew_is_compared_all_the_same(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job(rows=4)
    limits = "    max_requests_per_batch: 2\n    max_active_batches: 1\n"
    lab.write("runner.yaml", (lab.root / "runner.yaml").read_text() + limits)
    world.behaviour = SLOW
    run("reconcile")
    data = lab.root / "data/hello.jsonl"
    data.write_bytes(data.read_bytes().replace(b"\n", b"\r\n\r\n"))
    mine = submit(world, b"".join(lines(4).splitlines(keepends=True)[2:]))
    done = run("adopt", mine, "--job", "hello")
    assert done.code == 0, done
    run("reconcile")
    assert sizes(world) == [2, 2]


@pytest.mark.parametrize("identifier", ["", " ", "batch_\udcff", "batch\x1b[2J"])
def test_what_is_no_id_is_refused(run: Run, lab: Folder, identifier: str) -> None:
    lab.job()
    refused = run("adopt", identifier, "--job", "hello")
    assert refused.code == 2
    assert "is empty or contains characters that cannot be printed" in refused.err


@pytest.mark.parametrize(
    "odd", ["[" * 100_000, json.dumps({"format_version": 1}), "1e999", '{"format_version": 1e400}']
)
def test_a_record_that_is_none_ends_in_words(run: Run, finished: Folder, odd: str) -> None:
    (finished.root / "outputs/hello/latest/run.json").write_text(odd)
    done = run("rebuild", "--force")
    assert done.code == 1
    assert "is not restored" in done.err


@pytest.mark.parametrize("odd", ["number", "text"])
def test_a_record_that_no_ledger_can_keep_ends_in_words(
    run: Run, finished: Folder, odd: str
) -> None:
    path = finished.root / "outputs/hello/latest/run.json"
    record = json.loads(path.read_bytes())
    if odd == "number":
        record["input"]["bytes"] = 10**30
    else:
        record["reason"] = "\ud800"
    path.write_text(json.dumps(record))
    done = run("rebuild", "--force")
    assert done.code == 1
    assert "cannot keep" in done.err


def test_a_ledger_put_aside_under_a_running_process_is_noticed(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job(rows=2)
    world.behaviour = SLOW
    run("reconcile")
    path = lab.root / ".runner/ledger.db"
    with Ledger.open(path, clock=lambda: 0.0) as ledger:
        ledger.require_in_place()
        assert run("rebuild", "--force").code == 0
        with pytest.raises(
            LedgerError, match="was renamed or deleted while this command was running"
        ):
            ledger.require_in_place()


def test_answers_for_a_crew_that_was_left_reach_nobody_else() -> None:
    executor = ThreadExecutor(2)
    heard: list[str] = []

    def steps(name: str) -> Steps:
        heard.append((yield lambda: f"for {name}"))

    abandoned = TaskRunner(executor)
    abandoned.begin(steps("the first"), size=0, on_end=lambda _: None)
    second = TaskRunner(executor)
    second.begin(steps("the second"), size=0, on_end=lambda _: None)
    second.finish()
    assert heard == ["for the second"]
