"""The shape of a spec and of `runner.yaml`, for pydantic.

Only shape, types and bounds are here; what depends on the rest of a project (is the provider
known, does the input exist) is checked where that is known. Imported inside functions only:
pydantic costs more to import than most commands take to run.

Each key has a description and examples: editors show them, by the JSON Schemas in
`runner/spec/schemas/` that `docs/schemas.py` makes of these classes.
"""

from functools import cache
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from runner.spec.forms import (
    DURATION_PATTERN,
    NAME_PATTERN,
    WINDOW_PATTERN,
    Count,
    Life,
    Metadata,
    Name,
    PathText,
    Shape,
    Size,
    Variable,
)
from runner.spec.job import OPENAI_ENDPOINTS
from runner.spec.notifications import Kind

_URL: Final = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s?#]+$"
_PATH_OF_API: Final = r'^/[!-"$-~]*$'
_NO_FOLDER_INSIDE: Final = r"^/|(^|/)\.\.(/|$)|^(\./+)*\.[^/]|^(\./*)*$"
"""Absolute, upwards, hidden, or the project itself."""


class RetrySchema(Shape):
    """How often requests without an answer are asked again."""

    attempts: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3,
        description="Submissions of a request before it counts as failed.",
        examples=[3],
    )


class DeadlineSchema(Shape):
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


class SpecSchema(Shape):
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


class ProviderSchema(Shape):
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
    input_expires_after: Life | None = Field(
        default=None,
        description="How long the provider keeps input files: 1h to 30d, or that in seconds.",
        examples=["7d"],
    )
    output_expires_after: Life | None = Field(
        default=None,
        description="How long the provider keeps result files: 1h to 30d, or that in seconds.",
        examples=["30d"],
    )
    adoption_grace: Annotated[float, Field(ge=0, le=86_400)] | None = Field(
        default=None,
        description="Seconds during which a listing may not show what was just made.",
        examples=[60],
    )


class HookSchema(Shape):
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


class PingSchema(Shape):
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


class ConfigSchema(Shape):
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
SPEC_KEYS: Final[Keys] = {
    (): tuple(SpecSchema.model_fields),
    ("retry",): tuple(RetrySchema.model_fields),
    ("deadline",): tuple(DeadlineSchema.model_fields),
}
CONFIG_KEYS: Final[Keys] = {
    (): tuple(ConfigSchema.model_fields),
    ("providers", "*"): tuple(ProviderSchema.model_fields),
    ("notify", "*"): tuple(HookSchema.model_fields),
    ("ping",): tuple(PingSchema.model_fields),
}
"""The keys known at each place of a document; `*` stands for any key."""
