"""Tell stories for as long as one likes: `python -m tests.simulation.soak --minutes 5`.

Prints a line for each seed that breaks a promise, and how many held; exits with 1 if any broke.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path

from tests.simulation.trial import trial


def main() -> int:
    """Run seeds from `--first` on until their number or the time is used up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=None)
    parser.add_argument("--minutes", type=float, default=None)
    chosen = parser.parse_args()
    began = time.monotonic()
    broken = told = deaths = lost = 0
    memory = Path("/dev/shm")
    for seed in itertools.count(chosen.first):
        spent = time.monotonic() - began
        if chosen.seeds is not None and told >= chosen.seeds:
            break
        if chosen.minutes is not None and spent >= chosen.minutes * 60:
            break
        if chosen.seeds is None and chosen.minutes is None and told >= 1000:
            break
        told += 1
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
            try:
                came_to = trial(seed, Path(folder))
            except AssertionError as error:
                broken += 1
                sys.stdout.write(f"{str(error)[:2000]}\n")
            else:
                deaths += came_to.deaths
                lost += came_to.lost_ledgers
    spent = time.monotonic() - began
    sys.stdout.write(
        f"{told} seeds from {chosen.first} in {spent:.0f} s: {broken} broke a promise; "
        f"{deaths} deaths, {lost} lost ledgers\n"
    )
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
