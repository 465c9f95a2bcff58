"""The command `runner`: its group of commands, and what every one of them has in common.

Commands are imported when they are asked for, and what they need when they run: `runner --help`
and shell completion load nothing but click.
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
from runner.cli.exit_codes import EXIT_CODES, write_codes
from runner.cli.output import (
    OutputClosed,
    choose_format,
    discard,
    is_terminal,
    note,
    print_error,
    wants_json,
)
from runner.cli.signals import Terminated, listen
from runner.errors import RunnerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from click.shell_completion import CompletionItem

_COMMANDS: Final = {
    "init": "Make a project that runs at once on the local provider.",
    "validate": "Check specs and inputs offline.",
    "plan": "Show what reconcile would do; change nothing.",
    "reconcile": "Bring jobs nearer to what their specs ask for.",
    "status": "Show where each job stands.",
    "watch": "Follow where jobs stand until all are final.",
    "show": "Tell the whole story of one job.",
    "events": "List what happened, a line each.",
    "report": "Write an HTML page about jobs and their answers.",
    "verify": "Check that results are still what was recorded.",
    "cancel": "Cancel what is in flight, collect what was answered.",
    "retry": "Ask the unanswered requests of a job again.",
    "schedule": "Print what has cron or its like make the passes.",
    "notify": "List who is told of what has changed; send a sample.",
    "adopt": "Take over a batch that was made elsewhere.",
    "rebuild": "Make the ledger anew from outputs and providers.",
    "orphans": "List what lies at providers and belongs to no job.",
    "doctor": "Check that all is there which runner needs.",
    "schema": "Print the JSON Schema of a document, for editors.",
    "completion": "Print the script by which a shell completes.",
}
"""Each command with its line of help; the file in `runner/cli/commands/` has its name."""

_INTERRUPTED: Final = 130


class _Lazy(click.Group):
    """A group that knows its commands by name and imports one when it is run."""

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
            raise click.UsageError(f"No such command {name!r}.{_suggestion(name)}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, without importing any."""
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
        with _help_is_an_answer():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 -- as click's
        try:
            with _help_is_an_answer():
                return super().invoke(ctx)
        except RunnerError as error:
            print_error(error)  # while it is known where the project is
            return error.exit_code
        except KeyboardInterrupt as stopped:
            raise Interrupted from stopped


class Interrupted(BaseException):
    """Ctrl-C, past the reach of click: that would write an empty line into every log."""


@contextlib.contextmanager
def _help_is_an_answer() -> Iterator[None]:
    """Treat a reader of the help who has gone as one of an answer; click would exit with 1."""
    try:
        yield
    except BrokenPipeError as error:
        discard(sys.stdout)
        raise OutputClosed from error


def _suggestion(name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, _COMMANDS, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


@click.group(
    cls=_Lazy,
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
    help="Start looking for the project in DIR instead of the current folder.",
)
@click.pass_context
def cli(context: click.Context, directory: Path) -> None:
    """Run declarative, crash-safe, traceable jobs on LLM Batch APIs.

    Jobs are YAML specs in git. `runner reconcile`, by hand or from cron, makes them so;
    `runner init DIR` makes a project to begin with.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise UsageError(f"the current folder is gone ({error.strerror})") from error
    context.obj = directory


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    listen()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code.

    Every error that a person can cause is a sentence on stderr; any other exception is a bug.
    """
    choose_format(arguments)
    try:
        code = cli.main(list(arguments), prog_name="runner", standalone_mode=False)
    except click.exceptions.Abort:
        return _interrupted(_INTERRUPTED)
    except click.ClickException as error:
        _refuse(error)
        return error.exit_code
    except (Interrupted, KeyboardInterrupt):
        return _interrupted(_INTERRUPTED)
    except Terminated:
        return _interrupted(143)
    except OutputClosed:
        return 0
    return code if isinstance(code, int) else 0


def _refuse(error: click.ClickException) -> None:
    """Say what is wrong with a command line; one that is empty gets the help."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    message = error.format_message()
    if wants_json():
        print_error(UsageError(message))
    elif context is None:
        note(f"error: {message}")
    elif message == context.get_help():
        error.show()
    else:
        note(context.get_usage())
        note(f"error: {message}")
        note(f"`{context.command_path} --help` tells more.")


def _interrupted(code: int) -> int:
    if code == _INTERRUPTED and is_terminal(sys.stderr) and not wants_json():
        note("")  # the terminal has shown ^C
    note(
        "interrupted; what was done is in the ledger, the next pass goes on",
        event="interrupted",
        level="error",
    )
    return code
