"""Fuzz one parser: `python -m tests.fuzz {specs,inputs,outputs,replies} --minutes 10`.

Guided by coverage if atheris is installed (`pip install atheris`), blind otherwise. Prints the
numbers of executions, seconds and outcomes. A failing input is kept, its path is printed, and the
exit status is 1. `--input PATH` runs one input again.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.fuzz.driving import Bout, blind, limit_memory, steered

if TYPE_CHECKING:
    from tests.fuzz.target import Target

TARGETS: Final = ("specs", "inputs", "outputs", "replies")


def main() -> int:
    """Run one target; return 1 if an input broke a promise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=None, help="stop after so many executions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--blind", action="store_true", help="without coverage, as without atheris")
    parser.add_argument("--input", type=Path, default=None, help="run this one input only")
    chosen = parser.parse_args()
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))
    by_coverage = not chosen.blind and chosen.input is None and _has_atheris()
    target = _target(chosen.target, watched=by_coverage)
    bout = Bout(
        target=target,
        folder=folder,
        until=time.monotonic() + chosen.minutes * 60,
        runs=chosen.runs,
        seed=chosen.seed,
    )
    if chosen.input is not None:
        return _ended(bout, well=bout.execute(chosen.input.read_bytes()))
    sys.stdout.write(f"{chosen.target}: {'by coverage' if by_coverage else 'blind'}, in {folder}\n")
    limit_memory()
    return steered(bout) if by_coverage else _ended(bout, well=blind(bout))


def _ended(bout: Bout, *, well: bool) -> int:
    """Remove the files of a run, unless one of them is a failing input."""
    if well:
        shutil.rmtree(bout.folder)
    return int(not well)


def _has_atheris() -> bool:
    return importlib.util.find_spec("atheris") is not None


def _target(name: str, *, watched: bool) -> Target:
    """Import a target; if `watched`, with every module of runner counting what it executes."""
    watching = contextlib.nullcontext()
    if watched:
        watching = importlib.import_module("atheris").instrument_imports(include=["runner"])
    with watching:
        target: Target = importlib.import_module(f"tests.fuzz.{name}").TARGET
        for late in ("config", "schema"):  # imported on first use otherwise, and not watched
            importlib.import_module(f"runner.spec.{late}")
    return target


if __name__ == "__main__":
    sys.exit(main())
