"""What must hold on a machine after every pass, whatever went wrong.

The promises about submitted requests are checked in `truth`, by the simulated provider: only it
knows. Here is what the disk shows: a ledger that never moves backwards, and complete final files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runner.batch import BatchStatus
from runner.ledger.records import RunState, SubmissionState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FILES: Final = ("output.jsonl", "errors.jsonl", "run.json")
_AFTER_SUBMITTED: Final = frozenset(state for state in SubmissionState if state.closed) | {
    SubmissionState.SUBMITTED
}
_TERMINAL: Final = frozenset(
    {BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.EXPIRED, BatchStatus.CANCELLED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    """What a ledger says, as far as it may not be taken back."""

    submissions: Mapping[str, tuple[str, str | None]]
    batches: Mapping[str, tuple[str, str | None]]
    runs: Mapping[str, str]
    events: tuple[int, int]


_NOTHING: Final = _Recorded(submissions={}, batches={}, runs={}, events=(0, 0))


@dataclass(slots=True, kw_only=True)
class Watch:
    """Checks one machine after every pass, and keeps what it has seen."""

    ledger: Path
    outputs: Path
    _last: _Recorded = _NOTHING
    _seen: tuple[tuple[int, int], ...] | None = None
    _whole: dict[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)

    def forget(self) -> None:
        """Excuse the ledger: it was deleted, or a power cut has put an older one back."""
        self._last = _NOTHING

    def is_cancelled(self, job: str) -> bool:
        """Whether the ledger says that the user has cancelled a job."""
        with contextlib.closing(sqlite3.connect(self.ledger)) as ledger:
            [found] = ledger.execute(
                "SELECT max(cancel_requested) FROM runs WHERE job = ?", (job,)
            ).fetchone()
        return bool(found)

    def check(self) -> None:
        """Assert that the ledger has only grown, and that every final file is whole."""
        state = _state([self.ledger, Path(f"{self.ledger}-wal")])
        if state and state != self._seen:
            recorded = _read(self.ledger)
            _check_forward(self._last, recorded)
            self._last = recorded
            self._seen = _state([self.ledger, Path(f"{self.ledger}-wal")])
        for folder in self.outputs.glob("*/*"):
            if folder.is_dir() and not folder.is_symlink():
                self._check_files(folder)

    def _check_files(self, folder: Path) -> None:
        found = {name: path for name in _FILES if (path := folder / name).exists()}
        state = _state(list(found.values()))
        if self._whole.get(folder.name) == state:
            return
        if "output.jsonl" in found:
            assert len(found) == len(_FILES), f"output.jsonl stands beside only {sorted(found)}"
            _check_whole(folder)
        self._whole[folder.name] = state


def _state(paths: Sequence[Path]) -> tuple[tuple[int, int], ...]:
    """Return what changes when one of the files does."""
    return tuple(
        (found.st_ino, found.st_size + found.st_mtime_ns)
        for found in (path.stat() for path in paths if path.exists())
    )


def _read(path: Path) -> _Recorded:
    with contextlib.closing(sqlite3.connect(path)) as ledger:
        return _Recorded(
            submissions={
                key: (state, batch)
                for key, state, batch in ledger.execute(
                    "SELECT key, state, batch_id FROM submissions"
                )
            },
            batches={
                batch: (status, file)
                for batch, status, file in ledger.execute(
                    "SELECT id, status, output_file_id FROM batches"
                )
            },
            runs=dict(ledger.execute("SELECT job || '/' || revision, state FROM runs").fetchall()),
            events=ledger.execute("SELECT count(*), coalesce(max(id), 0) FROM events").fetchone(),
        )


def _check_forward(before: _Recorded, now: _Recorded) -> None:
    for key, (state, batch) in before.submissions.items():
        assert key in now.submissions, f"the ledger has forgotten {key}"
        later, later_batch = now.submissions[key]
        was = SubmissionState(state)
        if was.closed:
            assert later == state, f"{key} was {state} and is {later}"
        elif was is SubmissionState.SUBMITTED:
            assert SubmissionState(later) in _AFTER_SUBMITTED, f"{key} was {state} and is {later}"
        if batch is not None:
            assert later_batch == batch, f"{key} was batch {batch} and is {later_batch}"
    for batch, (status, file) in before.batches.items():
        assert batch in now.batches, f"the ledger has forgotten {batch}"
        later, later_file = now.batches[batch]
        if status in _TERMINAL:
            assert later == status, f"{batch} was {status} and is {later}"
            assert file is None or later_file == file, f"{batch} had {file}, now {later_file}"
    for run, state in before.runs.items():
        if RunState(state).final:
            assert now.runs[run] == state, f"run {run} was {state} and is {now.runs[run]}"
    assert now.events[0] >= before.events[0], "the ledger has lost events"
    assert now.events[0] == now.events[1], "events are missing in between"


def _check_whole(folder: Path) -> None:
    """Assert that the three files are what `run.json` says they are."""
    record: dict[str, Any] = json.loads((folder / "run.json").read_bytes())
    counts = record["counts"]
    for name, lines in (("output.jsonl", "succeeded"), ("errors.jsonl", "failed")):
        content = (folder / name).read_bytes()
        assert not content or content.endswith(b"\n"), f"{name} breaks off"
        documents = [json.loads(line) for line in content.split(b"\n")[:-1]]
        assert len(documents) == counts[lines], f"{name} has {len(documents)} lines"
        digest = hashlib.sha256(content).hexdigest()
        assert digest == record["outputs"][name]["sha256"], f"{name} is not that of run.json"
    assert counts["succeeded"] + counts["failed"] == record["input"]["requests"]
