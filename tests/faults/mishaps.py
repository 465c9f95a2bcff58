"""Faults in a process of the launcher from within: a crash, a signal, a disk error, a clock.

None of this is in the product. A *step* is something that lasts: the commit of a SQLite file
(`commit`), or any other change of the project's folder (`disk`): a file opened for writing, a name
made, moved or removed, an fsync. The interpreter reports those itself (sys.audit), so that none
is missed.

Between two steps nothing lasting happens, except at the provider. So a crash after one step leaves
what a crash before the next step leaves.
"""

from __future__ import annotations

import errno
import mmap
import os
import signal
import sqlite3
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
REMOVING = ("os.remove", "os.rmdir")
CHANGING = ("os.chmod", "os.link", "os.mkdir", "os.rename", "os.symlink", "os.truncate", *REMOVING)
"""What Python announces before it is done: https://docs.python.org/3/library/audit_events.html."""

_OFFSET = struct.Struct("d")


class Clock:
    """The clock of this process; it goes wrong by as much as is written in a file, at any time."""

    def __init__(self) -> None:
        self._true = time.time
        self._offset: mmap.mmap | None = None
        time.time = self

    def __call__(self) -> float:
        offset = 0.0 if self._offset is None else _OFFSET.unpack_from(self._offset)[0]
        return self._true() + float(offset)

    def follow(self, path: str) -> None:
        """Go wrong from now on by the seconds in a file, a double."""
        with Path(path).open("rb") as file:
            self._offset = mmap.mmap(file.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)


def set_clock(path: Path, offset: float) -> None:
    """Set how many seconds the processes that follow this file are wrong, immediately."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(_OFFSET.pack(offset))


def hurry(seconds: float) -> None:
    """Give up on a silent provider after `seconds`, and make every pause a short one."""
    from runner.api.client import Client
    from runner.api.retry import Timeouts

    defaults = Client.__init__.__kwdefaults__
    assert defaults is not None
    defaults["timeouts"] = Timeouts(
        connect=seconds, read=seconds, write=seconds, pool=seconds, act=seconds
    )
    sleep = time.sleep
    time.sleep = lambda wanted: sleep(min(float(wanted), 0.02))


class Countdown:
    """Makes something happen before or after the n-th step of a kind, counted from 0.

    `does` is the name of a signal, which the process sends itself, or of an error (ENOSPC): the
    step fails with it, and so does whatever needs room later on.
    """

    def __init__(self, *, kind: str, moment: str, number: int, does: str) -> None:
        self._kind, self._moment, self._does = kind, moment, does
        self._signals = does.startswith("SIG")
        self._left = number
        self._taken = 0

    def begin(self, folder: str) -> None:
        """Count from now on, until this process ends."""
        if self._kind == "commit" or not self._signals:
            self._watch_commits()
        if self._kind == "disk":
            self._watch_disk(Path(folder).resolve())

    def write(self, path: str) -> None:
        """Say how many steps there were."""
        self._kind = "none"
        Path(path).write_text(str(self._taken), encoding="ascii")

    def _turn(self, moment: str, place: str = "") -> None:
        """Notice a step; `before` comes first and counts."""
        if moment == "before":
            self._taken += 1
            self._left -= 1
        if self._left == -1 and moment == self._moment and self._signals:
            os.kill(os.getpid(), getattr(signal, self._does))
        elif moment == "before":
            self._fail_if_full(place)

    def _fail_if_full(self, place: str) -> None:
        if self._left < 0 and not self._signals:
            number = getattr(errno, self._does)
            raise OSError(number, os.strerror(number), place)

    def _watch_commits(self) -> None:
        countdown = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:  # noqa: ANN401
                if sql != "COMMIT":
                    return super().execute(sql, *parameters)
                countdown._commit()
                try:
                    return super().execute(sql, *parameters)
                finally:
                    if countdown._kind == "commit":
                        countdown._turn("after")

        connect = sqlite3.connect

        def connect_watched(*arguments: Any, **options: Any) -> sqlite3.Connection:  # noqa: ANN401
            return connect(*arguments, factory=Connection, **options)

        sqlite3.connect = connect_watched  # type: ignore[assignment]

    def _commit(self) -> None:
        try:
            if self._kind == "commit":
                self._turn("before")
            else:
                self._fail_if_full("")
        except OSError as error:
            full = sqlite3.OperationalError("database or disk is full")
            full.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise full from error

    def _watch_disk(self, folder: Path) -> None:
        sync: Callable[[int], None] = os.fsync

        def sync_watched(descriptor: int) -> None:
            self._turn("before", str(Path(f"/proc/self/fd/{descriptor}").readlink()))
            sync(descriptor)

        os.fsync = sync_watched  # type: ignore[assignment]

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            if self._kind != "disk" or not self._changes(event, arguments):
                return
            name = arguments[1] if event in ("os.symlink", "os.link", "os.rename") else arguments[0]
            if not isinstance(name, str | bytes | os.PathLike):
                return
            path = Path(os.fsdecode(name)).absolute()
            if path.parent.resolve().is_relative_to(folder):
                self._turn("before", str(path))

        sys.addaudithook(watch)

    def _changes(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "open":
            return isinstance(arguments[2], int) and bool(arguments[2] & WRITING)
        # What removes a name needs no room, so a full disk lets it pass.
        return event in CHANGING and (self._signals or event not in REMOVING)
