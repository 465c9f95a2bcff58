"""What a model gives for one request: the shape every model and the worker agree on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from runner.local.errors import envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResponse:
    """A response: its HTTP status, its body as msgspec can encode it, and what it used."""

    status: int
    body: object
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def succeeded(self) -> bool:
        """Whether the request counts as completed."""
        return self.status == HTTPStatus.OK


ModelFunction = Callable[[Iterable[msgspec.Raw]], Iterator[ModelResponse]]
"""Answers request bodies, one answer a body in their order.

Bodies may be taken ahead of the answers given, as suits the model; nothing of one answer may
depend on which other bodies came along with it, or a batch that was resumed would differ.
"""


def bad_request(
    message: str, *, param: str | None = None, code: str | None = None
) -> ModelResponse:
    """Answer a body the model cannot take, as the live API would: status 400."""
    return ModelResponse(
        status=HTTPStatus.BAD_REQUEST, body=envelope(message, param=param, code=code)
    )
