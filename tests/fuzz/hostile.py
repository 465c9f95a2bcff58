"""Fuzz every call with servers that mean harm: `python -m tests.fuzz.hostile --runs 2000 --jobs 4`.

A case is a kind of call and a number. From both follows how a real server on loopback treats it:
slow, endless, huge, nested, many-headed, packed, redirecting, cut, interim replies without end, and
all of these together. The deadlines are those of a real run, made short.

The call must end within them, with a value or an error of runner's tree that can be shown; a child
process that makes thousands of such calls must stay under 300 MB; and the API key must reach no
other origin. Prints what became of the cases. A case that broke a promise is printed with the
command that repeats it, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import resource
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, Self

from runner.api.client import Client
from runner.api.retry import RetryPolicy, Timeouts
from runner.errors import ApiError, LocalFileError, MayHaveActed
from runner.spec.project import Provider, Secret
from tests.fuzz.misconduct import Case, Misconduct
from tests.fuzz.network import KEY
from tests.fuzz.target import assert_readable, assert_told

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TIMEOUTS: Final = Timeouts(
    connect=2.0,
    read=0.15,
    write=0.15,
    pool=2.0,
    act=0.15,
    reply=0.25,
    act_reply=0.25,
    listing=0.5,
    least_rate=50_000.0,
    window=0.15,
)
POLICY: Final = RetryPolicy(tries=2)

LONGEST_CALL: Final = 15.0
"""Seconds. By the deadlines a call takes up to four, with every redirect and retry; the rest is for
decoding the largest replies on a busy machine."""

MOST_MEMORY: Final = 300_000_000

_CONTENT: Final = b'{"custom_id": "a"}\n' * 40_000
_MOST_BYTES: Final = 3_000_000
_MOST_PAGES: Final = 2_000


def _never(entries: Sequence[object]) -> bool:
    return len(entries) > _MOST_PAGES * 100


def _upload(client: Client, folder: Path) -> None:  # noqa: ARG001
    client.upload(io.BytesIO(_CONTENT), filename="x.jsonl", size=len(_CONTENT))


def _create(client: Client, folder: Path) -> None:  # noqa: ARG001
    client.create_batch(
        input_file_id="file-1",
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"runner": "x"},
    )


def _download(client: Client, folder: Path) -> None:
    destination = folder / "content"
    told: list[int] = []
    try:
        done = client.download(
            "file-1", destination, expected_bytes=None, at_most=_MOST_BYTES, progress=told.append
        )
    except (ApiError, LocalFileError):
        assert not destination.exists(), "a part of a file was left behind"
        raise
    finally:
        assert max(told, default=0) <= _MOST_BYTES, "more was written than may be"
    assert destination.stat().st_size == done.bytes
    destination.unlink()


CALLS: Final[dict[str, Callable[[Client, Path], object]]] = {
    "list": lambda client, _: client.list_batches(enough=_never),
    "files": lambda client, _: client.list_files(enough=_never),
    "retrieve": lambda client, _: client.retrieve_batch("batch_1"),
    "file": lambda client, _: client.retrieve_file("file-1"),
    "cancel": lambda client, _: client.cancel_batch("batch_1"),
    "delete": lambda client, _: client.delete_file("file-1"),
    "create": _create,
    "upload": _upload,
    "download": _download,
}
_ACTING: Final = ("create", "upload")


@dataclass(slots=True)
class Tally:
    """What became of some cases: how often each outcome came, times in seconds, bytes."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    slowest_case: str = ""
    memory: int = 0

    def add(self, other: Tally) -> None:
        self.outcomes += other.outcomes
        self.memory = max(self.memory, other.memory)
        if other.slowest > self.slowest:
            self.slowest, self.slowest_case = other.slowest, other.slowest_case

    def __str__(self) -> str:
        outcomes = ", ".join(f"{name} {count:,}" for name, count in self.outcomes.most_common())
        return (
            f"{self.outcomes.total():,} cases, slowest {self.slowest:.2f} s ({self.slowest_case}),"
            f" peak memory {self.memory / 1e6:,.0f} MB; {outcomes}"
        )


