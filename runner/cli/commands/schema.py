"""The command for editors and programs: schema."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final

import click

from runner.cli.output import write_output

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


_PACKAGES: Final = ("runner.spec", "runner.report")
"""Those with schemas: of what people write, and of what runner prints and records."""

_SUFFIX: Final = ".json"


def schemas() -> dict[str, Traversable]:
    """Return the schemas that come with runner, by name."""
    files = [
        file
        for package in _PACKAGES
        for file in resources.files(package).joinpath("schemas").iterdir()
        if file.name.endswith(_SUFFIX)
    ]
    return {file.name.removesuffix(_SUFFIX): file for file in sorted(files, key=lambda it: it.name)}


_NAMES: Final = tuple(schemas())


@click.command(
    help=f"""Print a JSON Schema: what a document may hold, with examples.

    NAME is one of {", ".join(_NAMES)}. `spec` and `project` are for what you write, specs and
    runner.yaml; `record` is for run.json, `log` for a line of --log-format json, the others for
    what --json prints. All are draft-07, which is what editors know best.

    An editor checks a YAML file by the schema that its first line names; `runner init` writes
    that line, and the schemas into schemas/. After an upgrade of runner,
    `runner schema spec > schemas/spec.json` brings one up to date.
    """
)
@click.argument("name", metavar="NAME", type=click.Choice(_NAMES))
def schema(name: str) -> int:
    """Print a schema."""
    write_output(schemas()[name].read_text(encoding="utf-8"))
    return 0
