"""Final names: where `output.jsonl` is, the rest of the same publication is."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from runner.errors import LocalFileError
from runner.files import name_of_part, part_of
from runner.inputs.row_set import RowSet
from runner.outputs.publish import (
    AttemptFiles,
    LineWriter,
    ShardAnswers,
    SourceFiles,
    point_latest,
    prepare,
    unpublish,
)

if TYPE_CHECKING:
    from runner.outputs.publish import Publication

NAMES = ("errors.jsonl", "output.jsonl", "run.json")


def prepared(run: Path, generation: int) -> Publication:
    """Prepare a run of two requests, one of them failed, that tells its generation in each file."""
    raw = run.parent / f"raw-{generation}"
    raw.parent.mkdir(exist_ok=True)
    body = {"id": "x", "generation": generation}
    error = {"code": f"generation-{generation}", "message": ""}
    lines = (
        {"custom_id": "a", "response": {"status_code": 200, "body": body}},
        {"custom_id": "b", "response": None, "error": error},
    )
    raw.write_text("".join(json.dumps(line) + "\n" for line in lines))
    shard = ShardAnswers(
        rows=RowSet.span(0, 2),
        ids=lambda: [(0, "a"), (1, "b")],
        answers=(AttemptFiles(attempt=1, files=(raw,)),),
    )
    return prepare(run, [shard])


def publish(run: Path, generation: int) -> None:
    prepared(run, generation).commit(f"generation-{generation}\n".encode())


def generations(run: Path) -> list[str]:
    """Return which generation each final file tells, by the name of the file."""
    contents = [(run / name).read_text() for name in NAMES if (run / name).exists()]
    return [
        "1" if '"generation": 1' in text or "generation-1" in text else "2" for text in contents
    ]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


CRASHING = """
import os, sys
from pathlib import Path
sys.path[:0] = [{root!r}, {tests!r}]
from test_publish_commit import publish

def crash(event, arguments):
    global remaining
    if event in ("open", "os.rename", "os.remove", "os.mkdir") and str(run) in str(arguments[0]):
        if remaining == 0:
            os._exit(9)
        remaining -= 1

for step in range(100):
    run, remaining = Path(sys.argv[1]) / str(step), step
    if sys.argv[2] == "earlier":
        publish(run, 1)
    child = os.fork()
    if child == 0:
        sys.addaudithook(crash)
        publish(run, 2)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
