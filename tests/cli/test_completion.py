"""Completion in shells: everything that can be completed, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.cli.shell import PATIENCE, ROOT, Done, environment, sh

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder

MAIN: Final = "from runner.cli import main; main()"
SHELLS: Final = ("bash", "zsh", "fish")

COMMAND: Final = f"""\
#!/bin/sh
PYTHONPATH={ROOT} exec {sys.executable} -c '{MAIN}' "$@"
"""
ASK: Final = """\
. "$0"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_runner_completion runner
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""Does what bash does when somebody presses the key: sets the words, calls the function."""


@pytest.fixture
def bash(folder: Folder, tmp_path: Path) -> Callable[..., Done]:
    """Return a function that completes the words of a line in bash, by the printed script."""
    command = tmp_path / "bin" / "runner"
    command.parent.mkdir()
    command.write_text(COMMAND, "utf-8")
    command.chmod(0o755)
    script = tmp_path / "runner.bash"
    script.write_text(sh("completion", "bash", cwd=tmp_path).out, "utf-8")

    def complete(*words: str) -> Done:
        done = subprocess.run(
            ["bash", "--norc", "-c", ASK, script, "runner", *words],
            cwd=folder.root,
            env=environment({"PATH": f"{command.parent}:{os.environ['PATH']}"}),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    return complete


@pytest.fixture
def ask(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Return a function that asks as the script of a shell does, but in this process."""

    def complete(*words: str, shell: str = "bash") -> Done:
        line = ("runner", *words)
        current = words[-1] if shell == "fish" else str(len(words))
        monkeypatch.setenv("COMP_WORDS", "\n".join(line))
        monkeypatch.setenv("COMP_CWORD", current)
        monkeypatch.setenv("_RUNNER_COMPLETE", f"{shell}_complete")
        with pytest.raises(SystemExit) as ended:
            run()
        sys.stdout.flush()
        out, err = capfd.readouterr()
        return Done(code=int(ended.value.code or 0), out=out, err=err)

    return complete


def offered(done: Done) -> list[str]:
    """Return what may come next, of an answer without a word beside it."""
    assert (done.code, done.err) == (0, "")
    return [line.removeprefix("plain,") for line in done.out.splitlines() if line]


@pytest.fixture
def jobs(folder: Folder) -> Folder:
    folder.job("banking")
    folder.job("bananas")
    folder.job("hello")
    return folder


# With a shell


@pytest.mark.usefixtures("jobs")
def test_bash_completes_commands_options_and_jobs(bash: Callable[..., Done]) -> None:
    assert offered(bash("sta")) == ["status"]
    assert offered(bash("reconcile", "--if-locked", "")) == ["skip", "wait", "fail"]
    assert offered(bash("reconcile", "--if-locked", "=", "w")) == ["wait"]
    assert offered(bash("show", "ban")) == ["bananas", "banking"]
    assert offered(bash("plan", "hello", "specs/b")) == ["specs/bananas.yaml", "specs/banking.yaml"]


