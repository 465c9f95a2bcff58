"""What really happened at the simulated provider, and the promises that can be checked with it.

A client can only guess what a lost reply meant; the provider knows. The checks raise
AssertionError with every violation in words, so that a failure after thousands of exchanges can
be understood.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from tests.simulation.behaviour import AnswerLocation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.simulation.files import StoredFile
    from tests.simulation.life import Life

KEY = "runner"
"""The metadata key under which a batch names its submission."""


def run_of(key: str) -> str:
    """Return the run a submission belongs to: its key without shard and attempt."""
    return key.rsplit("/", 2)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One batch as the provider knows it.

    `key` is the submission's own, None where it was not given one. `rows` are the custom_ids
    asked, in order; `answered` those answered well, and so paid for, until now. `over_at`,
    `gone_at` and `readable_at` are times: the end of its life, when the provider forgets it,
    and from when on its answers can be downloaded; infinite if never. `withheld` says why its
    results cannot be had for good, and `excused` from when on the user accepts that a row is paid
    for again.
    """

    index: int
    batch_id: str
    key: str | None
    metadata: Mapping[str, str]
    input_file_id: str
    endpoint: str
    created: float
    status: str
    rows: tuple[str, ...]
    digests: tuple[bytes, ...]
    answered: frozenset[str]
    over_at: float
    gone_at: float
    readable_at: float
    readable_until: float
    downloaded_at: float
    withheld: str | None
    excused: Mapping[str, float]

    def __str__(self) -> str:
        return f"batch #{self.index} ({self.key or 'no key'}, created at {self.created:g})"

    def in_flight(self, at: float) -> bool:
        """Whether it could still answer at a time."""
        return at < min(self.over_at, self.gone_at)

    def known(self, at: float) -> bool:
        """Whether its answers could be had at a time, or had been fetched by then."""
        return self.readable_at <= at < self.readable_until or self.downloaded_at <= at


def submission(
    life: Life,
    files: Mapping[str, StoredFile],
    fetched: Mapping[str, float],
    now: float,
    excused: Mapping[str, float],
) -> Submission:
    """Tell the truth about one batch; `fetched` is when each file was first given out whole."""
    metadata = life.asked.get("metadata") or {}
    output = life.file_ids[AnswerLocation.OUTPUT]
    file = files.get(output)
    until = math.inf
    if file is not None:
        until = file.expires if file.deleted is None else file.deleted
    return Submission(
        index=life.index,
        batch_id=life.id,
        key=metadata.get(KEY),
        metadata=metadata,
        input_file_id=life.asked["input_file_id"],
        endpoint=life.asked["endpoint"],
        created=life.created,
        status=life.status(now),
        rows=tuple(row.custom_id for row in life.rows),
        digests=tuple(row.digest for row in life.rows),
        answered=frozenset(row.custom_id for row in life.answered(now)),
        over_at=life.over_at,
        gone_at=life.gone_at,
        readable_at=life.files_at + life.behaviour.content_after,
        readable_until=min(until, life.gone_at),
        downloaded_at=fetched.get(output, math.inf),
        withheld=life.withheld(now),
        excused=excused,
    )


def check_exactly_once(
    submissions: Sequence[Submission], run: Callable[[str], str] = run_of
) -> None:
    """Assert that no request of a run was submitted without need.

    - No two batches carry the same submission key, unless the provider had forgotten the first
      when the second was made.
    - No request is submitted while an earlier batch of the run that has it can still answer.
    - No request is submitted again if its good response could be downloaded, or had been, or would
      have come but for a gateway that spoils the file.

    The user may excuse the second and the third for a row: by a retry, after the pass has given up.
    A request is a line of an input file, byte for byte. Batches without a key count as one run.
    """
    wrong: list[str] = []
    carriers: dict[str, list[Submission]] = defaultdict(list)
    for each in submissions:
        if each.key is not None:
            carriers[each.key].append(each)
    for key, twins in carriers.items():
        if any(second.created < first.gone_at for first, second in combinations(twins, 2)):
            named = ", ".join(map(str, twins))
            wrong.append(f"{len(twins)} batches carry the submission key {key!r}: {named}")
    for first, second, name in _asked_again(submissions, run):
        if second.created >= first.excused.get(name, math.inf):
            continue
        if first.in_flight(second.created):
            wrong.append(f"{name!r} is asked by {second} while {first} is still at work on it")
        elif name in first.answered and first.known(second.created):
            wrong.append(f"{name!r} is asked by {second} though {first} had answered it")
    _fail_with(wrong)


def check_nothing_lost(submissions: Sequence[Submission], asked: Iterable[str]) -> None:
    """Assert that each of these custom_ids was in a batch that did not fail, or has its answer."""
    reached = {
        name
        for each in submissions
        for name in (each.rows if each.status != "failed" else each.answered)
    }
    _fail_with([f"{name!r} was never asked" for name in asked if name not in reached])


def paid(
    submissions: Sequence[Submission], run: Callable[[str], str] = run_of
) -> Counter[tuple[str | None, str]]:
    """Count how often each request of each run was answered well: (run, custom_id) to times."""
    return Counter(
        (None if each.key is None else run(each.key), name)
        for each in submissions
        for name in each.answered
    )


def check_uploads_once(files: Iterable[StoredFile]) -> None:
    """Assert that no two uploaded files carry the same name."""
    names = Counter(file.filename for file in files if file.purpose == "batch")
    _fail_with(
        [f"{name!r} was uploaded {times} times" for name, times in names.items() if times > 1]
    )


def _asked_again(
    submissions: Sequence[Submission], run: Callable[[str], str]
) -> Iterable[tuple[Submission, Submission, str]]:
    """Yield each pair of batches of one run that ask the same line, the earlier one first."""
    asked: dict[tuple[str | None, bytes], list[tuple[Submission, str]]] = defaultdict(list)
    for each in submissions:
        scope = None if each.key is None else run(each.key)
        for digest, name in zip(each.digests, each.rows, strict=True):
            asked[scope, digest].append((each, name))
    for again in asked.values():
        for (first, name), (second, _) in combinations(again, 2):
            yield first, second, name


def _fail_with(wrong: Sequence[str]) -> None:
    if wrong:
        more = [f"... and {len(wrong) - 20} more"] if len(wrong) > 20 else []
        raise AssertionError("\n".join(["promises broken:", *wrong[:20], *more]))
