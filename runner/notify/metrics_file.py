"""The metrics file, replaced atomically, as the node exporter of Prometheus requires."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.files import make_folder, write_whole

if TYPE_CHECKING:
    from pathlib import Path


_READABLE: Final = 0o644
"""The exporter runs as another user."""


def write(path: Path, text: str, *, within: Path) -> None:
    """Replace a file in one step; no folder between `within` and it may be a link.

    Raises LocalFileError.

    The name of the temporary file ends differently, so that no collector reads it. Bytes of a
    folder name that are not UTF-8 are written as question marks.
    """
    make_folder(path.parent, within=within)
    write_whole(path, text.encode(errors="replace"), mode=_READABLE)
