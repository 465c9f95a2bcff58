"""In which form stderr is written: sentences for people, or one JSON object an event for machines.

The form holds for the whole command line, its refusal included: so it is looked for before the
command line is parsed.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

OPTION: Final = "--log-format"
FORMATS: Final = ("text", "json")

_as_json: Final = contextvars.ContextVar("as_json", default=False)


def choose_format(arguments: Sequence[str]) -> None:
    """Take the form that a command line asks for; of several the last one counts."""
    asked = "text"
    for number, argument in enumerate(arguments):
        if argument == "--":
            break
        name, sign, value = argument.partition("=")
        if name == OPTION:
            asked = value if sign else next(iter(arguments[number + 1 :]), "")
    _as_json.set(asked == "json")


def wants_json() -> bool:
    """Whether stderr is for machines."""
    return _as_json.get()
