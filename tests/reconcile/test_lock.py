"""Who holds the lock of a ledger, told without taking it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.errors import LockHeld
from runner.reconcile.lock import holder, locked


def test_nobody_holds_a_lock_that_was_never_taken(tmp_path: Path) -> None:
    assert holder(tmp_path / "ledger.db") is None
    assert list(tmp_path.iterdir()) == []


def test_the_holder_is_named_and_keeps_it(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"

    with locked(ledger):
        assert holder(ledger) == f"process {os.getpid()}"
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
        assert holder(ledger) == "another process"
    assert holder(ledger) is None
    with locked(ledger):
        pass  # and was given back
