"""The output of `runner orphans`: batches and files at providers that belong to no job here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.report.colour import NO_COLOURS
from runner.report.text_width import wrap
from runner.text import moment, plural, printable

if TYPE_CHECKING:
    from runner.report.colour import Colours
    from runner.report.schemas.orphans import OrphansOutput
    from runner.views.orphans import Orphan, Orphans

ORPHANS_FORMAT: Final = 1


def render_orphans(
    found: Orphans, *, width: int | None = None, colours: Colours = NO_COLOURS
) -> str:
    """Render the list, two lines an orphan, in at most `width` columns; None for no limit."""
    if not found.found:
        return "" if found.not_queried else "no orphans\n"
    lines: list[str] = []
    for orphan in found.found:
        lines.append(colours.bold(wrap(printable(_headline(orphan)), width, indent=4)))
        lines.append(wrap(printable(f"  {orphan.key}: {orphan.reason}"), width, indent=4))
    batches = sum(orphan.kind == "batch" for orphan in found.found)
    files = sum(max(1, len(orphan.files)) for orphan in found.found)
    lines += ["", f"{plural(batches, 'batch')}, {plural(files, 'file')}"]
    return "\n".join(lines) + "\n"


def _headline(orphan: Orphan) -> str:
    parts = [orphan.provider, orphan.kind, orphan.id]
    if orphan.status is not None:
        parts.append(orphan.status)
    if orphan.size is not None:
        unit = "request" if orphan.kind == "batch" else "byte"
        parts.append(plural(orphan.size, unit))
    if orphan.created_at is not None:
        parts.append(f"{moment(orphan.created_at)} UTC")
    return "  ".join(parts)


def orphans_json(found: Orphans) -> OrphansOutput:
    """Return `orphans --json`."""
    return {
        "format_version": ORPHANS_FORMAT,
        "orphans": [
            {
                "provider": orphan.provider,
                "kind": orphan.kind,
                "id": orphan.id,
                "key": str(orphan.key),
                "job": orphan.key.job,
                "revision": orphan.key.revision,
                "created_at": orphan.created_at,
                "status": orphan.status,
                "size": orphan.size,
                "files": list(orphan.files),
                "why": orphan.reason,
            }
            for orphan in found.found
        ],
        "unasked": dict(found.not_queried),
    }
