"""`runner verify`: one line for what matches, details for what was changed."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

import pytest

from runner.files import part_of
from tests.cli.conftest import FINISH
from tests.cli.records import edit, finish_mixed, flip, revision
from tests.simulation.behaviour import Behaviour, HttpError, first_time
from tests.simulation.scene import request_line, submit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.world import World


@pytest.fixture
def mixed(lab: Folder, run: Run, world: World) -> Folder:
    return finish_mixed(lab, run, world)


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return every file below a folder; readers of SQLite leave two empty ones of their own."""
    return {
        str(path): (path.lstat().st_mtime_ns, path.read_bytes())
        for path in root.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def test_what_is_whole_is_a_line(run: Run, finished: Folder) -> None:
    name = revision(finished).name
    before = tree(finished.root)

    done = run("verify")

    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"hello  {name}  ok: input, 1 raw file, output.jsonl 3 lines, errors.jsonl 0 lines\n"
        "\n1 revision checked: all as recorded\n"
    )
    assert tree(finished.root) == before


@pytest.mark.usefixtures("mixed")
def test_failures_and_lines_of_our_own_are_whole_as_well(run: Run) -> None:
    done = run("verify")

    assert done.code == 0
    assert "output.jsonl 3 lines, errors.jsonl 2 lines" in done.out


def test_requests_that_were_asked_again_are_found_in_either_attempt(
    lab: Folder, run: Run, world: World
) -> None:
    lab.job(rows=4)
    world.behaviour = Behaviour(answer=first_time({"hello-2": HttpError(status=500)}))
    assert run(*FINISH).code == 0

    done = run("verify")

    assert done.code == 0
    assert "output.jsonl 4 lines" in done.out


@pytest.mark.parametrize("lost", [".runner", "specs", "data"])
def test_it_works_with_what_is_left(run: Run, finished: Folder, lost: str) -> None:
    shutil.rmtree(finished.root / lost)
    (finished.root / "specs").mkdir(exist_ok=True)

    done = run("verify")

    if lost == "data":
        assert (done.code, "data/hello.jsonl" in done.err) == (2, True)
        assert "note: input data/hello.jsonl does not exist any more" in done.out
    else:
        assert done.code == 0
        assert "ok: input, 1 raw file" in done.out


def test_it_needs_no_key_and_asks_nobody(run: Run, finished: Folder, world: World) -> None:
    asked = len(world.requests)
    finished.env.clear()

    assert run("verify").code == 0
    assert len(world.requests) == asked


@pytest.mark.parametrize("name", ["output.jsonl", "errors.jsonl", "raw/0001-1.output.jsonl"])
def test_a_flipped_bit_is_found(run: Run, mixed: Folder, name: str) -> None:
    path = revision(mixed) / name
    was = hashlib.sha256(path.read_bytes()).hexdigest()
    flip(path)

    done = run("verify")

    assert done.code == 1
    assert f"hello  {revision(mixed).name}  does not match" in done.out
    text = " ".join(done.out.split())
    size = f"{path.stat().st_size:,} B"
    now = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"{name} differs: expected {was} ({size}), found {now} ({size})" in text
    assert done.out.endswith("\n1 revision checked: 1 not as recorded\n")


@pytest.mark.parametrize("name", ["output.jsonl", "errors.jsonl", "raw/0001-1.output.jsonl"])
def test_a_file_that_is_gone_is_found(run: Run, mixed: Folder, name: str) -> None:
    (revision(mixed) / name).unlink()

    done = run("verify")

    assert done.code == 1
    assert f"{name} is missing: expected " in done.out


def test_a_record_that_is_gone_is_missed_by_the_ledger(run: Run, finished: Folder) -> None:
    (revision(finished) / "run.json").unlink()

    done = run("verify")

    assert done.code == 1
    assert "run.json is missing" in done.out


def test_a_stray_in_raw_is_found_and_one_beside_it_told(run: Run, finished: Folder) -> None:
    (revision(finished) / "scores.csv").write_text("1")
    done = run("verify")
    assert done.code == 0
    assert "note: scores.csv is not of this run" in done.out

    part_of(revision(finished) / "raw/0001-1.output.jsonl").write_text("{")
    done = run("verify")
    assert done.code == 0
    assert "is part of a download that was interrupted" in " ".join(done.out.split())

    (revision(finished) / "raw/0002-1.output.jsonl").write_text("")
    done = run("verify")
    assert done.code == 1
    assert "raw/0002-1.output.jsonl is not in the record" in done.out


# The input.


def test_an_input_that_changed_in_place_is_a_mismatch_until_it_was_asked(
    run: Run, finished: Folder
) -> None:
    finished.job(rows=4)
    done = run("verify")
    assert done.code == 1
    assert "input data/hello.jsonl has changed since this revision: expected " in " ".join(
        done.out.split()
    )

    assert run(*FINISH).code == 0
    done = run("verify")
    assert done.code == 0
    assert done.out.count("note: input data/hello.jsonl has changed since this revision") == 1
    assert done.out.endswith("\n2 revisions checked: all as recorded\n")

    finished.job(rows=3)
    done = run("verify")
    assert done.code == 0
    assert done.out.count("ok: input,") == 1


def test_a_spec_that_asks_for_something_else_says_nothing_against_what_was(
    run: Run, finished: Folder
) -> None:
    finished.job(rows=4, more="replicate: 2\n")

    done = run("verify")

    assert done.code == 0
    assert "note: input data/hello.jsonl has changed since this revision" in done.out


