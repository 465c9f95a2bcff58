"""The command that begins: init."""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path
from typing import Final

import click

from runner.cli.completion import complete_folders
from runner.cli.exit_codes import Command
from runner.cli.output import note
from runner.errors import LocalFileError

_PROJECT: Final = "runner.yaml"
_TEMPLATE: Final = {
    "data/hello.jsonl": ("runner.cli", "template/data/hello.jsonl"),
    "schemas/project.json": ("runner.spec", "schemas/project.json"),
    "schemas/spec.json": ("runner.spec", "schemas/spec.json"),
    "specs/hello.yaml": ("runner.cli", "template/specs/hello.yaml"),
    _PROJECT: ("runner.cli", "template/runner.yaml"),
}
"""Each file of a project, and the package and file that it is a copy of.

The project file comes last: where it is, everything is. Schemas are copied, not referred to: an
editor of whoever clones the project need not know where runner is installed, if it is.
"""

_IGNORED: Final = (b".runner/", b"outputs/")


@click.command(cls=Command)
@click.argument(
    "folder",
    metavar="[DIR]",
    type=click.Path(path_type=Path),
    required=False,
    shell_complete=complete_folders,
)
@click.pass_obj
def init(directory: Path, folder: Path | None) -> int:
    """Make a project in DIR (default: here) that runs at once on the local provider.

    Files that are there already are kept as they are, and a folder that is a project already
    gets no example job. The first line of its YAML files tells editors which schema to check
    them by; `runner schema --help` tells more.
    """
    root = directory / folder if folder is not None else directory
    try:
        if (root / _PROJECT).exists():
            note(f"kept     {root / _PROJECT}: this is a project already")
        else:
            for name, (package, source) in _TEMPLATE.items():
                _make(root / name, resources.files(package).joinpath(source).read_bytes())
        _ignore(root / ".gitignore")
    except OSError as error:
        raise LocalFileError(
            f"{error.filename or root} cannot be written: {error.strerror or error}"
        ) from error
    go = "" if root.resolve() == Path.cwd() else f"cd {shlex.quote(str(root))} && "
    note(f"next: {go}runner reconcile --wait")
    return 0


def _make(target: Path, content: bytes) -> None:
    if target.exists():
        note(f"kept     {target}")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
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
