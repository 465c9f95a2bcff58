"""The command `runner init`."""

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
from runner.files import BY_UMASK, create, make_folder, write_whole

_PROJECT: Final = "runner.yaml"
_TEMPLATE: Final = {
    "data/hello.jsonl": ("runner.cli", "template/data/hello.jsonl"),
    "schemas/project.json": ("runner.spec", "schemas/project.json"),
    "schemas/spec.json": ("runner.spec", "schemas/spec.json"),
    "specs/hello.yaml": ("runner.cli", "template/specs/hello.yaml"),
    _PROJECT: ("runner.cli", "template/runner.yaml"),
}
"""The files of a new project; for each, the package and file that it is copied from.

`runner.yaml` is written last, so that a project that has it is complete. The schemas are copied, so
that editors find them in every clone of the project, also where runner is not installed.
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
    """Create a project in DIR that runs immediately on the local provider.

    DIR is the current folder by default. Existing files are not changed, and an existing project
    gets no example job. The first line of the YAML files names the JSON Schema with which editors
    check them; see `runner schema --help`.
    """
    from runner.spec.config import require_usable_config

    root = directory / folder if folder is not None else directory
    require_usable_config(root)
    try:
        if (root / _PROJECT).exists():
            note(f"kept     {root / _PROJECT}: the project exists already")
        else:
            for name, (package, source) in _TEMPLATE.items():
                _create(root, root / name, resources.files(package).joinpath(source).read_bytes())
        _extend_gitignore(root / ".gitignore")
    except OSError as error:
        raise LocalFileError(
            f"{error.filename or root} cannot be written: {error.strerror or error}"
        ) from error
    go = "" if root.resolve() == Path.cwd() else f"cd {shlex.quote(str(root))} && "
    note(f"next: {go}runner reconcile --wait")
    return 0


def _create(root: Path, target: Path, content: bytes) -> None:
    if target.exists():
        note(f"kept     {target}")
        return
    make_folder(target.parent, within=root)
    with create(target, mode=BY_UMASK) as file:
        file.write(content)
    note(f"created  {target}")


def _extend_gitignore(path: Path) -> None:
    """Add the folders that runner writes to a `.gitignore`; its other lines are not changed."""
    if path.is_symlink():
        raise LocalFileError(f"{path} is a link, and runner writes through no link: replace it")
    content = path.read_bytes() if path.exists() else b""
    missing = [entry for entry in _IGNORED if entry not in content.splitlines()]
    if not missing:
        note(f"kept     {path}")
        return
    ended = content if not content or content.endswith(b"\n") else content + b"\n"
    write_whole(path, ended + b"".join(entry + b"\n" for entry in missing))
    note(f"{'extended' if content else 'created '} {path}")
