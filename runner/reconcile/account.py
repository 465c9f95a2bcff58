"""The account of a run for `run.json`: what was asked, of whom, in which batches, by what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from runner.inputs.row_set import RowSet
from runner.outputs.provenance import GitState, tool_versions
from runner.outputs.record import (
    Counts,
    InputRecord,
    ProviderRecord,
    RequestParameters,
    ResultFile,
    RunRecord,
    ShardRecord,
    SpecRecord,
    SubmissionRecord,
    sum_usage,
    timestamp,
)
from runner.spec.job import METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.ledger.records import FileRecord, Run, RunState, Submission
    from runner.outputs.publish import Published
    from runner.reconcile.context import Context
    from runner.spec.job import Job


def account(
    context: Context,
    run: Run,
    job: Job | None,
    *,
    state: RunState,
    reason: str | None,
    superseded: bool,
    files: Mapping[str, tuple[FileRecord, ...]],
    published: Published,
) -> RunRecord:
    """Gather the record of a run that ends now.

    `job` is the spec as it stands; None if no spec asks for the run any more, then window and
    metadata are what the batches show, and the document is the last one that asked for it.
    """
    batches = dict(context.ledger.batches(run.id))
    return RunRecord(
        job=run.job,
        revision=run.revision,
        state=str(state),
        reason=reason,
        superseded=superseded,
        spec=SpecRecord(
            path=run.spec_path,
            line=run.spec_line,
            sha256=run.spec_sha256,
            document=run.spec_document,
        ),
        request=RequestParameters(
            endpoint=run.endpoint,
            completion_window=_window(job, batches),
            metadata=dict(job.metadata) if job is not None else _metadata(batches),
            provider=ProviderRecord(name=run.provider, base_url=run.base_url),
            replicate=run.replicate,
            attempts=job.attempts if job is not None else run.attempts,
        ),
        input=InputRecord(
            path=run.input_path, requests=run.requests, bytes=run.bytes, sha256=run.digest
        ),
        shards=tuple(
            ShardRecord(
                number=shard.number,
                model=shard.model,
                rows=str(shard.rows),
                requests=shard.requests,
                bytes=shard.bytes,
                sha256=shard.sha256,
                offset=shard.offset,
                ids_offset=shard.ids_offset,
                whole=shard.whole,
                submissions=tuple(
                    _submission(submission, batches, files)
                    for submission in run.shard_submissions(shard.number)
                ),
            )
            for shard in run.shards
        ),
        counts=Counts(
            total=run.requests,
            succeeded=published.succeeded,
            failed=published.failed,
            codes=published.codes,
        ),
        usage=sum_usage(batches.values()),
        outputs=(published.output, published.errors),
        made_by=tool_versions(),
        git=None if run.git is None else GitState(**json.loads(run.git)),
        started_at=timestamp(run.created_at),
        finished_at=timestamp(run.finished_at or context.clock()),
    )


def _metadata(batches: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """Return the user's own pairs as the last batch carries them."""
    shown = [batch["metadata"] for batch in batches.values() if batch.get("metadata")]
    pairs = shown[-1] if shown else None
    if not isinstance(pairs, dict):
        return {}
    return {str(key): str(value) for key, value in pairs.items() if key != METADATA_KEY}


def _window(job: Job | None, batches: Mapping[str, Mapping[str, object]]) -> str:
    shown = [
        str(batch["completion_window"])
        for batch in batches.values()
        if batch.get("completion_window")
    ]
    if shown:
        return shown[-1]
    return job.completion_window if job is not None else ""


def _submission(
    submission: Submission,
    batches: Mapping[str, Mapping[str, object]],
    files: Mapping[str, tuple[FileRecord, ...]],
) -> SubmissionRecord:
    key = str(submission.key)
    return SubmissionRecord(
        key=key,
        attempt=submission.key.attempt,
        state=str(submission.state),
        counted=submission.counted,
        rows=str(submission.rows),
        transient=str(submission.transient or RowSet()),
        permanent=str(submission.permanent or RowSet()),
        problem=submission.problem,
        requests=submission.requests,
        bytes=submission.bytes,
        sha256=submission.sha256,
        input_file_id=submission.input_file_id,
        submitted_at=(
            None if submission.submitted_at is None else timestamp(submission.submitted_at)
        ),
        batch=batches.get(key),
        results=tuple(
            ResultFile(
                kind=record.kind,
                file_id=record.file_id,
                path=record.path,
                bytes=record.bytes,
                sha256=record.sha256,
            )
            for record in files.get(key, ())
        ),
    )
