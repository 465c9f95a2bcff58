"""The output of `runner plan --json`."""

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from runner.outputs.json_values import DIGEST, Natural, Positive, Sha256
from runner.planning.actions import Verb
from runner.report.schemas.plan_job import PlannedJob
from runner.views.manual_steps import ManualStepKind


class ActionOutput(TypedDict):
    """One action.

    Actions are carried out in this order; observe, doubt, missing, overdue and note only write to
    the ledger.
    """

    action: Annotated[Verb, Meta(description="What would be done.", examples=["submit"])]
    job: Annotated[str, Meta(description="The job it belongs to.", examples=["sentiment"])]
    revision: Annotated[
        str, Meta(description="The revision it belongs to.", examples=["9f86d081884c"])
    ]
    provider: Annotated[str, Meta(description="The provider of the job.", examples=["openai"])]
    submission: Annotated[
        str | None,
        Meta(
            description="The submission key, job/revision/shard/attempt; null for a whole run.",
            examples=["sentiment/9f86d081884c/0001/1"],
        ),
    ]
    why: Annotated[
        str,
        Meta(
            description="The reason, for the user. Its wording may change.",
            examples=["its requests have not been submitted yet"],
        ),
    ]
    batch: NotRequired[
        Annotated[
            str | None,
            Meta(
                description="The provider's id of the batch; absent where there is none.",
                examples=["batch_68f0c3a1d4b88190a7000001"],
            ),
        ]
    ]
    requests: NotRequired[
        Annotated[
            Positive,
            Meta(
                description="The number of requests in the batch. For submit only, as are the "
                "next five.",
                examples=[3080],
            ),
        ]
    ]
    bytes: NotRequired[
        Annotated[
            int | None,
            Meta(
                description="The size of the file that is uploaded; null if it is known only once "
                "a part of a shard is cut.",
                examples=[1232000],
            ),
        ]
    ]
    attempt: NotRequired[
        Annotated[
            Positive,
            Meta(description="The number of the attempt at the shard, from 1.", examples=[1]),
        ]
    ]
    sha256: NotRequired[
        Annotated[
            str | None,
            Meta(
                description="The SHA-256 of the file that is uploaded; null if it is known only "
                "once a part of a shard is cut.",
                examples=[DIGEST],
            ),
        ]
    ]
    tokens: NotRequired[
        Annotated[Natural, Meta(description="Prompt tokens in the batch.", examples=[352000])]
    ]
    tokens_exact: NotRequired[
        Annotated[
            bool,
            Meta(
                description="Whether the tokens were counted. If not, they are estimated: 3.5 "
                "bytes of a request line each.",
                examples=[False],
            ),
        ]
    ]
    file: NotRequired[
        Annotated[
            str,
            Meta(
                description="The provider's id of the uploaded file. For adopt_file only.",
                examples=["file-abc123"],
            ),
        ]
    ]
    folder: NotRequired[
        Annotated[
            str,
            Meta(
                description="The new output folder, relative to the project's root. For move only.",
                examples=["outputs/sentiment/9f86d081884c"],
            ),
        ]
    ]
    state: NotRequired[
        Annotated[
            str,
            Meta(
                description="The state in which the run ends. For publish only.",
                examples=["succeeded"],
            ),
        ]
    ]


class WaitOutput(TypedDict):
    """Something that is not done yet."""

    job: Annotated[str, Meta(description="The job it belongs to.", examples=["sentiment"])]
    revision: Annotated[
        str, Meta(description="The revision it belongs to.", examples=["9f86d081884c"])
    ]
    submission: Annotated[
        str | None,
        Meta(
            description="The submission key, job/revision/shard/attempt; null for a whole run.",
            examples=["sentiment/9f86d081884c/0001/1"],
        ),
    ]
    why: Annotated[
        str,
        Meta(
            description="The reason, for the user. Its wording may change.",
            examples=["in flight, in_progress"],
        ),
    ]
    until: Annotated[
        float | None,
        Meta(
            description="When to reconcile again, in Unix seconds; null if only the provider "
            "decides.",
            examples=[1700000060.0],
        ),
    ]
    trouble: Annotated[
        bool,
        Meta(
            description="Whether the user has to act; reconcile then exits with 1.",
            examples=[False],
        ),
    ]


class PlanMaker(TypedDict):
    """What made the plan."""

    runner: Annotated[str, Meta(description="The version of runner.", examples=["0.9.0"])]


