"""The forms of single values in a spec and in `runner.yaml`: names, sizes, times, places.

As `runner.spec.schema`, which is made of them, it is imported inside functions only.
"""

import re
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from runner.spec.job import METADATA_KEY
from runner.spec.project import LONGEST_LIFE

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$"
WINDOW_PATTERN: Final = r"^[1-9][0-9]{0,4}(h|d)$"
DURATION_PATTERN: Final = r"^[1-9][0-9]{0,5}(m|h|d)$"
VARIABLE_PATTERN: Final = r"^[A-Z_][A-Z0-9_]*$"

LARGEST: Final = 10**15
"""Far above any use, far below what a column of the ledger can hold."""

_SIZE: Final = re.compile(r"([0-9]{1,15}) ?([kKMGT]i?)?B")
_UNITS: Final[dict[str | None, int]] = {
    None: 1,
    **{letter: 1000**power for power, letter in enumerate("kMGT", start=1)},
    **{f"{letter}i": 1024**power for power, letter in enumerate("KMGT", start=1)},
    "K": 1000,
}


def read_size(value: object) -> object:
    """Turn `200MB` (10^6 bytes) or `200MiB` (2^20) into bytes; leave numbers to pydantic.

    Raises ValueError, saying what to write, for any other text.
    """
    if not isinstance(value, str):
        return value
    size = _SIZE.fullmatch(value)
    if size is None or size[2] == "ki":
        raise ValueError("is no size; write bytes, or a number and its unit, such as 200MB")
    return int(size[1]) * _UNITS[size[2]]


_SHORTEST_LIFE: Final = 3600
"""Seconds: the shortest that `expires_after` can say (fact sheet, section 2)."""


def read_life(value: object) -> object:
    """Turn `7d` into seconds; raises ValueError for what no file's life can be."""
    if isinstance(value, str):
        if not re.fullmatch(DURATION_PATTERN, value):
            raise ValueError("is no time; write a number of hours or days, such as 12h or 7d")
        value = duration(value)
    if isinstance(value, int) and not _SHORTEST_LIFE <= value <= LONGEST_LIFE:
        raise ValueError("is not between 1h and 30d, which is what the API takes")
    return value


def duration(text: str) -> int:
    """Return the seconds of a text that has the form of a duration or window: 90m, 36h, 2d."""
    return int(text[:-1]) * {"m": 60, "h": 3600, "d": 86_400}[text[-1]]


_SIZE_SCHEMA: Final[dict[str, object]] = {
    "type": ["integer", "string"],
    "minimum": 1,
    "maximum": LARGEST,
    "pattern": "^[0-9]{1,15} ?(k|[KMGT]i?)?B$",
}
_LIFE_SCHEMA: Final[dict[str, object]] = {
    "type": ["integer", "string"],
    "minimum": _SHORTEST_LIFE,
    "maximum": LONGEST_LIFE,
    "pattern": DURATION_PATTERN,
}
"""As bounds of JSON Schema hold for numbers only, and patterns for strings only."""

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
PathText = Annotated[str, Field(min_length=1)]
Variable = Annotated[str, Field(pattern=VARIABLE_PATTERN)]
Count = Annotated[int, Field(ge=1, le=LARGEST)]
Size = Annotated[
    int, BeforeValidator(read_size), Field(ge=1, le=LARGEST), WithJsonSchema(_SIZE_SCHEMA)
]
Life = Annotated[int, BeforeValidator(read_life), WithJsonSchema(_LIFE_SCHEMA)]

Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(
        max_length=16,
        json_schema_extra={
            "propertyNames": {"minLength": 1, "maxLength": 64, "not": {"const": METADATA_KEY}}
        },
    ),
]


class Shape(BaseModel):
    """A mapping whose keys are all known, and whose values are of the types that they have."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
