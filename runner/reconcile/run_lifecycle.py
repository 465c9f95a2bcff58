"""Changes of a whole run: reopen it, move it to another job or folder, delete its remote files.

Remote files are deleted last, since they cannot be downloaded again: only after the final files
are written, and each raw file on this disk was read again and found unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import LocalFileError, NotOffered, Rejected, Unauthorized
from runner.files import make_folder, rename, sha256_of
from runner.ledger import run_transitions
from runner.outputs.files import read_latest
from runner.reconcile.collect import unmatched_submissions
from runner.reconcile.context import Notice
from runner.reconcile.download import restore_raw_file
from runner.reconcile.recorded import read_claims
from runner.text import plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runner.ledger.records import FileRecord, Run, Submission, SubmissionKey
    from runner.planning.actions import DeleteRemoteFiles, RelocateRun
    from runner.reconcile.context import Context


def reopen(context: Context, run: Run, *, next_round: bool, attempts: int) -> None:
    """Remove the final files of a run and continue it; `next_round` retries every failed request.

    Files that did not hold what their batch had reported are read once more first, since what is
    in them by now need not be paid for again. `output.jsonl` and `errors.jsonl` mean a final state,
    so they go first; their lines stay in `raw/`, and they are written again when the run ends.
    Raises LocalFileError.
    """
    from runner.outputs.publish import unpublish

    unmatched = unmatched_submissions(context, context.ledger.run(run.id)) if next_round else []
    unpublish(context.folder(run))
    run_transitions.reopen_run(
        context.ledger,
        run,
        next_round=next_round,
        attempts=attempts,
        unmatched=[submission.key for submission in unmatched],
    )
    for submission in unmatched:
        context.report_notice(
            Notice(
                job=run.job,
                message=f"the result files of {submission.batch_id} are read once more, before "
                f"anything is submitted again",
                event="remark",
                submission=submission.key,
            )
        )


def relocate(context: Context, action: RelocateRun) -> None:
    """Move a run's folder, then record it; after a crash between the two it is repeated.

    Raises LocalFileError if another file or folder is in the way.
    """
    old, new = context.folder(action.run), context.place(action.folder)
    try:
        if old != new and old.exists():
            if new.exists():
                raise LocalFileError(
                    f"{action.run.folder} cannot be moved to {action.folder}: it exists "
                    f"already; move one of them away"
                )
            make_folder(new.parent, within=context.project.base_of(new.parent))
            rename(old, new)
        if old.parent != new.parent and old.parent.is_dir():
            _remove_leftovers(old.parent)
    except OSError as error:
        raise LocalFileError(
            f"{action.run.folder} cannot be moved to {action.folder}: {error.strerror or error}"
        ) from error
    run_transitions.relocate_run(context.ledger, action.run, action.job, action.folder)
    context.report_notice(
        Notice(
            job=action.job.name,
            message=f"{action.reason}; outputs are in {action.folder}",
            event="run_moved",
            revision=action.run.short,
        )
    )


def _remove_leftovers(folder: Path) -> None:
    """Remove a `latest` without a target and the empty folder that a moved run has left.

    It is called again after a crash between the move and this.
    """
    latest = folder / "latest"
    named = read_latest(folder)
    if named is not None and not (folder / named).exists():
        latest.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def delete_remote_files(context: Context, action: DeleteRemoteFiles) -> None:
    """Delete the input and result files of a run at its provider, as far as that allows it.

    Raises LocalFileError, with nothing more deleted, if a result file on this disk was changed;
    ApiError if the provider does not respond. It can be repeated safely.
    """
    run = context.ledger.run(action.run.id)
    files = context.ledger.files(run.id)
    results = {record.file_id for records in files.values() for record in records}
    api = context.api(run.provider)
    claimed = read_claims(context.folder(run))
    deleted_count = 0
    not_deleted: dict[str, str] = {}
    for submission in run.submissions:
        records = files.get(str(submission.key), ())
        if submission.tidied_at is not None:
            continue
        for record in records:
            if not (context.folder(run) / record.path).exists():
                restore_raw_file(context, run, submission.key, record)
        _require_unchanged(context.folder(run), records)
        deleted: list[str] = []
        left: dict[str, str] = {}
        for file_id in _remote_file_ids(submission, results, claimed):
            try:
                if api.delete_file(file_id):
                    deleted.append(file_id)
                else:
                    left[file_id] = "the provider says that it was not deleted"
            except (NotOffered, Rejected, Unauthorized) as error:
                left[file_id] = str(error)
        run_transitions.submission_files_deleted(
            context.ledger, submission.key, deleted=deleted, left=left
        )
        deleted_count += len(deleted)
        not_deleted |= left
    run_transitions.run_files_deleted(context.ledger, run)
    summary = f"deleted {plural(deleted_count, 'file')} at the provider, as keep_remote: false says"
    if not_deleted:
        file_id, reason = next(iter(not_deleted.items()))
        summary += f"; {len(not_deleted):,} could not be deleted, {file_id} for one: {reason}"
    context.report_notice(
        Notice(
            job=run.job,
            message=summary,
            is_problem=bool(not_deleted),
            event="tidied",
            revision=run.short,
        )
    )


def _remote_file_ids(
    submission: Submission, results: set[str], claimed: Mapping[str, SubmissionKey]
) -> list[str]:
    """Return the ids of a submission's files at the provider; result files only if on this disk.

    The input file of an adopted batch is left out: other batches may be made from it.
    """
    batch = submission.batch
    outputs = () if batch is None else (batch.output_file_id, batch.error_file_id)
    input_file_id = None if submission.batch_id in claimed else submission.input_file_id
    found = [input_file_id, *(name for name in outputs if name in results)]
    return list(dict.fromkeys(name for name in found if name))


def _require_unchanged(folder: Path, records: Sequence[FileRecord]) -> None:
    """Raise LocalFileError unless the results on this disk are those that were downloaded."""
    for record in records:
        path = folder / record.path
        try:
            found = sha256_of(path)
        except OSError as error:
            raise LocalFileError(
                f"{path} cannot be read, so nothing is deleted at the provider: "
                f"{error.strerror or error}"
            ) from error
        if found != record.sha256:
            raise LocalFileError(
                f"{path} is not what was downloaded, so nothing is deleted at the provider; "
                f"remove it, and the next pass downloads it again"
            )
