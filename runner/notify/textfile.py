"""A file that is whole whenever somebody reads it, as Prometheus' node exporter does."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Final

from runner.errors import LocalFileError

_READABLE: Final = 0o644
"""The exporter runs as a user of its own."""


def write(path: Path, text: str) -> None:
    """Put a file in the place of another in one step. Raises LocalFileError.

    The temporary name does not end as the file's own does, so that no collector takes it up. What
    is not UTF-8 in the name of a folder becomes a question mark.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
                os.fchmod(file.fileno(), _READABLE)
                file.write(text)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise LocalFileError(f"{path} cannot be written: {error.strerror or error}") from error
