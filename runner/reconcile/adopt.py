"""Taking over what is at the provider already under our key: the other half of submitting once.

Batches that carry no key of ours are taken over by hand: see `takeover`.

Which batches of elsewhere a job has taken over: kept beside its outputs as well.

A batch that runner made carries its key at the provider. One that was taken over does not, and
nobody can write it there; so if the ledger were lost, its requests would be asked, and paid, once
more.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from runner.errors import NotFound, NotOffered, Rejected, Unauthorized
from runner.ledger import submission_transitions
from runner.ledger.records import Submission, SubmissionKey, SubmissionState, Tag
from runner.outputs.durable_files import explained, sync_folder, write_whole
from runner.reconcile.context import Notice, RequestCounts
from runner.reconcile.custom_ids import rows_of_batch
from runner.text import plural

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runner.planning.actions import AdoptBatch, AdoptFile
    from runner.reconcile.context import Context


def adopt_batch(context: Context, action: AdoptBatch) -> None:
    """Record a batch found at the provider as what a submission has become.

    Another ledger may have made other parts of a shard than this one meant to: what the batch
    asks is what counts. Raises ApiError or LocalFileError where it cannot be told which rows that
    is.
    """
    meant = action.submission
    submission = meant if meant is not None and _the_same(meant, action) else _told(context, action)
    recorded = meant is not None and _recorded(context, action, meant)
    if not recorded:
        submission_transitions.prepare(context.ledger, action.run, submission)
    submission_transitions.submitted(
        context.ledger,
        submission.key,
        action.run.provider,
        action.batch,
        adopted=True,
        asks=submission if recorded and submission is not meant else None,
    )
    context.scratch(submission.key).unlink(missing_ok=True)
    context.tell(
        Notice(
            job=action.run.job,
            what=f"found {action.batch.id} at the provider "
            f"({plural(submission.requests, 'request')}, {action.batch.status}) "
            "and took it over; nothing was submitted",
            event="batch_adopted",
            submission=submission.key,
            batch=action.batch,
            tally=RequestCounts(total=submission.requests),
        )
    )


def _the_same(submission: Submission, action: AdoptBatch) -> bool:
    """Whether a batch is known to ask what a submission meant to ask."""
    tag = Tag.of(action.batch)
    if tag is not None and tag.sha256 is not None:
        return tag.sha256 == submission.sha256
    made_from = action.batch.input_file_id
    return made_from is not None and made_from == submission.input_file_id


def adopt_file(context: Context, action: AdoptFile) -> None:
    """Record a file found at the provider as the one that was uploaded, if its content is.

    The upload may have met an input that was being written to, so the name and the size are
    not enough; a provider that does not give inputs back is believed.
    """
    path = context.scratch(action.key).with_suffix(".check")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        download = context.api(action.run.provider).download(
            action.file.id, path, expected_bytes=action.file.bytes
        )
    except (NotFound, NotOffered, Rejected, Unauthorized):
        pass
    else:
        if download.sha256 != action.sha256:
            submission_transitions.clear_intent(
                context.ledger, action.key, "the file at the provider has another content"
            )
            return
    finally:
        path.unlink(missing_ok=True)
    submission_transitions.uploaded(context.ledger, action.key, action.file, adopted=True)
    context.scratch(action.key).unlink(missing_ok=True)


def _recorded(context: Context, action: AdoptBatch, submission: Submission) -> bool:
    run = context.ledger.run(action.run.id)
    return any(recorded.key == submission.key for recorded in run.submissions)


def _told(context: Context, action: AdoptBatch) -> Submission:
    """Work out a submission of which only the batch is left, from its tag or its file."""
    shard, tag = action.shard, Tag.of(action.batch)
    rows, size, sha256 = shard.rows, shard.bytes, shard.sha256
    told = tag is not None and tag.requests == shard.requests and tag.sha256 == shard.sha256
    if not told:
        rows, size = rows_of_batch(context, action.run, shard, action.batch)
        sha256 = (tag.sha256 if tag is not None else None) or sha256
    return Submission(
        key=action.key,
        round=action.run.round,
        state=SubmissionState.PREPARED,
        rows=rows,
        requests=len(rows),
        bytes=size,
        sha256=sha256,
    )


CLAIMS: Final = "adopted.json"
_FORMAT: Final = 1


def read_claims(folder: Path) -> dict[str, SubmissionKey]:
    """Return the keys of the batches that were taken over for a run, by batch id."""
    try:
        document = json.loads((folder / CLAIMS).read_bytes())
        keys = {
            str(name): SubmissionKey.parse(str(key)) for name, key in document["batches"].items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # Somebody's own file of that name: it claims nothing.
        return {}
    return {name: key for name, key in keys.items() if key is not None}


def write_claims(folder: Path, claims: Mapping[str, SubmissionKey]) -> None:
    """Keep the claims of a run for good. Raises LocalFileError."""
    path = folder / CLAIMS
    document = {
        "format_version": _FORMAT,
        "batches": {name: str(key) for name, key in claims.items()},
    }
    with explained(path, doing="written"):
        folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(document, indent=2, sort_keys=True).encode() + b"\n")
    sync_folder(folder)
