"""The shape of a spec and of `runner.yaml`, for pydantic.

Only shape, types and bounds are here; what depends on the rest of a project (is the provider
known, does the input exist) is checked where that is known. Imported inside functions only:
pydantic costs more to import than most commands take to run.
"""

import re
from functools import cache
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

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
    if not isinstance(value, str):
        return value
    if not re.fullmatch(DURATION_PATTERN, value):
        raise ValueError("is no time; write a number of hours or days, such as 12h or 7d")
    seconds = duration(value)
    if not _SHORTEST_LIFE <= seconds <= LONGEST_LIFE:
        raise ValueError("is not between 1h and 30d, which is what the API takes")
    return seconds


def duration(text: str) -> int:
    """Return the seconds of a text that has the form of a duration or window: 90m, 36h, 2d."""
    return int(text[:-1]) * {"m": 60, "h": 3600, "d": 86_400}[text[-1]]


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
PathText = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1, le=LARGEST)]
Size = Annotated[int, BeforeValidator(read_size), Field(ge=1, le=LARGEST)]
Life = Annotated[int, BeforeValidator(read_life)]

Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RetryShape(_Shape):
    """How often requests without an answer are asked again."""

    attempts: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3, description="Submissions of a request before it counts as failed."
    )


class DeadlineShape(_Shape):
    """What to do about a batch that takes longer than it should."""

    after: Annotated[str, Field(pattern=DURATION_PATTERN)] | None = Field(
        default=None,
        description="Time from its creation; by default an hour after it should have expired.",
    )
    action: Literal["warn", "resubmit", "wait"] = Field(
        default="warn",
        description="warn: say so once; resubmit: cancel it and ask the rest again; wait: nothing.",
    )


class SpecShape(_Shape):
    """One job for a Batch API."""

    name: Name | None = Field(
        default=None, description="The job's name; by default the file's stem."
    )
    endpoint: str = Field(description="The API's path, such as /v1/chat/completions.")
    input: PathText = Field(description="Batch requests in JSONL; a path from the project's root.")
    completion_window: Annotated[str, Field(pattern=WINDOW_PATTERN)] = Field(
        default="24h", description="How long the provider may take."
    )
    metadata: Metadata = Field(default={}, description="Pairs of strings that each batch carries.")
    provider: str | None = Field(
        default=None, description="Who is asked; by default default_provider."
    )
    replicate: Count = Field(default=1, description="Another number asks the same questions again.")
    retry: RetryShape = RetryShape()
    deadline: DeadlineShape = DeadlineShape()
    canary: Annotated[int, Field(ge=1, le=50_000)] | None = Field(
        default=None,
        description="Ask so many requests first; the rest only if at least half of them succeed.",
    )
    keep_remote: bool = Field(
        default=True,
        description="false: delete the job's files at the provider once its results are here.",
    )
    output: PathText | None = Field(
        default=None, description="A folder for the results, instead of outputs/<name>."
    )


class ProviderShape(_Shape):
    """What a project may say about a provider."""

    base_url: str | None = Field(default=None, description="The API's URL, up to and with /v1.")
    api_key_env: Annotated[str, Field(pattern=VARIABLE_PATTERN)] | None = Field(
        default=None, description="The environment variable that holds the key."
    )
    api_key_file: PathText | None = Field(
        default=None, description="A file of mode 0600 that holds the key; ~ is your home."
    )
    api_key_command: PathText | Annotated[list[PathText], Field(min_length=1)] | None = Field(
        default=None, description="A command that prints the key, as a list of arguments."
    )
    max_requests_per_batch: Count | None = None
    max_bytes_per_batch: Size | None = None
    max_bytes_per_request: Size | None = None
    max_active_batches: Count | None = Field(
        default=None, description="How many batches may be in flight at once."
    )
    max_enqueued_tokens: Count | None = Field(
        default=None, description="How many prompt tokens of one model may be in flight at once."
    )
    input_expires_after: Life | None = Field(
        default=None, description="How long the provider keeps input files, such as 7d."
    )
    output_expires_after: Life | None = Field(
        default=None, description="How long the provider keeps result files, such as 30d."
    )
    adoption_grace: Annotated[float, Field(ge=0, le=86_400)] | None = Field(
        default=None, description="Seconds during which a listing may not show what was just made."
    )


class ConfigShape(_Shape):
    """`runner.yaml`."""

    specs: PathText = "specs"
    outputs: PathText = "outputs"
    ledger: PathText = ".runner/ledger.db"
    default_provider: str = "openai"
    providers: dict[Name, ProviderShape] = {}


@cache
def spec_adapter() -> TypeAdapter[SpecShape]:
    """Build the validator of specs, once a process."""
    return TypeAdapter(SpecShape)


@cache
def config_adapter() -> TypeAdapter[ConfigShape]:
    """Build the validator of `runner.yaml`, once a process."""
    return TypeAdapter(ConfigShape)


Keys = dict[tuple[str | int, ...], tuple[str, ...]]
SPEC_KEYS: Final[Keys] = {
    (): tuple(SpecShape.model_fields),
    ("retry",): tuple(RetryShape.model_fields),
    ("deadline",): tuple(DeadlineShape.model_fields),
}
CONFIG_KEYS: Final[Keys] = {
    (): tuple(ConfigShape.model_fields),
    ("providers", "*"): tuple(ProviderShape.model_fields),
}
"""The keys known at each place of a document; `*` stands for any key."""