"""


@pytest.mark.parametrize("earlier", ["earlier", "first"])
def test_a_crash_at_any_step_keeps_the_promise(run: Path, earlier: str) -> None:
    """A process dies before its first, second, … change of its folder, until one lives."""
    tests = Path(__file__).parent
    program = CRASHING.format(root=str(tests.parent.parent), tests=str(tests))
    run.mkdir()
    subprocess.run([sys.executable, "-c", program, str(run), earlier], check=True)
    steps = [path for path in run.iterdir() if path.name.isdecimal()]
    for folder in steps:
        found = generations(folder)
        if (folder / "output.jsonl").exists():
            assert found in (["1"] * 3, ["2"] * 3)
        elif int(folder.name) == len(steps) - 1:
            pytest.fail("the one that lived published nothing")
        publish(folder, 2)
        assert generations(folder) == ["2"] * 3
        assert {path.name for path in folder.iterdir() if path.is_file()} == set(NAMES)
    assert 8 < len(steps) < 100


def test_publishing_again_gives_the_same_bytes(run: Path) -> None:
    publish(run, 1)
    before = {name: (run / name).read_bytes() for name in NAMES}
    publish(run, 1)
    assert {name: (run / name).read_bytes() for name in NAMES} == before


def test_left_overs_of_a_crash_are_removed_and_nothing_else_is(run: Path) -> None:
    run.mkdir()
    (run / "raw").mkdir()
    names = [*NAMES, "raw/0001-1.output.jsonl"]
    for name in names:
        part_of(run / name).write_text("left over")
    mine = run.parent / "mine"
    mine.write_text("kept")
    part_of(run / "output.jsonl").symlink_to(mine)
    part_of(run / "run.json").mkdir()
    (run / ".notes").write_text("kept")
    publication = prepared(run, 1)
    publication.discard()
    publication.discard()
    left = sorted(str(path.relative_to(run)) for path in run.rglob("*"))
    assert [name for name in left if not name.startswith(".run.json.")] == [".notes", "raw"]
    assert len(left) == 3, "a folder is nothing that a crash left"
    assert mine.read_text() == "kept"


def test_nothing_is_swept_through_a_link(run: Path) -> None:
    elsewhere = run.parent / "elsewhere"
    elsewhere.mkdir()
    run.mkdir()
    (run / "raw").symlink_to(elsewhere)
    part = part_of(elsewhere / "0001-1.output.jsonl")
    part.write_text("mine")
    prepared(run, 1).discard()
    assert part.read_text() == "mine"


def test_the_one_overtaken_publishes_nothing(run: Path) -> None:
    overtaken = prepared(run, 1)
    publish(run, 2)
    with pytest.raises(LocalFileError, match="is missing: another process has published"):
        overtaken.commit(b"generation-1\n")
    assert generations(run) == ["2"] * 3
    overtaken.discard()
    assert sorted(path.name for path in run.iterdir()) == list(NAMES)


def test_final_files_obey_the_umask_like_any_other(run: Path) -> None:
    before = os.umask(0o027)
    try:
        publish(run, 1)
    finally:
        os.umask(before)
    assert {(run / name).stat().st_mode & 0o777 for name in NAMES} == {0o640}


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_in_the_way_of_a_final_file_is_said_in_words(run: Path, name: str) -> None:
    (run / name).mkdir(parents=True)
    with pytest.raises(LocalFileError, match=f"{name} cannot be replaced"):
        publish(run, 1)
    assert name == "output.jsonl" or not (run / "output.jsonl").exists()


def test_latest_leads_to_the_revision_and_says_whether_it_changed(tmp_path: Path) -> None:
    job = tmp_path / "job"
    assert point_latest(job, "abc") is True
    assert (job / "latest").readlink() == Path("abc")
    assert point_latest(job, "abc") is False
    assert point_latest(job, "def") is True
    assert (job / "latest").readlink() == Path("def")
    (job / "def").mkdir()
    assert (job / "latest").is_dir()
    assert point_latest(job, "abc") is True, "a link to a folder is replaced, not filled"
    part_of(job / "latest").symlink_to("left-over")
    assert point_latest(job, "def") is True
    assert sorted(path.name for path in job.iterdir()) == ["def", "latest"]


@pytest.mark.parametrize("folder", [False, True])
def test_what_is_not_our_link_is_left_alone(tmp_path: Path, *, folder: bool) -> None:
    latest = tmp_path / "latest"
    if folder:
        latest.mkdir()
    else:
        latest.write_text("mine")
    with pytest.raises(LocalFileError, match="latest is not a link"):
        point_latest(tmp_path, "abc")
    assert latest.is_dir() is folder
    assert not latest.is_symlink()


def test_a_job_folder_that_cannot_be_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "job").write_text("a file")
    with pytest.raises(LocalFileError, match="job cannot be written"):
        point_latest(tmp_path / "job", "abc")


def test_every_file_is_on_the_disk_before_it_is_named_and_output_is_named_last(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut keeps what was synced, in any order of the rest."""
    publish(run, 1)
    done: list[str] = []
    fsync, replace, unlink = os.fsync, os.replace, Path.unlink

    def name(path: Path) -> str:
        whole = name_of_part(path.name)
        return "the folder" if path == run else path.name if whole is None else f"new {whole}"

    def syncing(descriptor: int) -> None:
        synced = os.fstat(descriptor).st_ino
        [path] = [path for path in (run, *run.iterdir()) if path.stat().st_ino == synced]
        done.append(f"sync {name(path)}")
        fsync(descriptor)

    def replacing(old: Path, new: Path) -> None:
        done.append(f"{name(old)} becomes {name(new)}")
        replace(old, new)

    def unlinking(path: Path, *, missing_ok: bool = False) -> None:
        if path.parent == run and path.exists():
            done.append(f"remove {name(path)}")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", replacing)
    monkeypatch.setattr(Path, "unlink", unlinking)
    publish(run, 2)
    assert done == [
        "sync new output.jsonl",
        "sync new errors.jsonl",
        "sync new run.json",
        "remove output.jsonl",
        "sync the folder",
        "new errors.jsonl becomes errors.jsonl",
        "new run.json becomes run.json",
        "sync the folder",
        "new output.jsonl becomes output.jsonl",
        "sync the folder",
    ]
    assert generations(run) == ["2"] * len(NAMES)


def test_a_run_that_goes_on_has_no_final_files_and_keeps_its_record(run: Path) -> None:
    publish(run, 1)
    for _again in range(2):
        unpublish(run)
        assert sorted(path.name for path in run.iterdir()) == ["run.json"]


@pytest.mark.parametrize("name", ["output.jsonl", "errors.jsonl"])
def test_a_final_file_that_cannot_be_removed_is_said_in_words(run: Path, name: str) -> None:
    (run / name).mkdir(parents=True)
    with pytest.raises(LocalFileError) as raised:
        unpublish(run)
    assert str(raised.value).startswith(f"{run / name} cannot be removed: ")


def test_latest_makes_the_folders_above_it(tmp_path: Path) -> None:
    assert point_latest(tmp_path / "outputs" / "job", "0123456789ab")
    assert (tmp_path / "outputs" / "job" / "latest").is_symlink()


def test_a_link_that_got_no_final_name_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> NoReturn:
        raise OSError(errno.EIO, "no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(LocalFileError, match="latest cannot be replaced: the disk reports"):
            point_latest(tmp_path, "0123456789ab")
    assert point_latest(tmp_path, "0123456789ab")
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]


@pytest.mark.parametrize(
    ("number", "has_text"),
    [(errno.EPERM, True), (errno.ENOSYS, True), (errno.ENOSPC, False), (errno.EIO, False)],
)
def test_a_text_file_takes_the_place_of_the_link_only_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, has_text: bool
) -> None:
    def refuse(*_arguments: object, **_options: object) -> NoReturn:
        raise OSError(number, "no")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    if has_text:
        assert point_latest(tmp_path, "0123456789ab")
        assert (tmp_path / "latest").read_text() == "0123456789ab\n"
    else:
        with pytest.raises(LocalFileError):
            point_latest(tmp_path, "0123456789ab")
        assert list(tmp_path.iterdir()) == []


def test_a_copy_is_abandoned_as_far_as_the_disk_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def close(self) -> NoReturn:
            raise OSError(errno.EIO, "no")

    with SourceFiles() as sources:
        copy = LineWriter(tmp_path / "copy", sources)
        copy.append(b"line")
        copy._file.close()
        monkeypatch.setattr(copy, "_file", Broken())
        copy.abandon()
        assert list(tmp_path.iterdir()) == []
        copy.abandon()
