"""The fields of a spec and of `runner.yaml`, as pydantic models.

Only fields, types and bounds are checked here; what depends on the project (does the provider
exist, does the input exist) is checked in `runner.spec.validate` and `runner.spec.config`. Import
this module inside functions only: importing pydantic takes longer than most commands.

Each field has a description and examples. Editors show them from the JSON Schemas in
`runner/spec/schemas/`, which `docs/schemas.py` generates from these models.
"""

import re
from functools import cache
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema

from runner.spec.job import METADATA_KEY, OPENAI_ENDPOINTS
from runner.spec.notifications import Kind
from runner.spec.project import MAX_EXPIRES_AFTER
from runner.text import parse_duration

# Values: names, numbers, sizes, durations, paths.

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$"
WINDOW_PATTERN: Final = r"^[1-9][0-9]{0,4}(h|d)$"
DURATION_UNITS: Final = ("m", "h", "d")
DURATION_PATTERN: Final = r"^[1-9][0-9]{0,5}(m|h|d)$"
VARIABLE_PATTERN: Final = r"^[A-Z_][A-Z0-9_]*$"
_URL: Final = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s?#]+$"
_ENDPOINT: Final = r'^/[!-"$-~]*$'
_NO_FOLDER_INSIDE: Final = r"^/|(^|/)\.\.(/|$)|^(\./+)*\.[^/]|^(\./*)*$"
"""An absolute path, a path out of the project, a hidden folder, or the project itself."""

LARGEST: Final = 10**15
"""More than any real number, and less than a column of the ledger can store."""

_MIN_EXPIRES_AFTER: Final = 3600
"""Seconds: the smallest value of `expires_after` (fact sheet, section 2)."""

_SIZE: Final = re.compile(r"([0-9]{1,15}) ?([kKMGT]i?)?B")
_UNITS: Final[dict[str | None, int]] = {
    None: 1,
    **{letter: 1000**power for power, letter in enumerate("kMGT", start=1)},
    **{f"{letter}i": 1024**power for power, letter in enumerate("KMGT", start=1)},
    "K": 1000,
}


def _read_size(value: object) -> object:
    """Return the bytes of `200MB` (10^6 each) or `200MiB` (2^20 each), and numbers unchanged.

    Raises ValueError for any other text.
    """
    if not isinstance(value, str):
        return value
    size = _SIZE.fullmatch(value)
    if size is None or size[2] == "ki":
        raise ValueError("is not a size; write bytes, or a number with a unit, such as 200MB")
    return int(size[1]) * _UNITS[size[2]]


def _read_expiry(value: object) -> object:
    """Return the seconds of an expiry such as `7d`. Raises ValueError if it is out of bounds."""
    if isinstance(value, str):
        if not re.fullmatch(DURATION_PATTERN, value):
            raise ValueError("is not a duration; write hours or days, such as 12h or 7d")
        value = parse_duration(value, units=DURATION_UNITS)
    if isinstance(value, int) and not _MIN_EXPIRES_AFTER <= value <= MAX_EXPIRES_AFTER:
        raise ValueError("is not between 1h and 30d, the bounds of the API")
    return value


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
"""In JSON Schema, bounds apply to numbers only and patterns to strings only."""

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
PathText = Annotated[str, Field(min_length=1)]
Variable = Annotated[str, Field(pattern=VARIABLE_PATTERN)]
Count = Annotated[int, Field(ge=1, le=LARGEST)]
Size = Annotated[
    int, BeforeValidator(_read_size), Field(ge=1, le=LARGEST), WithJsonSchema(_SIZE_SCHEMA)
]
Expiry = Annotated[int, BeforeValidator(_read_expiry), WithJsonSchema(_EXPIRY_SCHEMA)]

Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(
        max_length=16,
        json_schema_extra={
            "propertyNames": {"minLength": 1, "maxLength": 64, "not": {"const": METADATA_KEY}}
        },
    ),
]


# The fields of a spec.


