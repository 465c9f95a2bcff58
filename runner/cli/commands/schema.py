"""The command `runner schema`."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final

import click

from runner.cli.output import write_output

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


_PACKAGES: Final = ("runner.spec", "runner.report")
"""The packages with schemas: of the YAML that users write; of the JSON that runner writes."""

_SUFFIX: Final = ".json"


def schemas() -> dict[str, Traversable]:
    """Return the files of the schemas that are part of runner, by name."""
    files = [
        file
        for package in _PACKAGES
        for file in resources.files(package).joinpath("schemas").iterdir()
        if file.name.endswith(_SUFFIX)
    ]
    return {file.name.removesuffix(_SUFFIX): file for file in sorted(files, key=lambda it: it.name)}


_NAMES: Final = tuple(schemas())


@click.command(
    help=f"""Print the JSON Schema of a document, with examples.

    NAME is one of {", ".join(_NAMES)}. `spec` and `project` are for specs and runner.yaml,
    `record` is for run.json, `log` for a line of --log-format json, the others for the output of
    --json. All are draft-07, which most editors support.

    An editor checks a YAML file with the schema that its first line names. `runner init` writes
    that line, and the schemas into schemas/. After an upgrade of runner, update them:
    `runner schema spec > schemas/spec.json`, and the same for `project`.
    """
)
@click.argument("name", metavar="NAME", type=click.Choice(_NAMES))
def schema(name: str) -> int:
    """Print a schema; the help is built above, since it lists the names."""
    write_output(schemas()[name].read_text(encoding="utf-8"))
    return 0
