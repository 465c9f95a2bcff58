"""Letting a finished run go on: its spec is back, or a person asks again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import LocalFileError
from runner.ledger import run_transitions as run_steps

if TYPE_CHECKING:
    from runner.ledger.records import Run
    from runner.reconcile.context import Context


def reopen(context: Context, run: Run, *, next_round: bool, attempts: int) -> None:
    """Take the final files of a run away and let it go on; `next_round` asks everything again.

    `output.jsonl` and `errors.jsonl` stand for a final state, so they go first; what they hold
    stays in `raw/`, and they are written again when the run ends. Raises LocalFileError.
    """
    folder = context.folder(run)
    try:
        for name in ("output.jsonl", "errors.jsonl"):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise LocalFileError(
            f"the final files of {run.folder} cannot be taken away: {error.strerror or error}"
        ) from error
    run_steps.reopen_run(context.ledger, run, next_round=next_round, attempts=attempts)
