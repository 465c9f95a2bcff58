"""The command `runner`: its group of commands, and what every one of them has in common.

Commands are imported when they are asked for, and what they need when they run: `runner --help`
and shell completion load nothing but click.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click

from runner import __version__
from runner.errors import InvalidInput, RunnerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_COMMANDS: Final = {
    "init": ("runner.cli.start", "Make a project that runs at once on the local provider."),
    "validate": ("runner.cli.look", "Check specs and inputs offline."),
    "plan": ("runner.cli.look", "Show what reconcile would do; change nothing."),
    "reconcile": ("runner.cli.act", "Bring jobs nearer to what their specs ask for."),
    "status": ("runner.cli.look", "Show where each job stands."),
    "show": ("runner.cli.look", "Tell the whole story of one job."),
    "cancel": ("runner.cli.act", "Cancel what is in flight, collect what was answered."),
    "retry": ("runner.cli.act", "Ask the unanswered requests of a job again."),
}

_EXIT_CODES: Final = """\b
Exit codes:
  0    fine; work in flight, nothing to do, or another reconcile at work
  1    a job failed or ended partial, or something could not be done
  2    usage error, or invalid spec or input: nothing was sent for it
  75   another reconcile holds the lock, with --if-locked fail
  130  interrupted (143: terminated); the next pass goes on
"""


class Interrupted(BaseException):
    """SIGTERM, raised where the program stands, so that everything is closed on the way out."""


class _Lazy(click.Group):
    """A group that knows its commands by name and imports one when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(_COMMANDS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in _COMMANDS.items()])


@click.group(
    cls=_Lazy,
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="runner")
@click.option(
    "-C",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Start looking for the project in DIR instead of the current folder.",
)
@click.pass_context
def cli(context: click.Context, directory: Path) -> None:
    """Run declarative, crash-safe, traceable jobs on LLM Batch APIs.

    Jobs are YAML specs in git. `runner reconcile`, by hand or from cron, makes them so.
    """
    context.obj = directory


def main() -> NoReturn:
    """Run the command line and exit; every error that a person can cause is a sentence."""
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(_guarded(lambda: cli.main(standalone_mode=False)))


def _guarded(run: Callable[[], object]) -> int:
    try:
        code = run()
        sys.stdout.flush()
    except click.exceptions.Abort:
        return _interrupted(130)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as done:
        return done.exit_code
    except RunnerError as error:
        prefix = "" if isinstance(error, InvalidInput) else "error: "
        click.echo(f"{prefix}{error}", err=True)
        return error.exit_code
    except KeyboardInterrupt:
        return _interrupted(130)
    except Interrupted:
        return _interrupted(143)
    except BrokenPipeError:
        # Whoever read our answer has had enough; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


def _interrupted(code: int) -> int:
    click.echo("interrupted; what was done is in the ledger, the next pass goes on", err=True)
    return code


def _terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted
