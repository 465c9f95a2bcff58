"""Finished runs that the ledger does not know: read from their records, believed if whole.

A ledger can be deleted. What it knew of finished runs stands in `run.json` beside their outputs,
and a run whose outputs are there, byte for byte, is not asked for again.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from runner.batch import Batch
from runner.inputs.rows import RowSet
from runner.ledger import runs as run_steps
from runner.ledger.records import (
    FileRecord,
    Key,
    Run,
    RunState,
    ShardRecord,
    Submission,
    SubmissionState,
)
from runner.reconcile.facts import Restorable
from runner.reconcile.workshop import Tidings

if TYPE_CHECKING:
    from pathlib import Path

    from runner.reconcile.actions import RestoreRun
    from runner.reconcile.facts import Wish
    from runner.reconcile.workshop import Workshop


def find_restorable(root: Path, wish: Wish) -> Restorable | None:
    """Read the finished run of a wish from its output folder, if it is there and whole.

    None if there is no record, if it is of another revision, or if an output differs from what
    the record says of it. Changes nothing.
    """
    folder = root / wish.folder
    try:
        record = json.loads((folder / "run.json").read_bytes())
        if record["format_version"] != 1 or record["revision"] != wish.revision:
            return None
        for name, output in record["outputs"].items():
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != output["sha256"]:
                    return None
        return _restorable(record, wish)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Whatever is wrong with it, it is no proof that the questions were answered.
        return None


def restore(shop: Workshop, action: RestoreRun) -> None:
    """Put a finished run and everything its record holds back into the ledger."""
    restorable = action.restorable
    run_steps.restore_run(
        shop.ledger,
        action.job,
        restorable.run,
        [
            (submission, submission.batch, restorable.files.get(str(submission.key), ()))
            for submission in restorable.run.submissions
        ],
    )
    run = restorable.run
    shop.tell(
        Tidings(
            job=run.job,
            what=f"{run.state}: taken over from {run.folder}/run.json; nothing was submitted",
        )
    )


def _restorable(record: dict[str, Any], wish: Wish) -> Restorable | None:
    if record["input"]["sha256"] != wish.digest:
        return None
    submissions: list[Submission] = []
    files: dict[str, tuple[FileRecord, ...]] = {}
    for shard in record["shards"]:
        for entry in shard["submissions"]:
            submissions.append(_submission(entry))
            files[entry["key"]] = tuple(FileRecord(**result) for result in entry["results"])
    state = RunState(record["state"])
    if not state.final:
        return None
    return Restorable(
        run=Run(
            id=0,
            job=wish.job.name,
            revision=wish.revision,
            state=state,
            reason=record["reason"],
            provider=wish.job.provider.name,
            base_url=wish.job.provider.identity["base_url"],
            endpoint=wish.job.endpoint,
            replicate=wish.job.replicate,
            digest=wish.digest,
            requests=wish.requests,
            bytes=wish.bytes,
            input_path=wish.job.input_shown,
            folder=wish.folder,
            superseded=record["superseded"],
            git=None if record["git"] is None else json.dumps(record["git"]),
            attempts=wish.job.attempts,
            succeeded=record["counts"]["succeeded"],
            failed=record["counts"]["failed"],
            created_at=_seconds(record["started_at"]),
            finished_at=_seconds(record["finished_at"]),
            # As they were cut then: the provider's limits may have been changed since.
            shards=tuple(_shard(shard) for shard in record["shards"]),
            submissions=tuple(submissions),
        ),
        files=files,
    )


def _shard(entry: dict[str, Any]) -> ShardRecord:
    return ShardRecord(
        number=entry["number"],
        model=entry["model"],
        rows=RowSet.parse(entry["rows"]),
        requests=entry["requests"],
        bytes=entry["bytes"],
        sha256=entry["sha256"],
        offset=entry["offset"],
        ids_offset=entry["ids_offset"],
        whole=entry["whole"],
    )


def _submission(entry: dict[str, Any]) -> Submission:
    key = Key.parse(entry["key"])
    if key is None:
        raise ValueError(entry["key"])
    batch = None if entry["batch"] is None else Batch.from_api(entry["batch"])
    at = entry["submitted_at"]
    return Submission(
        key=key,
        state=SubmissionState(entry["state"]),
        rows=RowSet.parse(entry["rows"]),
        requests=entry["requests"],
        bytes=entry["bytes"],
        sha256=entry["sha256"],
        counted=entry["counted"],
        input_file_id=entry["input_file_id"],
        batch_id=None if batch is None else batch.id,
        submitted_at=None if at is None else _seconds(at),
        transient=RowSet.parse(entry["transient"]),
        permanent=RowSet.parse(entry["permanent"]),
        problem=entry["problem"],
        batch=batch,
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
