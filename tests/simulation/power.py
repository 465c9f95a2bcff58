"""What a crash leaves on a disk, and what a power cut leaves of that.

A killed process loses nothing that it wrote: the kernel has it. A power cut loses everything that
was not made durable. That is modelled by the rules that programs may rely on (fsync as in POSIX,
that is, file by file and folder by folder):

- The ledger is back at its last commit that was synced: one made with `synchronous` FULL or
  EXTRA. With NORMAL it is what had been written when the file was last closed; with OFF nothing
  ever is durable. Source: https://www.sqlite.org/pragma.html#pragma_synchronous
- A file whose content was not fsynced since it was written is empty, or half of it is there.
- Of the names given and removed in a folder since that folder was fsynced, any may be as they were
  before. Folders themselves are assumed to stay.

Before each commit and each file operation `pulse` is called, which may end the process by
raising `Death`. A process that has crashed does nothing more: what its `finally` clauses would
clean up stays, as it does under SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import stat
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runner.ledger import connection
from tests.simulation.faults import Death

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

_NORMAL: Final = 1
_FULL: Final = 2
_PARTS: Final = ("", "-wal")
_AUTOMATIC_CHECKPOINT: Final = 4 * 1024 * 1024
_OPERATIONS: Final = ("fsync", "replace", "rename", "unlink", "symlink")

_replace, _unlink, _symlink = os.replace, os.unlink, os.symlink


@dataclass(frozen=True, slots=True, kw_only=True)
class _Renaming:
    """A name that was given or taken, and how to undo it; `kept` is what had the name before."""

    folder: int
    old: str | None
    new: str
    kept: str | None

    def undo(self) -> None:
        if self.old is not None:
            _replace(self.new, self.old)
        elif self.kept is None:
            _unlink(self.new)
        if self.kept is not None:
            _replace(self.kept, self.new)


@dataclass(slots=True, kw_only=True)
class Disk:
    """The files of one machine.

    `root` is its project, `ledger` the ledger's file, `aside` an empty folder on the same file
    system. `pulse` is called with "commit" or "file operation". Without `power` no power cut will
    come, and nothing has to be kept for it.
    """

    root: Path
    ledger: Path
    aside: Path
    pulse: Callable[[str], None]
    power: bool = True
    dead: bool = False
    _synced: dict[int, tuple[int, int]] = field(default_factory=dict)
    _renamings: list[_Renaming] = field(default_factory=list)
    _kept: int = 0
    _durable: dict[str, bytes] = field(default_factory=dict)
    _synchronous: int = _FULL
    _wal: int | None = None
    _left: dict[str, bytes] | None = None

    @contextlib.contextmanager
    def process(self) -> Iterator[None]:
        """Let one process work on this disk; its death does not come out of the block."""
        self._begin()
        before = {name: getattr(os, name) for name in _OPERATIONS}
        commit = connection.commit
        after: dict[str, Any] = {
            "fsync": self._fsync,
            "replace": self._replace,
            "rename": self._replace,
            "unlink": self._unlink,
            "symlink": self._symlink,
        }
        for name, function in after.items():
            setattr(os, name, function)
        connection.commit = lambda connection: self._commit(connection, commit)
        try:
            yield
        except Death as death:
            # Steps that were left in the middle would tidy up when they are collected: now they
            # are dead, and later they would be alive again.
            traceback.clear_frames(death.__traceback__)
        finally:
            connection.commit = commit
            for name, function in before.items():
                setattr(os, name, function)

    def forget_ledger(self) -> None:
        """Know that a person has deleted the ledger's folder, durably."""
        below = f"{self.ledger.parent}{os.sep}"
        self._renamings = [one for one in self._renamings if not one.new.startswith(below)]

    @property
    def cut(self) -> bool:
        """Whether the last process ended by a power cut."""
        return self._left is not None

    def die(self, *, power_cut: bool) -> None:
        """Let the process be dead from here on; with `power_cut` the machine stops with it."""
        if self.dead:
            return
        self.dead = True
        if power_cut:
            self._left = self._durable if self._wal is None else self._image(self._wal)

    def restart(self, lot: int) -> None:
        """Put the disk into the state that a power cut has left; call it after `process`."""
        if self._left is None:
            return
        for part in (*_PARTS, "-shm"):
            Path(f"{self.ledger}{part}").unlink(missing_ok=True)
        for part, content in self._left.items():
            Path(f"{self.ledger}{part}").write_bytes(content)
        chance = random.Random(lot)
        self._undo_names(chance)
        for top in ("outputs", self.ledger.parent.name):
            for path in sorted((self.root / top).rglob("*")):
                if not path.name.startswith(self.ledger.name):
                    self._cut_content(path, chance)

    def _begin(self) -> None:
        """Treat what is on the disk as durable, where the last process has made it so."""
        lost = not self.ledger.exists()
        if self.power and (lost or self._left is not None or self._synchronous >= _NORMAL):
            self._durable = self._image(None)
        self.dead, self._wal, self._left = False, None, None

    def _image(self, length: int | None) -> dict[str, bytes]:
        """Read the ledger as it is on the disk, with only so many bytes of its log."""
        image = {}
        for part in _PARTS:
            path = Path(f"{self.ledger}{part}")
            if path.exists():
                image[part] = path.read_bytes()
        if "-wal" in image and length is not None:
            assert len(image["-wal"]) < _AUTOMATIC_CHECKPOINT, "the log may have been checkpointed"
            image["-wal"] = image["-wal"][:length]
        return image

    def _commit(
        self, ledger: sqlite3.Connection, commit: Callable[[sqlite3.Connection], None]
    ) -> None:
        self._pulse("commit")
        commit(ledger)
        if self.power:
            self._synchronous = ledger.execute("PRAGMA synchronous").fetchone()[0]
            if self._synchronous >= _FULL:
                self._wal = os.stat(f"{self.ledger}-wal").st_size  # noqa: PTH116
        self._pulse("commit")

    def _pulse(self, what: str) -> None:
        if self.dead:
            raise Death
        self.pulse(what)
        if self.dead:
            raise Death

    def _living(self) -> bool:
        """Say whether an operation is to be done: the dead do none, and never know it."""
        if self.dead:
            return False
        self._pulse("file operation")
        return True

    def _fsync(self, descriptor: Any) -> None:  # noqa: ANN401  (a number, or what has one)
        # Nothing is written through to a real disk: what counts is that it was asked for.
        if not self._living() or not self.power:
            return
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            for done in [one for one in self._renamings if one.folder == found.st_ino]:
                self._renamings.remove(done)
                if done.kept is not None:
                    self._synced.pop(os.lstat(done.kept).st_ino, None)
                    _unlink(done.kept)
        else:
            self._synced[found.st_ino] = (found.st_size, found.st_mtime_ns)

    def _replace(self, old: Any, new: Any) -> None:  # noqa: ANN401  (paths of any kind)
        if not self._living():
            return
        kept = self._keep(new)
        _replace(old, new)
        self._note(os.fspath(old), new, kept)

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:  # noqa: ANN401
        if not self._living():
            return
        assert dir_fd is None, "the model knows of whole paths only"
        kept = self._keep(path)
        _unlink(path)
        if kept is not None:
            self._note(None, path, kept)

    def _symlink(self, target: Any, link: Any, target_is_directory: bool = False) -> None:  # noqa: ANN401, FBT001, FBT002
        if not self._living():
            return
        _symlink(target, link, target_is_directory)
        self._note(None, link, None)

    def _keep(self, path: Any) -> str | None:  # noqa: ANN401
        """Keep what has a name now, under another, hidden name."""
        if not self.power or not os.path.lexists(path):
            return None
        self._kept += 1
        kept = str(self.aside / str(self._kept))
        os.link(path, kept, follow_symlinks=False)
        return kept

    def _note(self, old: str | None, new: Any, kept: str | None) -> None:  # noqa: ANN401
        if self.power:
            folder = os.stat(os.path.dirname(new)).st_ino  # noqa: PTH116, PTH120
            self._renamings.append(_Renaming(folder=folder, old=old, new=os.fspath(new), kept=kept))

    def _undo_names(self, chance: random.Random) -> None:
        """Undo some of what was not synced, and with each renaming all later ones of its names."""
        lost: list[_Renaming] = []
        names: set[str | None] = set()
        for one in self._renamings:
            if chance.random() < 0.5 or one.new in names or one.old in names:
                lost.append(one)
                names |= {one.new, one.old} - {None}
        for one in reversed(lost):
            one.undo()
        self._renamings.clear()
        shutil.rmtree(self.aside)
        self.aside.mkdir()

    def _cut_content(self, path: Path, chance: random.Random) -> None:
        found = path.lstat()
        now = (found.st_size, found.st_mtime_ns)
        if not stat.S_ISREG(found.st_mode) or self._synced.get(found.st_ino) == now:
            return
        os.truncate(path, chance.choice((0, found.st_size // 2)))
