"""The interface of a model: the response to one request, and the function that produces it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from runner.local.errors import envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResponse:
    """A model's response: the HTTP status, a body that msgspec can encode, and the usage."""

    status: int
    body: object
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def succeeded(self) -> bool:
        """Whether the request counts as completed."""
        return self.status == HTTPStatus.OK


ModelFunction = Callable[[Iterable[msgspec.Raw]], Iterator[ModelResponse]]
"""A function that yields one response for each request body, in the same order.

It may read several bodies before it yields a response. A response must not depend on the other
bodies: the results of a resumed batch would differ.
"""


def bad_request(
    message: str, *, param: str | None = None, code: str | None = None
) -> ModelResponse:
    """Return the response to a body that the model rejects, as in the live API: status 400."""
    return ModelResponse(
        status=HTTPStatus.BAD_REQUEST, body=envelope(message, param=param, code=code)
    )
