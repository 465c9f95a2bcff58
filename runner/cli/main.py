"""The command `runner`: the group of all commands, and the handling of their errors.

A command is imported when it is run or its help is printed, and imports what it needs when it
runs: `runner --help` and shell completion load nothing but click.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from runner import __version__
from runner.cli.completion import complete_folders
from runner.cli.exit_codes import EXIT_CODES, INTERRUPTED, TERMINATED, write_codes
from runner.cli.output import (
    OutputClosed,
    choose_format,
    discard,
    is_terminal,
    note,
    print_error,
    wants_json,
)
from runner.cli.signals import Terminated, install_handlers
from runner.errors import RunnerError, UsageError
from runner.text import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from click.shell_completion import CompletionItem

_COMMANDS: Final = {
    "init": "Create a project that runs immediately on the local provider.",
    "validate": "Check specs and inputs offline.",
    "plan": "Show what reconcile would do, without changing anything.",
    "reconcile": "Make a pass: submit, observe and collect batches.",
    "status": "Show the state of each job.",
    "watch": "Show the state of each job until all are final.",
    "show": "Show one job in detail: batches, revisions, events.",
    "events": "List the events of jobs, one per line.",
    "report": "Write an HTML report about jobs and their responses.",
    "verify": "Check that results still match their records.",
    "cancel": "Cancel the batches of a job and collect its responses.",
    "retry": "Resubmit the requests of a job that did not succeed.",
    "trust": "Agree to what runner.yaml runs and where it sends.",
    "schedule": "Print a cron, systemd, GitHub or Kubernetes schedule.",
    "notify": "List the notification hooks, or test them.",
    "adopt": "Adopt a batch that another tool has created.",
    "rebuild": "Rebuild the ledger from outputs and providers.",
    "orphans": "List batches and files at providers without a job.",
    "doctor": "Check the installation, the project and its providers.",
    "schema": "Print the JSON Schema of a document.",
    "completion": "Print a shell completion script.",
}
"""The summary of each command. The command is in the file of its name in `runner/cli/commands/`."""


class _LazyGroup(click.Group):
    """A group of commands that imports a command when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"runner.cli.commands.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(
                f'there is no command "{name}"{suggestion(name, _COMMANDS)}', ctx
            )
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command without importing the commands."""
        from click.shell_completion import CompletionItem

        return [
            *(
                CompletionItem(name, help=about)
                for name, about in _COMMANDS.items()
                if name.startswith(incomplete)
            ),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        write_codes(formatter, EXIT_CODES)

    def make_context(self, *args: Any, **more: Any) -> click.Context:  # noqa: ANN401 -- as click's
        with _closed_output():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 -- as click's
        try:
            with _closed_output():
                return super().invoke(ctx)
        except RunnerError as error:
            print_error(error)  # here the click context still has the option -C
            return error.exit_code
        except KeyboardInterrupt as stopped:
            raise Interrupted from stopped


class Interrupted(BaseException):
    """Ctrl-C as an exception that click does not catch: click would write an empty line."""


@contextlib.contextmanager
def _closed_output() -> Iterator[None]:
    """Raise OutputClosed if the reader of a help text has closed the pipe: click exits with 1."""
    try:
        yield
    except BrokenPipeError as error:
        discard(sys.stdout)
        raise OutputClosed from error


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="runner")
@click.option(
    "-C",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    shell_complete=complete_folders,
    default=Path(),
    help="Search for the project from DIR upwards, not from the current folder.",
)
@click.pass_context
def cli(context: click.Context, directory: Path) -> None:
    """Run declarative, crash-safe, traceable jobs on LLM Batch APIs.

    Jobs are YAML specs in git. `runner reconcile`, run by hand or by cron, submits their requests
    and collects the responses. To start, create a project with `runner init DIR`.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise UsageError(
            f"the current folder does not exist any more ({error.strerror})"
        ) from error
    context.obj = directory


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    install_handlers()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code.

    Every error that a user can cause is printed as a message on stderr; an exception that leaves
    this function is a bug.
    """
    choose_format(arguments)
    try:
        code = cli.main(list(arguments), prog_name="runner", standalone_mode=False)
    except click.exceptions.Abort:
        return _interrupted(INTERRUPTED)
    except click.ClickException as error:
        _print_usage_error(error)
        return error.exit_code
    except (Interrupted, KeyboardInterrupt):
        return _interrupted(INTERRUPTED)
    except Terminated:
        return _interrupted(TERMINATED)
    except OutputClosed:
        return 0
    return code if isinstance(code, int) else 0


def _print_usage_error(error: click.ClickException) -> None:
    """Print what is wrong with a command line; for an empty one, the help."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    message = _usage_message(error)
    if wants_json():
        print_error(UsageError(message))
    elif context is None:
        note(message, level="error")
    elif message == context.get_help():
        error.show()
    else:
        note(context.get_usage())
        note(message, level="error")
        note(f"Run `{context.command_path} --help` for more information.")


def _usage_message(error: click.ClickException) -> str:
    """Return the message of a usage error in the form of all others, not in click's own."""
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        names = [
            name
            for parameter in error.ctx.command.get_params(error.ctx)
            for name in parameter.opts
            if name.startswith("--")
        ]
        # Without the dashes, which all of them have in common.
        hint = suggestion(error.option_name.lstrip("-"), [name[2:] for name in names], sign="--")
        return f'there is no option "{error.option_name}"{hint}'
    message = error.format_message()
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None and message == context.get_help():
        return message
    return f"{message[:1].lower()}{message[1:]}".removesuffix(".")


def _interrupted(code: int) -> int:
    if code == INTERRUPTED and is_terminal(sys.stderr) and not wants_json():
        note("")  # end the line in which the terminal has shown ^C
    note(
        "interrupted; all completed steps are in the ledger, and the next pass continues",
        event="interrupted",
        level="error",
    )
    return code
