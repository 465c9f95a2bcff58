"""The output of `runner doctor --json`."""

from typing import Annotated, TypedDict

from msgspec import Meta

from runner.checks.doctor import CheckStatus


class CheckOutput(TypedDict):
    """One check."""

    check: Annotated[
        str, Meta(description="What was checked.", examples=["git", "provider openai"])
    ]
    health: Annotated[
        CheckStatus,
        Meta(
            description="The result of the check; only fail keeps runner from working.",
            examples=["ok"],
        ),
    ]
    what: Annotated[
        str,
        Meta(
            description="What was found, for the user. Its wording may change.",
            examples=["answers, 3 batches, in 120 ms"],
        ),
    ]
    remedy: Annotated[
        str | None,
        Meta(
            description="What to do about it, for the user; null if there is nothing to do.",
            examples=["set the environment variable OPENAI_API_KEY", None],
        ),
    ]


class DoctorOutput(TypedDict):
    """The checks of the installation, the project and its providers."""

    format_version: Annotated[
        int,
        Meta(
            description="The version of this format.",
            examples=[1],
            extra_json_schema={"const": 1},
        ),
    ]
    healthy: Annotated[bool, Meta(description="Whether no check failed.", examples=[True])]
    checks: Annotated[
        list[CheckOutput], Meta(description="The checks, in the order they were made.")
    ]


Output = Annotated[
    DoctorOutput,
    Meta(
        title="runner doctor --json",
        description="The checks of the installation, the project and its providers. Fields may be "
        "added in later versions, and are never changed or removed.",
        extra_json_schema={"$id": "runner/doctor"},
    ),
]
