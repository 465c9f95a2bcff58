"""Filters of jobs (`--select state:failed`) and of events (`--since`, `--kind`). Pure.

A condition names one property of a job and the values that it may have, separated by commas; all
conditions must hold.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from runner.errors import UsageError
from runner.ledger.queries import EVENT_KINDS
from runner.ledger.records import RunState
from runner.spec.yaml.tree import shown
from runner.text import one_of, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runner.views.jobs import JobView


_METADATA: Final = "metadata."
_KEYS: Final = ("state", "provider", "endpoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition on a job: `key` has one of `values`, in which `*` and `?` are wildcards."""

    key: str
    values: tuple[str, ...]

    def holds(self, view: JobView) -> bool:
        """Whether the condition holds for a job."""
        has = self._of(view)
        return has is not None and any(
            re.compile(fnmatch.translate(value)).fullmatch(has) for value in self.values
        )

    def _of(self, view: JobView) -> str | None:
        match self.key:
            case "state":
                return str(view.state)
            case "provider":
                return view.provider
            case "endpoint":
                return view.endpoint
            case _:
                return view.metadata.get(self.key.removeprefix(_METADATA))


def read_conditions(texts: Iterable[str], providers: Iterable[str]) -> tuple[Condition, ...]:
    """Read conditions of the form `KEY:VALUE[,VALUE...]`.

    `providers` are the names of all providers. Raises UsageError that names every condition that
    no job can meet: an unknown key, state or provider.
    """
    conditions: list[Condition] = []
    problems: list[str] = []
    for text in texts:
        key, colon, written = text.partition(":")
        values = tuple(value for value in written.split(",") if value)
        if not colon or not values:
            problems.append(f'"{shown(text)}" is no condition; write KEY:VALUE, as in state:failed')
        elif key == "state":
            problems += _unknown(values, "state", list(RunState))
        elif key == "provider":
            problems += _unknown(values, "provider", sorted(set(providers)))
        elif key not in _KEYS and (not key.startswith(_METADATA) or key == _METADATA):
            problems.append(_unknown_key(key))
        conditions.append(Condition(key=key, values=values))
    if problems:
        raise UsageError(f"--select: {'; '.join(problems)}")
    return tuple(conditions)


def chosen(views: Sequence[JobView], conditions: Sequence[Condition]) -> tuple[JobView, ...]:
    """Return the jobs for which all conditions hold, in the order given."""
    return tuple(view for view in views if all(one.holds(view) for one in conditions))


def _unknown(values: Iterable[str], what: str, known: Sequence[str]) -> list[str]:
    """Write an error for each value that no job can have; a pattern must match a known value."""
    return [
        f'there is no {what} "{shown(value)}"; {one_of(value, known)}'
        for value in values
        if not fnmatch.filter(known, value)
    ]


def _unknown_key(key: str) -> str:
    return f'jobs have no "{shown(key)}" to select by; {one_of(key, (*_KEYS, "metadata.KEY"))}'


_AGO: Final = ("s", "m", "min", "h", "d", "w")
"""Units of a duration before now."""


def read_since(text: str, *, now: float) -> float:
    """Read a duration before now or a date: `2d`, `12h`, `30min`, `2026-01-31T12:00`.

    Returns Unix seconds. A date without an offset is UTC, as in everything that is printed.
    Raises UsageError.
    """
    ago = parse_duration(text.strip(), units=_AGO)
    if ago is not None:
        return now - ago
    try:
        at = datetime.fromisoformat(text.strip())
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f'--since: "{shown(text)}" is neither a span nor a date; write 2d, 12h, 30min, '
            f"2026-01-31 or 2026-01-31T12:00 (UTC)"
        ) from error


def read_kinds(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of events that match these texts, in which `*` and `?` are wildcards.

    Raises UsageError that names each text that matches no kind.
    """
    kinds: list[str] = []
    problems: list[str] = []
    for text in texts:
        matching = fnmatch.filter(EVENT_KINDS, text)
        kinds += matching
        if not matching:
            hint = one_of(text, EVENT_KINDS)
            problems.append(f'no event is of the kind "{shown(text)}"; {hint}')
    if problems:
        raise UsageError(f"--kind: {'; '.join(problems)}")
    return tuple(dict.fromkeys(kinds))
