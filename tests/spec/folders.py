"""Write small projects to disk and load their specs."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

from runner.spec.load import load_specs
from runner.spec.project import find_project

if TYPE_CHECKING:
    from pathlib import Path

    from runner.spec.job import Specs

GOOD = """\
endpoint: /v1/chat/completions
input: data/x.jsonl
"""


def lay_out(root: Path, files: dict[str, str | bytes]) -> Path:
    """Write the files of a project, and the input that most specs name."""
    for name, content in {"data/x.jsonl": "{}\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else dedent(content).encode())
    return root


def read(root: Path, *selectors: str) -> Specs:
    return load_specs(find_project(root, {}), selectors, start=root)


def lines(specs: Specs) -> list[str]:
    return [str(problem) for problem in specs.problems]
