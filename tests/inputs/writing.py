"""Inputs to read: lines as people and their tools write them."""

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
    """Write a sound request, or one with the body given."""
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
    """Write a chat request to a model."""
    return line(custom_id, model=model, messages=[{"role": "user", "content": content}])


def write(folder: Path, *lines: bytes, name: str = "input.jsonl") -> Path:
    """Write lines, each ended as it should be."""
    path = folder / name
    path.write_bytes(b"".join(each + b"\n" for each in lines))
    return path


def read(path: Path, endpoint: str = CHAT, limits: Limits = ROOMY) -> Scan:
    """Scan an input that is shown by its name."""
    return scan(path, shown=path.name, endpoint=endpoint, limits=limits)


def problems(path: Path, endpoint: str = CHAT, limits: Limits = ROOMY) -> Sequence[str]:
    """Scan an input that must not be sound and return its problems as people see them."""
    with pytest.raises(InvalidInput) as caught:
        read(path, endpoint, limits)
    assert caught.value.problems == tuple(sorted(caught.value.problems))
    return str(caught.value).split("\n")
