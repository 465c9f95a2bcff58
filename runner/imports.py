"""Importing less than a library would load: start-up time is a feature."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def no_progress(*names: str) -> Iterator[None]:
    """Let the block not find these modules, unless they are loaded already.

    For libraries that load others where they are installed, for what is not used here.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: not to be found
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
