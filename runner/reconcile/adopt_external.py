"""Adopt a batch that was made elsewhere, by a notebook or another tool.

Its requests must be those of the job, one by one: otherwise its responses would be stored under
requests that were never submitted. So its input file is read at the provider and compared.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING

from runner.errors import NotFound, UnexpectedReply, UsageError
from runner.files import explained, make_folder, part_of
from runner.inputs.row_set import RowSet
from runner.ledger import run_transitions, submission_transitions
from runner.ledger.records import Submission, SubmissionKey, SubmissionState
from runner.outputs.provenance import git_json
from runner.planning.batch_index import BatchIndex
from runner.planning.state import Observed
from runner.reconcile.context import Notice, RequestCounts
from runner.reconcile.custom_ids import custom_ids
from runner.reconcile.observe import list_before_submission
from runner.reconcile.recorded import read_claims, write_claims
from runner.reconcile.restore import find_restorable
from runner.reconcile.submit import extract_rows
from runner.text import listed, plural

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.batch import Batch
    from runner.ledger.records import Run, ShardRecord
    from runner.planning.state import DesiredRun
    from runner.reconcile.context import Context


def adopt_external(context: Context, desired: DesiredRun, batch_id: str) -> Submission:
    """Record a batch as an attempt of a job's run; nothing is submitted or downloaded yet.

    Raises UsageError with the reason if the batch is not one of the job's, ApiError and
    LocalFileError if that cannot be checked.
    """
    job = desired.job
    run = _run(context, desired)
    api = context.api(job.provider.name)
    batch = api.retrieve_batch(batch_id)
    owner = context.ledger.batch_keys(job.provider.name).get(batch.id)
    if owner is not None:
        raise UsageError(f"{batch.id} belongs to this ledger already, as {owner}")
    if batch.endpoint is not None and batch.endpoint != job.endpoint:
        raise UsageError(
            f"{batch.id} is for {batch.endpoint}, and {job.name} is for {job.endpoint}"
        )
    requests, size, sha256 = _requests_of(context, desired, batch)
    shard, rows = _find_shard(context, desired, run, batch, requests)
    _require_same_requests(context, desired, run, shard, rows, batch, requests)
    key = _unused_key(context, desired, run, shard)
    if run.id == 0:
        identifier = run_transitions.start_run(
            context.ledger,
            desired.record,
            dataclasses.replace(run, git=git_json(context.project.root)),
            run.shards,
        )
        run = dataclasses.replace(run, id=identifier)
    submission = Submission(
        key=key,
        round=run.round,
        state=SubmissionState.PREPARED,
        rows=rows,
        requests=len(rows),
        bytes=size,
        sha256=sha256,
    )
    folder = context.folder(run)
    write_claims(folder, {**read_claims(folder), batch.id: submission.key})
    submission_transitions.prepare(context.ledger, run, submission)
    submission_transitions.submitted(
        context.ledger, submission.key, run.provider, batch, adopted=True
    )
    context.report_notice(
        Notice(
            job=job.name,
            message=f"adopted {batch.id} ({plural(len(rows), 'request')}, {batch.status}); "
            f"`runner reconcile {job.name}` continues with it",
            event="batch_adopted",
            submission=key,
            batch=batch,
            counts=RequestCounts(total=len(rows)),
        )
    )
    return submission


def _run(context: Context, desired: DesiredRun) -> Run:
    """Return the run of the job: the recorded one, or with id 0 the one that would start."""
    job = desired.job
    for summary in context.ledger.runs():
        if (summary.job, summary.revision) == (job.name, desired.revision):
            if summary.state.final:
                raise UsageError(
                    f"{job.name} has ended already ({summary.state}); requests that have not "
                    f"succeeded can be submitted again with `runner retry {job.name}`"
                )
            if summary.cancel_requested:
                raise UsageError(f"{job.name} is being cancelled; adopt it when that is over")
            return context.ledger.run(summary.id)
    _require_new(context, desired)
    return desired.new_run(context.clock())


def _require_new(context: Context, desired: DesiredRun) -> None:
    """Raise UsageError if the job's run exists under another name, or can be restored."""
    name = desired.job.name
    for summary in context.ledger.runs():
        if summary.revision == desired.revision:
            raise UsageError(
                f"job {summary.job} has the same requests; run `runner reconcile` first, so that "
                f"it is known whose responses they are"
            )
    if find_restorable(context.project.root, desired) is not None:
        raise UsageError(
            f"{name} has ended already: {desired.folder} holds its results, and only the ledger "
            f"has lost it; `runner rebuild` restores it"
        )


def _requests_of(
    context: Context, desired: DesiredRun, batch: Batch
) -> tuple[dict[str, bytes], int, str]:
    """Return the digests of a batch's requests by custom_id, its size, and its SHA-256."""
    if batch.input_file_id is None:
        raise UsageError(f"{batch.id} does not say which file it was made from")
    make_folder(context.uploads, within=context.uploads.parent)
    path = part_of(context.uploads / "adopted")
    try:
        download = context.api(desired.job.provider.name).download(
            batch.input_file_id, path, expected_bytes=None
        )
        return dict(_digests(path, batch.id)), download.bytes, download.sha256
    except NotFound as error:
        raise UsageError(
            f"the provider does not keep {batch.input_file_id} any more, from which {batch.id} "
            f"was made, so its requests are unknown: it is not adopted"
        ) from error
    finally:
        path.unlink(missing_ok=True)


