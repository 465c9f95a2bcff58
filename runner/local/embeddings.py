"""The model `wordllama`: word embeddings of a Llama 2 vocabulary, averaged over a text.

The weights (256 dimensions, 16 MB) and the tokenizer are files in the wheel of `wordllama` 0.2.2
(MIT); nothing is downloaded. Later releases have the same weights, byte for byte, and compiled
code, so they need a wheel for each version of Python; 0.2.2 has one wheel for all of them. The code
of `wordllama` is not imported: on import it configures the root logger, and its loader searches for
the tokenizer in the wrong folder and then on the network. This module does the same computation in
a few lines; the tests compare the results, which are equal except for single-precision rounding.

Texts are embedded one by one: no response depends on the other texts, a long text adds no padding
to the others, and no thread pool is left in a process that may fork.
"""

from __future__ import annotations

import base64
import functools
import importlib.util
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from runner.errors import MissingExtra
from runner.extras import how_to_install
from runner.local.models import ModelResponse, bad_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

NAME: Final = "wordllama-l2-supercat-256"
ALIAS: Final = "wordllama"

_WEIGHTS: Final = "weights/l2_supercat_256.safetensors"
_TOKENIZER: Final = "tokenizers/l2_supercat_tokenizer_config.json"
_DIMENSIONS: Final = (64, 128, 256)
"""The lengths these vectors were trained to be cut to."""

_MOST_INPUTS: Final = 2048
"""Texts in one request, as in OpenAI's API reference."""

_TOKENS_AT_ONCE: Final = 65_536
"""Bounds the memory one very long text takes, to 64 MiB."""


class _Request(msgspec.Struct):
    input: str | list[str]
    encoding_format: str = "float"
    dimensions: int | None = None


_decoder = msgspec.json.Decoder(_Request)


def files() -> tuple[Path, Path]:
    """Find the weights and the tokenizer without importing the package that carries them.

    Raises MissingExtra where it is not installed, or is a version without them.
    """
    package = importlib.util.find_spec("wordllama")
    for folder in (package and package.submodule_search_locations) or ():
        weights, tokenizer = Path(folder, _WEIGHTS), Path(folder, _TOKENIZER)
        if weights.is_file() and tokenizer.is_file():
            return weights, tokenizer
    raise MissingExtra(
        f"The model {NAME} needs the package wordllama, weights included: {how_to_install('local')}"
    )


def answer(bodies: Iterable[msgspec.Raw]) -> Iterator[ModelResponse]:
    """Answer bodies of /v1/embeddings; raises MissingExtra."""
    model = _load()
    for body in bodies:
        try:
            request = _decoder.decode(body)
        except (ValueError, RecursionError) as error:
            yield bad_request(str(error))
            continue
        yield _refuse(request) or _embed(model, request)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    weights: NDArray[np.float16]
    tokenizer: Tokenizer

    def embed(self, text: str) -> tuple[NDArray[np.float32], int]:
        """Average the vectors of a text's tokens; returns that and the number of tokens."""
        import numpy as np

        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        total = np.zeros(self.weights.shape[1], dtype=np.float32)
        for start in range(0, len(ids), _TOKENS_AT_ONCE):
            rows = self.weights[ids[start : start + _TOKENS_AT_ONCE]]
            total += rows.astype(np.float32).sum(axis=0)
        return total / np.float32(max(len(ids), 1)), len(ids)


@functools.cache
def _load() -> _Model:
    try:
        from safetensors import safe_open
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtra(
            f"The model {NAME} needs {error.name}: {how_to_install('local')}"
        ) from error
    weights, definition = files()
    with safe_open(weights, framework="np") as tensors:
        matrix = tensors.get_tensor("embedding.weight")
    tokenizer = Tokenizer.from_file(str(definition))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return _Model(weights=matrix, tokenizer=tokenizer)


def _refuse(request: _Request) -> ModelResponse | None:
    texts = [request.input] if isinstance(request.input, str) else request.input
    if not texts or not all(texts):
        return bad_request("Expected at least one text, and none that is empty.", param="input")
    if len(texts) > _MOST_INPUTS:
        return bad_request(
            f"Got {len(texts)} texts. Expected at most {_MOST_INPUTS}.", param="input"
        )
    if request.encoding_format not in {"float", "base64"}:
        return bad_request(
            f"Invalid value: '{request.encoding_format}'. Expected one of 'float', 'base64'.",
            param="encoding_format",
            code="invalid_value",
        )
    if request.dimensions not in {None, *_DIMENSIONS}:
        return bad_request(
            f"Invalid value: {request.dimensions}. Expected one of 64, 128, 256.",
            param="dimensions",
            code="invalid_value",
        )
    return None


def _embed(model: _Model, request: _Request) -> ModelResponse:
    texts = [request.input] if isinstance(request.input, str) else request.input
    data: list[dict[str, Any]] = []
    tokens = 0
    for index, text in enumerate(texts):
        vector, length = model.embed(text)
        vector = vector[: request.dimensions]
        tokens += length
        encoded = (
            base64.b64encode(vector.astype("<f4").tobytes()).decode()
            if request.encoding_format == "base64"
            else vector.tolist()
        )
        data.append({"object": "embedding", "index": index, "embedding": encoded})
    return ModelResponse(
        status=HTTPStatus.OK,
        body={
            "object": "list",
            "data": data,
            "model": NAME,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        },
        input_tokens=tokens,
    )
