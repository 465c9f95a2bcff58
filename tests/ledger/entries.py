"""Entries for the tests of the ledger: one run of two shards, in any state."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from runner.batch import Batch, File
from runner.inputs.row_set import RowSet
from runner.ledger import run_transitions, submission_transitions
from runner.ledger.records import (
    FileRecord,
    JobRecord,
    Run,
    RunState,
    ShardRecord,
    Submission,
    SubmissionKey,
    SubmissionState,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from runner.ledger.store import Ledger

REVISION: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
KEY: Final = SubmissionKey(job="hello", revision=REVISION[:12], shard=1, attempt=1)
PROVIDER: Final = "lab"

PREPARED: Final = SubmissionState.PREPARED
UPLOADING: Final = SubmissionState.UPLOADING
UPLOADED: Final = SubmissionState.UPLOADED
CREATING: Final = SubmissionState.CREATING
SUBMITTED: Final = SubmissionState.SUBMITTED
COLLECTED: Final = SubmissionState.COLLECTED
LOST: Final = SubmissionState.LOST

JOB: Final = JobRecord(
    name="hello",
    desired_revision=REVISION,
    spec_path="specs/hello.yaml",
    spec_line=1,
    spec_sha256="5" * 64,
    spec_document="name: hello\n",
)

RUN: Final = Run(
    id=0,
    job="hello",
    revision=REVISION,
    state=RunState.PENDING,
    provider=PROVIDER,
    base_url="http://127.0.0.1:8000/v1",
    endpoint="/v1/chat/completions",
    replicate=1,
    digest="d" * 64,
    requests=6,
    bytes=600,
    input_path="data/hello.jsonl",
    folder=f"outputs/hello/{REVISION[:12]}",
    created_at=1000.0,
)

SHARDS: Final = (
    ShardRecord(
        number=1,
        model="gpt",
        rows=RowSet.parse("0-2,4"),
        requests=4,
        bytes=400,
        sha256="1" * 64,
        offset=0,
        ids_offset=0,
        whole=False,
    ),
    ShardRecord(
        number=2,
        model=None,
        rows=RowSet.parse("3,5"),
        requests=2,
        bytes=200,
        sha256="2" * 64,
        offset=300,
        ids_offset=21,
        whole=False,
    ),
)


@dataclass
class Clock:
    """A clock that does not move until it is set."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def batch(identifier: str = "batch_1", status: str = "in_progress", **fields: Any) -> Batch:  # noqa: ANN401
    """Return a Batch object as a provider returns it."""
    return Batch.from_api(
        {
            "id": identifier,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "input_file_id": "file-in",
            "status": status,
            "created_at": 900,
            "request_counts": {"total": 4, "completed": 1, "failed": 0},
            "metadata": {"runner": f"{KEY} rows=4 sha256={'1' * 64}"},
            **fields,
        }
    )


def file(identifier: str = "file-in") -> File:
    """Return a File object as a provider returns it."""
    return File.from_api({"id": identifier, "bytes": 400, "filename": KEY.filename})


def submission(key: SubmissionKey = KEY, **values: Any) -> Submission:  # noqa: ANN401
    """Return a new submission of the first shard."""
    shard = SHARDS[key.shard - 1]
    return Submission(
        **{
            "key": key,
            "state": SubmissionState.PREPARED,
            "rows": shard.rows,
            "requests": shard.requests,
            "bytes": shard.bytes,
            "sha256": shard.sha256,
            **values,
        }
    )


def result_file(kind: str = "output") -> FileRecord:
    """Return the record of a downloaded file."""
    return FileRecord(
        kind=kind,
        file_id=f"file-{kind}",
        path=f"raw/0001-1.{kind}.jsonl",
        bytes=40,
        sha256="f" * 64,
    )


def start(ledger: Ledger) -> Run:
    """Record the run and return it."""
    return ledger.run(run_transitions.start_run(ledger, JOB, RUN, SHARDS))


def close(ledger: Ledger, state: SubmissionState, key: SubmissionKey = KEY) -> None:
    """End a submission: three rows succeeded, one failed."""
    submission_transitions.close(
        ledger,
        key,
        state=state,
        transient=RowSet.parse("4"),
        permanent=RowSet.parse(""),
        problem="one row is missing",
    )


def bring_to(ledger: Ledger, state: SubmissionState) -> Run:
    """Record the run and bring the first submission of its first shard to a state."""
    run = start(ledger)
    submission_transitions.prepare(ledger, run, submission())
    if state in (SubmissionState.FAILED, SubmissionState.LOST, SubmissionState.ABANDONED):
        close(ledger, state)
        return run
    for reached in (
        SubmissionState.UPLOADING,
        SubmissionState.UPLOADED,
        SubmissionState.CREATING,
        SubmissionState.SUBMITTED,
        SubmissionState.COLLECTED,
    ):
        if attempt(ledger).state is state:
            break
        _step_to(ledger, reached)
        assert attempt(ledger).state is reached
    return run


def _step_to(ledger: Ledger, state: SubmissionState) -> None:
    match state:
        case SubmissionState.UPLOADING:
            submission_transitions.intend_upload(ledger, KEY, since=5)
        case SubmissionState.UPLOADED:
            submission_transitions.uploaded(ledger, KEY, file())
        case SubmissionState.CREATING:
            submission_transitions.intend_create(ledger, KEY, since=7, completion_window="24h")
        case SubmissionState.SUBMITTED:
            submission_transitions.submitted(ledger, KEY, PROVIDER, batch())
        case _:
            close(ledger, state)


def attempt(ledger: Ledger, number: int = 0) -> Submission:
    """Return a submission from the ledger."""
    return ledger.run(1).submissions[number]


def dump(path: Path) -> list[str]:
    """Return the whole content of a ledger, read from outside."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def kinds(ledger: Ledger) -> list[str]:
    """Return the kinds of all events, oldest first."""
    return [row["kind"] for row in ledger.query("SELECT kind FROM events ORDER BY id")]


CALLS: Final[Mapping[str, Callable[[Ledger], None]]] = {
    "intend_upload": lambda ledger: submission_transitions.intend_upload(ledger, KEY, since=77),
    "uploaded": lambda ledger: submission_transitions.uploaded(ledger, KEY, file()),
    "uploaded, adopted": lambda ledger: submission_transitions.uploaded(
        ledger, KEY, file(), adopted=True
    ),
    "intend_create": lambda ledger: submission_transitions.intend_create(
        ledger, KEY, since=78, completion_window="24h"
    ),
    "submitted": lambda ledger: submission_transitions.submitted(
        ledger, KEY, PROVIDER, batch(input_file_id=None)
    ),
    "submitted, adopted": lambda ledger: submission_transitions.submitted(
        ledger, KEY, PROVIDER, batch(), adopted=True
    ),
    "clear_intent": lambda ledger: submission_transitions.clear_intent(ledger, KEY, "refused"),
    "clear_intent with the file": lambda ledger: submission_transitions.clear_intent(
        ledger, KEY, "no such file", file_gone=True
    ),
}
"""Calls of transitions of a submission, by name."""
