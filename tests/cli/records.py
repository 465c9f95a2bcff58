"""Folders of finished runs, and helpers that change the files in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.cli.conftest import FINISH
from tests.simulation.behaviour import Behaviour, HttpError, Missing, by_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.cli.shell import Folder
    from tests.simulation.behaviour import Answer
    from tests.simulation.world import World


def revision(folder: Folder, job: str = "hello") -> Path:
    """Return the one revision folder of a job."""
    [found] = [path for path in (folder.root / "outputs" / job).iterdir() if not path.is_symlink()]
    return found


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change a record as somebody with an editor would."""
    record = json.loads(path.read_text("utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def finish_mixed(lab: Folder, run: Run, world: World) -> Folder:
    """Finish a job with three answers, an error of the provider and one of ours."""
    lab.job(rows=5, more="retry: {attempts: 1}\n")
    answers: dict[str, Answer] = {"hello-1": HttpError(status=400), "hello-3": Missing()}
    world.behaviour = Behaviour(answer=by_id(answers))
    assert run(*FINISH).code == 1
    return lab
