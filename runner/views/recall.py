"""What people ask of the ledger's events: since when, and of which kinds. Pure."""

from __future__ import annotations

import fnmatch
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from runner.errors import UsageError
from runner.ledger.queries import EVENT_KINDS
from runner.spec.validation_errors import did_you_mean
from runner.spec.yaml.scalars import shown

if TYPE_CHECKING:
    from collections.abc import Sequence


_SPAN: Final = re.compile(r"([0-9]{1,9})(s|m|min|h|d|w)", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


def read_since(text: str, *, now: float) -> float:
    """Read how long ago, or when: `2d`, `12h`, `30min`, `2026-01-31`, `2026-01-31T12:00`.

    Returns Unix seconds. A date without an offset is UTC, as in everything that is printed.
    Raises UsageError.
    """
    span = _SPAN.fullmatch(text.strip())
    if span is not None:
        return now - int(span[1]) * _SECONDS[span[2]]
    try:
        at = datetime.fromisoformat(text.strip())
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f'--since: "{shown(text)}" is neither a span nor a date; write 2d, 12h, 30min, '
            f"2026-01-31 or 2026-01-31T12:00 (UTC)"
        ) from error


def read_kinds(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of events that these name, `*` and `?` standing for anything.

    Raises UsageError that tells of each text that fits no kind there is.
    """
    kinds: list[str] = []
    problems: list[str] = []
    for text in texts:
        rows_that_fit = fnmatch.filter(EVENT_KINDS, text)
        kinds += rows_that_fit
        if not rows_that_fit:
            guess = did_you_mean(text, EVENT_KINDS)
            meant = f'did you mean "{guess}"?' if guess else f"there are {', '.join(EVENT_KINDS)}"
            problems.append(f'no event is of the kind "{shown(text)}"; {meant}')
    if problems:
        raise UsageError(f"--kind: {'; '.join(problems)}")
    return tuple(dict.fromkeys(kinds))
