"""Run stories for a given time: `python -m tests.simulation.soak --minutes 5`.

Prints the story of each seed that breaks a promise, and a sum of all; exits with 1 if any broke.
`--first SEED --seeds 1` repeats one story. With `--jobs` the seeds are shared among that many
processes. `--examples N` searches with hypothesis instead, which reduces what it finds.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import multiprocessing
import queue
import shutil
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from tests.simulation.thrift import quick_folder
from tests.simulation.trial import trial

if TYPE_CHECKING:
    from multiprocessing.queues import Queue
    from pathlib import Path

_PROGRESS = 30.0
_BATCH = 10
"""Seeds between two reports of a worker."""
_SHOWN = 6000
_SUMMED = ("seeds", "broken", "passes", "exchanges", "deaths", "power cuts", "lost ledgers")


def main() -> int:
    """Run seeds from `--first` on until their number or the time is used up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--seeds", type=int, default=None)
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--examples", type=int, default=None)
    chosen = parser.parse_args()
    if chosen.examples is not None:
        return _search(chosen.examples)
    began = time.monotonic()
    until = None if chosen.minutes is None else began + chosen.minutes * 60
    seeds = 1000 if chosen.seeds is None and until is None else chosen.seeds
    reports: Queue[str | Counter[str] | None] = multiprocessing.Queue()
    workers = [
        multiprocessing.Process(
            target=_work, args=(chosen.first, seeds, until, number, chosen.jobs, reports)
        )
        for number in range(chosen.jobs)
    ]
    for worker in workers:
        worker.start()
    total = _listen(reports, workers, began)
    for worker in workers:
        worker.join()
    crashed = sum(1 for worker in workers if worker.exitcode)
    spent = time.monotonic() - began
    sys.stdout.write(
        f"{total['seeds']} seeds from {chosen.first} in {spent:.0f} s "
        f"({total['seeds'] / spent * 60:.0f} a minute): {total['broken']} broke a promise; "
        + ", ".join(f"{total[name]} {name}" for name in _SUMMED[2:])
        + (f"; {crashed} of the processes crashed" if crashed else "")
        + "\n"
    )
    return int(total["broken"] > 0 or crashed > 0)


def _listen(
    reports: Queue[str | Counter[str] | None],
    workers: list[multiprocessing.Process],
    began: float,
) -> Counter[str]:
    """Print what workers find, and add up what they did, until all have said goodbye."""
    total: Counter[str] = Counter()
    left, told = len(workers), time.monotonic()
    while left:
        try:
            news = reports.get(timeout=1.0)
        except queue.Empty:
            left = min(left, sum(worker.is_alive() for worker in workers))
            continue
        if news is None:
            left -= 1
        elif isinstance(news, str):
            sys.stdout.write(f"{news[:_SHOWN]}\n")
            sys.stdout.flush()
        else:
            total.update(news)
        if time.monotonic() - told >= _PROGRESS:
            told = time.monotonic()
            sys.stderr.write(
                f"{total['seeds']} seeds in {told - began:.0f} s, {total['broken']} broken\n"
            )
            sys.stderr.flush()
    return total


def _work(
    first: int,
    seeds: int | None,
    until: float | None,
    number: int,
    jobs: int,
    reports: Queue[str | Counter[str] | None],
) -> None:
    """Tell every `jobs`th story, beginning with the `number`th."""
    gc.freeze()
    gc.disable()  # a trial leaves cycles behind, which are swept together below
    done: Counter[str] = Counter()
    with quick_folder() as home:
        for index in itertools.count(number, jobs):
            over = seeds is not None and index >= seeds
            parent = multiprocessing.parent_process()
            alone = parent is None or not parent.is_alive()
            if over or alone or (until is not None and time.monotonic() >= until):
                break
            done.update(_one(first + index, home / str(index), reports))
            if done["seeds"] >= _BATCH:
                reports.put(done)
                done = Counter()
                gc.collect()
    reports.put(done)
    reports.put(None)


def _one(seed: int, folder: Path, reports: Queue[str | Counter[str] | None]) -> Counter[str]:
    try:
        came_to = trial(seed, folder)
    except AssertionError as error:
        reports.put(str(error))
        return Counter({"seeds": 1, "broken": 1})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Counter(
        {
            "seeds": 1,
            "passes": came_to.passes,
            "exchanges": len(came_to.site.world.requests),
            "deaths": came_to.deaths,
            "power cuts": came_to.power_cuts,
            "lost ledgers": came_to.lost_ledgers,
        }
    )


def _search(examples: int) -> int:
    from tests.simulation.stories import search

    found = search(examples)
    sys.stdout.write("no promise was broken\n" if found is None else f"{found}\n")
    return int(found is not None)


if __name__ == "__main__":
    sys.exit(main())
