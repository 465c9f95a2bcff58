"""Start-up time is a feature: a command does not load what it does not need."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.cli.shell import PATIENCE, environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.shell import Folder

HEAVY: Final = frozenset(
    {
        "httpx",
        "msgspec",
        "numpy",
        "pydantic",
        "rich",
        "sqlite_utils",
        "starlette",
        "tenacity",
        "tokenizers",
        "uvicorn",
        "yaml",
    }
)
READS_SPECS: Final = frozenset({"pydantic", "yaml"})


def loaded(folder: Path, *arguments: str) -> frozenset[str]:
    """Return which heavy libraries a command line has loaded when it ends."""
    script = (
        "import json, sys\n"
        "from runner.cli.main import run\n"
        f"code = run({arguments!r})\n"
        "sys.stdout.flush()\n"
        "print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    *told, last = done.stderr.splitlines()
    code, modules = json.loads(last)
    assert code == 0, told
    assert "click" in modules
    return HEAVY & {module.partition(".")[0] for module in modules}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("reconcile", "--help"),
        ("plan", "--help"),
        ("report", "--help"),
        ("init", "new"),
        ("schema", "spec"),
    ],
    ids=" ".join,
)
def test_help_and_init_load_nothing_heavy(folder: Folder, arguments: tuple[str, ...]) -> None:
    assert loaded(folder.root, *arguments) == set()


@pytest.mark.parametrize(
    "arguments",
    [("reconcile",), ("reconcile", "-v"), ("status",), ("status", "--json"), ("show", "hello"),
     ("status", "-o", "wide"), ("events",), ("plan",)],
    ids=" ".join,
)  # fmt: skip
def test_where_nothing_is_to_do_nothing_is_loaded_for_it(
    finished: Folder, arguments: tuple[str, ...]
) -> None:
    assert loaded(finished.root, *arguments) <= READS_SPECS


def test_a_command_that_has_something_to_do_loads_what_it_needs(folder: Folder) -> None:
    folder.job("one")

    assert loaded(folder.root, "reconcile") >= {"httpx", "sqlite_utils", "starlette", "tenacity"}


@pytest.mark.parametrize("words", ["runner re", "runner show h", "runner plan specs/"])
def test_completion_loads_nothing_heavy(finished: Folder, words: str) -> None:
    script = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
        "from runner.cli import main\n"
        "main()\n"
    )
    asked = {
        "_RUNNER_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=finished.root,
        env=environment(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )

    assert done.stdout.startswith("plain,")
    assert HEAVY & {name.partition(".")[0] for name in json.loads(done.stderr)} == set()