class StrictModel(BaseModel):
    """A mapping without unknown fields, whose values are not converted to other types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RetrySchema(StrictModel):
    """How often requests that did not succeed are submitted again."""

    attempts: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3,
        description="The number of submissions after which a request counts as failed.",
        examples=[3],
    )


class DeadlineSchema(StrictModel):
    """What to do about an overdue batch."""

    after: Annotated[str, Field(pattern=DURATION_PATTERN)] | None = Field(
        default=None,
        description="Time from the creation of the batch, in minutes, hours or days; by default an "
        "hour after it should have expired.",
        examples=["90m", "30h", "2d"],
    )
    action: Literal["warn", "resubmit", "wait"] = Field(
        default="warn",
        description="warn: report it once; resubmit: cancel the batch and submit its unfinished "
        "requests again; wait: do nothing.",
        examples=["warn", "resubmit"],
    )


class SpecSchema(StrictModel):
    """One job for a Batch API."""

    name: Name | None = Field(
        default=None,
        description="The name of the job; by default the file name without its suffix. Each of "
        "several documents in a file needs one.",
        examples=["sentiment", "banking77-intents"],
    )
    endpoint: str = Field(
        description="The endpoint of the API that processes the requests.",
        examples=list(OPENAI_ENDPOINTS),
        json_schema_extra={"pattern": _ENDPOINT},
    )
    input: PathText = Field(
        description="The file of batch requests: JSON Lines with custom_id, method, url and body; "
        "a path relative to the project's root.",
        examples=["data/reviews.jsonl"],
    )
    completion_window: Annotated[str, Field(pattern=WINDOW_PATTERN)] = Field(
        default="24h",
        description="The time the provider may take, in hours or days; OpenAI offers only 24h.",
        examples=["24h", "7d"],
    )
    metadata: Metadata = Field(
        default={},
        description="Up to 16 pairs of strings that are attached to each batch.",
        examples=[{"project": "acl"}],
    )
    provider: str | None = Field(
        default=None,
        description="The name of the provider; by default default_provider of runner.yaml.",
        examples=["openai", "local", "lab"],
    )
    replicate: Count = Field(
        default=1,
        description="Change this number to run the same requests again.",
        examples=[1, 2],
    )
    ask_again: bool = Field(
        default=False,
        description="true: submit the requests although they have responses at another address.",
        examples=[True],
    )
    retry: RetrySchema = Field(
        default=RetrySchema(),
        description="How often requests that did not succeed are submitted again.",
        examples=[{"attempts": 3}],
    )
    deadline: DeadlineSchema = Field(
        default=DeadlineSchema(),
        description="What to do about an overdue batch.",
        examples=[{"after": "30h", "action": "warn"}],
    )
    canary: Annotated[int, Field(ge=1, le=50_000)] | None = Field(
        default=None,
        description="Submit this many requests first; the others only if at least half succeed.",
        examples=[10],
    )
    keep_remote: bool = Field(
        default=True,
        description="false: delete the job's files at the provider once its results are collected.",
        examples=[True, False],
    )
    output: PathText | None = Field(
        default=None,
        description="The folder for the results, inside the project; by default outputs/<name>.",
        examples=["results/sentiment"],
        json_schema_extra={"not": {"pattern": _NO_FOLDER_INSIDE}},
    )


# The fields of runner.yaml.


class ProviderSchema(StrictModel):
    """The settings of a provider."""

    base_url: str | None = Field(
        default=None,
        description="The URL of the API, including /v1; without user, password and query.",
        examples=["http://127.0.0.1:8000/v1"],
        json_schema_extra={"pattern": _URL},
    )
    api_key_env: Variable | None = Field(
        default=None,
        description="The environment variable that contains the API key, never the key itself.",
        examples=["LAB_KEY"],
    )
    api_key_file: PathText | None = Field(
        default=None,
        description="A file of mode 0600 that contains the API key; ~ is your home folder.",
        examples=["~/.lab-key"],
    )
    api_key_command: PathText | Annotated[list[PathText], Field(min_length=1)] | None = Field(
        default=None,
        description="A command that prints the API key, as a list of arguments or one line.",
        examples=[["pass", "show", "lab"], "pass show lab"],
    )
    allow_key_over_http: bool | None = Field(
        default=None,
        description="Send the API key to another machine over http, where others can read it.",
        examples=[True],
    )
    same_as: Annotated[list[PathText], Field(min_length=1)] | None = Field(
        default=None,
        description="Earlier addresses or names of this provider: its responses there still count.",
        examples=[["http://127.0.0.1:8000/v1"], ["old-name"]],
    )
    max_requests_per_batch: Count | None = Field(
        default=None,
        description="The largest number of requests in a batch; a larger input becomes several.",
        examples=[50_000],
    )
    max_bytes_per_batch: Size | None = Field(
        default=None,
        description="The largest input file of a batch: bytes, or a number with kB, MB, GB or MiB.",
        examples=["200MB", 200_000_000],
    )
    max_bytes_per_request: Size | None = Field(
        default=None,
        description="The largest request: bytes, or a number with kB, MB, GB or MiB.",
        examples=["1MB"],
    )
    max_active_batches: Count | None = Field(
        default=None,
        description="The largest number of batches in flight; further shards wait.",
        examples=[100],
    )
    max_enqueued_tokens: Count | None = Field(
        default=None,
        description="The largest number of prompt tokens of one model in flight.",
        examples=[2_000_000],
    )
    input_expires_after: Expiry | None = Field(
        default=None,
        description="The time the provider keeps input files: 1h to 30d, or a number of seconds.",
        examples=["7d"],
    )
    output_expires_after: Expiry | None = Field(
        default=None,
        description="The time the provider keeps result files: 1h to 30d, or a number of seconds.",
        examples=["30d"],
    )
    adoption_grace: Annotated[float, Field(ge=0, le=86_400)] | None = Field(
        default=None,
        description="Seconds to wait for what its lists may lack; on loopback also for results.",
        examples=[60],
    )


class HookSchema(StrictModel):
    """A channel for messages, and which messages to send."""

    when: Annotated[list[Kind], Field(min_length=1)] | None = Field(
        default=None,
        description="The kinds of messages to send; by default all.",
        examples=[["failed", "partial", "trouble", "recovered"]],
    )
    jobs: PathText | None = Field(
        default=None,
        description="Only messages about jobs whose names match this pattern.",
        examples=["acl-*"],
    )
    command: PathText | Annotated[list[PathText], Field(min_length=1)] | None = Field(
        default=None,
        description="A command, as a list of arguments; it reads the message from standard input.",
        examples=[["mail", "-s", "runner", "you@example.org"]],
    )
    webhook_env: Variable | None = Field(
        default=None,
        description="The environment variable that contains the URL of a webhook.",
        examples=["HOOK_URL"],
    )
    webhook_file: PathText | None = Field(
        default=None,
        description="A file of mode 0600 that contains the URL of a webhook.",
        examples=["~/.hook"],
    )
    apprise_env: Variable | None = Field(
        default=None,
        description="The environment variable that contains a URL for apprise.",
        examples=["MAIL_URL"],
    )
    apprise_file: PathText | None = Field(
        default=None,
        description="A file of mode 0600 that contains a URL for apprise.",
        examples=["~/.mail"],
    )


class PingSchema(StrictModel):
    """A URL to ping after each pass; a monitoring service there notices missing passes."""

    url_env: Variable | None = Field(
        default=None,
        description="The environment variable that contains the URL to ping.",
        examples=["PING_URL"],
    )
    url_file: PathText | None = Field(
        default=None,
        description="A file of mode 0600 that contains the URL to ping.",
        examples=["~/.ping"],
    )


class ConfigSchema(StrictModel):
    """The settings of a project: the file runner.yaml."""

    specs: PathText = Field(
        default="specs",
        description="The folder of the specs: all *.yaml and *.yml files below it.",
        examples=["specs"],
    )
    outputs: PathText = Field(
        default="outputs",
        description="The folder for results, with a folder for each job.",
        examples=["outputs"],
    )
    ledger: PathText = Field(
        default=".runner/ledger.db",
        description="The SQLite file with the recorded state; on a local disk, if possible.",
        examples=[".runner/ledger.db"],
    )
    default_provider: str = Field(
        default="openai",
        description="The provider of specs that name none; openai and local are built in.",
        examples=["openai", "local", "lab"],
    )
    providers: dict[Name, ProviderSchema] = Field(
        default={},
        description="Servers with the OpenAI Batch API, by the names that specs use.",
        examples=[{"lab": {"base_url": "http://127.0.0.1:8000/v1", "api_key_env": "LAB_KEY"}}],
        json_schema_extra={"propertyNames": {"pattern": NAME_PATTERN}},
    )
    notify: list[HookSchema] = Field(
        default=[],
        description="Channels for messages about changes.",
        examples=[[{"webhook_env": "HOOK_URL", "when": ["failed", "trouble"]}]],
    )
    ping: PingSchema | None = Field(
        default=None,
        description="A URL to ping after each pass.",
        examples=[{"url_env": "PING_URL"}],
    )
    metrics: PathText | None = Field(
        default=None,
        description="A file of metrics for Prometheus, written by each pass.",
        examples=["runner.prom"],
    )


# What other modules validate with.


@cache
def spec_adapter() -> TypeAdapter[SpecSchema]:
    """Return the validator of specs, built once a process."""
    return TypeAdapter(SpecSchema)


@cache
def config_adapter() -> TypeAdapter[ConfigSchema]:
    """Return the validator of `runner.yaml`, built once a process."""
    return TypeAdapter(ConfigSchema)


Fields = dict[tuple[str | int, ...], tuple[str, ...]]
SPEC_FIELDS: Final[Fields] = {
    (): tuple(SpecSchema.model_fields),
    ("retry",): tuple(RetrySchema.model_fields),
    ("deadline",): tuple(DeadlineSchema.model_fields),
}
CONFIG_FIELDS: Final[Fields] = {
    (): tuple(ConfigSchema.model_fields),
    ("providers", "*"): tuple(ProviderSchema.model_fields),
    ("notify", "*"): tuple(HookSchema.model_fields),
    ("ping",): tuple(PingSchema.model_fields),
}
"""The known fields of the mapping at each path; `*` matches any step."""
