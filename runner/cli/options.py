"""The click arguments and options that several commands share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import click

from runner.cli.completion import complete_known_jobs, complete_specs
from runner.cli.output import LOG_FORMAT_OPTION, LOG_FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.decorators import FC

specs_argument = click.argument(
    "selectors", metavar="[SPEC]...", nargs=-1, shell_complete=complete_specs
)
jobs_argument = click.argument(
    "jobs", metavar="[JOB]...", nargs=-1, shell_complete=complete_known_jobs
)
known_job_argument = click.argument("job", metavar="JOB", shell_complete=complete_known_jobs)

log_format_option = click.option(
    LOG_FORMAT_OPTION,
    type=click.Choice(LOG_FORMATS),
    default=LOG_FORMATS[0],
    show_default=True,
    expose_value=False,  # `runner.cli.output.choose_format` has read it before click parses it
    help="The format of stderr: text, or one JSON object per line.",
)


def json_option(help_text: str) -> Callable[[FC], FC]:
    """Return the option `--json`, as the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


def output_option(*formats: str) -> Callable[[FC], FC]:
    """Return the option `-o`, which chooses one of several output formats, as `output`."""
    choice = click.Choice(formats)
    return click.option("-o", "--output", type=choice, help="The output format.")


def output_format(output: str | None, *, as_json: bool) -> str:
    """Return the output format that `-o` and `--json` choose; `table` without either.

    Raises click.UsageError if they choose different ones.
    """
    if as_json and output not in (None, "json"):
        context = click.get_current_context()
        raise click.UsageError(f"--json and -o {output} contradict each other", context)
    return "json" if as_json else output or "table"


class _Seconds(click.FloatRange):
    """A positive number of seconds."""

    def convert(
        self,
        value: Any,  # noqa: ANN401 -- as click's
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Return the number; refuses `nan`, which no bound of a range excludes."""
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds


class _Duration(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on
    """A duration such as 90m, 12h or 1d, in seconds."""

    name = "duration"

    def convert(
        self,
        value: Any,  # noqa: ANN401 -- as click's
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Return the seconds."""
        from runner.text import parse_duration

        seconds = parse_duration(value, units=("m", "h", "d"))
        if not seconds:
            self.fail(f"{value!r} is not a duration; write one such as 12h or 1d", param, ctx)
        return float(seconds)


SECONDS: Final = _Seconds(min=0, max=86_400, min_open=True)
"""At most a day."""

DURATION: Final = _Duration()
