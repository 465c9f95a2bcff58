"""Parsing of requests to the server: the body that creates a batch, and query parameters.

Each error names the parameter, as OpenAI's API does. The limits are those of OpenAI's published
OpenAPI document (CreateBatchRequest, FileExpirationAfter, Metadata).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from runner.local.errors import RequestRejected, invalid_type, invalid_value, missing_parameter

if TYPE_CHECKING:
    from collections.abc import Mapping


ENDPOINTS: Final = (
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/videos",
)
_WINDOWS: Final = ("24h",)
_PAIRS: Final = 16
_KEY_LENGTH: Final = 64
_VALUE_LENGTH: Final = 512
_SHORTEST_LIFE: Final = 3_600
_LONGEST_LIFE: Final = 2_592_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequest:
    """The parameters of a new batch."""

    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: Mapping[str, str] | None
    output_expires_after: int | None

    @classmethod
    def from_body(cls, body: bytes) -> BatchRequest:
        """Parse the body of POST /v1/batches; raises RequestRejected."""
        try:
            raw = msgspec.json.decode(body)
        except (ValueError, RecursionError) as error:
            raise RequestRejected(
                f"We could not parse the JSON body of your request: {error}."
            ) from error
        if not isinstance(raw, dict):
            raise RequestRejected(
                "We could not parse the JSON body of your request: not an object."
            )
        return cls(
            input_file_id=_text(raw, "input_file_id"),
            endpoint=_choice(raw, "endpoint", ENDPOINTS),
            completion_window=_choice(raw, "completion_window", _WINDOWS),
            metadata=_metadata(raw.get("metadata")),
            output_expires_after=_output_expiry(raw.get("output_expires_after")),
        )


def expiry_seconds(anchor: object, seconds: object, *, param: str) -> int:
    """Return the seconds of an expiry policy; raises RequestRejected."""
    if anchor != "created_at":
        raise invalid_value(f"{param}[anchor]", anchor, "'created_at'")
    try:
        number = int(seconds) if isinstance(seconds, int | str) else None
    except ValueError:
        number = None
    if number is None or isinstance(seconds, bool):
        raise invalid_type(f"{param}[seconds]", "an integer")
    if not _SHORTEST_LIFE <= number <= _LONGEST_LIFE:
        raise invalid_value(
            f"{param}[seconds]", number, f"an integer from {_SHORTEST_LIFE} to {_LONGEST_LIFE}"
        )
    return number


def page_size(value: str | None, *, default: int, ceiling: int) -> int:
    """Return the `limit` of a list request; raises RequestRejected."""
    if value is None:
        return default
    try:
        limit = int(value)
    except ValueError:
        raise invalid_type("limit", "an integer") from None
    if not 1 <= limit <= ceiling:
        raise invalid_value("limit", value, f"an integer from 1 to {ceiling}")
    return limit


def _text(raw: Mapping[str, Any], param: str) -> str:
    value = raw.get(param)
    if value is None:
        raise missing_parameter(param)
    if not isinstance(value, str):
        raise invalid_type(param, "a string")
    return value


def _choice(raw: Mapping[str, Any], param: str, allowed: tuple[str, ...]) -> str:
    value = _text(raw, param)
    if value not in allowed:
        raise invalid_value(param, value, "one of " + ", ".join(f"'{one}'" for one in allowed))
    return value


def _metadata(value: object) -> Mapping[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise invalid_type("metadata", "an object")
    if len(value) > _PAIRS:
        raise RequestRejected(
            f"Invalid 'metadata': too many properties. Expected at most {_PAIRS},"
            f" got {len(value)}.",
            param="metadata",
            code="object_above_max_properties",
        )
    for key, text in value.items():
        if len(key) > _KEY_LENGTH:
            raise RequestRejected(
                f"Invalid 'metadata': a key of {len(key)} characters. Expected at most"
                f" {_KEY_LENGTH}.",
                param="metadata",
                code="string_above_max_length",
            )
        if not isinstance(text, str):
            raise invalid_type(f"metadata.{key}", "a string")
        if len(text) > _VALUE_LENGTH:
            raise RequestRejected(
                f"Invalid 'metadata.{key}': {len(text)} characters. Expected at most"
                f" {_VALUE_LENGTH}.",
                param=f"metadata.{key}",
                code="string_above_max_length",
            )
    return value


def _output_expiry(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise invalid_type("output_expires_after", "an object")
    return expiry_seconds(value.get("anchor"), value.get("seconds"), param="output_expires_after")
