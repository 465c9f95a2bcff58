"""`runner verify` with records that were changed or forged."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.records import edit, finish_mixed, revision

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.world import World


@pytest.fixture
def mixed(lab: Folder, run: Run, world: World) -> Folder:
    return finish_mixed(lab, run, world)


def said(text: str) -> str:
    """Return what was said, whatever the columns of the terminal."""
    return " ".join(text.split())


def forge(folder: Path, change: Callable[[bytes], bytes], name: str = "output.jsonl") -> None:
    """Change a final file and the record with it, so that the digests agree."""
    data = change((folder / name).read_bytes())
    (folder / name).write_bytes(data)

    def sign(record: Any) -> None:  # noqa: ANN401
        record["outputs"][name] = {
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "lines": data.count(b"\n"),
        }

    edit(folder / "run.json", sign)


def test_an_answer_that_no_raw_file_has_is_found(run: Run, mixed: Folder) -> None:
    forge(revision(mixed), lambda data: data.replace(b"hello-2", b"hello-9"))

    done = run("verify")

    assert done.code == 1
    assert "output.jsonl: line 2 is in no raw file" in done.out


def test_an_error_that_no_raw_file_has_is_found(run: Run, mixed: Folder) -> None:
    forge(revision(mixed), lambda data: data.replace(b"400", b"404"), "errors.jsonl")

    assert "errors.jsonl: line 1 is in no raw file" in run("verify").out


def test_a_request_with_two_lines_is_found(run: Run, mixed: Folder) -> None:
    forge(revision(mixed), lambda data: data + data.splitlines(keepends=True)[0])

    done = run("verify")

    assert done.code == 1
    assert "output.jsonl: line 4 is of a request that has a line already" in done.out
    assert "output.jsonl has 4 lines, the record says 3" in done.out


def test_a_failure_among_the_answers_is_found(run: Run, mixed: Folder) -> None:
    folder = revision(mixed)
    failure = (folder / "errors.jsonl").read_bytes().splitlines(keepends=True)[0]
    forge(folder, lambda data: data + failure)

    assert "output.jsonl: line 4 is no success" in run("verify").out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record["counts"].update(succeeded=4), "the record counts 5 requests"),
        (lambda record: record["counts"].update(codes={}), "are not those of 2 failures"),
        (lambda record: record["request"].update(replicate=2), "not that of the requests in it"),
        (lambda record: record["input"].update(sha256="0" * 64), "not that of the requests in it"),
        (lambda record: record.update(revision="0" * 64), "not of this folder"),
        (lambda record: record["spec"].update(document="x"), "not the one with its digest"),
        (lambda record: record["outputs"].pop("errors.jsonl"), "no entry for errors.jsonl"),
        (lambda record: record["shards"][0].update(rows="0-9"), "rows of shard 1 are not those"),
        (lambda record: record["shards"][0].update(rows="9-0"), "rows of shard 1 are not those"),
        (
            lambda record: record["shards"][0].update(rows="0-99999999999999999999999"),
            "rows of shard 1 are not those",
        ),
        (lambda record: record["shards"].append(record["shards"][0]), "rows of shard 1 are not"),
        (lambda record: record["shards"][0].update(sha256="0" * 64), "another file than"),
        (lambda record: attempt(record).update(rows="0-1"), "rows are not 5 of the shard's"),
        (lambda record: attempt(record).update(key="hello/x/1/1"), "its key is hello/x/1/1"),
        (lambda record: attempt(record).update(batch=None), "there are results and no batch"),
        (
            lambda record: attempt(record)["batch"]["metadata"].update(runner="a/b/0001/1 x=1"),
            "has the submission key a/b/0001/1",
        ),
        (
            lambda record: attempt(record)["batch"].update(output_file_id="file-x"),
            "which batch batch_",
        ),
        (lambda record: record["counts"].update(succeeded=2, failed=3), "the ledger says partial"),
    ],
)
def test_a_record_that_contradicts_itself_is_found(
    run: Run, mixed: Folder, change: Callable[[Any], object], said: str
) -> None:
    edit(revision(mixed) / "run.json", change)

    done = run("verify")

    assert done.code == 1
    assert said in " ".join(done.out.split())


def attempt(record: Any) -> Any:  # noqa: ANN401
    return record["shards"][0]["submissions"][0]


def test_a_file_that_the_ledger_knows_otherwise_is_found(run: Run, mixed: Folder) -> None:
    folder = revision(mixed)
    raw = folder / "raw/0001-1.output.jsonl"
    was = hashlib.sha256(raw.read_bytes()).hexdigest()
    data = raw.read_bytes() + b"\n"
    raw.write_bytes(data)
    now = hashlib.sha256(data).hexdigest()
    edit(
        folder / "run.json",
        lambda record: attempt(record)["results"][0].update(bytes=len(data), sha256=now),
    )

    done = run("verify")

    assert done.code == 1
    text = " ".join(done.out.split())
    assert f"raw/0001-1.output.jsonl: the ledger has {was}, the record {now}" in text
    shutil.rmtree(mixed.root / ".runner")
    assert run("verify").code == 0


# Records that somebody has made up.


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "is not the record of a run: it has no format_version"),
        (b'{"format_version": true}', "is not the record of a run: it has no format_version"),
        (b'{"format_version": 2}', "was written by a later version of runner (format_version 2)"),
        (b'{"format_version": 1}', "is not the record of a run: "),
        (b'{"format_version": 1, "job": "\\ud800"}', "is not the record of a run: "),
    ],
)
def test_a_record_that_is_none(run: Run, finished: Folder, content: bytes, said: str) -> None:
    (revision(finished) / "run.json").write_bytes(content)

    done = run("verify")

    assert done.code == 1
    assert f"run.json {said}" in " ".join(done.out.split())
    assert json.loads(run("verify", "--json").out)["matches"] is False


@pytest.mark.parametrize(
    "name",
    [
        "../../../secret",
        "raw/../../../../secret",
        "{secret}",
        "raw/..",
        "raw/",
        "raw",
        "",
        ".",
        "raw/a/b",
        "x\0y",
        "raw/\ud800",
        "run.json/../../x",
        "raw/" + "x" * 10_000,
        "raw/link",
        "raw/pipe",
    ],
)
def test_a_name_in_a_record_leads_nowhere_else(
    run: Run, finished: Folder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = revision(finished)
    secret = finished.write("secret", "hush")
    (folder / "raw/link").symlink_to(secret)
    os.mkfifo(folder / "raw/pipe")
    hostile = name.replace("{secret}", str(secret))
    edit(
        folder / "run.json",
        lambda record: attempt(record)["results"].append(
            {**attempt(record)["results"][0], "path": hostile}
        ),
    )
    opened: list[str] = []
    really = os.open

    def watched(path: Any, *arguments: Any, **more: Any) -> int:  # noqa: ANN401
        opened.append(os.path.realpath(os.path.join(folder, os.fsdecode(path))))  # noqa: PTH118
        return really(path, *arguments, **more)

    monkeypatch.setattr(os, "open", watched)
    done = run("verify")

    assert done.code == 1
    reason = {
        "raw/link": "is a link and was not opened",
        "raw/pipe": "is not a regular file",
        "raw/" + "x" * 10_000: "cannot be read: File name too long",
    }
    assert reason.get(name, "is not a file of this folder and was not opened") in said(done.out)
    assert "hush" not in done.out
    if name != "raw/link":  # asked for, and refused by the kernel
        assert str(secret) not in opened


def rename_input(path: str, record: Any) -> None:  # noqa: ANN401
    record["input"]["path"] = path


def test_an_input_that_only_a_record_names_is_read_inside_the_project_alone(
    run: Run, finished: Folder
) -> None:
    (finished.root / "specs/hello.yaml").unlink()
    outside = finished.root.parent / "outside.jsonl"
    shutil.move(finished.root / "data/hello.jsonl", outside)
    for path in ("../outside.jsonl", str(outside), "/etc/passwd", "\0", "data/link"):
        (finished.root / "data/link").unlink(missing_ok=True)
        (finished.root / "data/link").symlink_to(outside)
        edit(revision(finished) / "run.json", partial(rename_input, path))
        done = run("verify")
        assert done.code == 0
        assert "it was not read" in " ".join(done.out.split())


def test_a_raw_folder_that_is_a_link_is_not_followed(run: Run, finished: Folder) -> None:
    folder = revision(finished)
    shutil.move(folder / "raw", finished.root / "moved")
    (folder / "raw").symlink_to(finished.root / "moved")

    done = run("verify")

    assert done.code == 1
    assert "was not opened: raw is a link" in done.out
