"""Values in `run.json` and in `--json` outputs, with their JSON Schemas."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Meta

DIGEST: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

Sha256 = Annotated[str, Meta(examples=[DIGEST], extra_json_schema={"pattern": "^[0-9a-f]{64}$"})]
Revision = Annotated[
    str, Meta(examples=["9f86d081884c"], extra_json_schema={"pattern": "^[0-9a-f]{12}$"})
]
"""The first 12 hexadecimal digits of a revision."""

Natural = Annotated[int, Meta(extra_json_schema={"minimum": 0})]
Positive = Annotated[int, Meta(extra_json_schema={"minimum": 1})]
Rows = Annotated[
    str, Meta(extra_json_schema={"pattern": "^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?$"})
]
"""0-based rows as ranges: `0-4,7`; empty for none."""

Moment = Annotated[
    str,
    Meta(examples=["2026-01-31T12:00:00Z"], extra_json_schema={"format": "date-time"}),
]


_CREATED: Final = 1769860800

_FIELDS: Final[dict[str, tuple[str, object]]] = {
    "object": ("The type of the object.", "batch"),
    "endpoint": ("The path of the API that the requests are sent to.", "/v1/chat/completions"),
    "errors": ("Why the batch failed as a whole.", None),
    "input_file_id": ("The id of the file of requests.", "file-abc122"),
    "completion_window": ("The time in which the batch is to finish.", "24h"),
    "output_file_id": ("The id of the file of responses.", "file-abc123"),
    "error_file_id": ("The id of the file of errors.", None),
    "created_at": ("When the batch was created, in Unix seconds.", _CREATED),
    "in_progress_at": ("When the provider began with its requests.", _CREATED + 2),
    "expires_at": ("When the batch expires.", _CREATED + 86_400),
    "finalizing_at": ("When the provider began to write its files.", _CREATED + 3600),
    "completed_at": ("When it was completed.", _CREATED + 3610),
    "failed_at": ("When it failed.", None),
    "expired_at": ("When it expired.", None),
    "cancelling_at": ("When its cancellation was requested.", None),
    "cancelled_at": ("When it was cancelled.", None),
    "request_counts": (
        "The provider's own counts of its requests, which can be wrong.",
        {"total": 3080, "completed": 3080, "failed": 0},
    ),
    "metadata": ("The metadata of the batch.", {"project": "acl"}),
}
"""The classic fields but id and status: description and example. Providers differ in the types."""

BatchObject = Annotated[
    Mapping[str, Any],
    Meta(
        examples=[
            {
                "id": "batch_abc123",
                "object": "batch",
                "status": "completed",
                "request_counts": {"total": 3080, "completed": 3080, "failed": 0},
            }
        ],
        extra_json_schema={
            "required": ["id", "status"],
            "additionalProperties": True,
            "properties": {
                "id": {
                    "description": "The provider's id of the batch.",
                    "type": "string",
                    "examples": ["batch_abc123"],
                },
                "status": {
                    "description": "The status in the provider's own word.",
                    "type": "string",
                    "examples": ["in_progress", "completed", "expired", "cancelled", "failed"],
                },
            }
            | {
                name: {"description": description, "examples": [example]}
                for name, (description, example) in _FIELDS.items()
            },
        },
    ),
]
"""A Batch object as the provider showed it last; a provider may have further fields."""
