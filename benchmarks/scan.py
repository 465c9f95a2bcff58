"""The cost of reading an input, compared with one SHA-256 over its bytes.

Writes a deterministic input of 50,000 chat requests and 200 MB, the largest batch that OpenAI
accepts, and measures alternately, each in its own process, so that a busy machine slows all of
them:

    start        the interpreter and the imports, no input
    sha256sum    coreutils, hashing the file
    hashlib      Python's OpenSSL, hashing the file
    scan         runner.inputs: every rule checked, hashed, cut into shards, ids written

Run from the repository: `python benchmarks/scan.py [--json] [--pairs N] [--rows N]`. It never
fails because of a figure: compare figures of one machine before and after a change.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of one process: seconds of wall clock and processor, peak memory in megabytes."""

    wall: float
    cpu: float
    peak_mb: float


def main() -> None:
    options = argparse.ArgumentParser(description="Time runner's reading of an input.")
    options.add_argument("--json", action="store_true", help="print figures for a program")
    options.add_argument("--pairs", type=int, default=7, help="how often each is measured")
    options.add_argument("--rows", type=int, default=50_000, help="requests in the input")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="runner-benchmark-") as folder:
        path = Path(folder) / "input.jsonl"
        write_input(path, chosen.rows)
        figures = measure(path, chosen.pairs)
        size = path.stat().st_size
    report = {
        "rows": chosen.rows,
        "bytes": size,
        "pairs": chosen.pairs,
        "python": sys.version.split()[0],
        "medians": {name: asdict(cost) for name, cost in figures.items()},
        "scan_mb_per_s_wall": size / figures["scan"].wall / 1e6,
        "scan_mb_per_s_cpu": size / figures["scan"].cpu / 1e6,
        "scan_to_sha256sum_wall": figures["scan"].wall / figures["sha256sum"].wall,
        "scan_to_sha256sum_cpu": figures["scan"].cpu / figures["sha256sum"].cpu,
        "scan_to_hashlib_cpu": figures["scan"].cpu / figures["hashlib"].cpu,
    }
    print(json.dumps(report, indent=2) if chosen.json else table(report, figures, size))


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


def measure(path: Path, pairs: int) -> dict[str, Cost]:
    """Run everything `pairs` times alternately and return the medians, without the first round."""
    commands = {
        "start": [sys.executable, "-c", START],
        "sha256sum": ["sha256sum", str(path)],
        "hashlib": [sys.executable, "-c", HASHLIB, str(path)],
        "scan": [sys.executable, "-c", SCAN, str(path)],
    }
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    digests = set()
    for turn in range(pairs + 1):
        for name, command in commands.items():
            cost, answer = run(command)
            if answer:
                digests.add(answer.split()[0])
            if turn:
                costs[name].append(cost)
    if len(digests) != 1:
        raise SystemExit(f"the hashes differ: {sorted(digests)}")
    return {
        name: Cost(
            wall=median(cost.wall for cost in taken),
            cpu=median(cost.cpu for cost in taken),
            peak_mb=median(cost.peak_mb for cost in taken),
        )
        for name, taken in costs.items()
    }


def run(command: list[str]) -> tuple[Cost, str]:
    """Run a process to its end and return its own cost and its output."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."}
    )
    answer = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    peak_mb = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    return Cost(wall=wall, cpu=usage.ru_utime + usage.ru_stime, peak_mb=peak_mb), answer


def table(report: dict[str, object], figures: dict[str, Cost], size: int) -> str:
    """Return the figures as a text table."""
    lines = [
        f"{report['rows']:,} requests, {size / 1e6:.0f} MB, medians of {report['pairs']}",
        "",
        f"{'':<12}{'wall s':>8}{'cpu s':>8}{'peak MB':>9}{'MB/s wall':>11}{'MB/s cpu':>10}",
    ]
    for name, cost in figures.items():
        speed = (
            ""
            if name == "start"
            else f"{size / cost.wall / 1e6:>11.0f}{size / cost.cpu / 1e6:>10.0f}"
        )
        lines.append(f"{name:<12}{cost.wall:>8.3f}{cost.cpu:>8.3f}{cost.peak_mb:>9.0f}{speed}")
    lines.append("")
    lines.append(
        f"scan takes {report['scan_to_sha256sum_wall']:.2f} times the wall clock of sha256sum,"
        f" {report['scan_to_sha256sum_cpu']:.2f} times its processor time"
        f" ({report['scan_to_hashlib_cpu']:.2f} times hashlib's)"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
