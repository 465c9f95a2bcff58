"""The cost of reading an input, compared with one SHA-256 over its bytes.

The input is 50,000 chat requests and 200 MB, the largest batch that OpenAI accepts, with escapes in
its texts. Each contestant is a process of its own:

    start        the interpreter and the imports, no input
    sha256sum    coreutils, hashing the file
    hashlib      Python's OpenSSL, hashing the file: the fastest here, so the baseline
    scan         runner.inputs: every rule checked, hashed, cut into shards, ids written
"""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING, Final

from benchmarks.account import environment
from benchmarks.cases import Case, run_rounds
from benchmarks.costs import BenchmarkFailed, measure

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.cases import Bench
    from benchmarks.costs import Cost, Figures

ROW_BYTES: Final = 3_999
"""Without the line feed: 50,000 rows are exactly 200 MB."""

START: Final = "import runner.inputs.scan, runner.spec.project"
HASHLIB: Final = (
    "import hashlib, sys; print(hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256').hexdigest())"
)
SCAN: Final = """
import sys
from pathlib import Path
from runner.inputs.scan import scan
from runner.spec.project import Limits
with open(sys.argv[1] + ".ids", "wb") as ids:
    found = scan(Path(sys.argv[1]), shown="input", endpoint="/v1/chat/completions",
                 limits=Limits(), ids=ids)
print(found.digest, found.requests, len(found.shards))
"""


def scanning(bench: Bench) -> Figures:
    """Read an input in each way; all must find the same digest."""
    path = bench.scratch / "input.jsonl"
    write_input(path, bench.sized(50_000))
    commands = {
        "start": [sys.executable, "-c", START],
        "sha256sum": ["sha256sum", str(path)],
        "hashlib": [sys.executable, "-c", HASHLIB, str(path)],
        "scan": [sys.executable, "-c", SCAN, str(path)],
    }
    digests = set()

    def one(name: str) -> Cost:
        cost = measure(commands[name], folder=bench.scratch, account=None, environ=environment())
        if name != "start":
            digests.add((bench.scratch / "said.txt").read_text(encoding="utf-8").split()[0])
        return cost

    run_rounds(1, list(commands), one)  # so that the input is in the disk cache for all
    figures = run_rounds(bench.pairs, list(commands), one)
    if len(digests) != 1:
        raise BenchmarkFailed(f"the hashes differ: {sorted(digests)}")
    return figures


def write_input(path: Path, rows: int) -> None:
    """Write the input, the same on every machine: English-like text with some escapes."""
    chance = random.Random(20_240_601)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(2000)]
    with path.open("wb") as file:
        for row in range(rows):
            text = " ".join(chance.choices(words, k=ROW_BYTES // 4))
            text = text.replace(" e", '\\n\\"e', 20)
            before = (
                f'{{"custom_id": "request-{row:08}", "method": "POST",'
                ' "url": "/v1/chat/completions", "body": {"model": "gpt-4o-mini", "messages":'
                ' [{"role": "system", "content": "Answer in one word."},'
                ' {"role": "user", "content": "'
            )
            after = '"}], "max_tokens": 16, "temperature": 0}}'
            room = ROW_BYTES - len(before) - len(after)
            # Do not cut an escape in two: the text ends in plain letters.
            file.write(f"{before}{text[: room - 4].rstrip(chr(92)):x<{room}}{after}\n".encode())


SCANS: Final = (
    Case(
        name="scan",
        title="Reading an input of 50,000 rows, 200 MB",
        run=scanning,
        baseline="hashlib",
    ),
)
