"""What is going on at this moment, for somebody who watches: bytes that move, requests done.

The counts are the provider's own and are known to lie (fact sheet, failures 1 to 5): they are
shown to people here and nothing goes by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.report.plain import fit, pad, plain
from runner.report.words import plural, size, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.ledger.records import Run
    from runner.reconcile.actions import Wait

_ROOMY: Final = 100
"""From how many columns on there is room for long names and long bars."""
_SETTLING: Final = 0.5
"""Seconds before a rate says anything."""

_STILL: Final = 2.0
"""Seconds without a byte before that is worth saying."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A file on its way: how far it has come, and since when.

    `began` and `now` are seconds of any clock that never goes back; `total` is 0 where nobody
    knows it.
    """

    job: str
    what: str
    done: int
    total: int
    began: float
    now: float

    @classmethod
    def after(
        cls, before: Transfer | None, *, job: str, what: str, done: int, total: int, now: float
    ) -> Transfer:
        """Return the transfer after a step: the one under way, or the next if that has ended."""
        same = (
            before is not None
            and (before.job, before.what, before.total) == (job, what, total)
            and before.done <= done
        )
        began = before.began if before is not None and same else now
        return cls(job=job, what=what, done=done, total=total, began=began, now=now)

    def told(self, now: float) -> str:
        """Say it in one line: how much of how much, how fast, how much longer."""
        told = f"{self.job}: {self.what} {size(self.done)}"
        still = now - self.now
        if self.total:
            told += f" of {size(self.total)}"
        if still >= _STILL:
            # All of it has come, and is being worked on; or the line is dead.
            whole = self.total and self.done >= self.total
            return f"{told}, {'working' if whole else 'nothing'} for {span(still)}"
        elapsed = self.now - self.began
        if elapsed < _SETTLING or not self.done:
            return told
        rate = self.done / elapsed
        told += f", {size(rate)}/s"
        left = max(self.total - self.done, 0) / rate
        return f"{told}, {span(left)} left" if left >= 1 else told


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One run that is being waited for."""

    job: str
    done: int
    failed: int
    total: int
    phases: str
    since: float | None


def standings(waits: Sequence[Wait]) -> tuple[Standing, ...]:
    """Sum up, by run, what a pass left to be waited for."""
    runs: dict[int, tuple[Run, list[Wait]]] = {}
    for wait in waits:
        runs.setdefault(wait.run.id, (wait.run, []))[1].append(wait)
    return tuple(_standing(run, its_waits) for run, its_waits in runs.values())


def _standing(run: Run, waits: Sequence[Wait]) -> Standing:
    done = failed = 0
    phases: dict[str, int] = {}
    since: float | None = None
    for submission in run.submissions:
        if submission.state.closed:
            permanent = 0 if submission.permanent is None else len(submission.permanent)
            transient = 0 if submission.transient is None else len(submission.transient)
            done += submission.requests - permanent - transient
            failed += permanent
            continue
        if submission.batch is not None:
            done += submission.batch.request_counts.completed
            failed += max(submission.batch.request_counts.failed, 0)
        phase = str(submission.state if submission.batch is None else submission.batch.status)
        phases[phase] = phases.get(phase, 0) + 1
        if submission.submitted_at is not None:
            since = min(since or submission.submitted_at, submission.submitted_at)
    open_keys = {str(one.key) for one in run.submissions if not one.state.closed}
    others = {wait.why for wait in waits if wait.trouble or str(wait.key) not in open_keys}
    told = [f"{count} {phase}" if count > 1 else phase for phase, count in phases.items()]
    return Standing(
        job=run.job,
        done=min(done, run.requests),
        failed=failed,
        total=run.requests,
        phases=", ".join([*told, *sorted(others)]),
        since=since,
    )


def waiting_lines(
    standing: Sequence[Standing], *, now: float, began: float, most: int, width: int
) -> list[str]:
    """Render what is being waited for.

    In at most `most` lines for a terminal of `width` columns; the times in Unix seconds.
    """
    bar_width, longest_name = (16, 32) if width >= _ROOMY else (8, 20)
    lines = [f"waiting for {plural(len(standing), 'job')}, {span(now - began)}"]
    shown = standing if len(standing) < most else standing[: max(most - 2, 0)]
    name_width = min(max((len(one.job) for one in shown), default=0), longest_name)
    counts = [f"{one.done:,} of {one.total:,}" for one in shown]
    count_width = max(map(len, counts), default=0)
    for one, count in zip(shown, counts, strict=True):
        failed = f", {one.failed:,} failed" if one.failed else ""
        since = "" if one.since is None else f", {span(now - one.since)}"
        name = pad(fit(plain(one.job), name_width), name_width)
        bar = _bar(one.done, one.total, bar_width)
        lines.append(
            plain(f"  {name}  {bar}  {count.rjust(count_width)}{failed}  {one.phases}{since}")
        )
    if len(shown) < len(standing):
        lines.append(f"  and {len(standing) - len(shown):,} more")
    return lines


def _bar(done: int, total: int, width: int) -> str:
    filled = width * done // total if total else 0
    return "━" * filled + "─" * (width - filled)
