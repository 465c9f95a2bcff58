"""The jobs in the output of `runner plan --json`."""

from typing import Annotated, TypedDict

from msgspec import Meta

from runner.ledger.records import RunState
from runner.outputs.json_values import Natural, Positive, Revision, Sha256
from runner.spec.job import DeadlineAction


class PlannedParameters(TypedDict):
    """The settings of the job, from spec and project, defaults included."""

    endpoint: Annotated[
        str, Meta(description="The path of the API.", examples=["/v1/chat/completions"])
    ]
    input: Annotated[
        str,
        Meta(
            description="The file of requests, as the spec names it.",
            examples=["data/reviews.jsonl"],
        ),
    ]
    provider: Annotated[
        str, Meta(description="The provider's name in runner.yaml.", examples=["openai"])
    ]
    base_url: Annotated[
        str | None,
        Meta(
            description="The provider's address; null for the built-in provider local.",
            examples=["https://api.openai.com/v1"],
        ),
    ]
    replicate: Annotated[
        Positive,
        Meta(
            description="The number of the sample; another number submits the same requests again.",
            examples=[1],
        ),
    ]
    completion_window: Annotated[
        str, Meta(description="The time in which a batch is to finish.", examples=["24h"])
    ]
    metadata: Annotated[
        dict[str, str],
        Meta(description="The metadata that each batch carries.", examples=[{"project": "acl"}]),
    ]
    attempts: Annotated[
        Positive,
        Meta(
            description="The number of submissions after which a request counts as failed.",
            examples=[3],
        ),
    ]
    deadline_after: Annotated[
        int | None,
        Meta(
            description="Seconds after which a batch is overdue; null means an hour after its "
            "window.",
            examples=[90000],
        ),
    ]
    deadline_action: Annotated[
        DeadlineAction,
        Meta(description="What is done about an overdue batch.", examples=["warn"]),
    ]
    canary: Annotated[
        int | None,
        Meta(
            description="Requests of each model that are submitted before the others; null for "
            "none.",
            examples=[20],
        ),
    ]
    keep_remote: Annotated[
        bool,
        Meta(
            description="Whether the provider keeps the job's files after the results have been "
            "collected.",
            examples=[True],
        ),
    ]
    output: Annotated[
        str | None,
        Meta(
            description="A folder for the results, relative to the project's root; null for "
            "outputs/<job>.",
            examples=["results/sentiment"],
        ),
    ]
    input_expires_after: Annotated[
        int | None,
        Meta(
            description="Seconds that the provider is to keep input files; null sets no time.",
            examples=[604800],
        ),
    ]
    output_expires_after: Annotated[
        int | None,
        Meta(
            description="Seconds that the provider is to keep result files; null sets no time.",
            examples=[2592000],
        ),
    ]
    requests_sha256: Annotated[
        Sha256,
        Meta(description="The SHA-256 of all request lines in order, each with one line feed."),
    ]


class SpecEditOutput(TypedDict):
    """A field of the spec that changed."""

    field: Annotated[
        str,
        Meta(description="The field, with dots between its parts.", examples=["retry.attempts"]),
    ]
    before: Annotated[
        str | int | float | bool | None,
        Meta(
            description="The earlier value; null if there was none and the field has no default.",
            examples=[3],
        ),
    ]
    after: Annotated[
        str | int | float | bool | None,
        Meta(
            description="The value now; null if there is none and the field has no default.",
            examples=[5],
        ),
    ]
    new_revision: Annotated[
        bool,
        Meta(
            description="Whether the field is part of the revision, so that the edit submits all "
            "requests again.",
            examples=[False],
        ),
    ]
    effect: Annotated[
        str,
        Meta(
            description="The effect of the edit, for the user. Its wording may change.",
            examples=["costs nothing; it reaches requests that are not given up yet"],
        ),
    ]


class RequestChangesOutput(TypedDict):
    """The changes of the requests."""

    added: Annotated[
        int | None,
        Meta(
            description="Requests with a custom_id that the earlier input did not have.",
            examples=[12],
        ),
    ]
    removed: Annotated[
        int | None,
        Meta(
            description="Requests of the earlier input whose custom_id is not in the new one.",
            examples=[3],
        ),
    ]
    kept: Annotated[
        int | None, Meta(description="Requests whose custom_id is in both.", examples=[3065])
    ]
    changed: Annotated[
        int | None,
        Meta(
            description="The kept requests with another content; null if only the custom_ids of "
            "the earlier requests are known.",
            examples=[4],
        ),
    ]
    source: Annotated[
        str | None,
        Meta(
            description="Where the earlier requests were found; null, like every count, if they "
            "are not found any more.",
            examples=["commit 1a2b3c4"],
        ),
    ]


class JobChangesOutput(TypedDict):
    """The changes since the job was last reconciled."""

    revision: Annotated[
        str,
        Meta(description="The revision that the spec described then.", examples=["2c26b46b68ff"]),
    ]
    state: Annotated[
        RunState, Meta(description="The state of that revision.", examples=["succeeded"])
    ]
    same_revision: Annotated[
        bool,
        Meta(
            description="Whether the spec still describes that revision: the edit then changes no "
            "result.",
            examples=[False],
        ),
    ]
    folder: Annotated[
        str,
        Meta(
            description="The output folder of that revision, relative to the project's root. It "
            "stays there.",
            examples=["outputs/sentiment/2c26b46b68ff"],
        ),
    ]
    spec: Annotated[
        list[SpecEditOutput] | None,
        Meta(
            description="The fields that changed, defaults taken into account; null if this "
            "version of runner cannot read the earlier spec."
        ),
    ]
    requests: Annotated[
        RequestChangesOutput | None,
        Meta(description="The changes of the requests; null if they are the same."),
    ]


class PlannedJob(TypedDict):
    """One selected job that is valid."""

    job: Annotated[str, Meta(description="Its name.", examples=["sentiment"])]
    revision: Annotated[
        Revision,
        Meta(
            description="The identity of the results that the spec describes, its first 12 hex "
            "digits."
        ),
    ]
    requests: Annotated[
        Natural, Meta(description="The number of requests in its input.", examples=[3080])
    ]
    bytes: Annotated[
        Natural,
        Meta(
            description="The bytes of all request lines, each with one line feed.",
            examples=[1232000],
        ),
    ]
    asks: PlannedParameters
    since: Annotated[
        JobChangesOutput | None,
        Meta(
            description="The changes since the job was last reconciled; null for a new job and "
            "for one without changes."
        ),
    ]
