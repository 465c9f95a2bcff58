"""Golden files: what people read, as it was last looked at and found good.

`UPDATE_GOLDEN=1 pytest tests/report tests/cli` writes them anew; the difference is then reviewed
like any other.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def check_golden(path: Path, text: str) -> None:
    """Compare a text with its golden file, or write that anew if the environment asks for it."""
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
