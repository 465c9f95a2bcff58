"""Download result files and check them before they get their names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from runner.api.protocol import ANY_FILE
from runner.errors import ApiError, LocalFileError, NotFound, Transient, UnexpectedReply
from runner.files import (
    explained,
    make_folder,
    part_of,
    parts_of,
    rename,
    sha256_of,
    sweep,
    sync_folder,
)
from runner.ledger.records import FileRecord
from runner.outputs.files import BY_ORDER, FileRejected, is_run_file
from runner.reconcile.context import with_shard
from runner.reconcile.custom_ids import ids_in_order

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.ledger.records import Run, SubmissionKey
    from runner.reconcile.context import Context


_MAX_DOWNLOADS: Final = 3
"""How often a file that looks cut off is downloaded before it is accepted as it is."""

_MARGIN: Final = 64 * 1024 * 1024
_TIMES_THE_SIZE: Final = 4
"""What is taken beyond the size of a File object: some servers count characters, of which one has
up to four bytes."""

_BYTES_A_REQUEST: Final = 1024 * 1024
"""What is taken of a file without a size for each request, beside what is taken of any file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadedFile:
    """A result file on this disk, under its final name."""

    record: FileRecord
    path: Path
    has_expected_size: bool
    """Whether it has the size that the provider reports."""

    has_other_size: bool
    """Whether it has another size than the provider reports."""


def restore_raw_file(context: Context, run: Run, key: SubmissionKey, record: FileRecord) -> None:
    """Restore a file of `raw/` that is missing on this disk: from the provider, or from the others.

    Raises LocalFileError if the provider does not have it any more, or has another content.
    """
    _require_run_file(run, record.path)
    sha256 = (
        _match_again(context, run, key, record)
        if record.kind == BY_ORDER
        else _download_again(context, run, key, record)
    )
    if sha256 != record.sha256:
        raise LocalFileError(
            f"{record.path} of {run.job} has another content at the provider now than when it "
            f"was first downloaded (sha256 {record.sha256[:12]}…)"
        )


def _download_again(context: Context, run: Run, key: SubmissionKey, record: FileRecord) -> str:
    """Download a result file again, and return its SHA-256."""
    try:
        return fetch(context, run, key, record.kind, record.file_id).record.sha256
    except NotFound as error:
        raise LocalFileError(
            f"{record.path} of {run.job} is missing in {run.folder}, and the provider does not "
            f"keep it any more; restore it from a backup, or submit again with `replicate`"
        ) from error


def _match_again(context: Context, run: Run, key: SubmissionKey, record: FileRecord) -> str:
    """Write the lines that were matched by order again, and return the file's SHA-256."""
    from runner.outputs.by_order import write_by_order

    submission = next(each for each in run.submissions if each.key == key)
    folder = context.folder(run)
    try:
        return write_by_order(
            folder / _raw_name(key, "output"),
            folder / record.path,
            ids_in_order(context, run, submission),
        ).sha256
    except FileRejected as unfit:
        raise LocalFileError(
            f"{record.path} of {run.job} is missing in {run.folder}, and cannot be made again: "
            f"{_raw_name(key, 'output')} {unfit}"
        ) from unfit


def read_downloaded(context: Context, run: Run, key: SubmissionKey) -> list[DownloadedFile]:
    """Return the result files of a submission that were downloaded before and are still intact.

    Each is hashed again, since a damaged one would lose responses that are paid for. The output
    file comes before the error file.
    """
    intact = []
    for record in context.ledger.files(run.id).get(str(key), ()):
        _require_run_file(run, record.path)
        path = context.folder(run) / record.path
        try:
            whole = sha256_of(path) == record.sha256
        except OSError:
            continue  # missing or unreadable: as if it had never been downloaded
        if whole:
            intact.append(
                DownloadedFile(
                    record=record, path=path, has_expected_size=True, has_other_size=False
                )
            )
    return intact


def _require_run_file(run: Run, name: str) -> None:
    """Raise LocalFileError for a name from the ledger that leads out of the run's folder."""
    if not is_run_file(name):
        raise LocalFileError(f"the ledger has a result file of {run.job} that is none: {name}")


def _raw_name(key: SubmissionKey, kind: str) -> str:
    """Return the path of a result file in the run's folder: shard, attempt, kind."""
    return f"raw/{key.shard:04d}-{key.attempt}.{kind}.jsonl"


def fetch(
    context: Context,
    run: Run,
    key: SubmissionKey,
    kind: str,
    file_id: str,
    *,
    is_worse: Callable[[Path], bool] | None = None,
) -> DownloadedFile:
    """Download one result file under a temporary name, check it, and name it.

    If `is_worse` is true of what has come, the file that is there already stays.
    """
    from runner.outputs.result_files import verify_download

    name = _raw_name(key, kind)
    path = context.folder(run) / name
    _require_run_file(run, name)
    make_folder(path.parent, within=context.project.base_of(path.parent))
    sweep(path.parent, parts_of(path.name))
    part = part_of(path)
    expected = _expected_bytes(context, run, file_id)
    take = partial(
        context.api(run.provider).download,
        file_id,
        part,
        at_most=_most_bytes(expected, requests=run.requests),
    )
    has_other_size = False
    with context.report_progress(
        run.job, with_shard("downloading", run, key), expected or 0
    ) as report_bytes:
        try:
            download = take(expected_bytes=expected, progress=report_bytes)
        except UnexpectedReply:
            if expected is None:
                raise
            # The content had the same other size twice: then the reported size is wrong, unless
            # the content is cut off. One that is too long is given up again.
            expected, has_other_size = None, True
            download = take(expected_bytes=None, progress=report_bytes)
        for _again in range(_MAX_DOWNLOADS - 1):
            if expected is not None or verify_download(part) is None:
                # Of the right length, so a broken last line is the provider's own: a row's error.
                break
            part.unlink()
            download = take(expected_bytes=expected, progress=report_bytes)
    if is_worse is not None and is_worse(part):
        part.unlink()
        return DownloadedFile(
            record=FileRecord(
                kind=kind,
                file_id=file_id,
                path=name,
                bytes=path.stat().st_size,
                sha256=sha256_of(path),
            ),
            path=path,
            has_expected_size=expected is not None,
            has_other_size=has_other_size,
        )
    with explained(path, doing="written"):
        rename(part, path)
    # The name must be durable before the ledger records that the file is there.
    sync_folder(path.parent)
    return DownloadedFile(
        record=FileRecord(
            kind=kind,
            file_id=file_id,
            path=name,
            bytes=download.bytes,
            sha256=download.sha256,
        ),
        path=path,
        has_expected_size=expected is not None,
        has_other_size=has_other_size,
    )


def _most_bytes(expected: int | None, *, requests: int) -> int:
    """Return how many bytes are taken of a file of which the provider says the size, or none."""
    if expected is not None and expected > 0:
        return expected * _TIMES_THE_SIZE + _MARGIN
    return requests * _BYTES_A_REQUEST + ANY_FILE


def _expected_bytes(context: Context, run: Run, file_id: str) -> int | None:
    """Return the size of a file at the provider; None where it does not say."""
    try:
        return context.api(run.provider).retrieve_file(file_id).bytes
    except (NotFound, UnexpectedReply):
        return None
    except Transient:
        raise  # a limit of calls says nothing about the size, which may be said again
    except ApiError as error:
        if error.status is not None and 400 <= error.status < 500:  # noqa: PLR2004 -- HTTP
            return None
        raise
