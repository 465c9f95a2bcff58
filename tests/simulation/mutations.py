"""The reconciler with a part removed: trials that do not detect it would prove nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from runner.ledger import connection, store, submission_transitions
from runner.ledger.records import SubmissionState
from runner.outputs import publish
from runner.outputs.answer_index import AnswerIndex
from runner.planning.batch_index import BatchIndex
from runner.reconcile import lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pytest

    from runner.ledger.records import SubmissionKey
    from runner.ledger.store import Ledger


def without_adoption(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BatchIndex, "batch", lambda *_: None)
    monkeypatch.setattr(BatchIndex, "of_shard", lambda *_: [])


def with_a_blind_second_creation(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(ledger: Ledger, key: SubmissionKey, problem: str) -> None:
        submission_transitions.clear_intent(ledger, key, problem)

    monkeypatch.setattr(submission_transitions, "mark_uncertain", forget)


def without_the_intent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission_transitions, "intend_create", lambda *_args, **_more: None)


def leaving_a_file_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    read = AnswerIndex._read

    def careless(self: AnswerIndex, number: int, file: Path, positions: Mapping[str, int]) -> None:
        if number:
            read(self, number, file, positions)

    monkeypatch.setattr(AnswerIndex, "_read", careless)


def counting_what_was_turned_away_as_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    close: Callable[..., None] = submission_transitions.close

    def careless(ledger: Ledger, key: SubmissionKey, **more: Any) -> None:  # noqa: ANN401
        if more["state"] is SubmissionState.COLLECTED:
            more["transient"] = more["permanent"]
        close(ledger, key, **more)

    monkeypatch.setattr(submission_transitions, "close", careless)


def committing_without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave commits to the kernel: they survive a SIGKILL, but not a power cut."""
    write_transaction: Callable[..., Any] = connection.write_transaction

    def careless(ledger: object, path: object, **_durable: bool) -> Any:  # noqa: ANN401
        return write_transaction(ledger, path)

    monkeypatch.setattr(store, "write_transaction", careless)


class _OsWithoutFsync:
    """`os`, but fsync does nothing."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(os, name)

    def fsync(self, _descriptor: int) -> None:
        """Promise, and do nothing."""


def renaming_without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name final files whose content is not on the disk yet."""
    monkeypatch.setattr(publish, "os", _OsWithoutFsync())


def naming_without_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave it to the disk which of the final files gets its name first."""
    monkeypatch.setattr(publish, "sync_folder", lambda _folder: None)


def without_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unlocked:
        """`fcntl`, but every lock is free."""

        LOCK_EX = LOCK_NB = 0

        def flock(self, _descriptor: int, _how: int) -> None:
            """Let everybody in."""

    monkeypatch.setattr(lock, "fcntl", Unlocked())


MUTATIONS = (
    without_adoption,
    with_a_blind_second_creation,
    without_the_intent,
    leaving_a_file_unread,
    counting_what_was_turned_away_as_answered,
    committing_without_fsync,
    renaming_without_fsync,
    naming_without_order,
    without_the_lock,
)
