"""The command that begins: init."""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path
from typing import Final

import click

from runner.cli.answer import note
from runner.errors import LocalFileError

_PROJECT: Final = "runner.yaml"
_TEMPLATE: Final = ("data/hello.jsonl", "specs/hello.yaml", _PROJECT)
"""The project file comes last: where it is, everything is."""

_IGNORED: Final = (b".runner/", b"outputs/")


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), required=False)
@click.pass_obj
def init(directory: Path, folder: Path | None) -> int:
    """Make a project in DIR (default: here) that runs at once on the local provider.

    Files that are there already are kept as they are, and a folder that is a project already
    gets no example job.
    """
    root = directory / folder if folder is not None else directory
    try:
        if (root / _PROJECT).exists():
            note(f"kept     {root / _PROJECT}: this is a project already")
        else:
            for name in _TEMPLATE:
                _make(root / name, name)
        _ignore(root / ".gitignore")
    except OSError as error:
        raise LocalFileError(
            f"{error.filename or root} cannot be written: {error.strerror or error}"
        ) from error
    go = "" if root.resolve() == Path.cwd() else f"cd {shlex.quote(str(root))} && "
    note(f"next: {go}runner reconcile --wait")
    return 0


def _make(target: Path, name: str) -> None:
    if target.exists():
        note(f"kept     {target}")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    content = resources.files("runner.cli").joinpath("template", name).read_bytes()
    with target.open("xb") as file:
        file.write(content)
    note(f"created  {target}")


def _ignore(path: Path) -> None:
    """Let git leave out what runner makes; lines that are there already are kept."""
    content = path.read_bytes() if path.exists() else b""
    missing = [entry for entry in _IGNORED if entry not in content.splitlines()]
    if not missing:
        note(f"kept     {path}")
        return
    with path.open("ab") as file:
        if content and not content.endswith(b"\n"):
            file.write(b"\n")
        file.writelines(entry + b"\n" for entry in missing)
    note(f"{'extended' if content else 'created '} {path}")
