"""Files outside the project are not quoted, and special files are not read.

A link or a path that came with a clone may lead to any file of the user's, and what a command says
may go to a log that others read.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
from typing import TYPE_CHECKING, Final, NoReturn

import pytest

from tests.cli.conftest import FINISH
from tests.cli.records import revision
from tests.cli.shell import PATIENCE
from tests.simulation.scene import request_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder

SECRET: Final = "hunter2-swordfish"
FOREIGN_YAML: Final = (
    f"password: {SECRET}\n{SECRET}: yes\nname: {SECRET}!\nendpoint: {SECRET}\ninput: {SECRET}\n"
)
CHAT: Final = "/v1/chat/completions"
URL: Final = " (invalid_url)"
NOT_QUOTED: Final = (
    "has a problem here that is not quoted, since the file is outside of the project; "
    "`runner validate`, given its own path, quotes it"
)
COMMANDS: Final = (("validate",), ("plan",), ("reconcile",), ("status",), ("doctor", "--offline"))


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Make a YAML file of the user's that is nothing of runner's."""
    path = tmp_path / "home" / "hosts.yaml"
    path.parent.mkdir()
    path.write_text(FOREIGN_YAML)
    return path


def link_to_file(clone: Folder, foreign: Path) -> None:
    (clone.root / "specs/a.yaml").symlink_to(foreign)


def link_to_folder(clone: Folder, foreign: Path) -> None:
    (clone.root / "specs/more").symlink_to(foreign.parent)


def setting(clone: Folder, foreign: Path) -> None:
    clone.write("runner.yaml", f"default_provider: local\nspecs: {foreign.parent}\n")


def setting_upwards(clone: Folder, _foreign: Path) -> None:
    clone.write("runner.yaml", "default_provider: local\nspecs: ../home\n")


def setting_of_a_link(clone: Folder, foreign: Path) -> None:
    (clone.root / "more").symlink_to(foreign.parent)
    clone.write("runner.yaml", "default_provider: local\nspecs: more\n")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "lead", [link_to_file, link_to_folder, setting, setting_upwards, setting_of_a_link]
)
def test_yaml_outside_of_the_project_is_not_quoted(
    run: Run,
    folder: Folder,
    foreign: Path,
    command: tuple[str, ...],
    lead: Callable[[Folder, Path], None],
) -> None:
    lead(folder, foreign)

    end = run(*command)

    assert SECRET not in end.out + end.err
    if command == ("validate",):
        assert end.code == 2
        assert f":1:1: {NOT_QUOTED}\n" in end.err


def test_the_project_file_is_not_quoted_through_a_link(
    run: Run, folder: Folder, foreign: Path
) -> None:
    (folder.root / "runner.yaml").unlink()
    (folder.root / "runner.yaml").symlink_to(foreign)

    end = run("validate")

    assert end.code == 2
    assert f"runner.yaml:1:1: {NOT_QUOTED}\n" in end.err
    assert SECRET not in end.err


def test_a_terminal_shows_no_line_of_a_file_outside(folder: Folder, foreign: Path) -> None:
    folder.write("specs/mine.yaml", "passwort: mine\n")
    link_to_file(folder, foreign)
    shown = folder.terminal("validate", streams=["stderr"]).text

    assert SECRET not in shown
    assert "passwort: mine" in shown, "a file of the project is shown"


def test_a_spec_that_the_command_names_by_its_own_path_is_quoted(
    run: Run, folder: Folder, foreign: Path
) -> None:
    """And by no other: `specs/*.yaml` of a shell names links too."""
    link_to_file(folder, foreign)

    assert SECRET not in run("validate", "specs/a.yaml").err
    assert SECRET in run("validate", str(foreign)).err
    assert SECRET in run("validate", str(foreign.parent)).err


def test_links_within_the_project_are_quoted(run: Run, folder: Folder) -> None:
    folder.write("library/a.yaml", "passwort: mine\n")
    (folder.root / "specs/a.yaml").symlink_to("../library/a.yaml")

    assert "passwort" in run("validate").err


