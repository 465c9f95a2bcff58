"""Importing libraries without their optional dependencies, for a short start-up time."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def hidden_imports(*names: str) -> Iterator[None]:
    """Hide modules from imports inside the block, unless they are loaded already.

    Some libraries import optional dependencies if they are installed, for features that runner
    does not use.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: ImportError
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
