"""The output of `runner events --json`."""

from typing import Annotated, Any, TypedDict

from msgspec import Meta


class EventOutput(TypedDict):
    """One line of the history, which never changes."""

    at: Annotated[
        float,
        Meta(
            description="When it happened, in Unix seconds by the clock of the machine that wrote "
            "it.",
            examples=[1769860800.5],
        ),
    ]
    kind: Annotated[
        str,
        Meta(
            description="What happened. Later versions may add kinds.",
            examples=["submitted", "run_finished"],
        ),
    ]
    job: Annotated[
        str | None,
        Meta(description="The job's name at that time.", examples=["sentiment", None]),
    ]
    revision: Annotated[
        str | None,
        Meta(
            description="The first 12 hex digits of the revision; null if the event is about none.",
            examples=["9f86d081884c", None],
        ),
    ]
    submission: Annotated[
        str | None,
        Meta(
            description="The submission key, job/revision/shard/attempt; null if the event is "
            "about no submission.",
            examples=["sentiment/9f86d081884c/0001/1", None],
        ),
    ]
    batch: Annotated[
        str | None,
        Meta(
            description="The provider's id of the batch; null if the event is about none.",
            examples=["batch_68f0c3a1d4b8", None],
        ),
    ]
    detail: Annotated[
        dict[str, Any],
        Meta(
            description="What else is known; the fields depend on the kind.",
            examples=[{"status": "validating"}],
        ),
    ]


Output = Annotated[
    list[EventOutput],
    Meta(
        title="runner events --json",
        description="The history, oldest first. With -o jsonl each item is a line of its own. "
        "Fields may be added in later versions, and are never changed or removed.",
        extra_json_schema={"$id": "runner/events"},
    ),
]
