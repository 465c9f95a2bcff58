"""Write inputs for tests and scan them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from runner.errors import InvalidInput
from runner.inputs.scan import scan
from runner.spec.project import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runner.inputs.scan import Scan

CHAT: Final = "/v1/chat/completions"
EMBEDDINGS: Final = "/v1/embeddings"
ROOMY: Final = Limits()


def line(custom_id: str = "a", url: str = CHAT, **body: object) -> bytes:
    """Return a valid request, or one with the given body."""
    question = {"input": "hi"} if url == EMBEDDINGS else {"messages": [{"role": "user"}]}
    return json.dumps(
        {
            "custom_id": custom_id,
            "method": "POST",
            "url": url,
            "body": body or {"model": "m", **question},
        },
        ensure_ascii=False,
    ).encode()


def chat(custom_id: str, model: str, content: str = "hi") -> bytes:
    """Return a chat request to a model."""
    return line(custom_id, model=model, messages=[{"role": "user", "content": content}])


def write(folder: Path, *lines: bytes, name: str = "input.jsonl") -> Path:
    """Write lines, each with a line feed, and return the path."""
    path = folder / name
    path.write_bytes(b"".join(each + b"\n" for each in lines))
    return path


def read(path: Path, endpoint: str = CHAT, limits: Limits = ROOMY) -> Scan:
    """Scan an input with its name as the path in messages."""
    return scan(path, shown=path.name, endpoint=endpoint, limits=limits)


def problems(path: Path, endpoint: str = CHAT, limits: Limits = ROOMY) -> Sequence[str]:
    """Scan an invalid input and return its problems as messages."""
    with pytest.raises(InvalidInput) as caught:
        read(path, endpoint, limits)
    assert caught.value.problems == tuple(sorted(caught.value.problems))
    return str(caught.value).split("\n")
