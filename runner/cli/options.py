"""Options that are a number of seconds."""

from __future__ import annotations

from typing import Final

import click

_LONGEST: Final = 86_400
"""A day."""

SECONDS: Final = click.FloatRange(min=0, max=_LONGEST, min_open=True)


def finite(
    context: click.Context, parameter: click.Parameter, seconds: float | None
) -> float | None:
    """Refuse what is a number to Python and no time to a clock."""
    if seconds is not None and not seconds <= _LONGEST:
        raise click.BadParameter(f"{seconds} is longer than a day", context, parameter)
    return seconds
