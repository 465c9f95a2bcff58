"""The registry of models, by endpoint and name.

A new model is one file and one line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.local import echo, embeddings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runner.local.models import ModelFunction


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model under its full name; `require` raises MissingExtra if the model cannot run."""

    name: str
    answer: ModelFunction
    require: Callable[[], object] | None = None


_WORDLLAMA: Final = Model(name=embeddings.NAME, answer=embeddings.answer, require=embeddings.files)

_MODELS: Final[Mapping[tuple[str, str], Model]] = {
    ("/v1/chat/completions", echo.NAME): Model(name=echo.NAME, answer=echo.chat),
    ("/v1/completions", echo.NAME): Model(name=echo.NAME, answer=echo.completions),
    ("/v1/responses", echo.NAME): Model(name=echo.NAME, answer=echo.responses),
    ("/v1/embeddings", embeddings.NAME): _WORDLLAMA,
    ("/v1/embeddings", embeddings.ALIAS): _WORDLLAMA,
}


def find(endpoint: str, name: str) -> Model | None:
    """Return the model with this name or alias; None if there is none."""
    return _MODELS.get((endpoint, name))


def names(endpoint: str) -> tuple[str, ...]:
    """Return the names and aliases of the models of an endpoint."""
    return tuple(name for offered, name in _MODELS if offered == endpoint)
