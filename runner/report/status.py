"""The table of `runner status`: a line a job, and below it what there is to say of some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.report.paint import NO_PAINT
from runner.report.plain import columns, fit, pad, plain
from runner.report.words import listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runner.reconcile.overview import JobView
    from runner.report.paint import Paint

_HEADER: Final = ("JOB", "STATE", "DONE", "FAILED", "TOTAL", "BATCHES", "REVISION")
_NUMBERS: Final = {2, 3, 4}
_JOB: Final = 0
_STATE: Final = 1
_BATCHES: Final = 5
_GAP: Final = 2
_NARROWEST_JOB: Final = 12
_NARROWEST_BATCHES: Final = 13


def render_status(
    views: Sequence[JobView], *, width: int | None = None, paint: Paint = NO_PAINT
) -> str:
    """Render the table; empty if there is no job.

    `width` is the number of columns to keep to, None for no limit: then nothing is shortened.
    """
    if not views:
        return ""
    rows = [
        (
            plain(view.name),
            str(view.state),
            f"{view.succeeded:,}",
            f"{view.failed:,}",
            f"{view.total:,}",
            _phases(view.batches),
            view.revision or "-",
        )
        for view in views
    ]
    widths = _widths([_HEADER, *rows], width)
    table = [paint.bold(_line(_HEADER, widths, None, paint))]
    table += [
        _line(row, widths, str(view.state), paint) for row, view in zip(rows, views, strict=True)
    ]
    notes = [fit(plain(note), width) for note in _notes(views)]
    return "\n".join([*table, *([""] if notes else []), *notes]) + "\n"


def _widths(rows: Sequence[tuple[str, ...]], width: int | None) -> list[int]:
    """Give each column what it needs.

    Where that is too much the revisions are left out first (`show` has them), then batches and
    names are shortened.
    """
    widths = [max(columns(row[column]) for row in rows) for column in range(len(_HEADER))]
    if width is None or _taken(widths) <= width:
        return widths
    widths.pop()
    for column, narrowest in ((_BATCHES, _NARROWEST_BATCHES), (_JOB, _NARROWEST_JOB)):
        missing = max(_taken(widths) - width, 0)
        widths[column] -= min(missing, max(widths[column] - narrowest, 0))
    return widths


def _taken(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _line(row: tuple[str, ...], widths: Sequence[int], state: str | None, paint: Paint) -> str:
    cells = []
    for column, width in enumerate(widths):
        cell = fit(row[column], width)
        cell = cell.rjust(width) if column in _NUMBERS else pad(cell, width)
        if column == len(widths) - 1:
            cell = cell.rstrip()
        cells.append(paint.state(state, cell) if column == _STATE and state else cell)
    return (" " * _GAP).join(cells)


def _phases(batches: Sequence[Mapping[str, object]]) -> str:
    """Count batches by status, those first that were submitted last."""
    counts: dict[str, int] = {}
    for batch in reversed(batches):
        status = plain(str(batch.get("status")))
        counts[status] = counts.get(status, 0) + 1
    return ", ".join(f"{count} {status}" for status, count in counts.items()) or "-"


def _notes(views: Sequence[JobView]) -> list[str]:
    """Say what there is to say, once for all jobs that it is true of."""
    jobs: dict[str, list[str]] = {}
    for view in views:
        if view.note:
            jobs.setdefault(view.note, []).append(view.name)
    return [f"{listed(names)}: {note}" for note, names in jobs.items()]
