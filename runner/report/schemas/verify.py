"""The output of `runner verify --json`."""

from typing import Annotated, TypedDict

from msgspec import Meta

from runner.outputs.integrity import FileMatch


class FileContentOutput(TypedDict):
    """The content of a file."""

    sha256: Annotated[
        str,
        Meta(
            description="The SHA-256 of its bytes; as expected, it is what the record has.",
            examples=["5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"],
        ),
    ]
    bytes: Annotated[int | None, Meta(description="Its size in bytes.", examples=[1880])]


class FileOutput(TypedDict):
    """One file of a revision's folder."""

    name: Annotated[
        str,
        Meta(
            description="Its path, relative to the revision's folder.",
            examples=["output.jsonl", "raw/0001-1.output.jsonl"],
        ),
    ]
    match: Annotated[
        FileMatch,
        Meta(
            description="How it compares with the record. A stray file is not in the record.",
            examples=["ok"],
        ),
    ]
    expected: Annotated[
        FileContentOutput | None,
        Meta(description="The content in the record; null if the record does not have the file."),
    ]
    found: Annotated[
        FileContentOutput | None,
        Meta(description="The content on the disk; null if the file was not read."),
    ]
    lines: Annotated[
        int | None,
        Meta(
            description="The number of its lines; null if the file was not read.", examples=[3080]
        ),
    ]
    why: Annotated[
        str | None,
        Meta(
            description="Why it is unreadable, for the user; null if it is not.",
            examples=[None, "is a link and was not opened"],
        ),
    ]


class InputOutput(TypedDict):
    """The input of a revision."""

    path: Annotated[
        str, Meta(description="Its file, as the spec names it.", examples=["data/reviews.jsonl"])
    ]
    match: Annotated[
        FileMatch, Meta(description="How it compares with the record.", examples=["ok"])
    ]
    against_the_run: Annotated[
        bool,
        Meta(
            description="Whether a difference is a mismatch of the revision. It is not where the "
            "input has changed since for another revision.",
            examples=[False],
        ),
    ]
    expected_sha256: Annotated[
        str,
        Meta(
            description="The SHA-256 in the record of all request lines in order.",
            examples=["5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"],
        ),
    ]
    found_sha256: Annotated[
        str | None,
        Meta(
            description="The SHA-256 of the request lines now; null if the input was not read.",
            examples=["5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"],
        ),
    ]
    why: Annotated[
        str | None,
        Meta(
            description="The difference, for the user; null if there is none.",
            examples=[None, "does not exist any more"],
        ),
    ]


class RevisionOutput(TypedDict):
    """One revision that was checked."""

    job: Annotated[str, Meta(description="The job's name.", examples=["sentiment"])]
    revision: Annotated[
        str,
        Meta(
            description="The name of its folder: the first 12 hex digits of the revision.",
            examples=["9f86d081884c"],
        ),
    ]
    folder: Annotated[
        str,
        Meta(
            description="Its folder, relative to the project's root.",
            examples=["outputs/sentiment/9f86d081884c"],
        ),
    ]
    matches: Annotated[
        bool, Meta(description="Whether everything in it is as recorded.", examples=[True])
    ]
    state: Annotated[
        str | None,
        Meta(
            description="How the run ended, as the record has it; null if the record cannot be "
            "read.",
            examples=["succeeded", None],
        ),
    ]
    files: Annotated[
        list[FileOutput],
        Meta(description="The files in the record, then the stray ones."),
    ]
    input: Annotated[
        InputOutput | None,
        Meta(description="The input; null if the record cannot be read."),
    ]
    problems: Annotated[
        list[
            Annotated[
                str,
                Meta(
                    description="A mismatch, for the user.",
                    examples=["output.jsonl: line 2 is in no raw file"],
                ),
            ]
        ],
        Meta(description="The other mismatches.", examples=[[]]),
    ]
    notes: Annotated[
        list[
            Annotated[
                str,
                Meta(
                    description="A note, for the user.", examples=["scores.csv is not of this run"]
                ),
            ]
        ],
        Meta(description="What is worth knowing, but is no mismatch.", examples=[[]]),
    ]


class VerifyOutput(TypedDict):
    """The result of `runner verify`."""

    format_version: Annotated[
        int,
        Meta(
            description="The version of this format.",
            examples=[1],
            extra_json_schema={"const": 1},
        ),
    ]
    matches: Annotated[
        bool, Meta(description="Whether every revision is as recorded.", examples=[True])
    ]
    revisions: Annotated[
        list[RevisionOutput], Meta(description="The revisions that were checked.", examples=[[]])
    ]
    unfinished: Annotated[
        list[Annotated[str, Meta(description="A job's name.", examples=["sentiment"])]],
        Meta(description="The jobs without any finished revision.", examples=[["sentiment"], []]),
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
        Meta(description="The problems of the selected specs.", examples=[[]]),
    ]


Output = Annotated[
    VerifyOutput,
    Meta(
        title="runner verify --json",
        description="The files in the output folders, compared with their records. Fields may be "
        "added in later versions, and are never changed or removed.",
        extra_json_schema={"$id": "runner/verify"},
    ),
]
