"""The forms of single values in a spec and in `runner.yaml`: names, sizes, times, places.

As `runner.spec.schema`, which is made of them, it is imported inside functions only.

The shape of a spec and of `runner.yaml`, for pydantic.

Only shape, types and bounds are here; what depends on the rest of a project (is the provider
known, does the input exist) is checked where that is known. Imported inside functions only:
pydantic costs more to import than most commands take to run.

Each key has a description and examples: editors show them, by the JSON Schemas in
`runner/spec/schemas/` that `docs/schemas.py` makes of these classes.
"""

import re
from functools import cache
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema

from runner.spec.job import METADATA_KEY, OPENAI_ENDPOINTS
from runner.spec.notifications import Kind
from runner.spec.project import MAX_EXPIRES_AFTER

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


_MIN_EXPIRES_AFTER: Final = 3600
"""Seconds: the shortest that `expires_after` can say (fact sheet, section 2)."""


def read_expiry(value: object) -> object:
    """Turn `7d` into seconds; raises ValueError for what no file's life can be."""
    if isinstance(value, str):
        if not re.fullmatch(DURATION_PATTERN, value):
            raise ValueError("is no time; write a number of hours or days, such as 12h or 7d")
        value = duration(value)
    if isinstance(value, int) and not _MIN_EXPIRES_AFTER <= value <= MAX_EXPIRES_AFTER:
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
_EXPIRY_SCHEMA: Final[dict[str, object]] = {
    "type": ["integer", "string"],
    "minimum": _MIN_EXPIRES_AFTER,
    "maximum": MAX_EXPIRES_AFTER,
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
Expiry = Annotated[int, BeforeValidator(read_expiry), WithJsonSchema(_EXPIRY_SCHEMA)]

Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(
        max_length=16,
        json_schema_extra={
            "propertyNames": {"minLength": 1, "maxLength": 64, "not": {"const": METADATA_KEY}}
        },
    ),
]


