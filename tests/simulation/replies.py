"""Replies in the API's own form, and what the Files and Batches halves share."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tests.simulation.behaviour import ListFault, ListShape
from tests.simulation.exchange import Content, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.simulation.behaviour import Conditions

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Ground:
    """What files and batches share: time, chance and the provider's conditions."""

    clock: Callable[[], float]
    seed: int
    conditions: Conditions

    def identifier(self, kind: str, number: object) -> str:
        """Return an id that depends on the seed and `number` alone."""
        digest = hashlib.sha256(f"{self.seed}/{kind}/{number}".encode()).hexdigest()
        return f"{kind}{digest[:24]}"


class Refusal(Exception):
    """A 4xx reply, in the API's envelope."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code

    def reply(self) -> Response:
        return json_reply(
            {
                "error": {
                    "message": str(self),
                    "type": "invalid_request_error",
                    "param": self.param,
                    "code": self.code,
                }
            },
            status=self.status,
        )


def json_reply(document: object, status: int = 200) -> Response:
    return Response(
        status=status,
        headers={"content-type": "application/json"},
        body=Content.of(json.dumps(document).encode()),
    )


def list_reply(
    entries: Sequence[T],
    *,
    after: int | None,
    limit: int,
    show: Callable[[T], dict[str, Any]],
    conditions: Conditions,
) -> Response:
    """Reply with one page of `entries`, which begins behind the first `after` of them."""
    start = after or 0
    more_than = start + limit < len(entries)
    fault = conditions.list_fault
    if fault is ListFault.REPEATED:
        start, more_than = 0, True
    page = [show(entry) for entry in entries[start : start + limit]]
    if fault is ListFault.ENDLESS:
        more_than = True
    elif fault is ListFault.HOLE and after is not None:
        page, more_than = [], True
    if conditions.list_shape is ListShape.BARE:
        return json_reply(page)
    document: dict[str, Any] = {"object": "list", "data": page, "has_more": more_than}
    if conditions.list_shape is ListShape.FULL:
        document["first_id"] = page[0]["id"] if page else None
        document["last_id"] = page[-1]["id"] if page else None
    return json_reply(document)


def page_limit(query: Mapping[str, str], *, default: int, ceiling: int) -> int:
    """Read `limit`; raises Refusal outside 1 to `ceiling`."""
    text = query.get("limit", str(default))
    try:
        limit = int(text)
    except ValueError:
        raise Refusal(
            400,
            f"Invalid type for 'limit': expected an integer, but got {text!r} instead.",
            param="limit",
            code="invalid_type",
        ) from None
    if limit > ceiling:
        raise Refusal(
            400,
            "Invalid 'limit': integer above maximum value. "
            f"Expected a value <= {ceiling}, but got {limit} instead.",
            param="limit",
            code="integer_above_max_value",
        )
    if limit < 1:
        raise Refusal(
            400,
            "Invalid 'limit': integer below minimum value. "
            f"Expected a value >= 1, but got {limit} instead.",
            param="limit",
            code="integer_below_min_value",
        )
    return limit


def decode(line: bytes) -> Any:  # noqa: ANN401  (decoded JSON)
    """Decode JSON as strictly as RFC 8259: UTF-8 without a mark, no NaN; raises ValueError."""
    return json.loads(line.decode(), parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def whole_seconds(at: float) -> int:
    """Return a time as the API shows it."""
    return math.floor(at)
