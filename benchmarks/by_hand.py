"""A batch by hand, with the official SDK, as its guide shows; nothing is checked.

Run as `python benchmarks/by_hand.py ENDPOINT INPUT FOLDER LINES`: it submits the input in batches
of LINES lines (0: in one batch), and writes the answers to FOLDER.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from openai import OpenAI

if TYPE_CHECKING:
    from collections.abc import Iterator

PAUSE = 0.05
Endpoint = Literal["/v1/chat/completions", "/v1/embeddings"]


def parts(source: Path, folder: Path, lines: int) -> Iterator[Path]:
    if not lines:
        yield source
        return
    with source.open(encoding="utf-8") as file:
        number = 0
        while part := list(islice(file, lines)):
            number += 1
            path = folder / f"part-{number}.jsonl"
            path.write_text("".join(part), encoding="utf-8")
            yield path


def main() -> None:
    endpoint, source, folder, lines = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    client = OpenAI()
    batches = []
    for part in parts(source, folder, int(lines)):
        with part.open("rb") as file:
            uploaded = client.files.create(file=file, purpose="batch")
        batches.append(
            client.batches.create(
                input_file_id=uploaded.id,
                endpoint=cast("Endpoint", endpoint),
                completion_window="24h",
            )
        )
    results: list[dict[str, Any]] = []
    for number, made in enumerate(batches, start=1):
        batch = client.batches.retrieve(made.id)
        while batch.status != "completed":
            time.sleep(PAUSE)
            batch = client.batches.retrieve(made.id)
        assert batch.output_file_id is not None
        output = folder / f"output-{number}.jsonl"
        output.write_bytes(client.files.content(batch.output_file_id).content)
        with output.open(encoding="utf-8") as answers:
            results.extend(json.loads(line) for line in answers)
    print(len(results))


if __name__ == "__main__":
    main()