class StrictModel(BaseModel):
    """A mapping whose keys are all known, and whose values are of the types that they have."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_URL: Final = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s?#]+$"
_PATH_OF_API: Final = r'^/[!-"$-~]*$'
_NO_FOLDER_INSIDE: Final = r"^/|(^|/)\.\.(/|$)|^(\./+)*\.[^/]|^(\./*)*$"
"""Absolute, upwards, hidden, or the project itself."""


class RetrySchema(StrictModel):
    """How often requests without an answer are asked again."""

    attempts: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3,
        description="Submissions of a request before it counts as failed.",
        examples=[3],
    )


class DeadlineSchema(StrictModel):
    """What to do about a batch that takes longer than it should."""

    after: Annotated[str, Field(pattern=DURATION_PATTERN)] | None = Field(
        default=None,
        description="Time from its creation, in minutes, hours or days; by default an hour after "
        "it should have expired.",
        examples=["90m", "30h", "2d"],
    )
    action: Literal["warn", "resubmit", "wait"] = Field(
        default="warn",
        description="warn: say so once; resubmit: cancel it and ask the rest again; wait: nothing.",
        examples=["warn", "resubmit"],
    )


class SpecSchema(StrictModel):
    """One job for a Batch API."""

    name: Name | None = Field(
        default=None,
        description="The job's name; by default the file's stem. Several documents in one file "
        "need one each.",
        examples=["sentiment", "banking77-intents"],
    )
    endpoint: str = Field(
        description="The API's path that answers the requests.",
        examples=list(OPENAI_ENDPOINTS),
        json_schema_extra={"pattern": _PATH_OF_API},
    )
    input: PathText = Field(
        description="Batch requests in JSONL, one {custom_id, method, url, body} a line; a path "
        "from the project's root.",
        examples=["data/reviews.jsonl"],
    )
    completion_window: Annotated[str, Field(pattern=WINDOW_PATTERN)] = Field(
        default="24h",
        description="How long the provider may take, in hours or days; OpenAI offers 24h alone.",
        examples=["24h", "7d"],
    )
    metadata: Metadata = Field(
        default={},
        description="Up to 16 pairs of strings that each batch carries.",
        examples=[{"project": "acl"}],
    )
    provider: str | None = Field(
        default=None,
        description="Who is asked; by default default_provider of runner.yaml.",
        examples=["openai", "local", "lab"],
    )
    replicate: Count = Field(
        default=1,
        description="Another number asks the same questions again.",
        examples=[1, 2],
    )
    retry: RetrySchema = Field(
        default=RetrySchema(),
        description="How often requests without an answer are asked again.",
        examples=[{"attempts": 3}],
    )
    deadline: DeadlineSchema = Field(
        default=DeadlineSchema(),
        description="What to do about a batch that takes longer than it should.",
        examples=[{"after": "30h", "action": "warn"}],
    )
    canary: Annotated[int, Field(ge=1, le=50_000)] | None = Field(
        default=None,
        description="Ask so many requests first; the rest only if at least half of them succeed.",
        examples=[10],
    )
    keep_remote: bool = Field(
        default=True,
        description="false: delete the job's files at the provider once its results are here.",
        examples=[True, False],
    )
    output: PathText | None = Field(
        default=None,
        description="A folder for the results inside the project; by default outputs/<name>.",
        examples=["results/sentiment"],
        json_schema_extra={"not": {"pattern": _NO_FOLDER_INSIDE}},
    )


class ProviderSchema(StrictModel):
    """What a project may say about a provider."""

    base_url: str | None = Field(
        default=None,
        description="The API's URL, up to and with /v1; without user, password and query.",
        examples=["http://127.0.0.1:8000/v1"],
        json_schema_extra={"pattern": _URL},
    )
    api_key_env: Variable | None = Field(
        default=None,
        description="The environment variable that holds the key, never the key itself.",
        examples=["LAB_KEY"],
    )
    api_key_file: PathText | None = Field(
        default=None,
        description="A file of mode 0600 that holds the key; ~ is your home.",
        examples=["~/.lab-key"],
    )
    api_key_command: PathText | Annotated[list[PathText], Field(min_length=1)] | None = Field(
        default=None,
        description="A command that prints the key, as a list of arguments or one line.",
        examples=[["pass", "show", "lab"], "pass show lab"],
    )
    max_requests_per_batch: Count | None = Field(
        default=None,
        description="Requests that one batch takes; larger inputs are cut into several.",
        examples=[50_000],
    )
    max_bytes_per_batch: Size | None = Field(
        default=None,
        description="Bytes that one input file takes: a number, or one with kB, MB, GB or MiB.",
        examples=["200MB", 200_000_000],
    )
    max_bytes_per_request: Size | None = Field(
        default=None,
        description="Bytes that one request takes: a number, or one with kB, MB, GB or MiB.",
        examples=["1MB"],
    )
    max_active_batches: Count | None = Field(
        default=None,
        description="How many batches may be in flight at once; what would be more waits.",
        examples=[100],
    )
    max_enqueued_tokens: Count | None = Field(
        default=None,
        description="How many prompt tokens of one model may be in flight at once.",
        examples=[2_000_000],
    )
    input_expires_after: Expiry | None = Field(
        default=None,
        description="How long the provider keeps input files: 1h to 30d, or that in seconds.",
        examples=["7d"],
    )
    output_expires_after: Expiry | None = Field(
        default=None,
        description="How long the provider keeps result files: 1h to 30d, or that in seconds.",
        examples=["30d"],
    )
    adoption_grace: Annotated[float, Field(ge=0, le=86_400)] | None = Field(
        default=None,
        description="Seconds during which a listing may not show what was just made.",
        examples=[60],
    )


class HookSchema(StrictModel):
    """Who is told of what has changed, and how."""

    when: Annotated[list[Kind], Field(min_length=1)] | None = Field(
        default=None,
        description="What is told of; by default all of it.",
        examples=[["failed", "partial", "trouble", "recovered"]],
    )
    jobs: PathText | None = Field(
        default=None,
        description="Only jobs whose names match this pattern.",
        examples=["acl-*"],
    )
    command: PathText | Annotated[list[PathText], Field(min_length=1)] | None = Field(
        default=None,
        description="A command, as a list of arguments; the message is on its standard input.",
        examples=[["mail", "-s", "runner", "you@example.org"]],
    )
    webhook_env: Variable | None = Field(
        default=None,
        description="The environment variable that holds the URL of a webhook.",
        examples=["HOOK_URL"],
    )
    webhook_file: PathText | None = Field(
        default=None,
        description="A file of mode 0600 that holds the URL of a webhook.",
        examples=["~/.hook"],
    )
    apprise_env: Variable | None = Field(
        default=None,
        description="The environment variable that holds a URL for apprise.",
        examples=["MAIL_URL"],
    )
    apprise_file: PathText | None = Field(
        default=None,
        description="A file of mode 0600 that holds a URL for apprise.",
        examples=["~/.mail"],
    )


class PingSchema(StrictModel):
    """A check that hears of each pass, and of passes that stay away."""

    url_env: Variable | None = Field(
        default=None,
        description="The environment variable that holds the URL of the check.",
        examples=["PING_URL"],
    )
    url_file: PathText | None = Field(
        default=None,
        description="A file of mode 0600 that holds the URL of the check.",
        examples=["~/.ping"],
    )


class ConfigSchema(StrictModel):
    """A project of runner: the file runner.yaml."""

    specs: PathText = Field(
        default="specs",
        description="The folder of the specs, searched for *.yaml and *.yml.",
        examples=["specs"],
    )
    outputs: PathText = Field(
        default="outputs",
        description="The folder that results go to, one below it for each job.",
        examples=["outputs"],
    )
    ledger: PathText = Field(
        default=".runner/ledger.db",
        description="The SQLite file that holds what was done; on a local disk, if possible.",
        examples=[".runner/ledger.db"],
    )
    default_provider: str = Field(
        default="openai",
        description="Who is asked where a spec does not say; openai and local are built in.",
        examples=["openai", "local", "lab"],
    )
    providers: dict[Name, ProviderSchema] = Field(
        default={},
        description="Servers that speak the OpenAI Batch API, by the name that specs use.",
        examples=[{"lab": {"base_url": "http://127.0.0.1:8000/v1", "api_key_env": "LAB_KEY"}}],
        json_schema_extra={"propertyNames": {"pattern": NAME_PATTERN}},
    )
    notify: list[HookSchema] = Field(
        default=[],
        description="Who is told of what has changed, and how.",
        examples=[[{"webhook_env": "HOOK_URL", "when": ["failed", "trouble"]}]],
    )
    ping: PingSchema | None = Field(
        default=None,
        description="A check that hears of each pass.",
        examples=[{"url_env": "PING_URL"}],
    )
    metrics: PathText | None = Field(
        default=None,
        description="A file that each pass writes for Prometheus.",
        examples=[".runner/runner.prom"],
    )


@cache
def spec_adapter() -> TypeAdapter[SpecSchema]:
    """Build the validator of specs, once a process."""
    return TypeAdapter(SpecSchema)


@cache
def config_adapter() -> TypeAdapter[ConfigSchema]:
    """Build the validator of `runner.yaml`, once a process."""
    return TypeAdapter(ConfigSchema)


Keys = dict[tuple[str | int, ...], tuple[str, ...]]
SPEC_FIELDS: Final[Keys] = {
    (): tuple(SpecSchema.model_fields),
    ("retry",): tuple(RetrySchema.model_fields),
    ("deadline",): tuple(DeadlineSchema.model_fields),
}
CONFIG_FIELDS: Final[Keys] = {
    (): tuple(ConfigSchema.model_fields),
    ("providers", "*"): tuple(ProviderSchema.model_fields),
    ("notify", "*"): tuple(HookSchema.model_fields),
    ("ping",): tuple(PingSchema.model_fields),
}
"""The keys known at each place of a document; `*` stands for any key."""