class PlanSummary(TypedDict):
    """The plan in numbers."""

    text: Annotated[
        str,
        Meta(
            description="The last line of `runner plan`, for the user. Its wording may change.",
            examples=["Plan: submit 1 batch (3,080 requests, 1.2 MB)."],
        ),
    ]
    actions: Annotated[
        dict[str, int],
        Meta(
            description="The number of actions of each kind, by `action`.",
            examples=[{"start": 1, "submit": 1}],
        ),
    ]
    batches: Annotated[Natural, Meta(description="Batches that would be submitted.", examples=[1])]
    requests: Annotated[Natural, Meta(description="Requests in them.", examples=[3080])]
    bytes: Annotated[
        int | None,
        Meta(
            description="Bytes in them; null if some are known only once a part of a shard is cut.",
            examples=[1232000],
        ),
    ]
    tokens: Annotated[Natural, Meta(description="Prompt tokens in them.", examples=[352000])]
    tokens_exact: Annotated[
        bool,
        Meta(
            description="Whether all of these were counted, and none estimated from bytes.",
            examples=[False],
        ),
    ]
    waiting: Annotated[Natural, Meta(description="Waits that end by themselves.", examples=[0])]
    stuck: Annotated[
        Natural, Meta(description="Waits for which the user has to act.", examples=[0])
    ]


class ManualStepOutput(TypedDict):
    """One thing that reconcile never does by itself."""

    kind: Annotated[ManualStepKind, Meta(description="Its kind.", examples=["unanswered"])]
    provider: Annotated[str, Meta(description="The provider it concerns.", examples=["openai"])]
    job: Annotated[
        str | None,
        Meta(
            description="The job it concerns; null if it concerns none here.",
            examples=["sentiment"],
        ),
    ]
    revision: Annotated[
        str | None,
        Meta(
            description="The revision it concerns; null if it concerns none here.",
            examples=["9f86d081884c"],
        ),
    ]
    what: Annotated[
        str,
        Meta(
            description="What it is, for the user. Its wording may change.",
            examples=["3 requests ended without a successful response: not submitted again"],
        ),
    ]
    command: Annotated[
        str,
        Meta(description="The command that does it.", examples=["runner retry sentiment"]),
    ]


class PlanOutput(TypedDict):
    """The plan: what reconcile would do."""

    format_version: Annotated[
        int,
        Meta(
            description="The version of this format.",
            examples=[1],
            extra_json_schema={"const": 1},
        ),
    ]
    selectors: Annotated[
        list[
            Annotated[
                str,
                Meta(description="A spec file, a folder or a job name.", examples=["sentiment"]),
            ]
        ],
        Meta(description="The SPECs that were named; none of them means every spec."),
    ]
    selected_in: Annotated[
        str,
        Meta(
            description="The folder they were named in, relative to the project's root.",
            examples=["."],
        ),
    ]
    jobs: Annotated[
        list[PlannedJob], Meta(description="The selected jobs that are valid.", examples=[[]])
    ]
    actions: Annotated[
        list[ActionOutput], Meta(description="What would be done, in order.", examples=[[]])
    ]
    waits: Annotated[
        list[WaitOutput],
        Meta(description="What is not done yet, and why.", examples=[[]]),
    ]
    made_at: Annotated[
        float | None,
        Meta(description="When the plan was made, in Unix seconds.", examples=[1700000000.0]),
    ]
    made_by: PlanMaker
    changes: Annotated[
        bool,
        Meta(
            description="Whether reconcile would change anything but its notes in the ledger.",
            examples=[True],
        ),
    ]
    summary: PlanSummary
    notes: Annotated[
        list[
            Annotated[
                str,
                Meta(
                    description="A remark.",
                    examples=[
                        "sentiment: the edit of the spec cannot change a response; no new batch"
                    ],
                ),
            ]
        ],
        Meta(
            description="Remarks: edits that cost nothing, jobs with the same requests.",
            examples=[[]],
        ),
    ]
    unasked: Annotated[
        dict[str, str],
        Meta(
            description="Providers whose batches could not be listed, with the reason; the plan "
            "takes them to have none.",
            examples=[{"openai": "OPENAI_API_KEY is not set"}],
        ),
    ]
    problems: Annotated[
        list[
            Annotated[
                str,
                Meta(
                    description="A problem and its place.",
                    examples=["specs/a.yaml:3:1: endpoint: is missing"],
                ),
            ]
        ],
        Meta(
            description="The problems of selected specs and inputs; these jobs are not in the "
            "plan.",
            examples=[[]],
        ),
    ]
    left_to_you: Annotated[
        list[ManualStepOutput],
        Meta(
            description="What reconcile never does by itself, with the command for it.",
            examples=[[]],
        ),
    ]
    fingerprint: Annotated[
        Sha256,
        Meta(
            description="A digest of what the specs ask for and what would be done: two plans "
            "with the same digest agree in both. Times, reasons and waits are not in it.",
            examples=["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
        ),
    ]


Output = Annotated[
    PlanOutput,
    Meta(
        title="runner plan --json",
        description="What reconcile would do. `runner plan -o FILE` writes the same; `runner "
        "reconcile --plan FILE` carries it out, or refuses if the plan is out of date. Fields may "
        "be added; format_version changes when one changes its meaning or is removed.",
        extra_json_schema={"$id": "runner/plan"},
    ),
]
