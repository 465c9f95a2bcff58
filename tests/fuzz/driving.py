"""Run a target for a time or a number of executions, and report the outcomes.

Two drivers: `steered` keeps the inputs that reach new code, by atheris (libFuzzer for Python), and
`blind` keeps none and always starts from the seeds. Both make inputs with `mutation`: the same
random seed repeats the same run. Both stop at the first failure.
"""

from __future__ import annotations

import importlib
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Final, NoReturn

from tests.fuzz.mutation import LONGEST, mutate

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from tests.fuzz.target import Target

SLOWEST: Final = 20
"""Seconds an execution may take; typical ones take a millisecond."""

MEMORY: Final = 4 * 1024**3
"""Bytes of address space, coverage counters and libraries included."""

_REPORT_EVERY: Final = 60.0


class Hang(BaseException):
    """An execution took too long; no `except` clause of the code under test catches it."""


@dataclass(slots=True, kw_only=True)
class Bout:
    """One run of a target and its counts; `until` is a time of `time.monotonic`."""

    target: Target
    folder: Path
    until: float
    runs: int | None
    seed: int
    began: float = field(default_factory=time.monotonic)
    done: int = 0
    slowest: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    told: float = field(default_factory=time.monotonic)

    def over(self) -> bool:
        """Return whether the time or the executions are used up; print the counts once a minute."""
        now = time.monotonic()
        if now - self.told >= _REPORT_EVERY:
            self.told = now
            self.tell()
        return now >= self.until or (self.runs is not None and self.done >= self.runs)

    def tell(self) -> None:
        """Print one line with the counts of executions and outcomes."""
        spent = time.monotonic() - self.began
        outcomes = ", ".join(f"{name} {count:,}" for name, count in self.outcomes.most_common())
        sys.stdout.write(
            f"{self.target.name}: {self.done:,} executions in {spent:,.1f} s"
            f" ({self.done / max(spent, 0.001):,.0f}/s), slowest {self.slowest * 1000:,.0f} ms;"
            f" {outcomes}\n"
        )
        sys.stdout.flush()

    def execute(self, data: bytes) -> bool:
        """Run the target with one input; report a failure and return whether there was none."""
        began = time.monotonic()
        try:
            outcome = self.target.check(data, self.folder)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - any other exception is a finding
            self._fail(data)
            return False
        self.done += 1
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.outcomes[outcome] += 1
        return True

    def _fail(self, data: bytes) -> None:
        path = self.folder / f"{self.target.name}-{sha256(data).hexdigest()[:12]}"
        path.write_bytes(data)
        traceback.print_exc(file=sys.stdout)
        self.tell()
        sys.stdout.write(f"FAILED: python -m tests.fuzz {self.target.name} --input {path}\n")
        sys.stdout.flush()


def blind(bout: Bout) -> bool:
    """Mutate the seeds until the bout is over; return whether every execution went well."""
    random = Random(bout.seed)
    seeds = bout.target.seeds
    signal.signal(signal.SIGALRM, _hang)
    for data in seeds:
        if not _watched(bout, data):
            return False
    while not bout.over():
        data = seeds[random.randrange(len(seeds))]
        for _ in range(1 + random.randrange(3)):
            data = mutate(data, bout.target, random)
        if not _watched(bout, data):
            return False
    bout.tell()
    return True


def limit_memory() -> None:
    """Limit the memory: an endless allocation raises MemoryError, which is reported."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))


def _hang(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
    raise Hang(f"an execution took more than {SLOWEST} s")


def _watched(bout: Bout, data: bytes) -> bool:
    signal.setitimer(signal.ITIMER_REAL, SLOWEST)
    try:
        return bout.execute(data)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def steered(bout: Bout) -> NoReturn:
    """Follow new coverage until the bout is over; ends the process, as libFuzzer does."""
    atheris = importlib.import_module("atheris")  # types would need it to be installed
    corpus = bout.folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(bout.target.seeds):
        (corpus / f"seed-{number:03}").write_bytes(data)

    def one(data: bytes) -> None:
        if not bout.execute(data):
            os._exit(1)
        if bout.over():
            bout.tell()
            shutil.rmtree(bout.folder)
            os._exit(0)

    def change(data: bytes, longest: int, seed: int) -> bytes:
        random = Random(seed)
        match random.randrange(5):
            case 0:
                changed: bytes = atheris.Mutate(data, longest)
                return changed
            case 1:  # what reaches new code is mostly refused: keep some near what is accepted
                seeds = bout.target.seeds
                data = seeds[random.randrange(len(seeds))]
        return mutate(data, bout.target, random, longest=longest)

    arguments = [
        bout.target.name,
        f"-seed={bout.seed + 1}",  # libFuzzer takes 0 for "any"
        f"-max_len={LONGEST}",
        f"-timeout={SLOWEST}",
        "-rss_limit_mb=0",
        "-verbosity=0",
        f"-artifact_prefix={bout.folder}/",
        str(corpus),
    ]
    atheris.Setup(arguments, one, custom_mutator=change)
    atheris.Fuzz()
    raise AssertionError("libFuzzer came back")
