"""Where jobs stand, for somebody who goes on looking: lines that fit a terminal, or changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from runner.report.colour import NO_COLOURS
from runner.report.history import describe_event
from runner.report.progress import RunProgress, run_progress_lines
from runner.report.safe_text import columns, fit, pad, plain
from runner.text import clock_time, moment, plural, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.ledger.records import Event, Run
    from runner.report.colour import Colours
    from runner.views.jobs import JobView

EVENTS_LOOKED_AT: Final = 100
"""How many of the last events are enough to show the last few of: many looks say the same."""

_EVENTS: Final = 8
_FEWEST_EVENTS: Final = 3
_LONGEST_NAME: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchState:
    """Where the jobs stood when the ledger was last looked at, and what had happened last."""

    views: tuple[JobView, ...]
    standing: tuple[RunProgress, ...]
    events: tuple[Event, ...]

    @classmethod
    def of(
        cls, views: Sequence[JobView], runs: Sequence[Run], events: Sequence[Event], *, now: float
    ) -> WatchState:
        """Put together what the ledger knows; `runs` are those of the jobs at work, whole.

        `now` is in Unix seconds.
        """
        at_work = {(run.job, run.short): run for run in runs}
        return cls(
            views=tuple(views),
            standing=tuple(
                _standing(view, at_work.get((view.name, view.revision or "")), now)
                for view in views
            ),
            events=tuple(_unrepeated(events)),
        )

    @property
    def settled(self) -> bool:
        """Whether every job is in a final state."""
        return all(view.state.final for view in self.views)

    def lines(
        self, *, unix: float, most: int, width: int, colours: Colours = NO_COLOURS
    ) -> list[str]:
        """Render it in at most `most` lines of at most `width` columns; `unix` is now.

        Where there are more jobs than lines, those that are final are left out first.
        """
        room = most - 1
        spare = max(room - len(self.standing), _FEWEST_EVENTS + 1 if room > 2 * _EVENTS else 0)
        events = self._event_lines(min(spare - 1, _EVENTS), width, colours)
        room = max(room - (len(events) + 1 if events else 0), 1)
        shown = self.standing
        if len(shown) > room:
            final = {view.name for view in self.views if view.state.final}
            shown = tuple(sorted(shown, key=lambda one: one.job in final))
        jobs = run_progress_lines(shown, unix=unix, most=room, width=width, colours=colours)
        below = ["", *events] if events else []
        return [self._head(unix, width), *jobs, *below][:most]

    def table(self, *, unix: float, width: int, colours: Colours = NO_COLOURS) -> str:
        """Render the jobs alone, all of them, as they are left on the screen."""
        lines = run_progress_lines(
            self.standing, unix=unix, most=len(self.standing), width=width, colours=colours
        )
        return "".join(f"{line.removeprefix('  ')}\n" for line in lines)

    def changes(self, before: WatchState | None, *, unix: float) -> Iterator[str]:
        """Yield a line for each job that stands elsewhere than before; None: for each job."""
        known = {} if before is None else {one.job: _timeless(one) for one in before.standing}
        for one in self.standing:
            if known.get(one.job) != _timeless(one):
                yield plain(f"{moment(unix)}  {one.job}: {_in_words(one)}")

    def _head(self, unix: float, width: int) -> str:
        counts: dict[str, int] = {}
        for view in self.views:
            counts[view.state] = counts.get(view.state, 0) + 1
        describe_event = f"{plural(len(self.views), 'job')}: " + ", ".join(
            f"{count} {state}" for state, count in counts.items()
        )
        since = f"; last event {span(unix - self.events[-1].at)} ago" if self.events else ""
        whole = f"{describe_event}{since} (q ends)"
        return whole if columns(whole) <= width else fit(f"{describe_event} (q ends)", width)

    def _event_lines(self, most: int, width: int, colours: Colours) -> list[str]:
        if most < 1:
            return []
        shown = self.events[-most:]
        names = [fit(plain(event.job or "-"), _LONGEST_NAME) for event in shown]
        name_width = max(map(columns, names), default=0)
        kind_width = max((len(event.kind) for event in shown), default=0)
        return [
            colours.faint(
                fit(
                    f"  {clock_time(event.at)}  {pad(name, name_width)}  "
                    f"{plain(event.kind).ljust(kind_width)}  "
                    f"{plain(describe_event(event))}".rstrip(),
                    width,
                )
            )
            for event, name in zip(shown, names, strict=True)
        ]


def _standing(view: JobView, run: Run | None, now: float) -> RunProgress:
    """Return where a job stands: by its batches while it is at work, else by how it ended."""
    note = ((view.note, 0.0),) if view.note else ()
    if run is not None and not view.state.final:
        at_work = RunProgress.of(run, now=now)
        return replace(at_work, state=str(view.state), reasons=note)
    return RunProgress(
        job=view.name,
        done=view.succeeded,
        failed=view.failed,
        total=view.total,
        state=str(view.state),
        reasons=note,
    )


def _unrepeated(events: Sequence[Event]) -> Iterator[Event]:
    """Yield the events, of looks at a batch that showed the same status only the last."""
    last = {(event.batch, event.detail.get("status")): event for event in events}
    for event in events:
        if event.kind != "batch_changed" or last[event.batch, event.detail.get("status")] is event:
            yield event


def _timeless(one: RunProgress) -> RunProgress:
    """Return a standing without its times, which change of themselves."""
    return replace(
        one, phases=tuple(replace(phase, since=None) for phase in one.phases), expires=None
    )


def _in_words(one: RunProgress) -> str:
    describe_event = f"{one.state}, {one.done:,} of {one.total:,} done"
    if one.failed:
        describe_event += f", {one.failed:,} failed"
    phases = [f"{phase.count} {phase.name}" for phase in one.phases]
    reasons = [reason for reason, _ in one.reasons]
    return "; ".join([describe_event, *([", ".join(phases)] if phases else []), *reasons])
