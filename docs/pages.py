"""Find and fill the generated blocks of README.md and of the pages below docs.

A block is between `<!-- KIND: NAME -->` and `<!-- end -->`. The script of a kind writes its
content; everything else on a page is written by hand and is not changed.

A fenced block below `<!-- file: PATH -->` is the opposite: a file that the reader writes, and the
page's transcripts are run with that file in place.
"""
# ruff: noqa: INP001 -- scripts, run by their paths

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parents[1]

Contents = dict[str, dict[str, str]]
"""Markdown by page (its path from the root) and name of the block."""

_FILE: Final = re.compile(r"<!-- file: (\S+) -->\n```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def pages() -> tuple[str, ...]:
    """List README.md and all pages below docs and specs by their paths from the root."""
    found = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "specs").rglob("*.md")]
    return ("README.md", *sorted(str(path.relative_to(ROOT)) for path in found))


def files_of(page: str) -> dict[str, str]:
    """Return the files that the reader of a page writes, by path."""
    return dict(_FILE.findall((ROOT / page).read_text("utf-8")))


def names(text: str, kind: str) -> list[str]:
    """List the blocks of a kind in the text of a page, in order."""
    return [match["name"] for match in _blocks(kind).finditer(text)]


def filled(page: str, text: str, kind: str, content: Mapping[str, str]) -> str:
    """Fill the blocks of a page. Raises ValueError if the page has other blocks than `content`."""
    wanted = names(text, kind)
    if sorted(wanted) != sorted(content):
        raise ValueError(f"{page} has {kind} {wanted}, but {list(content)} were made")
    return _blocks(kind).sub(
        lambda match: f"{match['head']}{content[match['name']]}{match['tail']}", text
    )


def _blocks(kind: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?P<head><!-- {kind}: (?P<name>[a-z-]+) -->\n).*?(?P<tail><!-- end -->)", re.DOTALL
    )


def keep(kind: str, contents: Contents, *, check: bool) -> int:
    """Write the blocks of a kind into all pages, or only show what is out of date.

    Returns the exit code: 1 if anything is out of date and `check` is set.
    """
    stale = False
    for page in pages():
        path = ROOT / page
        before = path.read_text("utf-8")
        after = filled(page, before, kind, contents.get(page, {}))
        if before == after:
            continue
        stale = True
        if check:
            sys.stdout.writelines(
                difflib.unified_diff(
                    before.splitlines(keepends=True),
                    after.splitlines(keepends=True),
                    page,
                    f"{page} as it would be",
                )
            )
            sys.stderr.write(f"{page} is out of date: `make docs` writes it\n")
        else:
            path.write_text(after, "utf-8")
            sys.stderr.write(f"{page}: {kind}s written\n")
    return int(stale and check)


def checking(arguments: Sequence[str], usage: str | None) -> bool:
    """Read the one option of these scripts; leaves with 2 and the usage for anything else."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write(f"{usage}\n")
        sys.exit(2)
    return bool(arguments)
