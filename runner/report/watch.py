"""The output of `runner watch`: lines that fit a terminal, or a line for each change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from runner.report.colour import NO_COLOURS
from runner.report.history import describe_event
from runner.report.progress import RunProgress, run_progress_lines
from runner.report.status import state_words, totals
from runner.report.text_width import columns, fit, pad
from runner.text import clock_time, moment, plural, printable, short_ids, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runner.ledger.records import Event, Run
    from runner.report.colour import Colours
    from runner.views.jobs import JobView

EVENTS_READ: Final = 100
"""How many of the last events to read: observations of the same status are shown as one."""

_EVENTS: Final = 8
_FEWEST_EVENTS: Final = 3
_LONGEST_NAME: Final = 20
_TALL: Final = 12
"""Lines of a terminal from which on it shows totals."""

_LONG: Final = 3600.0
"""Seconds without a pass that are worth saying; a schedule makes them within minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchState:
    """The jobs and the last events, as the ledger had them when it was last read.

    `durations` are seconds that earlier batches of each provider took, and `last_pass` is when a
    pass was made last, in Unix seconds, None where it is not known.
    """

    views: tuple[JobView, ...]
    progress: tuple[RunProgress, ...]
    events: tuple[Event, ...]
    durations: Mapping[str, Sequence[float]]
    last_pass: float | None = None

    @classmethod
    def of(
        cls,
        views: Sequence[JobView],
        runs: Sequence[Run],
        events: Sequence[Event],
        *,
        now: float,
        durations: Mapping[str, Sequence[float]] | None = None,
    ) -> WatchState:
        """Return the state from rows of the ledger; `runs` are those of the running jobs.

        `now` is in Unix seconds; `durations` has how long earlier batches of each provider took.
        """
        at_work = {(run.job, run.short): run for run in runs}
        return cls(
            views=tuple(views),
            progress=tuple(
                _progress(view, at_work.get((view.name, view.revision or "")), now)
                for view in views
            ),
            events=tuple(_without_repeats(events)),
            durations=durations or {},
        )

    @property
    def all_final(self) -> bool:
        """Whether every job is in a final state."""
        return all(view.state.final for view in self.views)

    def silence(self, unix: float) -> str | None:
        """Say that no pass was made for long, though jobs are not final; else None."""
        if self.all_final or self.last_pass is None or unix - self.last_pass < _LONG:
            return None
        return (
            f"no pass was made for {span(unix - self.last_pass)}: `runner reconcile` makes a "
            f"pass, `runner schedule` prints a schedule for them"
        )

    def lines(
        self, *, unix: float, most: int, width: int, colours: Colours = NO_COLOURS
    ) -> list[str]:
        """Render it in at most `most` lines of at most `width` columns; `unix` is now.

        If there are more jobs than lines, finished jobs are left out first. A high terminal shows
        the totals of several jobs, and when those in flight may end.
        """
        silence = self.silence(unix)
        above = [] if silence is None else [colours.warning(fit(printable(silence), width))]
        if len(self.views) > 1 and most >= _TALL:
            above += [fit(line, width) for line in totals(self.views, unix, self.durations)]
        room = most - 1 - len(above)
        spare = max(room - len(self.progress), _FEWEST_EVENTS + 1 if room > 2 * _EVENTS else 0)
        events = self._event_lines(min(spare - 1, _EVENTS), width, colours)
        room = max(room - (len(events) + 1 if events else 0), 1)
        shown = self.progress
        if len(shown) > room:
            final = {view.name for view in self.views if view.state.final}
            shown = tuple(sorted(shown, key=lambda one: one.job in final))
        jobs = run_progress_lines(shown, unix=unix, most=room, width=width, colours=colours)
        below = ["", *events] if events else []
        return [self._head(unix, width), *above, *jobs, *below][:most]

    def table(self, *, unix: float, width: int, colours: Colours = NO_COLOURS) -> str:
        """Render all jobs, without events: the lines that stay on the screen at the end."""
        lines = run_progress_lines(
            self.progress, unix=unix, most=len(self.progress), width=width, colours=colours
        )
        return "".join(f"{line.removeprefix('  ')}\n" for line in lines)

    def changes(self, before: WatchState | None, *, unix: float) -> Iterator[str]:
        """Yield a line for each job that has changed since `before`; None: for each job."""
        known = {} if before is None else {one.job: _without_times(one) for one in before.progress}
        for one in self.progress:
            if known.get(one.job) != _without_times(one):
                yield printable(f"{moment(unix)}  {one.job}: {_describe(one)}")

    def _head(self, unix: float, width: int) -> str:
        counts: dict[str, int] = {}
        for view in self.views:
            counts[state_words(view)] = counts.get(state_words(view), 0) + 1
        jobs = f"{plural(len(self.views), 'job')}: " + ", ".join(
            f"{count} {state}" for state, count in counts.items()
        )
        since = f"; last event {span(unix - self.events[-1].at)} ago" if self.events else ""
        whole = f"{jobs}{since} (q quits)"
        return whole if columns(whole) <= width else fit(f"{jobs} (q quits)", width)

    def _event_lines(self, most: int, width: int, colours: Colours) -> list[str]:
        if most < 1:
            return []
        shown = self.events[-most:]
        short = short_ids(event.batch for event in shown if event.batch is not None)
        names = [fit(printable(event.job or "-"), _LONGEST_NAME) for event in shown]
        name_width = max(map(columns, names), default=0)
        kind_width = max((len(event.kind) for event in shown), default=0)
        return [
            colours.faint(
                fit(
                    f"  {clock_time(event.at)}  {pad(name, name_width)}  "
                    f"{printable(event.kind).ljust(kind_width)}  "
                    f"{printable(describe_event(event, short))}".rstrip(),
                    width,
                )
            )
            for event, name in zip(shown, names, strict=True)
        ]


def _progress(view: JobView, run: Run | None, now: float) -> RunProgress:
    """Return the progress of a job: of its batches while it runs, else of its result."""
    reason = view.note if view.blocked is None else view.blocked.reason
    at_work = None if run is None or view.state.final else RunProgress.of(run, now=now)
    return RunProgress(
        job=view.name,
        succeeded=view.done.succeeded,
        failed=view.done.failed,
        total=view.total,
        state=state_words(view),
        phases=() if at_work is None else at_work.phases,
        expires=None if at_work is None else at_work.expires,
        reasons=((reason, 0.0),) if reason else (),
    )


def _without_repeats(events: Sequence[Event]) -> Iterator[Event]:
    """Yield the events; of the observations of the same status of a batch only the last."""
    last = {(event.batch, event.detail.get("status")): event for event in events}
    for event in events:
        if event.kind != "batch_changed" or last[event.batch, event.detail.get("status")] is event:
            yield event


def _without_times(one: RunProgress) -> RunProgress:
    """Return the progress without its times, which change with the clock."""
    return replace(
        one, phases=tuple(replace(phase, since=None) for phase in one.phases), expires=None
    )


def _describe(one: RunProgress) -> str:
    counts = f"{one.state}, {one.succeeded:,} of {one.total:,} requests"
    if one.failed:
        counts += f", {one.failed:,} failed"
    phases = [f"{phase.count} {phase.name}" for phase in one.phases]
    reasons = [reason for reason, _ in one.reasons]
    return "; ".join([counts, *([", ".join(phases)] if phases else []), *reasons])
