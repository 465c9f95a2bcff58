"""Every failure mode has a test, and every test names its failure mode."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
SHEET: Final = HERE.parents[1] / "docs" / "batch-api.md"
NAMED: Final = re.compile(r"test_(\d{2})_[a-z]")


def stories() -> list[tuple[str, int, str]]:
    """Return name, number and docstring of every test of a failure mode in this folder."""
    found = []
    for file in sorted(HERE.glob("test_*.py")):
        if file == Path(__file__):
            continue
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
                named = NAMED.match(node.name)
                assert named, f"{file.name}: {node.name} has no number"
                found.append((node.name, int(named[1]), ast.get_docstring(node) or ""))
    return found


def in_the_sheet() -> list[int]:
    """Return the numbers of the failures on the fact sheet."""
    text = SHEET.read_text(encoding="utf-8").partition("\n## 6. ")[2].partition("\n## ")[0]
    return [int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)]


def test_every_failure_mode_has_a_test() -> None:
    assert in_the_sheet() == list(range(1, 35))
    assert {number for _name, number, _words in stories()} == set(in_the_sheet())


def test_every_test_says_which_failure_mode_it_is_of_and_what_is_required() -> None:
    for name, number, words in stories():
        assert re.match(rf"Failure mode {number}[:,] \S", words), name
        assert len(words) > 60, f"{name} says too little"
