"""The command that begins: init."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

import click

from runner.errors import LocalFileError

_TEMPLATE: Final = ("runner.yaml", "specs/hello.yaml", "data/hello.jsonl")
_IGNORED: Final = (".runner/", "outputs/")


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), required=False)
@click.pass_obj
def init(directory: Path, folder: Path | None) -> int:
    """Make a project in DIR (default: here) that runs at once on the local provider.

    Files that are there already are kept as they are.
    """
    root = directory / folder if folder is not None else directory
    source = resources.files("runner.cli").joinpath("template")
    try:
        for name in _TEMPLATE:
            target = root / name
            if target.exists():
                click.echo(f"kept     {target}", err=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                file.write(source.joinpath(name).read_bytes())
            click.echo(f"created  {target}", err=True)
        _ignore(root / ".gitignore")
    except OSError as error:
        raise LocalFileError(
            f"{error.filename or root} cannot be written: {error.strerror or error}"
        ) from error
    go = "" if root.resolve() == Path.cwd() else f"cd {root} && "
    click.echo(f"next: {go}runner reconcile --wait", err=True)
    return 0


def _ignore(path: Path) -> None:
    """Let git leave out what runner makes; lines that are there already are kept."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    missing = [entry for entry in _IGNORED if entry not in text.splitlines()]
    if not missing:
        click.echo(f"kept     {path}", err=True)
        return
    with path.open("a", encoding="utf-8") as file:
        if text and not text.endswith("\n"):
            file.write("\n")
        file.writelines(f"{entry}\n" for entry in missing)
    click.echo(f"{'extended' if text else 'created '} {path}", err=True)
