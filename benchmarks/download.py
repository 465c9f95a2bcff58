"""Downloading the answers of a batch by hand, with the official SDK, as its guide shows.

Run as `python benchmarks/download.py URL`, with the URL of a file's content; writes output.jsonl.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from openai import OpenAI


def main() -> None:
    identifier = sys.argv[1].rsplit("/", 2)[1]
    output = Path("output.jsonl")
    output.write_bytes(OpenAI().files.content(identifier).content)
    with output.open(encoding="utf-8") as answers:
        results = [json.loads(line) for line in answers]
    print(len(results))


if __name__ == "__main__":
    main()
