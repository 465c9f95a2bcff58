"""Rows and requests that are too large for a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.inputs.requests import RequestKind, RequestReader
from runner.spec.project import Limits
from tests.inputs.writing import EMBEDDINGS, line, problems, read, write

if TYPE_CHECKING:
    from pathlib import Path


def test_a_line_longer_than_the_provider_takes(tmp_path: Path) -> None:
    row = line()
    limits = Limits(max_line_bytes=len(row))
    assert read(write(tmp_path, row + b"\r"), limits=limits).requests == 1
    assert problems(write(tmp_path, row + b" "), limits=limits) == [
        (
            f"input.jsonl:1: the request is {len(row) + 1} bytes long, and the provider takes at"
            f" most {len(row)} a line: shorten it"
        )
    ]


def test_a_request_larger_than_a_batch(tmp_path: Path) -> None:
    row = line()
    path = write(tmp_path, row)
    assert read(path, limits=Limits(max_bytes=len(row) + 1)).requests == 1
    assert problems(path, limits=Limits(max_bytes=len(row))) == [
        (
            f"input.jsonl:1: the request is {len(row) + 1} bytes long with its line feed, and a"
            f" batch takes at most {len(row)}: shorten it"
        )
    ]


def test_a_request_too_long_to_be_held(tmp_path: Path) -> None:
    path = write(tmp_path, line("a"), b"x" * 1_000_000, line("b"), b"y" * 2_000_000)
    assert problems(path, limits=Limits(max_bytes=1000)) == [
        (
            f"input.jsonl:{number}: the request is {size} bytes long with its line feed, and a"
            " batch takes at most 1,000: shorten it"
        )
        for number, size in ((2, "1,000,001"), (4, "2,000,001"))
    ]


def test_more_embedding_inputs_than_a_batch_takes(tmp_path: Path) -> None:
    path = write(tmp_path, line(url=EMBEDDINGS, model="m", input=["x"] * 4))
    limits = Limits(max_embedding_inputs=4)
    assert read(path, EMBEDDINGS, limits).requests == 1
    assert problems(path, EMBEDDINGS, Limits(max_embedding_inputs=3)) == [
        "input.jsonl:1: the request has 4 inputs, and a batch takes at most 3: divide it"
    ]


@pytest.mark.parametrize(
    ("value", "inputs"),
    [("a", 1), ([1, 2, 3], 1), (["a", "b"], 2), ([[1, 2], [3]], 2)],
)
def test_embedding_inputs_are_counted(value: object, inputs: int) -> None:
    request = RequestReader(EMBEDDINGS).read(line(url=EMBEDDINGS, model="m", input=value))
    assert request is not None
    assert request.inputs == inputs


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [
        ("/v1/chat/completions", RequestKind.CHAT),
        ("/chat/completions", RequestKind.CHAT),
        ("/v1/completions", RequestKind.COMPLETIONS),
        ("/v1/responses", RequestKind.RESPONSES),
        ("/v1/embeddings", RequestKind.EMBEDDINGS),
        ("/v1/moderations", RequestKind.MODERATIONS),
        ("/v1/images/edits", RequestKind.OTHER),
        ("/v1/chat/ds-test", RequestKind.OTHER),
    ],
)
def test_endpoints_are_known_by_their_ending(endpoint: str, kind: RequestKind) -> None:
    assert RequestKind.of(endpoint) is kind
