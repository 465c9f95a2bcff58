"""Moving a run and its outputs to the job, or the folder, that asks for it now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import LocalFileError
from runner.ledger import run_transitions as run_steps
from runner.reconcile.context import Notice

if TYPE_CHECKING:
    from pathlib import Path

    from runner.planning.actions import RelocateRun
    from runner.reconcile.context import Context


def relocate(context: Context, action: RelocateRun) -> None:
    """Move a run's folder, then record it; a crash between the two is mended by doing it again.

    Raises LocalFileError if something else is in the way.
    """
    old, new = context.folder(action.run), context.project.root / action.folder
    try:
        if old != new and old.exists():
            if new.exists():
                raise LocalFileError(
                    f"{action.run.folder} cannot be moved to {action.folder}: something is there "
                    f"already; move one of them away"
                )
            new.parent.mkdir(parents=True, exist_ok=True)
            old.replace(new)
        if old.parent != new.parent and old.parent.is_dir():
            _tidy(old.parent)
    except OSError as error:
        raise LocalFileError(
            f"{action.run.folder} cannot be moved to {action.folder}: {error.strerror or error}"
        ) from error
    run_steps.relocate_run(context.ledger, action.run, action.job, action.folder)
    context.tell(
        Notice(
            job=action.job.name,
            what=f"{action.why}; outputs are in {action.folder}",
            event="run_moved",
            revision=action.run.short,
        )
    )


def _tidy(folder: Path) -> None:
    """Remove what a moved run leaves behind: a link that leads nowhere, an empty folder.

    Also where an earlier pass died between moving the run and doing this.
    """
    latest = folder / "latest"
    if latest.is_symlink() and not latest.exists():
        latest.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
