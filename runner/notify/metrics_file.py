"""A file that is whole whenever somebody reads it, as Prometheus' node exporter does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.outputs.durable_files import explained, write_whole

if TYPE_CHECKING:
    from pathlib import Path


_READABLE: Final = 0o644
"""The exporter runs as a user of its own."""


def write(path: Path, text: str) -> None:
    """Put a file in the place of another in one step. Raises LocalFileError.

    The temporary name does not end as the file's own does, so that no collector takes it up. What
    is not UTF-8 in the name of a folder becomes a question mark.
    """
    with explained(path, doing="written"):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode(errors="replace"), mode=_READABLE)
