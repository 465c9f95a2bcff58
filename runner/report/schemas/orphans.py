"""The output of `runner orphans --json`."""

from typing import Annotated, TypedDict

from msgspec import Meta


class OrphanOutput(TypedDict):
    """A batch or a file that has a submission key and belongs to no job here."""

    provider: Annotated[
        str, Meta(description="The provider's name in runner.yaml.", examples=["openai"])
    ]
    kind: Annotated[
        str,
        Meta(
            description="Whether it is a batch, or a file that belongs to no batch.",
            examples=["batch"],
            extra_json_schema={"enum": ["batch", "file"]},
        ),
    ]
    id: Annotated[
        str,
        Meta(
            description="The provider's id of the batch or file.", examples=["batch_68f0c3a1d4b8"]
        ),
    ]
    key: Annotated[
        str,
        Meta(
            description="The submission key that it has: job/revision/shard/attempt.",
            examples=["sentiment/9f86d081884c/0001/1"],
        ),
    ]
    job: Annotated[str, Meta(description="The job in the key.", examples=["sentiment"])]
    revision: Annotated[
        str, Meta(description="The revision in the key.", examples=["9f86d081884c"])
    ]
    created_at: Annotated[
        int | None,
        Meta(
            description="When it was created, in Unix seconds; null if the provider gives no time.",
            examples=[1769860800, None],
        ),
    ]
    status: Annotated[
        str | None,
        Meta(
            description="The batch's status in the provider's own word; null for a file.",
            examples=["completed", None],
        ),
    ]
    size: Annotated[
        int | None,
        Meta(
            description="The requests of a batch or the bytes of a file; null if not known.",
            examples=[3080, None],
        ),
    ]
    files: Annotated[
        list[
            Annotated[
                str, Meta(description="The provider's id of a file.", examples=["file-abc123"])
            ]
        ],
        Meta(
            description="The ids of the batch's own files, which take storage too.",
        ),
    ]
    why: Annotated[
        str,
        Meta(
            description="Why it belongs to no job here, for the user. Its wording may change.",
            examples=["no spec describes the job"],
        ),
    ]


class OrphansOutput(TypedDict):
    """The batches and files at providers that belong to no job here."""

    format_version: Annotated[
        int,
        Meta(
            description="The version of this format.",
            examples=[1],
            extra_json_schema={"const": 1},
        ),
    ]
    orphans: Annotated[
        list[OrphanOutput],
        Meta(description="The batches and files.", examples=[[]]),
    ]
    unasked: Annotated[
        dict[str, str],
        Meta(
            description="The providers whose list is missing or incomplete, with the reason.",
            examples=[{"openai": "OPENAI_API_KEY is not set"}],
        ),
    ]


Output = Annotated[
    OrphansOutput,
    Meta(
        title="runner orphans --json",
        description="The batches and files at providers that have a submission key and belong to "
        "no job here. Fields may be added in later versions, and are never changed or removed.",
        extra_json_schema={"$id": "runner/orphans"},
    ),
]
