"""Who holds the lock of a ledger, told without taking it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.errors import LedgerError, LockHeld
from runner.reconcile.lock import holder, locked
from tests.another_user import as_another_user, as_root

if TYPE_CHECKING:
    from collections.abc import Iterator


def process_of(ledger: Path) -> str | None:
    """Return who holds the lock."""
    found = holder(ledger)
    return None if found is None else found.process


def test_nobody_holds_a_lock_that_was_never_taken(tmp_path: Path) -> None:
    assert holder(tmp_path / "ledger.db") is None
    assert list(tmp_path.iterdir()) == []


def test_the_holder_is_named_and_keeps_it(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"

    with locked(ledger):
        assert process_of(ledger) == f"process {os.getpid()}"
        with pytest.raises(LockHeld), locked(ledger):
            pass
    assert holder(ledger) is None


def test_where_the_kernel_does_not_tell_it_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    ledger = tmp_path / "ledger.db"
    monkeypatch.setattr(Path, "read_text", nothing)

    with locked(ledger):
        assert process_of(ledger) == "another process"
    assert holder(ledger) is None
    with locked(ledger):
        pass  # and was given back


def test_the_holder_has_it_since_it_took_it(tmp_path: Path) -> None:
    ledger, path = tmp_path / "ledger.db", tmp_path / "ledger.db.lock"
    path.touch()
    os.utime(path, (1, 1))

    before = path.stat().st_ctime
    with locked(ledger):
        found = holder(ledger)
        assert found is not None
        assert before <= found.since <= time.time()
        os.utime(path, (time.time() - 3700, time.time() - 3700))
        with pytest.raises(LockHeld, match=rf"\(process {os.getpid()}, for 1 h 1 min\)") as held:
            locked(ledger).__enter__()
    assert held.value.since == pytest.approx(time.time() - 3700, abs=30)


def test_a_wait_is_said_once_and_before_it(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    with locked(ledger):
        script = (
            "import sys; from pathlib import Path; from runner.reconcile.lock import locked\n"
            "def say(text): print(text, flush=True)\n"
            "with locked(Path(sys.argv[1]), wait=True, waiting=say): print('mine')"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(ledger)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        said = process.stdout.readline()

    assert process.communicate(timeout=60)[0] == "mine\n"
    assert f"another reconcile is running on {ledger} (process {os.getpid()}, for " in said


@pytest.mark.parametrize("mode", [None, 0o644, 0o666])
def test_the_lock_is_for_this_user_only(tmp_path: Path, mode: int | None) -> None:
    ledger, path = tmp_path / "new" / "ledger.db", tmp_path / "new" / "ledger.db.lock"
    if mode is not None:
        path.parent.mkdir()
        path.touch()
        path.chmod(mode)

    with locked(ledger):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    if mode is None:
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(("name", "mode"), [(".runner", 0o700), ("data", 0o755)])
def test_the_folder_of_runner_alone_is_closed_to_others(
    tmp_path: Path, name: str, mode: int
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    folder.chmod(0o755)

    with locked(folder / "ledger.db"):
        assert stat.S_IMODE(folder.stat().st_mode) == mode


@pytest.mark.parametrize("kind", ["link", "dangling link", "FIFO", "folder"])
def test_a_lock_that_is_no_file_of_ours_is_refused(tmp_path: Path, kind: str) -> None:
    ledger, path, other = tmp_path / "ledger.db", tmp_path / "ledger.db.lock", tmp_path / "other"
    match kind:
        case "link":
            other.write_text("theirs")
            path.symlink_to(other)
        case "dangling link":
            path.symlink_to(other)
        case "FIFO":
            os.mkfifo(path)
        case _:
            path.mkdir()

    with pytest.raises(LedgerError, match=r"lock .* cannot be taken: .*; nothing was submitted"):
        locked(ledger).__enter__()
    assert holder(ledger) is None
    assert kind != "dangling link" or not other.exists()
    assert kind != "link" or other.read_text() == "theirs"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that every user of the machine can write."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


TAKE = 'exec 9{0} "$1" && flock -x 9 && echo taken && cat'
"""Opens the lock for reading (`<`) or for writing too (`<>`), and holds it."""


@as_root
@pytest.mark.parametrize("mode", ["<", "<>"])
def test_another_user_cannot_take_the_lock(open_folder: Path, mode: str) -> None:
    ledger = open_folder / "ledger.db"
    with locked(ledger):
        pass

    with (
        as_another_user(TAKE.format(mode), open_folder / "ledger.db.lock") as said,
        locked(ledger),
    ):
        assert "Permission denied" in said


@as_root
def test_a_lock_that_another_user_has_made_is_refused(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = open_folder / "ledger.db.lock"
    with as_another_user(TAKE.format("<>"), path) as said:
        assert said == "taken\n"
        path.chmod(0o666)
        monkeypatch.setattr(os, "geteuid", lambda: 4711)

        with pytest.raises(LedgerError, match=r"belongs to another user \(uid 65534\), not to you"):
            locked(open_folder / "ledger.db").__enter__()
