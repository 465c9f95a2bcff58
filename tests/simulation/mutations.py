"""The reconciler with a part removed: trials that do not detect it would prove nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runner.api import responses
from runner.ledger import connection, store, submission_transitions
from runner.outputs.answer_index import AnswerIndex
from runner.planning import in_flight
from runner.planning.batch_index import BatchIndex
from runner.reconcile import collect, run_lifecycle

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


def leaving_a_file_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    read = AnswerIndex._read

    def careless(self: AnswerIndex, number: int, file: Path, positions: Mapping[str, int]) -> None:
        if number:
            read(self, number, file, positions)

    monkeypatch.setattr(AnswerIndex, "_read", careless)


def committing_without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave commits to the kernel: they survive a SIGKILL, but not a power cut."""
    write_transaction: Callable[..., Any] = connection.write_transaction

    def careless(ledger: object, path: object, **_durable: bool) -> Any:  # noqa: ANN401
        return write_transaction(ledger, path)

    monkeypatch.setattr(store, "write_transaction", careless)


def taking_what_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Submit again what the result files lack, whatever else the provider says."""
    monkeypatch.setattr(collect, "_contradiction", lambda *_: None)


def buying_before_looking_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without reading files once more that did not hold what had been answered."""
    monkeypatch.setattr(run_lifecycle, "unmatched_submissions", lambda *_: [])


def waiting_for_ever_for_a_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "_stuck_in_cancelling", lambda *_, **__: None)


def letting_one_refusal_stop_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge a refusal by its status alone, as one of the key or of the request."""
    monkeypatch.setattr(responses, "_narrow_refusal", lambda *_: None)


MUTATIONS = (
    with_a_blind_second_creation,
    leaving_a_file_unread,
    committing_without_fsync,
    taking_what_comes,
    letting_one_refusal_stop_all,
)
"""One for each kind of promise: paid once, nothing lost, and both across a power cut; then the
evidence that is weighed before a request is paid for again, and the scope of a refusal. The others
are noticed by known stories.

That each part alone is needed is shown by the tests of its room, and by `make mutants`.
"""