def _outcome(kind: str, error: ApiError | LocalFileError) -> str:
    assert_readable(str(error))
    assert KEY not in str(error), "the key is in a message"
    assert kind in _ACTING or not isinstance(error, MayHaveActed)
    return assert_told(error)


class Bully:
    """A hostile server, another one at another origin, and a client of the first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers = (Misconduct(), Misconduct())

    def __enter__(self) -> Self:
        for server in self._servers:
            server.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.stop()

    def call(self, kind: str, number: int) -> tuple[str, float]:
        """Make a call, and return a word for its outcome and its seconds.

        Raises whatever is no error of runner's tree, and AssertionError for a broken promise.
        """
        case = Case(kind, number, origins=[server.origin for server in self._servers])
        for server in self._servers:
            server.begin(case)
        provider = Provider(
            name="lab", base_url=f"{self._servers[0].origin}/v1", api_key_env="LAB_KEY"
        )
        began = time.monotonic()
        try:
            with Client(
                provider, Secret(KEY), sleep=lambda _: None, timeouts=TIMEOUTS, policy=POLICY
            ) as client:
                CALLS[kind](client, self._folder)
            outcome = "accepted"
        except (ApiError, LocalFileError) as error:
            outcome = _outcome(kind, error)
        finally:
            spent = time.monotonic() - began
            for server in self._servers:
                server.end()
        assert spent < LONGEST_CALL, f"it took {spent:.1f} s"
        assert KEY.encode() not in self._servers[1].heard, "the key went to another origin"
        return outcome, spent


def run(kind: str, numbers: Sequence[int]) -> Tally:
    """Make the calls of some cases; raises RuntimeError with the case for a broken promise."""
    tally = Tally()
    with TemporaryDirectory() as folder, Bully(Path(folder)) as bully:
        for number in numbers:
            try:
                outcome, spent = bully.call(kind, number)
            except Exception as error:
                raise RuntimeError(
                    f"{traceback.format_exc()}\nFAILED: python -m tests.fuzz.hostile --call {kind}"
                    f" --first {number} --runs 1"
                ) from error
            part = Tally(Counter([outcome]), spent, f"{kind} {number}", peak_memory())
            tally.add(part)
    assert tally.memory < MOST_MEMORY, f"{tally.memory:,} bytes of memory"
    return tally


def peak_memory() -> int:
    """Return the most bytes of memory that this process has had.

    On Linux `getrusage` may tell the peak of the process that started this one; others have no
    /proc.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    [peak] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(peak) * 1024


def main() -> int:
    """Run the cases; return 1 if one broke a promise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--call", choices=CALLS, action="append", help="only this kind of call")
    parser.add_argument("--runs", type=int, default=2000, help="cases of each kind of call")
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--jobs", type=int, default=1, help="processes at the same time")
    parser.add_argument("--describe", action="store_true", help="print the cases, and make no call")
    chosen = parser.parse_args()
    numbers = range(chosen.first, chosen.first + chosen.runs)
    if chosen.describe:
        for kind in chosen.call or CALLS:
            for number in numbers:
                sys.stdout.write(f"{kind} {number}: {Case(kind, number, origins=['', ''])}\n")
        return 0
    # As spawned processes, so that the memory of each is its own.
    with ProcessPoolExecutor(
        chosen.jobs, mp_context=multiprocessing.get_context("spawn")
    ) as processes:
        total = Tally()
        began = time.monotonic()
        for kind in chosen.call or CALLS:
            shares = [numbers[start :: chosen.jobs] for start in range(chosen.jobs)]
            tally = Tally()
            try:
                for part in processes.map(run, [kind] * len(shares), shares):
                    tally.add(part)
            except (RuntimeError, AssertionError) as error:
                sys.stdout.write(f"{error}\n")
                return 1
            sys.stdout.write(f"{kind}: {tally}\n")
            sys.stdout.flush()
            total.add(tally)
    sys.stdout.write(f"all, in {time.monotonic() - began:,.0f} s: {total}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
