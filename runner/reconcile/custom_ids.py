"""The custom_ids of the rows of a run, which join responses with requests.

When an input is first read, its custom_ids are stored in the ledger's folder, by the input's
digest: so responses can be joined after the input has changed. If that file is lost, it is written
again from the input, as long as the input is unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import InputChanged, InvalidInput, LocalFileError
from runner.files import make_folder, open_regular, part_of
from runner.inputs.row_set import RowSet
from runner.reconcile.desired import ids_path, open_ids_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from runner.batch import Batch
    from runner.ledger.records import Run, ShardRecord, Submission
    from runner.reconcile.context import Context


def custom_ids(
    context: Context, run: Run, shard: ShardRecord, submission: Submission | None
) -> Callable[[], Iterator[tuple[int, str]]]:
    """Return a function that yields (row, custom_id) of a submission's rows, in row order.

    `submission` None means all rows of the shard. Raises LocalFileError if neither the ids file nor
    the input has them any more.
    """
    path = ids_path(context.ledger.path, run.digest)
    if not path.exists():
        _rewrite_ids_file(context, run)
    wanted = None if submission is None else submission.rows

    def read() -> Iterator[tuple[int, str]]:
        from runner.inputs.custom_ids import read_custom_ids

        with open_regular(path) as ids:
            yield from read_custom_ids(
                ids, shard_offset=shard.ids_offset, rows=shard.rows, wanted=wanted
            )

    return read


def ids_in_order(context: Context, run: Run, submission: Submission) -> list[str]:
    """Return the custom_ids of a submission's requests, in the order in which they are sent.

    Raises LocalFileError as `custom_ids` does.
    """
    shard = next(shard for shard in run.shards if shard.number == submission.key.shard)
    return [custom_id for _row, custom_id in custom_ids(context, run, shard, submission)()]


def _rewrite_ids_file(context: Context, run: Run) -> None:
    """Write the custom_ids of a run's input again, from the input itself."""
    from runner.inputs.scan import scan

    source = context.project.root / run.input_path
    provider = context.project.providers.get(run.provider)
    problem = (
        f"the custom_ids of {run.job} are missing in {ids_path(context.ledger.path, '').parent}"
    )
    if provider is None:
        raise LocalFileError(f"{problem}, and provider {run.provider} is not configured any more")
    try:
        with open_ids_file(context.ledger.path) as (ids, name_by_digest):
            scanned = scan(
                source,
                shown=run.input_path,
                endpoint=run.endpoint,
                limits=provider.limits,
                ids=ids,
            )
            if scanned.digest == run.digest:
                name_by_digest(scanned.digest)
    except (InvalidInput, InputChanged) as error:
        raise LocalFileError(f"{problem}, and {run.input_path} cannot be read again") from error
    if scanned.digest != run.digest:
        raise LocalFileError(
            f"{problem}, and {run.input_path} is not the input that they came from; "
            f"restore it to collect the results that are waiting"
        )


def rows_of_batch(
    context: Context, run: Run, shard: ShardRecord, batch: Batch
) -> tuple[RowSet, int]:
    """Return the rows of a shard that a batch has, and the size of its input file in bytes.

    The input file is downloaded to find them. Raises ApiError or LocalFileError.
    """
    from runner.outputs.result_files import read_results

    if batch.input_file_id is None:
        raise LocalFileError(f"{batch.id} does not say which file it was made from")
    make_folder(context.uploads, within=context.uploads.parent)
    path = part_of(context.uploads / "adopted")
    try:
        download = context.api(run.provider).download(
            batch.input_file_id, path, expected_bytes=None
        )
        custom_ids_of_batch = {line.custom_id for line in read_results(path)}
    finally:
        path.unlink(missing_ok=True)
    all_ids: Iterable[tuple[int, str]] = custom_ids(context, run, shard, None)()
    rows = RowSet.from_iterable(
        row for row, custom_id in all_ids if custom_id in custom_ids_of_batch
    )
    if len(rows) != len(custom_ids_of_batch):
        raise LocalFileError(
            f"{batch.id} carries a key of {run.job} but has requests that are not in its input; "
            f"it is ignored"
        )
    return rows, download.bytes