def test_other_line_ends_are_the_same_input(run: Run, finished: Folder) -> None:
    path = finished.root / "data/hello.jsonl"
    path.write_bytes(b"\n\r\n" + path.read_bytes().replace(b"\n", b"\r\n"))

    done = run("verify")

    assert (done.code, "ok: input," in done.out) == (0, True)


def test_an_input_is_cut_as_it_was_then(run: Run, finished: Folder) -> None:
    config = finished.root / "runner.yaml"
    config.write_text(config.read_text() + "    max_requests_per_batch: 2\n")
    path = finished.root / "data/hello.jsonl"
    path.write_bytes(b"\n" + path.read_bytes())

    assert "ok: input," in run("verify").out
    edit(
        revision(finished) / "run.json",
        lambda record: (
            record["shards"][0].update(sha256="0" * 64),
            record["shards"][0]["submissions"][0].update(sha256="0" * 64),
        ),
    )
    assert "does not reproduce the files of shard 1" in run("verify").out


# Selections.


def test_jobs_are_selected_by_name(run: Run, lab: Folder) -> None:
    lab.job("one")
    lab.job("two")
    assert run(*FINISH).code == 0
    flip(revision(lab, "two") / "output.jsonl")

    assert run("verify", "one").code == 0
    assert run("verify", "two").code == 1
    (lab.root / "specs/one.yaml").unlink()
    assert run("verify", "one").out.startswith("one  ")
    assert run("verify", "one").code == 0


def test_a_job_of_which_nothing_is_finished(run: Run, lab: Folder) -> None:
    lab.job()

    everything, named = run("verify"), run("verify", "hello")

    assert "hello: no finished revision yet" in everything.out
    assert (everything.code, named.code) == (0, 1)


@pytest.mark.parametrize("name", ["nothing", "../outputs/hello", "outputs/hello", ".."])
def test_what_is_no_job_is_a_usage_error(run: Run, finished: Folder, name: str) -> None:
    assert finished.root.is_dir()
    assert run("verify", name).code == 2


def test_a_revision_is_checked_once(run: Run, finished: Folder) -> None:
    assert (finished.root / "outputs/hello/latest").is_symlink()
    (finished.root / "outputs/again").symlink_to("hello")

    assert run("verify").out.count("hello  ") == 1


def test_a_broken_ledger_does_not_keep_from_checking(run: Run, finished: Folder) -> None:
    (finished.root / ".runner/ledger.db").write_bytes(b"no ledger" * 1000)

    done = run("verify")

    assert done.code == 1
    assert "1 revision checked: all as recorded" in done.out
    assert "the files are checked without the ledger" in done.err


# For programs.


def test_as_json(run: Run, mixed: Folder) -> None:
    flip(revision(mixed) / "output.jsonl")

    done = run("verify", "--json")
    shape = json.loads(done.out)

    assert (done.code, shape["format_version"], shape["matches"]) == (1, 1, False)
    [found] = shape["revisions"]
    assert found["job"] == "hello"
    assert found["folder"] == f"outputs/hello/{revision(mixed).name}"
    assert {file["name"]: file["match"] for file in found["files"]} == {
        "output.jsonl": "differs",
        "errors.jsonl": "ok",
        "raw/0001-1.output.jsonl": "ok",
        **{file["name"]: "ok" for file in found["files"] if file["name"].endswith("error.jsonl")},
    }
    assert found["input"]["match"] == "ok"
    assert shape["unfinished"] == []


def test_in_a_terminal_it_has_colours(run: Run, finished: Folder) -> None:
    assert "\x1b[32mok\x1b[0m: input" in finished.terminal("verify").text
    assert "\x1b" not in run("verify").out
    flip(revision(finished) / "output.jsonl")

    coloured = finished.terminal("verify", columns=60).text

    assert "\x1b[31mdoes not match\x1b[0m" in coloured
    assert "\x1b[31m1 revision checked: 1 not as recorded\x1b[0m" in coloured


def test_what_a_retry_has_fetched_meanwhile_is_no_stray(
    lab: Folder, run: Run, world: World
) -> None:
    lab.job(rows=3, more="retry: {attempts: 1}\n")
    world.behaviour = Behaviour(answer=first_time({"hello-2": HttpError(status=500)}))
    assert run(*FINISH).code == 1
    world.behaviour = Behaviour(working=10_000)
    assert run("retry", "hello").code == 0
    (revision(lab) / "raw/0001-2.output.jsonl").write_bytes(b"")

    done = run("verify")

    assert done.code == 0
    assert "note: the run was continued (running); its record describes the earlier end" in done.out


def test_a_batch_that_was_made_elsewhere_is_as_good(run: Run, lab: Folder, world: World) -> None:
    lab.job(rows=3)
    names = ("hello-2", "hello-0", "hello-1")
    mine = submit(world, b"".join(request_line(name, model="echo") for name in names))
    assert run("adopt", mine, "--job", "hello").code == 0
    assert run(*FINISH).code == 0

    done = run("verify")

    assert done.code == 0
    assert "note" not in done.out


@pytest.mark.parametrize("more", ["canary: 1\n", "keep_remote: false\n"])
def test_whatever_a_spec_may_ask_for_is_whole(run: Run, lab: Folder, more: str) -> None:
    lab.job(rows=4, more=more)
    assert run(*FINISH).code == 0

    done = run("verify")

    assert done.code == 0
    assert "note" not in done.out