def test_bash_hears_nothing_of_a_command_that_fails(bash: Callable[..., Done]) -> None:
    done = bash("status", "$(", "x")
    assert (done.code, done.out.strip(), done.err) == (0, "", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_can_be_read_by_its_shell(run: Run, tmp_path: Path, shell: str) -> None:
    done = run("completion", shell)

    assert (done.code, done.err) == (0, "")
    assert f"runner completion {shell}" in done.out, "how to install it"
    assert f"_RUNNER_COMPLETE={shell}_complete" in done.out
    assert done.out.count("2>/dev/null") >= 1
    if shutil.which(shell):
        script = tmp_path / "script"
        script.write_text(done.out, "utf-8")
        subprocess.run([shell, "-n", script], check=True, timeout=PATIENCE)


# By what the scripts ask


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("re",), ["reconcile", "report", "retry", "rebuild"]),
        (("nonsense", ""), None),
        (("--v",), ["--version"]),
        (("plan", "--de"), ["--detailed-exitcode"]),
        (("plan", ""), ["bananas", "banking", "hello"]),
        (("plan", "specs/h"), ["specs/hello.yaml"]),
        (("plan", "./specs/h"), ["file,./specs/h"]),
        (("validate", "data/"), ["file,data/"]),
        (("reconcile", "banking", "--wait", "he"), ["hello"]),
        (("status", "ba"), ["bananas", "banking"]),
        (("show", "x"), []),
        (("retry", "he"), ["hello"]),
        (("cancel", "he"), ["hello"]),
        (("report", "he"), ["hello"]),
        (("verify", "he"), ["hello"]),
        (("adopt", "batch_1", "--job", "he"), ["hello"]),
        (("adopt", "batch"), []),
        (("schema", "sp"), ["spec"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("init", "fo"), ["dir,fo"]),
        (("-C", "fo"), ["dir,fo"]),
        (("-C", "..", "status", ""), ["file,"]),
        (("-C", "specs", "status", "he"), ["hello", "hello.yaml"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_may_come_next(
    ask: Callable[..., Done], words: tuple[str, ...], expected: list[str] | None
) -> None:
    found = offered(ask(*words))

    assert found == expected if expected is not None else "status" in found


@pytest.mark.usefixtures("jobs")
def test_each_shell_is_answered_in_its_own_form(ask: Callable[..., Done]) -> None:
    about = "Show the state of each job."

    assert ask("stat", shell="bash").out == "plain,status\n"
    assert ask("stat", shell="zsh").out == f"plain\nstatus\n{about}\n"
    assert ask("stat", shell="fish").out == f"plain,status\t{about}\n"
    assert ask("show", "ban", shell="zsh").out == "plain\nbananas\n_\nplain\nbanking\n_\n"
    assert ask("show", "", shell="fish").out == "plain,bananas\nplain,banking\nplain,hello\n"


def test_a_job_whose_spec_is_gone_can_still_be_shown(
    ask: Callable[..., Done], finished: Folder
) -> None:
    (finished.root / "specs" / "hello.yaml").unlink()
    finished.job("other")

    assert offered(ask("show", "")) == ["hello", "other"]
    assert offered(ask("retry", "")) == ["other"]


def test_looking_at_the_ledger_leaves_nothing_behind(
    ask: Callable[..., Done], finished: Folder
) -> None:
    before = sorted(path.name for path in (finished.root / ".runner").iterdir())

    assert offered(ask("show", "")) == ["hello"]
    assert sorted(path.name for path in (finished.root / ".runner").iterdir()) == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda root: (root / "runner.yaml").write_text("specs: [", "utf-8"),
        lambda root: (root / "runner.yaml").write_bytes(b"specs: \xff\0\n"),
        lambda root: (root / "runner.yaml").write_text("ledger: 'a\0b'\n", "utf-8"),
        lambda root: (root / "specs" / "a.yaml").write_bytes(b"\xff\xfe\0name: x"),
        lambda root: (root / "specs" / "a.yaml").symlink_to("nowhere"),
        lambda root: os.mkfifo(root / "specs" / "a.yaml"),
        lambda root: (root / "specs" / "loop").symlink_to("."),
        lambda root: (root / ".runner").write_text("a file", "utf-8"),
        lambda root: shutil.rmtree(root / "specs"),
        lambda root: (root / "specs").chmod(0),
        lambda root: (root / ".runner" / "ledger.db").mkdir(parents=True),
    ],
    ids=[
        "broken-config", "binary-config", "odd-ledger", "binary-spec", "dead-link", "pipe", "loop",
        "ledger-in-a-file", "no-specs", "closed-specs", "ledger-is-a-folder",
    ],
)  # fmt: skip
@pytest.mark.parametrize("words", [("show", ""), ("plan", "a")])
def test_a_broken_project_makes_no_noise(
    ask: Callable[..., Done],
    folder: Folder,
    spoil: Callable[[Path], object],
    words: tuple[str, ...],
) -> None:
    spoil(folder.root)
    try:
        done = ask(*words)
    finally:
        if (folder.root / "specs").is_dir():
            (folder.root / "specs").chmod(0o755)

    assert (done.code, done.err) == (0, "")


def test_a_damaged_ledger_makes_no_noise(ask: Callable[..., Done], finished: Folder) -> None:
    (finished.root / ".runner" / "ledger.db").write_bytes(b"nonsense" * 1000)

    assert offered(ask("show", "")) == ["hello"]


def test_a_folder_that_is_gone_makes_no_noise(folder: Folder) -> None:
    script = f"cd {folder.root}; rm -r ../project; exec {sys.executable} -c '{MAIN}'"
    done = subprocess.run(
        ["sh", "-c", script],
        env=environment(
            {"_RUNNER_COMPLETE": "bash_complete", "COMP_WORDS": "runner show ", "COMP_CWORD": "2"}
        ),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
