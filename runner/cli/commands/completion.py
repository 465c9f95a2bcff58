"""The command `runner completion`: print the completion script of a shell.

The scripts get the completions from click, but are not click's own: in bash, click's script does
not complete `--option=value`, and it shows what `runner` writes to stderr.
"""

from __future__ import annotations

from importlib import resources

import click

from runner.cli.output import write_output


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> int:
    """Print a shell completion script for commands, options and jobs.

    The first lines of the script say where to install it. To try it in the current shell:
    `source <(runner completion bash)`, the same with zsh, or `runner completion fish | source`.
    The job names are those of the current specs.
    """
    script = resources.files("runner.cli").joinpath("template", f"completion.{shell}")
    write_output(script.read_text(encoding="utf-8"))
    return 0
