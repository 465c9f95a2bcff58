"""The output of `runner status`: a table with a line a job, and notes below it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from runner.ledger.records import RunState
from runner.report.colour import NO_COLOURS, bar
from runner.report.csv_output import to_csv
from runner.report.table import Column, flow_cells, render_table
from runner.report.text_width import columns, fit
from runner.text import (
    listed,
    plural,
    printable,
    short_ids,
    span,
    timestamp,
    truncated_answers,
)
from runner.views.batch_phases import in_status_since

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runner.report.colour import Colours
    from runner.views.jobs import JobView

_TITLES: Final = (
    "name", "revision", "state", "total", "succeeded", "failed", "pending", "attempts", "batches",
    "in_flight", "expires_at", "created_at", "finished_at", "provider", "endpoint",
    "completion_window", "total_tokens", "output_dir", "spec", "note", "blocked", "blocked_since",
)  # fmt: skip
_STATE: Final = 1
_FAILED: Final = 3
_IDS_SHOWN: Final = 1
_NOTES_SHOWN: Final = 20
_BAR: Final = 20
"""The columns of the bar of all requests."""
_MOST_LEFT_OUT: Final = 5
"""The most columns left out of a table; if more do not fit, each job gets lines of its own."""

_MANY: Final = 20
"""The number of jobs above which a terminal gets totals first, and no line for each job."""


def render_status(
    views: Sequence[JobView],
    *,
    now: float,
    wide: bool = False,
    each: bool = False,
    durations: Mapping[str, Sequence[float]] | None = None,
    width: int | None = None,
    colours: Colours = NO_COLOURS,
) -> str:
    """Render the table; empty without jobs.

    The table has at most `width` columns of a terminal. `width` None sets no limit: then nothing
    is shortened, and the table always has the same columns. `wide` adds columns. In a terminal
    many jobs begin with totals, and jobs in the same state share a line unless `each` is true.
    `durations` has how long batches of each provider took, in seconds, to tell when those in
    flight may end. `now` is in Unix seconds.
    """
    if not views:
        return ""
    above: list[str] = []
    below = _notes(views, now, None if width is None else _NOTES_SHOWN)
    if width is not None and len(views) > _MANY:
        above = [_count_states(views), *totals(views, now, durations or {}), ""]
        views, others = (views, ()) if each else _split(views)
    else:
        others = ()
    at_work = width is not None and any(view.awaited for view in views)
    heads = _USUAL | (_MORE if wide else _AT_WORK if at_work else {})
    if width is not None:
        short = short_ids(batch.id for view in views for batch in view.in_flight)
        heads = {
            column: partial(_in_flight, short=short) if cell is _in_flight else cell
            for column, cell in heads.items()
        }
    rows = [[cell(view, now) for cell in heads.values()] for view in views]

    def colour_cell(row: int, column: int, cell: str) -> str:
        if column == _STATE:
            return colours.state(views[row].state, cell)
        return colours.bad(cell) if column == _FAILED and views[row].done.failed else cell

    table = render_table(list(heads), rows, width, colours=colours, colour_cell=colour_cell)
    if others:
        below += [*map(_summed, others), "`runner status --all` shows each job"]
    lines: Sequence[str] = table.lines
    if width is not None and len(table.left_out) > _MOST_LEFT_OUT:
        lines = [line for view in views for line in _block(view, heads, now, width, colours)]
    elif wide and table.left_out:
        below.append(f"no room for {', '.join(table.left_out)}: use a wider window or a pipe")
    above = [fit(printable(line), width) for line in above]
    notes = [fit(printable(note), width) for note in below]
    return "\n".join([*above, *(lines if views else ()), *_below(notes)]) + "\n"


def status_csv(views: Sequence[JobView]) -> str:
    """Return jobs as CSV: the columns of `-o wide` and more, in a form for programs."""
    return to_csv(
        _TITLES,
        (
            (
                view.name,
                view.revision,
                str(view.state),
                view.total,
                view.succeeded,
                view.failed,
                view.pending,
                view.attempts,
                len(view.batches),
                " ".join(batch.id for batch in view.in_flight),
                _time(_expires_at(view)),
                _time(view.created_at),
                _time(view.finished_at),
                view.provider,
                view.endpoint,
                view.completion_window,
                view.tokens.total,
                view.output_dir,
                view.spec,
                view.note,
                None if view.blocked is None else view.blocked.reason,
                _time(None if view.blocked is None else view.blocked.since),
            )
            for view in views
        ),
    )


def _time(at: float | None) -> str | None:
    return None if at is None else timestamp(at)


def _block(view: JobView, heads: _Cells, now: float, width: int, colours: Colours) -> Iterator[str]:
    """Yield the columns of one job as lines of its own, for a terminal too narrow for the table."""
    [(_, name), (_, state), *others] = heads.items()
    word = state(view, now)
    head = fit(name(view, now), width - columns(word) - 2)
    yield f"{colours.bold(head)}  {colours.state(word, word)}"
    cells = [
        f"{column.title.lower()}: {cell}"
        for column, its in others
        if (cell := its(view, now)) != "-"
    ]
    yield from flow_cells(cells, width, indent=2)


def _below(below: list[str]) -> list[str]:
    return ["", *below] if below else []


def _expires_at(view: JobView) -> int | None:
    """Return when the first of the batches in flight expires, in Unix seconds."""
    return min((batch.expires_at for batch in view.in_flight if batch.expires_at), default=None)


def _in_this_state(view: JobView, now: float) -> str:
    """Return how long a job has had its state; while it runs, how long its oldest batch has."""
    if view.finished_at is not None:
        return span(now - view.finished_at)
    since = [at for batch in view.in_flight if (at := in_status_since(batch, now)) is not None]
    return span(now - min(since)) if since else "-"


def _expires(view: JobView, now: float) -> str:
    at = _expires_at(view)
    if at is None:
        return "-"
    return f"in {span(at - now)}" if at > now else "overdue"


def _in_flight(view: JobView, _now: float, *, short: Mapping[str, str] | None = None) -> str:
    names = [(short or {}).get(batch.id, batch.id) for batch in view.in_flight]
    return printable(listed(names, most=_IDS_SHOWN)) or "-"


def _tokens(view: JobView, _now: float) -> str:
    tokens = view.tokens.total
    return "-" if tokens is None else f"{tokens:,}"


def _age(view: JobView, now: float) -> str:
    return "-" if view.created_at is None else span(now - view.created_at)


def _counted(batches: Sequence[Mapping[str, object]]) -> str:
    """Return the batches counted by status, the newest ones first."""
    counts: dict[str, int] = {}
    for batch in reversed(batches):
        status = printable(str(batch.get("status")))
        counts[status] = counts.get(status, 0) + 1
    return ", ".join(f"{count} {status}" for status, count in counts.items()) or "-"


def state_words(view: JobView) -> str:
    """Return the state of a job; one that is blocked is not only running or pending."""
    return f"{view.state} (blocked)" if view.blocked is not None else str(view.state)


def describe_blocked(view: JobView, now: float) -> str | None:
    """Write why a job is blocked, and for how long; None if it is not."""
    if view.blocked is None:
        return None
    return f"blocked for {span(max(now - view.blocked.since, 0))}: {view.blocked.reason}"


def totals(
    views: Sequence[JobView], now: float, durations: Mapping[str, Sequence[float]]
) -> Iterator[str]:
    """Yield the totals of many jobs: a bar of their requests, and what is in flight."""
    total = sum(view.total for view in views)
    succeeded = sum(view.done.succeeded for view in views)
    failed = sum(view.done.failed for view in views)
    done, left = bar(succeeded + failed, total, _BAR)
    share = 100 * (succeeded + failed) // total if total else 0
    counts = f"{succeeded:,} of {plural(total, 'request')} succeeded, {failed:,} failed"
    yield f"{done}{left} {share} %  {counts}"
    in_flight = [(view.provider, batch) for view in views for batch in view.in_flight]
    if not in_flight:
        return
    from statistics import median  # its import takes longer than the rest of the rendering

    ends = [
        batch.created_at + median(durations[provider])
        for provider, batch in in_flight
        if batch.created_at is not None and durations.get(provider)
    ]
    text = f"{plural(len(in_flight), 'batch')} in flight"
    if ends:
        known = sum(map(len, durations.values()))
        last = max(ends) - now
        when = f"in about {span(last)}" if last > 0 else "any time now"
        text += f"; the last should end {when}, as {plural(known, 'earlier batch')} did"
    yield text


def _split(
    views: Sequence[JobView],
) -> tuple[Sequence[JobView], Sequence[Sequence[JobView]]]:
    """Return the jobs that get a line each, and the others by state.

    Those that need attention come first, then those under way. Jobs that are blocked for one reason
    share their note, so only the first of them gets a line.
    """
    ranks = {RunState.FAILED: 0, RunState.PARTIAL: 1, RunState.RUNNING: 3}
    reasons: set[str] = set()
    ranked: list[tuple[int, JobView]] = []
    for view in views:
        rank = ranks.get(view.state, 4)
        if view.blocked is not None:
            rank = 4 if view.blocked.reason in reasons else 2
            reasons.add(view.blocked.reason)
        ranked.append((rank, view))
    ranked.sort(key=lambda pair: pair[0])
    shown = [view for rank, view in ranked if rank < 4][:_MANY]  # noqa: PLR2004 -- see above
    names = {view.name for view in shown}
    others: dict[str, list[JobView]] = {}
    for view in views:
        if view.name not in names:
            others.setdefault(state_words(view), []).append(view)
    return shown, tuple(others.values())


def _summed(views: Sequence[JobView]) -> str:
    """Write jobs of one state in a line."""
    total = sum(view.total for view in views)
    succeeded = sum(view.done.succeeded for view in views)
    names = listed([view.name for view in views])
    return (
        f"{plural(len(views), 'more job')} {state_words(views[0])}, {succeeded:,} of "
        f"{plural(total, 'request')} succeeded: {names}"
    )


def _notes(views: Sequence[JobView], now: float, limit: int | None) -> list[str]:
    """Return the notes of the jobs, of blocked ones first; jobs with the same note share a line."""
    jobs: dict[str, list[str]] = {}
    for view in views:
        if blocked := describe_blocked(view, now):
            jobs.setdefault(blocked, []).append(view.name)
    for view in views:
        for note in (view.note, truncated_answers(view.truncated)):
            if note:
                jobs.setdefault(note, []).append(view.name)
    notes = [f"{listed(names)}: {note}" for note, names in jobs.items()]
    if limit is None or len(notes) <= limit:
        return notes
    left = plural(len(notes) - limit, "more note")
    return [*notes[:limit], f"{left}: `runner show JOB` has each"]


def _count_states(views: Sequence[JobView]) -> str:
    """Return the jobs counted by state, the most frequent state first."""
    counts: dict[str, int] = {}
    for view in views:
        counts[state_words(view)] = counts.get(state_words(view), 0) + 1
    ranked = sorted(counts.items(), key=lambda entry: -entry[1])
    counted = ", ".join(f"{count:,} {state}" for state, count in ranked)
    return f"{plural(len(views), 'job')}: {counted}"


_Cells = dict[Column, "Callable[[JobView, float], str]"]
"""Columns in order, each with the function that returns its cell for a job and a time."""

_USUAL: Final[_Cells] = {
    Column(title="JOB", narrowest=12): lambda view, _: printable(view.name),
    Column(title="STATE"): lambda view, _: state_words(view),
    Column(title="SUCCEEDED", number=True): lambda view, _: f"{view.done.succeeded:,}",
    Column(title="FAILED", number=True): lambda view, _: f"{view.done.failed:,}",
    Column(title="TOTAL", number=True): lambda view, _: f"{view.total:,}",
    Column(title="BATCHES", narrowest=13): lambda view, _: _counted(view.batches),
    Column(title="REVISION", rank=1): lambda view, _: view.revision or "-",
}
_AT_WORK: Final[_Cells] = {
    Column(title="EXPIRES", rank=3): _expires,
    Column(title="IN FLIGHT", rank=7): _in_flight,
}
_MORE: Final[_Cells] = {
    Column(title="FOR", rank=2): _in_this_state,
    **_AT_WORK,
    Column(title="PROVIDER", rank=4): lambda view, _: printable(view.provider),
    Column(title="ATTEMPTS", rank=5, number=True): lambda view, _: f"{view.attempts:,}",
    Column(title="TOKENS", rank=6, number=True): _tokens,
    Column(title="AGE", rank=8): _age,
    Column(title="WINDOW", rank=9): lambda view, _: printable(view.completion_window or "-"),
    Column(title="ENDPOINT", rank=10): lambda view, _: printable(view.endpoint),
    Column(title="OUTPUT", rank=11): lambda view, _: printable(view.output_dir),
}