@pytest.mark.parametrize("lead", ["link", "path", "folder"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_value_of_an_input_outside_of_the_project_is_quoted(
    run: Run, folder: Folder, foreign: Path, lead: str, command: tuple[str, ...]
) -> None:
    data = foreign.parent / "data.jsonl"
    line = request_line(SECRET, model="echo").decode()
    changed = line.replace(CHAT, SECRET).replace('"POST"', f'"{SECRET}"')
    twice = line.replace('"model"', f'"{SECRET}": 1, "{SECRET}": 2, "model"')
    data.write_text(line + line + changed + twice)
    (folder.root / "data").mkdir()
    (folder.root / "data/link.jsonl").symlink_to(data)
    (folder.root / "far").symlink_to(foreign.parent)
    path = {"link": "data/link.jsonl", "path": str(data), "folder": "far/data.jsonl"}[lead]
    folder.write("specs/a.yaml", f"endpoint: {CHAT}\ninput: {path}\n")

    end = run(*command)

    assert SECRET not in end.out + end.err
    if command == ("validate",):
        used = "custom_id '…' is already used in line 1"
        assert [line.removeprefix(f"{path}:") for line in end.err.splitlines()] == [
            f"2: {used}: give every request an id of its own (duplicate_custom_id)",
            "3: 'method' is '…': a batch takes only 'POST'",
            f"3: 'url' is '…', but the endpoint of the spec is '{CHAT}': make them the same{URL}",
            f"3: {used}: give every request an id of its own (duplicate_custom_id)",
            "4: '…' is given more than once: keep one (invalid_json_line)",
            f"4: {used}: give every request an id of its own (duplicate_custom_id)",
        ]


def test_a_terminal_shows_no_line_of_an_input_outside(folder: Folder, foreign: Path) -> None:
    data = foreign.parent / "data.jsonl"
    data.write_text(f'{{"{SECRET}": }}\n')
    folder.write("specs/a.yaml", f"endpoint: {CHAT}\ninput: {data}\n")

    shown = folder.terminal("validate", columns=300, streams=["stderr"]).text

    assert f"{data}:1:23: not valid JSON" in shown
    assert SECRET not in shown


# Special files.


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:  # the path may be longer than an address of a socket
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def link_to(target: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.symlink_to(target)

    return make


SPECIAL: Final = [
    pytest.param(make_pipe, "not a regular file", id="pipe"),
    pytest.param(make_socket, "not a regular file", id="socket"),
    pytest.param(link_to("/dev/zero"), "not a regular file", id="device"),
    pytest.param(link_to("/proc/self/environ"), "a file of the kernel", id="proc"),
    pytest.param(link_to("/proc/self/mounts"), "a file of the kernel", id="mounts"),
    pytest.param(
        link_to("/sys/kernel/mm/transparent_hugepage/enabled"), "a file of the kernel", id="sys"
    ),
]


def exists(path: Path) -> bool:
    try:
        return stat.S_IFMT(path.stat().st_mode) != 0
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(("make", "what"), SPECIAL)
@pytest.mark.parametrize("name", ["data/a.jsonl", "specs/a.yaml", "runner.yaml"])
def test_a_special_file_is_refused_by_name_and_not_read(
    run: Run, folder: Folder, make: Callable[[Path], None], what: str, name: str
) -> None:
    folder.write("specs/b.yaml", f"endpoint: {CHAT}\ninput: data/a.jsonl\n")
    path = folder.root / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    make(path)
    if not exists(path):
        pytest.skip("this kernel has no such file")

    end = run("validate")

    assert end.code == 2
    assert f"is {what}; " in end.err
    assert name in end.err


def test_a_file_that_a_shell_hands_over_is_an_input(run: Run, folder: Folder) -> None:
    """`/dev/stdin` and `/dev/fd/3` lead through `/proc` to a file on a disk."""
    folder.job()
    data = os.open(folder.root / "data/hello.jsonl", os.O_RDONLY)
    try:
        folder.write(
            "specs/hello.yaml",
            f"endpoint: {CHAT}\ninput: /proc/self/fd/{data}\n",
        )
        assert run("validate").code == 0
    finally:
        os.close(data)


@pytest.mark.parametrize(
    "name",
    [
        "outputs/hello/latest",
        "outputs/hello/{revision}/adopted.json",
        "outputs/hello/{revision}/run.json",
        "outputs/hello/{revision}/output.jsonl",
        "outputs/hello/{revision}/errors.jsonl",
        "outputs/hello/{revision}/raw/0001-1.output.jsonl",
        ".runner/ids/{ids}",
    ],
)
@pytest.mark.parametrize("lost", [".runner/ledger.db", "outputs/hello/{revision}/output.jsonl"])
@pytest.mark.usefixtures("impatient")
def test_no_command_waits_for_a_pipe_in_place_of_a_result(
    run: Run, folder: Folder, name: str, lost: str
) -> None:
    """An archive, unlike git, can bring one."""
    folder.job()
    assert run(*FINISH).code == 0
    [ids] = (folder.root / ".runner/ids").iterdir()
    names = {"revision": revision(folder).name, "ids": ids.name}
    path = folder.root / name.format_map(names)
    (folder.root / lost.format_map(names)).unlink()
    path.unlink(missing_ok=True)
    os.mkfifo(path)

    for command in (("status",), ("show", "hello"), ("plan",), FINISH, ("verify",), ("report",)):
        end = run(*command)
        assert end.code in (0, 1), (command, end)
        assert "Traceback" not in end.err


@pytest.fixture
def impatient() -> Iterator[None]:
    """Let what waits for ever fail."""

    def stop(_number: int, _frame: object) -> NoReturn:
        raise AssertionError("still waiting")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(int(PATIENCE))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
