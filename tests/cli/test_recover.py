"""Recovery: `runner rebuild`, `runner adopt` and `runner orphans`."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import FINISH, states
from tests.report.schemas import check
from tests.simulation.behaviour import Behaviour, Conditions, Expire
from tests.simulation.scene import create, request_line, submit, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.world import VirtualClock, World

SLOW = Behaviour(working=1000)


def lines(*custom_ids: str) -> bytes:
    return b"".join(request_line(custom_id, model="echo") for custom_id in custom_ids)


def ledger_of(folder: Folder) -> Path:
    return folder.root / ".runner/ledger.db"


# rebuild ---------------------------------------------------------------------------------------


def test_rebuild_brings_back_what_is_finished_and_what_is_in_flight(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job("old", rows=2)
    assert run(*FINISH).code == 0
    lab.job("old", rows=3)
    assert run(*FINISH).code == 0
    lab.job("new", rows=4)
    world.behaviour = SLOW
    run("reconcile")
    lab.job("never", rows=5)
    before = len(world.requests)
    shutil.rmtree(lab.root / ".runner")

    done = run("rebuild")

    assert done.code == 0, done
    assert "2 finished runs from the outputs, 1 job with batches at a provider" in done.err
    assert {each.method for each in world.requests[before:]} == {"GET"}
    assert states(run) == {"old": "succeeded", "new": "running", "never": "pending"}
    with closing(sqlite3.connect(ledger_of(lab))) as ledger:
        assert ledger.execute("SELECT count(*) FROM runs").fetchone() == (3,)
    batches = len(world.submissions())
    run("reconcile", "new", "old")
    assert len(world.submissions()) == batches


def test_a_sound_ledger_is_left_alone(run: Run, finished: Folder) -> None:
    content = ledger_of(finished).read_bytes()
    done = run("rebuild")
    assert done.code == 2
    assert "is intact and has 1 run" in done.err
    assert ledger_of(finished).read_bytes() == content


def test_force_puts_a_sound_ledger_aside(run: Run, finished: Folder) -> None:
    done = run("rebuild", "--force")
    assert done.code == 0, done
    [aside] = [
        path for path in finished.root.glob(".runner/ledger.db.2*") if path.suffix[1:].isalnum()
    ]
    assert str(aside) in done.err
    with closing(sqlite3.connect(aside)) as kept:
        assert kept.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    assert states(run) == {"hello": "succeeded"}


@pytest.mark.parametrize("damage", ["header", "page", "truncated"])
def test_a_damaged_ledger_is_put_aside(
    run: Run, finished: Folder, world: World, damage: str
) -> None:
    path = ledger_of(finished)
    for journal in finished.root.glob(".runner/ledger.db-*"):
        journal.unlink()
    content = bytearray(path.read_bytes())
    if damage == "header":
        content[:64] = b"x" * 64
    elif damage == "page":
        content[4096:20_480] = b"\xff" * 16_384
    else:
        del content[len(content) // 2 :]
    path.write_bytes(content)
    batches = len(world.submissions())

    refused = run("reconcile")
    assert refused.code == 1
    assert "runner rebuild" in refused.err

    assert run("rebuild").code == 0
    assert states(run) == {"hello": "succeeded"}
    assert run("reconcile").code == 0
    assert len(world.submissions()) == batches


def test_a_ledger_of_a_later_version_is_no_damaged_one(run: Run, finished: Folder) -> None:
    with closing(sqlite3.connect(ledger_of(finished))) as ledger:
        ledger.execute("PRAGMA user_version = 99")
    done = run("rebuild")
    assert done.code == 1
    assert "upgrade runner" in done.err


def test_outputs_that_do_not_fit_their_record_are_told_of(run: Run, finished: Folder) -> None:
    output = finished.root / "outputs/hello/latest/output.jsonl"
    output.write_bytes(output.read_bytes() + b"{}\n")
    shutil.rmtree(finished.root / ".runner")
    done = run("rebuild")
    assert "does not match the files in its folder; this run is not restored" in done.err
    assert done.code == 1


def test_a_provider_out_of_reach_is_told_of(run: Run, lab: Folder, world: World) -> None:
    lab.job()
    world.conditions = Conditions(list_missing=None)
    lab.env["LAB_KEY"] = "sk-wrong"
    done = run("rebuild")
    assert done.code == 1
    assert "LAB_KEY" in done.err


# adopt -----------------------------------------------------------------------------------------


def test_adopt(run: Run, lab: Folder, world: World) -> None:
    lab.job(rows=3)
    mine = submit(world, lines("hello-2", "hello-0", "hello-1"))

    done = run("adopt", mine, "--job", "hello")

    assert (done.code, done.out) == (0, "")
    assert f"adopted {mine} (3 requests" in done.err
    assert run(*FINISH).code == 0
    assert states(run) == {"hello": "succeeded"}
    assert len(world.submissions()) == 1
    assert len((lab.root / "outputs/hello/latest/output.jsonl").read_bytes().splitlines()) == 3


@pytest.mark.parametrize("way", ["reconcile", "rebuild"])
def test_an_adopted_batch_is_known_without_a_ledger(
    run: Run, lab: Folder, world: World, way: str
) -> None:
    lab.job(rows=3)
    world.behaviour = SLOW
    mine = submit(world, lines("hello-0", "hello-1", "hello-2"))
    assert run("adopt", mine, "--job", "hello").code == 0
    shutil.rmtree(lab.root / ".runner")
    assert run(way).code == 0
    assert states(run) == {"hello": "running"}
    assert run("reconcile").code == 0
    assert len(world.submissions()) == 1


def test_what_an_adopted_batch_leaves_is_asked_by_runner(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job(rows=4)
    world.behaviour = Behaviour(ending=Expire(fraction=0.5))
    mine = submit(world, lines("hello-0", "hello-1"))
    assert run("adopt", mine, "--job", "hello").code == 0
    world.behaviour = Behaviour()
    assert run(*FINISH).code == 0
    assert [len(batch.rows) for batch in world.submissions()] == [2, 3]
    world.check_exactly_once()


def test_adopt_does_not_care_for_the_layout_of_a_request(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job(rows=2)
    documents = [json.loads(line) for line in lines("hello-0", "hello-1").splitlines()]
    mine = submit(
        world,
        b"".join(
            json.dumps(
                dict(reversed(document.items())), indent=None, separators=(" , ", " : ")
            ).encode()
            + b"\r\n"
            for document in documents
        ),
    )
    assert run("adopt", mine, "--job", "hello").code == 0


def test_a_batch_that_asks_something_else_is_not_adopted(
    run: Run, lab: Folder, world: World
) -> None:
    lab.job(rows=2)
    other = submit(world, lines("hello-0", "x1", "x2"))
    refused = run("adopt", other, "--job", "hello")
    assert refused.code == 2
    assert "has 2 requests that data/hello.jsonl does not have: x1, x2" in refused.err

    changed = submit(world, lines("hello-0", "hello-1").replace(b'"echo"', b'"bell"'))
    refused = run("adopt", changed, "--job", "hello")
    assert refused.code == 2
    assert "2 requests differ, hello-0, hello-1" in refused.err

    nothing = run("adopt", "batch_nowhere", "--job", "hello")
    assert nothing.code == 1
    assert states(run) == {"hello": "pending"}


def test_a_batch_is_adopted_once(run: Run, lab: Folder, world: World) -> None:
    lab.job(rows=2)
    mine = submit(world, lines("hello-0", "hello-1"))
    again = submit(world, lines("hello-0", "hello-1"))
    assert run("adopt", mine, "--job", "hello").code == 0
    refused = run("adopt", mine, "--job", "hello")
    assert refused.code == 2
    assert "belongs to this ledger already" in refused.err
    refused = run("adopt", again, "--job", "hello")
    assert refused.code == 2
    assert f"requests of {again} are in flight already" in refused.err


def test_what_is_answered_is_not_adopted(run: Run, finished: Folder, world: World) -> None:
    assert finished.root.exists()
    mine = submit(world, lines("hello-0", "hello-1", "hello-2"))
    refused = run("adopt", mine, "--job", "hello")
    assert refused.code == 2
    assert "has ended already" in refused.err


def test_a_batch_over_a_file_that_is_gone_is_not_adopted(
    run: Run, lab: Folder, world: World, clock: VirtualClock
) -> None:
    lab.job(rows=2)
    world.behaviour = SLOW
    world.conditions = Conditions(file_life=100)
    mine = submit(world, lines("hello-0", "hello-1"))
    clock.sleep(200)
    refused = run("adopt", mine, "--job", "hello")
    assert refused.code == 2
    assert "so its requests are unknown" in refused.err


def test_a_batch_over_several_shards_names_the_way_out(run: Run, lab: Folder, world: World) -> None:
    lab.job(rows=4)
    config = (lab.root / "runner.yaml").read_text()
    lab.write("runner.yaml", config + "    max_requests_per_batch: 3\n")
    mine = submit(world, lines("hello-0", "hello-1", "hello-2", "hello-3"))
    refused = run("adopt", mine, "--job", "hello")
    assert refused.code == 2
    assert "max_requests_per_batch of provider lab can be set to 4" in refused.err


# orphans ---------------------------------------------------------------------------------------


def test_what_a_project_knows_is_no_orphan(run: Run, finished: Folder) -> None:
    assert finished.root.exists()
    done = run("orphans")
    assert (done.code, done.err) == (0, "")
    assert done.out == "no orphans\n"


def test_orphans(run: Run, finished: Folder, world: World) -> None:
    [mine] = world.submissions()
    key = str(mine.metadata["runner"]).split(" ")[0]
    gone = create(
        world,
        upload(world, lines("a"), "gone-0123456789ab-0001-1.jsonl"),
        "gone/0123456789ab/0001/1",
    ).document()["id"]
    twice = create(world, str(mine.input_file_id), key).document()["id"]
    lost = upload(world, lines("b"), "gone-0123456789ab-0002-1.jsonl")
    upload(world, lines("c"), "somebody-elses.jsonl")

    done = run("orphans", "--json")

    assert done.code == 0, done
    printed = json.loads(done.out)
    check("orphans", printed)
    found = {each["id"]: each for each in printed["orphans"]}
    assert found.keys() == {gone, twice, lost}
    assert "no spec is called gone" in found[gone]["why"]
    assert "a second batch" in found[twice]["why"]
    assert found[lost]["kind"] == "file"
    text = run("orphans").out
    assert f"lab  batch  {gone}" in text
    assert not any(each.method == "DELETE" for each in world.requests)
    assert finished.root.exists()


def test_orphans_says_who_could_not_be_asked(run: Run, finished: Folder) -> None:
    finished.env["LAB_KEY"] = "sk-wrong"
    done = run("orphans")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: lab: lab answered GET /batches with 401 ")
