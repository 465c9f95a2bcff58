"""The output of `runner status --json`."""

from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta

from runner.ledger.records import RunState
from runner.outputs.json_values import BatchObject, Natural, Revision


class RequestsOutput(TypedDict):
    """Requests by their state; total is the sum of the others."""

    total: Annotated[Natural, Meta(description="All requests.", examples=[3080])]
    succeeded: Annotated[
        Natural, Meta(description="Requests with a successful response.", examples=[3077])
    ]
    failed: Annotated[
        Natural,
        Meta(
            description="Requests that failed and are not submitted again by themselves.",
            examples=[3],
        ),
    ]
    pending: Annotated[Natural, Meta(description="Requests that have neither.", examples=[0])]


class ProgressOutput(TypedDict):
    """The requests done so far, those in flight included."""

    succeeded: Annotated[
        Natural, Meta(description="Requests with a successful response.", examples=[1200])
    ]
    failed: Annotated[Natural, Meta(description="Requests that failed.", examples=[3])]
    source: Annotated[
        Literal["provider", "results"],
        Meta(
            description="provider: a part is what the provider reported of batches in flight when "
            "it was last queried. results: all was counted from results.",
            examples=["provider"],
        ),
    ]


class BlockedOutput(TypedDict):
    """Why the next pass cannot go on with a job by itself, as the last pass found it."""

    reason: Annotated[
        str, Meta(description="The reason, in words.", examples=["OPENAI_API_KEY is not set"])
    ]
    since: Annotated[
        float,
        Meta(description="When a pass found it first, in Unix seconds.", examples=[1769860800.5]),
    ]
    provider: Annotated[
        str | None,
        Meta(
            description="The provider that it is about; null if the reason is on this machine: a "
            "disk, or an input.",
            examples=["openai", None],
        ),
    ]


class JobOutput(TypedDict):
    """One job, at one revision."""

    name: Annotated[str, Meta(description="The job's name.", examples=["sentiment"])]
    revision: Annotated[
        Revision | None,
        Meta(
            description="The first 12 hex digits of the revision that the spec describes; null "
            "while the input has never been read.",
            examples=["9f86d081884c", None],
        ),
    ]
    state: Annotated[
        RunState,
        Meta(
            description="The state of the job. A partial one is finished, and some of its "
            "requests have no successful response.",
            examples=["running"],
        ),
    ]
    requests: RequestsOutput
    output_dir: Annotated[
        str,
        Meta(
            description="The absolute path of the revision's output folder, or of the job's while "
            "the revision is not known.",
            examples=["/project/outputs/sentiment/9f86d081884c"],
        ),
    ]
    batches: Annotated[
        list[
            Annotated[
                BatchObject,
                Meta(description="A Batch object as the provider showed it last, verbatim."),
            ]
        ],
        Meta(
            description="The batches of the revision, in order of shard and attempt.",
            examples=[[]],
        ),
    ]
    provider: Annotated[
        str, Meta(description="The provider's name in runner.yaml.", examples=["openai"])
    ]
    endpoint: Annotated[
        str,
        Meta(
            description="The path of the API that the requests are sent to.",
            examples=["/v1/chat/completions"],
        ),
    ]
    note: Annotated[
        str | None,
        Meta(
            description="A remark about the state, in words; null if there is none.",
            examples=["not reconciled yet", None],
        ),
    ]
    spec: Annotated[
        str | None,
        Meta(
            description="The file of the spec; null if no spec describes the job any more.",
            examples=["specs/sentiment.yaml", None],
        ),
    ]
    metadata: Annotated[
        dict[str, str],
        Meta(
            description="The metadata of the spec, or of the last batch if the spec is gone.",
            examples=[{"project": "acl"}],
        ),
    ]
    completion_window: Annotated[
        str | None,
        Meta(
            description="The time in which the provider is to finish a batch, as the last batch "
            "has it, or else the spec.",
            examples=["24h", None],
        ),
    ]
    attempts: Annotated[
        Natural,
        Meta(
            description="The highest number of an attempt at any shard; 0 before the first one.",
            examples=[1],
        ),
    ]
    in_flight: Annotated[
        list[
            Annotated[
                str,
                Meta(description="The provider's id of a batch.", examples=["batch_68f0c3a1d4b8"]),
            ]
        ],
        Meta(
            description="The ids of the batches that are not terminal and are waited for.",
            examples=[["batch_68f0c3a1d4b8"], []],
        ),
    ]
    usage: Annotated[
        dict[str, Any] | None,
        Meta(
            description="The sum of the usage that the batches report; null if none reports it. "
            "The names are the provider's.",
            examples=[
                {"input_tokens": 1200000, "output_tokens": 34567, "total_tokens": 1234567},
                None,
            ],
        ),
    ]
    created_at: Annotated[
        float | None,
        Meta(
            description="When the run of this revision began, in Unix seconds; null before it.",
            examples=[1769860800.5, None],
        ),
    ]
    finished_at: Annotated[
        float | None,
        Meta(
            description="When the run ended, in Unix seconds; null while it has not.",
            examples=[1769864400.25, None],
        ),
    ]
    progress: Annotated[
        ProgressOutput | None,
        Meta(
            description="The requests done so far; null before the first batch.",
            examples=[{"succeeded": 1200, "failed": 3, "source": "provider"}, None],
        ),
    ]
    blocked: Annotated[
        BlockedOutput | None,
        Meta(
            description="Why the next pass cannot go on by itself; null if it can, or if the run "
            "has ended.",
            examples=[
                {
                    "reason": "OPENAI_API_KEY is not set",
                    "since": 1769860800.5,
                    "provider": "openai",
                },
                None,
            ],
        ),
    ]
    truncated: Annotated[
        Natural | None,
        Meta(
            description="Responses that were cut at the token limit: successful ones, and failed "
            "ones with the code truncated, whose API calls them incomplete. Null before the first "
            "results, or where an earlier version of runner collected them.",
            examples=[0, None],
        ),
    ]


Output = Annotated[
    list[JobOutput],
    Meta(
        title="runner status --json",
        description="The jobs of a project and the state of each. Fields may be added in later "
        "versions, and are never changed or removed.",
        extra_json_schema={"$id": "runner/status"},
    ),
]
