"""design.md's path of one job: each function exists, and a real run enters them in that order."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.markdown import DOCS, ROOT

if TYPE_CHECKING:
    from pathlib import Path

DESIGN: Final = DOCS / "design.md"

MOST_FILES: Final = 79
"""How many files of `runner/` one small job may enter: what a reader may have to open."""

TRACER: Final = """
import json
import os
import sys
from pathlib import Path

from runner.cli.main import run

package, entered = Path(sys.argv[1]), {}


def note(frame, event, _argument):
    code = frame.f_code
    # CO_OPTIMIZED: the bodies of classes and modules, which run on import, are no functions.
    if event == "call" and code.co_flags & 1 and not code.co_name.startswith("<"):
        path = Path(code.co_filename)
        if path.is_relative_to(package):
            entered.setdefault(f"{path.relative_to(package)}:{code.co_qualname}")


assert run(["init", "project"]) == 0
os.chdir("project")
sys.setprofile(note)
code = run(["reconcile", "--wait"])
sys.setprofile(None)
print(json.dumps({"code": code, "entered": list(entered)}))
"""
"""Only the main thread: calls to the provider, and the provider `local`, run in others."""


def path_of_one_job() -> list[str]:
    section = DESIGN.read_text("utf-8").partition("## The path of one job\n")[2].partition("\n## ")
    return re.findall(r"(?m)^\d+\. `([\w./]+\.py:[\w.]+)` ", section[0])


def functions(file: Path) -> set[str]:
    """Return the functions of a file, those of classes as `Class.function`."""
    found = set()
    for node in ast.parse(file.read_bytes()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}.{part.name}"
                for part in node.body
                if isinstance(part, ast.FunctionDef)
            }
    return found


@pytest.fixture(scope="module")
def entered(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Run one job of three requests and return the functions it enters, in order of entry."""
    finished = subprocess.run(
        [sys.executable, "-c", TRACER, ROOT / "runner"],
        cwd=tmp_path_factory.mktemp("path"),
        env={"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    result = json.loads(finished.stdout.splitlines()[-1])
    assert result["code"] == 0, finished.stderr
    return list(result["entered"])


def test_the_path_of_one_job_is_long_enough_to_follow() -> None:
    assert 15 <= len(path_of_one_job()) <= 30


@pytest.mark.parametrize("entry", path_of_one_job())
def test_each_function_on_the_path_exists(entry: str) -> None:
    file, _, function = entry.partition(":")
    assert function in functions(ROOT / "runner" / file)


def test_one_job_takes_the_path_in_its_order(entered: list[str]) -> None:
    path = path_of_one_job()
    assert [entry for entry in path if entry not in entered] == []
    assert sorted(path, key=entered.index) == path


def test_one_job_enters_few_files(entered: list[str]) -> None:
    files = sorted({entry.partition(":")[0] for entry in entered})
    assert len(files) <= MOST_FILES, files
