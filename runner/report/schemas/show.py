"""The output of `runner show --json`."""

from typing import Annotated, TypedDict

from msgspec import Meta

from runner.outputs.json_values import Natural, Positive
from runner.report.schemas.events import EventOutput
from runner.report.schemas.status import JobOutput


class PhaseOutput(TypedDict):
    """A status that a batch was in."""

    status: Annotated[
        str,
        Meta(
            description="The status that the batch was in.",
            examples=["in_progress"],
            extra_json_schema={"enum": ["validating", "in_progress", "finalizing", "cancelling"]},
        ),
    ]
    since: Annotated[
        int,
        Meta(
            description="When the status began, in Unix seconds by the provider's clock.",
            examples=[1769860802],
        ),
    ]
    seconds: Annotated[
        int | None,
        Meta(
            description="How long the batch was in it; null while it still is.",
            examples=[3600, None],
        ),
    ]


class AttemptErrorOutput(TypedDict):
    """One kind of error of an attempt."""

    code: Annotated[
        str,
        Meta(
            description="The error code; one of runner's own if the provider named none.",
            examples=["rate_limit_exceeded"],
        ),
    ]
    count: Annotated[
        Positive, Meta(description="The requests of the attempt that met it.", examples=[13])
    ]
    messages: Annotated[
        list[
            Annotated[
                str,
                Meta(
                    description="A message in the provider's words.",
                    examples=["Rate limit reached."],
                ),
            ]
        ],
        Meta(description="Up to three different messages that came with it."),
    ]


class AttemptOutput(TypedDict):
    """One attempt at a shard, or at its unfinished rows."""

    key: Annotated[
        str,
        Meta(
            description="The submission key: job/revision/shard/attempt.",
            examples=["sentiment/9f86d081884c/0001/1"],
        ),
    ]
    revision: Annotated[
        str,
        Meta(description="The first 12 hex digits of the revision.", examples=["9f86d081884c"]),
    ]
    shard: Annotated[Positive, Meta(description="The number of the shard, from 1.", examples=[1])]
    attempt: Annotated[
        Positive,
        Meta(description="The number of the attempt at the shard, from 1.", examples=[1]),
    ]
    state: Annotated[
        str | None,
        Meta(
            description="The last step that was taken; null if only the batch is known.",
            examples=["collected", None],
        ),
    ]
    requests: Annotated[
        int | None, Meta(description="The number of requests in it.", examples=[3080, None])
    ]
    answered: Annotated[
        int | None,
        Meta(
            description="Requests with a successful response; null until the results are "
            "collected.",
            examples=[3060, None],
        ),
    ]
    unanswered: Annotated[
        Natural, Meta(description="Requests that ended without one.", examples=[20])
    ]
    by_order: Annotated[
        Natural,
        Meta(
            description="Result lines that named no request and were matched by their order, as "
            "`runner retry JOB --by-order` was asked to.",
            examples=[0],
        ),
    ]
    problem: Annotated[
        str | None,
        Meta(
            description="What went wrong with the attempt as a whole; null if nothing did.",
            examples=[None, "the provider does not know the batch any more"],
        ),
    ]
    batch: Annotated[
        str | None,
        Meta(
            description="The provider's id of its batch; null if there is none.",
            examples=["batch_68f0c3a1d4b8", None],
        ),
    ]
    phases: Annotated[
        list[PhaseOutput],
        Meta(description="The statuses that the batch was in, in order, as far as it has times."),
    ]
    failures: Annotated[
        list[AttemptErrorOutput],
        Meta(
            description="The errors of its requests, by code, the most frequent first.",
            examples=[[]],
        ),
    ]


class FailedRequestOutput(TypedDict):
    """One failed request."""

    custom_id: Annotated[str, Meta(description="The request's custom_id.", examples=["review-17"])]
    message: Annotated[
        str,
        Meta(
            description="The message of its last error; may be empty.",
            examples=["The string is too long."],
        ),
    ]


class FailureOutput(TypedDict):
    """The requests that failed with one error code."""

    code: Annotated[
        str,
        Meta(
            description="The error code; one of runner's own if the provider named none.",
            examples=["invalid_request"],
        ),
    ]
    count: Annotated[
        Natural, Meta(description="The number of requests that failed with it.", examples=[3])
    ]
    examples: Annotated[
        list[FailedRequestOutput],
        Meta(description="Up to three of these requests, in input order."),
    ]


class ShowOutput(JobOutput):
    """One job with everything that is known of it."""

    runs: Annotated[
        list[JobOutput],
        Meta(
            description="Every revision of the job that was ever run, oldest first, including "
            "the current one.",
            examples=[[]],
        ),
    ]
    events: Annotated[
        list[EventOutput],
        Meta(description="The history of the job, oldest first.", examples=[[]]),
    ]
    submissions: Annotated[
        list[AttemptOutput],
        Meta(
            description="Every attempt at a shard of these revisions, in order of revision, shard "
            "and attempt.",
            examples=[[]],
        ),
    ]
    failures: Annotated[
        list[FailureOutput] | None,
        Meta(
            description="The failed requests of a finished run, by error code, the most frequent "
            "first; null while the run is not finished, has none, or its outputs are missing.",
            examples=[[], None],
        ),
    ]
    next: Annotated[
        list[
            Annotated[
                str,
                Meta(
                    description="A sentence that names the command.",
                    examples=["`runner reconcile sentiment` begins with it"],
                ),
            ]
        ],
        Meta(description="What the user can do now, a sentence each."),
    ]


Output = Annotated[
    ShowOutput,
    Meta(
        title="runner show JOB --json",
        description="One job: its state, its runs, attempts and failures, and its history. Fields "
        "may be added in later versions, and are never changed or removed.",
        extra_json_schema={"$id": "runner/show"},
    ),
]
