"""Golden files: the texts that the user reads, as they were at the last review.

`UPDATE_GOLDEN=1 pytest tests/report tests/cli` writes them again; review the difference like any
other.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runner.report.colour import Colours
from runner.report.text_width import columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GOLDEN: Final = Path(__file__).parent / "golden"
WIDTHS: Final = (80, 200)
_IN_COLOUR: Final = frozenset({("status-usual", 80), ("plan-every-step", 80)})
"""Renderings with a second golden file, in colour: they have every state and every sign."""

_ESCAPE_CODE: Final = re.compile(r"\x1b\[\d+m")


def check_golden(path: Path, text: str) -> None:
    """Compare a text with its golden file, or write the file if the environment requests it."""
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def check_golden_blocks(path: Path, blocks: Mapping[str, str]) -> None:
    """Compare named blocks of lines with their golden file; a difference is shown by its block."""
    text = "\n".join(f"{name}\n{block}" for name, block in blocks.items())
    if os.environ.get("UPDATE_GOLDEN"):
        check_golden(path, text)
    golden = path.read_text(encoding="utf-8")
    different = "".join(
        f"{name}\n{block}"
        for name, block in blocks.items()
        if f"{name}\n{block}\n" not in f"{golden}\n"
    )
    assert not different, f"not as in {path.name}:\n{different}"
    assert len(text) == len(golden), f"{path.name} has blocks that nothing makes"


def check_rendering(name: str, width: int, render: Callable[[Colours], str]) -> None:
    """Compare a rendering with its golden file, and check its width and its colours.

    Without its escape codes, the rendering in colour is the rendering without colour.
    """
    text, coloured = render(Colours()), render(Colours(on=True))

    check_golden(GOLDEN / f"{name}-{width}.txt", text)
    if (name, width) in _IN_COLOUR:
        check_golden(GOLDEN / f"{name}-{width}-colour.txt", coloured)
    assert max(map(columns, text.splitlines())) <= width
    assert _ESCAPE_CODE.sub("", coloured) == text