def _digests(path: Path, shown: str) -> Iterator[tuple[str, bytes]]:
    """Yield each request's custom_id and the digest of its content, whatever its layout."""
    with explained(path, doing="read"), path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                request = json.loads(line)
                custom_id = request["custom_id"]
                content = json.dumps(request, sort_keys=True).encode()
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise UsageError(
                    f"line {number} of the requests of {shown} is no request with a custom_id"
                ) from error
            yield str(custom_id), hashlib.sha256(content).digest()


def _find_shard(
    context: Context, desired: DesiredRun, run: Run, batch: Batch, requests: dict[str, bytes]
) -> tuple[ShardRecord, RowSet]:
    """Find the shard that holds a batch's requests, and their rows."""
    found: dict[int, RowSet] = {}
    count = 0
    for shard in run.shards:
        rows = RowSet.from_iterable(
            row
            for row, custom_id in custom_ids(context, run, shard, None)()
            if custom_id in requests
        )
        if rows:
            found[shard.number] = rows
            count += len(rows)
    if count != len(requests) or not requests:
        names = {
            custom_id
            for shard in run.shards
            for _row, custom_id in custom_ids(context, run, shard, None)()
        }
        unknown_ids = [custom_id for custom_id in requests if custom_id not in names]
        raise UsageError(
            f"{batch.id} has {plural(len(unknown_ids), 'request')} that {desired.job.input_shown} "
            f"does not have: {listed(unknown_ids)}"
        )
    if len(found) > 1:
        raise UsageError(
            f"{batch.id} has requests of {len(found)} batches that {run.job} is cut into, by "
            f"model and by size. Before the job has begun, max_requests_per_batch of provider "
            f"{run.provider} can be set to {len(requests)}, the size that this one was cut to"
        )
    [(number, rows)] = found.items()
    shard = next(shard for shard in run.shards if shard.number == number)
    _require_unclaimed(run, shard, rows, batch)
    return shard, rows


def _require_unclaimed(run: Run, shard: ShardRecord, rows: RowSet, batch: Batch) -> None:
    for submission in run.shard_submissions(shard.number):
        done = submission.rows
        if submission.state.closed:
            done = done.difference(submission.transient or RowSet())
            done = done.difference(submission.permanent or RowSet())
        if rows.intersection(done):
            what = "have succeeded" if submission.state.closed else "are in flight"
            raise UsageError(f"requests of {batch.id} {what} already, in {submission.key}")


def _require_same_requests(
    context: Context,
    desired: DesiredRun,
    run: Run,
    shard: ShardRecord,
    rows: RowSet,
    batch: Batch,
    requests: dict[str, bytes],
) -> None:
    """Compare a batch's requests with the job's, one by one."""
    path = part_of(context.uploads / "compared")
    with contextlib.ExitStack() as stack:
        stack.callback(path.unlink, missing_ok=True)
        extract_rows(context, desired.job, run, shard, rows, path)
        different = [
            name for name, digest in _digests(path, desired.job.name) if requests[name] != digest
        ]
    if different:
        raise UsageError(
            f"the requests of {batch.id} are not those of {desired.job.input_shown}: "
            f"{plural(len(different), 'request')} differ, {listed(different)}"
        )


def _unused_key(
    context: Context, desired: DesiredRun, run: Run, shard: ShardRecord
) -> SubmissionKey:
    """Return a key that neither this ledger nor the provider has for another batch.

    Raises UnexpectedReply if the provider's list is not complete.
    """
    provider = run.provider
    observed = list_before_submission(context.api(provider), Observed(), None, context.clock)
    if observed.failure is not None:
        raise UnexpectedReply(
            f"{desired.job.name}: nothing was adopted, since the provider's list of batches "
            f"cannot be read: {observed.failure}",
            provider=provider,
            call="GET /batches",
        )
    if observed.listing is None or (observed.listing.offered and not observed.listing.complete):
        raise UnexpectedReply(
            f"{desired.job.name}: nothing was adopted, since the provider's list of batches "
            f"could not be read completely, so it is unknown which keys are used; "
            f"`runner orphans` says what is wrong with it",
            provider=provider,
            call="GET /batches",
        )
    index = BatchIndex(context.ledger.foreign_batches(provider), observed)
    different = None if run.submissions else index.batch_of_other_shards(run)
    if different is not None:
        raise UsageError(
            f"{different.id} has requests of this revision in other shards: restore the limits of "
            f"provider {provider}, and run `runner reconcile` first"
        )
    used = {key.attempt for key, _batch in index.of_shard(run.short, shard.number)}
    used |= {
        key.attempt
        for key in context.ledger.submission_keys(run.revision)
        if key.shard == shard.number
    }
    return SubmissionKey(
        job=run.job,
        revision=run.short,
        shard=shard.number,
        attempt=max(used, default=0) + 1,
    )
