"""A line of the log: `runner reconcile --log-format json`."""

from typing import Annotated, TypedDict

from msgspec import Meta

from runner.outputs.json_values import Natural, Positive, Revision
from runner.report.log import Level


class ProviderCountsOutput(TypedDict):
    """The batch's counts as the provider shows them, which can be wrong."""

    total: Annotated[
        int,
        Meta(description="Requests that the provider has read of the input.", examples=[3080]),
    ]
    completed: Annotated[int, Meta(description="Requests that it has completed.", examples=[1200])]
    failed: Annotated[int, Meta(description="Requests that failed.", examples=[3])]


class RequestCountsOutput(TypedDict):
    """The requests that the event is about, by state, as runner counts them.

    For an event of an attempt these are the requests of the attempt, for one of a job all.
    """

    total: Annotated[Natural, Meta(description="All of them.", examples=[3080])]
    succeeded: Annotated[
        Natural, Meta(description="Requests with a successful response.", examples=[3077])
    ]
    failed: Annotated[
        Natural,
        Meta(
            description="Requests without one so far; those of an attempt may be submitted again.",
            examples=[3],
        ),
    ]


class LogHead(TypedDict):
    """The fields of every line."""

    at: Annotated[
        str,
        Meta(
            description="When the line was written: ISO 8601, UTC, milliseconds.",
            examples=["2026-03-01T03:00:02.417Z"],
            extra_json_schema={
                "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$"
            },
        ),
    ]
    level: Annotated[
        Level,
        Meta(
            description="`error`: something went wrong, and the exit code is not 0. `warning`: "
            "runner goes on by itself, but the user should know. `info`: everything else.",
            examples=["info"],
        ),
    ]
    event: Annotated[
        str,
        Meta(
            description="The kind of the event. Of a job: run_started, run_finished, "
            "run_restored, run_moved, published_again, tidied. Of an attempt: submitted, "
            "batch_adopted, batch_changed, collected, too_large, failed (its batch was rejected "
            "as a whole), lost, overdue, cancel_sent. Problems: problem (of a spec or an input), "
            "unread (an input that could not be read this time), held (left for a later pass), "
            "provider_failed, not_restored, error (the one that ended the command), interrupted. "
            "Others: remark (of the plan or the ledger), note, idle, skipped (another reconcile "
            "is running).",
            examples=["submitted", "batch_changed", "run_finished", "problem"],
            extra_json_schema={"pattern": "^[a-z][a-z_]*$"},
        ),
    ]
    job: Annotated[
        str | None,
        Meta(
            description="The job that the event is about; null if it is about none or several.",
            examples=["sentiment"],
        ),
    ]
    message: Annotated[
        str,
        Meta(
            description="The sentence that --log-format text shows, without the job's name before "
            "it. Its wording may change.",
            examples=["submitted 3,080 requests as batch_68f0c3a1d4b88190a7000001"],
        ),
    ]


class LogDetails(TypedDict, total=False):
    """The fields of some lines."""

    revision: Annotated[
        Revision, Meta(description="The first 12 hexadecimal digits of the job's revision.")
    ]
    submission: Annotated[
        str,
        Meta(
            description="The submission key, as in the ledger and in the batch's metadata: "
            "job/revision/shard/attempt.",
            examples=["sentiment/9f86d081884c/0001/1"],
        ),
    ]
    batch: Annotated[
        str,
        Meta(
            description="The provider's id of the batch.",
            examples=["batch_68f0c3a1d4b88190a7000001"],
        ),
    ]
    status: Annotated[
        str,
        Meta(
            description="The batch's status in the provider's own word.",
            examples=["validating", "in_progress", "completed"],
        ),
    ]
    request_counts: ProviderCountsOutput
    state: Annotated[
        str,
        Meta(
            description="How the job ended.",
            examples=["succeeded"],
            extra_json_schema={"enum": ["succeeded", "partial", "failed", "cancelled"]},
        ),
    ]
    requests: RequestCountsOutput
    path: Annotated[
        str,
        Meta(
            description="The document with the problem, as the user wrote it.",
            examples=["specs/sentiment.yaml"],
        ),
    ]
    line: Annotated[Positive, Meta(description="The line of the problem, from 1.", examples=[3])]
    column: Annotated[
        Positive, Meta(description="The column of the problem, from 1.", examples=[1])
    ]
    error: Annotated[
        str,
        Meta(
            description="The kind of error: a class of runner/errors.py.",
            examples=["RateLimited", "Unreachable", "UsageError", "LockHeld"],
        ),
    ]
    provider: Annotated[
        str, Meta(description="The provider's name in the project.", examples=["openai"])
    ]
    call: Annotated[
        str,
        Meta(
            description="The call that the provider refused or did not answer.",
            examples=["POST /batches"],
        ),
    ]
    http_status: Annotated[
        int,
        Meta(
            description="The HTTP status of the response; absent if there was none.",
            examples=[429],
        ),
    ]
    code: Annotated[
        str, Meta(description="The API's own error code.", examples=["insufficient_quota"])
    ]
    param: Annotated[
        str,
        Meta(
            description="The API's own name for the parameter at fault.",
            examples=["input_file_id"],
        ),
    ]
    request_id: Annotated[
        str,
        Meta(
            description="The provider's id of the HTTP request, which its support needs.",
            examples=["req_1b2c3d"],
        ),
    ]
    retry_after: Annotated[
        float,
        Meta(description="Seconds that the provider wants to wait.", examples=[20]),
    ]


class LogLine(LogHead, LogDetails):
    """One event."""


Output = Annotated[
    LogLine,
    Meta(
        title="A line of the log",
        description="What `runner reconcile --log-format json` (and cancel, retry, adopt, rebuild) "
        "writes to stderr: one such object a line. Fields and events may be added; a reader "
        "ignores those that it does not know.",
        examples=[
            {
                "at": "2026-03-01T03:00:02.417Z",
                "level": "info",
                "event": "submitted",
                "job": "sentiment",
                "message": "submitted 3,080 requests as batch_68f0c3a1d4b88190a7000001",
                "revision": "9f86d081884c",
                "submission": "sentiment/9f86d081884c/0001/1",
                "batch": "batch_68f0c3a1d4b88190a7000001",
                "status": "validating",
                "request_counts": {"total": 0, "completed": 0, "failed": 0},
                "requests": {"total": 3080, "succeeded": 0, "failed": 0},
            },
            {
                "at": "2026-03-01T03:00:02.001Z",
                "level": "error",
                "event": "problem",
                "job": None,
                "message": 'inpt: unknown key; did you mean "input"?',
                "path": "specs/sentiment.yaml",
                "line": 3,
                "column": 1,
            },
            {
                "at": "2026-03-01T03:00:05.900Z",
                "level": "error",
                "event": "held",
                "job": "sentiment",
                "message": "openai refused the key for POST /files (401) [request req_1b2c3d]",
                "revision": "9f86d081884c",
                "submission": "sentiment/9f86d081884c/0001/1",
                "error": "Unauthorized",
                "provider": "openai",
                "call": "POST /files",
                "http_status": 401,
                "code": "invalid_api_key",
                "request_id": "req_1b2c3d",
            },
        ],
    ),
]
