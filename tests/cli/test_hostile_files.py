"""Links and files that a clone has brought, or another user has put in the way.

The home folder of each test stands for everything outside the project. Whatever is committed, it
stays as it is.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.cli.conftest import FINISH
from tests.cli.records import revision
from tests.cli.shell import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Run

NOBODY: Final = 65534
CONFIG: Final = """\
default_provider: local
metrics: metrics/runner.prom
providers:
  local:
    max_requests_per_batch: 2
"""
"""Two shards, so that the files to upload are parts of the input."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make a folder outside the project with a file that must not change."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".bashrc").write_text("mine\n")
    return home


@pytest.fixture
def clone(folder: Folder) -> Folder:
    """Make a project as it comes out of git: no ledger, no outputs.

    The user has agreed to whatever its `runner.yaml` says: links are refused all the same.
    """
    folder.env["RUNNER_TRUST"] = "yes"
    folder.write("runner.yaml", CONFIG)
    folder.job()
    return folder


def picture(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return the mode and the content of everything in a folder."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in (folder, *folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what can be predicted of a run: its revision, and the digest of its requests."""
    twin = Folder(tmp_path_factory.mktemp("twin") / "project")
    twin.write("runner.yaml", CONFIG)
    twin.job()
    assert twin.sh(*FINISH).code == 0
    [ids] = (twin.root / ".runner" / "ids").iterdir()
    return {"revision": revision(twin).name, "ids": ids.name, "pid": str(os.getpid())}


RUN: Final = "outputs/hello/{revision}"
FILES: Final = (
    f"{RUN}/output.jsonl",
    f"{RUN}/errors.jsonl",
    f"{RUN}/run.json",
    f"{RUN}/raw/0001-1.output.jsonl",
    f"{RUN}/raw/0001-1.output.jsonl.part",
    f"{RUN}/raw/0002-1.output.jsonl.part",
    f"{RUN}/.output.jsonl.{{pid}}.partial",
    f"{RUN}/.errors.jsonl.{{pid}}.partial",
    f"{RUN}/.run.json.{{pid}}.partial",
    f"{RUN}/.99999-99999.output.jsonl.part",
    "outputs/hello/latest",
    "outputs/hello/.latest.{pid}.partial",
    ".runner/uploads/hello-{revision}-0001-1.jsonl",
    ".runner/uploads/hello-{revision}-0001-1.jsonl.part",
    ".runner/ids/{ids}",
    ".runner/local/lock",
    ".runner/local/server.db",
    "metrics/runner.prom",
    "metrics/.runner.prom.{pid}.part",
    "report.html",
    ".report.html.{pid}.part",
    "plan.json",
    ".plan.json.{pid}.part",
)
"""Where runner writes, or wrote under a name that could be predicted."""


@pytest.mark.parametrize("there", [True, False], ids=["a file", "no file"])
@pytest.mark.parametrize("name", FILES)
def test_nothing_is_written_through_a_link_in_place_of_a_file(
    run: Run, clone: Folder, home: Path, names: dict[str, str], name: str, *, there: bool
) -> None:
    link = clone.root / name.format_map(names)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(home / (".bashrc" if there else ".profile"))
    before = picture(home)

    ends = [run("plan", "-o", "plan.json"), run(*FINISH), run("report")]

    assert picture(home) == before
    assert "Traceback" not in "".join(end.err for end in ends)
    if not name.startswith(".runner/local/"):
        assert [end.code for end in ends] == [0, 0, 0], [end.err for end in ends]
        assert (revision(clone) / "output.jsonl").stat().st_size > 0


FOLDERS: Final = (
    "outputs",
    "outputs/hello",
    RUN,
    f"{RUN}/raw",
    ".runner",
    ".runner/uploads",
    ".runner/ids",
    ".runner/local",
    ".runner/local/files",
    "metrics",
)


@pytest.mark.parametrize("name", FOLDERS)
def test_nothing_is_written_or_removed_below_a_link_in_place_of_a_folder(
    run: Run, clone: Folder, home: Path, names: dict[str, str], name: str
) -> None:
    link = clone.root / name.format_map(names)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(home)
    before = picture(home)

    end = run(*FINISH)

    assert picture(home) == before
    assert f"{link} is a link to {home}, and runner writes through no link" in end.err
    assert end.code == (0 if name == "metrics" else 1)
    assert "Traceback" not in end.err


@pytest.mark.parametrize("command", ["plan", "status", "report", "verify", "rebuild"])
def test_a_link_in_place_of_outputs_is_refused_with_what_to_write(
    run: Run, clone: Folder, home: Path, command: str
) -> None:
    (clone.root / "outputs").symlink_to(home)

    end = run(command)

    assert (end.code, end.out) == (1, "")
    assert end.err == (
        f"error: {clone.root}/outputs is a link to {home}, and runner writes through no link: "
        f"remove it, and put a folder in its place or name the one that it leads to in "
        f"runner.yaml (`outputs`, `ledger`)\n"
    )


def test_outputs_that_were_a_link_go_on_where_it_led_to(
    run: Run, clone: Folder, home: Path
) -> None:
    """What the message says to do keeps all results, and asks nobody again."""
    assert run(*FINISH).code == 0
    shutil.move(clone.root / "outputs", home / "outputs")
    (clone.root / "outputs").symlink_to(home / "outputs")
    assert run("status").code == 1

    (clone.root / "outputs").unlink()
    clone.write("runner.yaml", f"{CONFIG}outputs: {home}/outputs\n")
    end = run(*FINISH)

    assert end.code == 0
    assert "hello: submitted" not in end.err
    assert run("verify").code == 0
    assert (home / "outputs/hello/latest/output.jsonl").is_file()


def test_the_output_folder_of_a_spec_is_no_link_either(run: Run, clone: Folder, home: Path) -> None:
    clone.job(more="output: results/hello\n")
    (clone.root / "results").symlink_to(home)
    before = picture(home)

    end = run(*FINISH)

    assert end.code == 1
    assert f"{clone.root}/results is a link" in end.err
    assert picture(home) == before


@pytest.mark.parametrize("field", ["outputs", "ledger", "metrics"])
def test_a_way_out_and_back_by_a_link_is_refused(
    run: Run, clone: Folder, home: Path, field: str
) -> None:
    (home / "deep").mkdir()
    (clone.root / "link").symlink_to(home / "deep")
    clone.write("runner.yaml", f"default_provider: local\n{field}: link/../place/x\n")
    before = picture(home)

    end = run(*FINISH)

    assert picture(home) == before
    assert "leads out of the project and back: write it without `..`" in end.err


@pytest.mark.parametrize("place", ["../home/x", "{home}/x", "specs/../../home/x"])
def test_a_ledger_that_came_with_a_clone_names_no_folder_outside(
    run: Run, clone: Folder, home: Path, place: str
) -> None:
    assert run(*FINISH).code == 0
    with contextlib.closing(sqlite3.connect(clone.root / ".runner/ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE runs SET folder = ?", (place.format(home=home),))
    before = picture(home)

    end = run(*FINISH)

    assert picture(home) == before
    assert end.code == 1
    assert "is outside of the project and of its outputs" in end.err


def test_a_database_of_the_local_provider_names_no_file_outside(
    run: Run, clone: Folder, home: Path
) -> None:
    """A batch that a clone has brought is finished by whoever runs the provider next."""
    assert run(*FINISH).code == 0
    path = clone.root / ".runner/local/server.db"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "UPDATE batches SET status = 'in_progress', completed_at = NULL, input_offset = 0,"
            " output_bytes = 0, error_bytes = 0, output_blob = ?",
            (f"{home}/.bashrc",),
        )
    clone.job("more")
    before = picture(home)

    end = run(*FINISH)

    assert picture(home) == before
    assert end.code == 1
    assert "has a file of which the id is a path" in end.err


@pytest.mark.parametrize("name", [".gitignore", "data", "specs", "schemas", "data/hello.jsonl"])
@pytest.mark.parametrize("there", [True, False])
def test_a_new_project_is_written_through_no_link(
    run: Run, tmp_path: Path, home: Path, name: str, *, there: bool
) -> None:
    link = tmp_path / "fresh" / name
    link.parent.mkdir(parents=True)
    is_folder = "." not in name
    target = home if is_folder else home / ".bashrc"
    link.symlink_to(target if there else home / "nothing")
    before = picture(home)

    end = run("init", str(tmp_path / "fresh"))

    assert picture(home) == before
    assert "Traceback" not in end.err
    if name != "data/hello.jsonl":
        assert end.code == 1
        assert f"{link} is a link" in end.err


# Another user of the machine.


@pytest.fixture
def shared() -> Iterator[Path]:
    """Make a folder that every user may write to, as `/tmp` is; another user is needed."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user as well")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def link_of_nobody(link: Path, target: Path) -> None:
    """Let another user make a link."""
    for command in (("mkdir", "-p", str(link.parent)), ("ln", "-s", str(target), str(link))):
        subprocess.run(command, user=NOBODY, group=NOBODY, cwd="/", check=True)
    assert link.lstat().st_uid == NOBODY


@pytest.mark.parametrize("command", ["report", "plan"])
@pytest.mark.parametrize("name", ["page", ".page.{pid}.part"])
@pytest.mark.parametrize("mode", [0o777, 0o1777])
@pytest.mark.usefixtures("clone")
def test_another_user_leads_no_output_of_a_command_astray(
    run: Run, home: Path, shared: Path, command: str, name: str, mode: int
) -> None:
    shared.chmod(mode)
    link_of_nobody(shared / name.format(pid=os.getpid()), home / ".bashrc")
    before = picture(home)

    assert run(command, "-o", str(shared / "page")).code == 0

    assert picture(home) == before
    assert (shared / "page").lstat().st_uid == os.geteuid()
    assert (shared / "page").stat().st_size > 100


@pytest.mark.parametrize("name", ["{revision}/raw/0001-1.output.jsonl.part", "{revision}/raw"])
def test_another_user_leads_no_result_astray(
    run: Run, clone: Folder, home: Path, names: dict[str, str], shared: Path, name: str
) -> None:
    """Outputs in a folder that others may write to, which they have prepared."""
    clone.write("runner.yaml", f"{CONFIG}outputs: {shared}/outputs\n")
    is_folder = name.endswith("raw")
    link_of_nobody(
        shared / "outputs/hello" / name.format_map(names), home if is_folder else home / ".bashrc"
    )
    before = picture(home)

    end = run(*FINISH)

    assert picture(home) == before
    assert end.code == int(is_folder)
    assert "Traceback" not in end.err
