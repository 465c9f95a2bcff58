"""The history of a job: a line an event."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from runner.ledger.records import SubmissionKey
from runner.report.colour import NO_COLOURS
from runner.report.csv_output import to_csv
from runner.report.table import Column, render_table
from runner.report.text_width import wrap
from runner.text import moment, plural, printable, span, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runner.ledger.records import Event
    from runner.report.colour import Colours

_HEADS: Final = (
    Column(title="TIME (UTC)"),
    Column(title="JOB", narrowest=12),
    Column(title="KIND"),
    Column(title="WHAT", narrowest=28),
)
_KIND: Final = 2
_WARNINGS: Final = frozenset(
    {
        "outcome_unknown",
        "not_sent",
        "too_large",
        "batch_not_found",
        "overdue",
        "abandoned",
        "trouble",
        "not_told",
    }
)
"""Kinds of events that are shown as warnings."""

_MOST: Final = 40
_FIRST: Final = 3
_LAST: Final = 10
"""The numbers of events shown from the beginning and the end of a history over `_MOST`."""

_INDENT: Final = 39
"""Columns: two spaces, a timestamp, two spaces, the longest kind, two spaces."""


def history_lines(
    events: Sequence[Event],
    *,
    job: str,
    whole: bool,
    width: int | None,
    short: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Yield the history, oldest first; observations of the same status of a batch are one line.

    A long history is cut to its beginning and its end, unless `whole`. `short` has the short form
    of ids of batches.
    """
    folded = list(_fold_observations(events))
    left_out = range(0) if whole or len(folded) <= _MOST else range(_FIRST, len(folded) - _LAST)
    for number, (event, observations) in enumerate(folded):
        if number in left_out:
            if number == _FIRST:
                yield printable(f"  ... {len(left_out):,} more: `runner events {job}`")
            continue
        text = describe_event(event, short)
        if observations > 1:
            text += f" (the last of {observations:,} observations)"
        line = f"  {moment(event.at)}  {event.kind:<16}{text}"
        yield wrap(printable(line).rstrip(), width, indent=_INDENT)


def render_events(
    events: Sequence[Event], *, width: int | None = None, colours: Colours = NO_COLOURS
) -> str:
    """Render events of any jobs as a table, a line each; empty without events.

    The table has at most `width` columns; None for no limit, and then nothing is shortened.
    """
    if not events:
        return ""
    rows = [
        (
            moment(event.at),
            printable(event.job or "-"),
            printable(event.kind),
            printable(describe_event(event)),
        )
        for event in events
    ]

    def colour_cell(row: int, column: int, cell: str) -> str:
        event = events[row]
        if column != _KIND:
            return cell
        if event.kind == "run_finished":
            return colours.state(str(event.detail.get("state")), cell)
        if event.kind in ("failed", "lost"):
            return colours.bad(cell)
        return colours.warning(cell) if event.kind in _WARNINGS else cell

    return (
        "\n".join(render_table(_HEADS, rows, width, colours=colours, colour_cell=colour_cell).lines)
        + "\n"
    )


def events_csv(events: Sequence[Event]) -> str:
    """Return events as CSV; `detail` is JSON."""
    titles = ("at", "kind", "job", "revision", "submission", "batch", "text", "detail")
    return to_csv(
        titles,
        (
            (
                timestamp(event.at),
                event.kind,
                event.job,
                event.revision,
                event.submission,
                event.batch,
                describe_event(event),
                json.dumps(event.detail, ensure_ascii=False),
            )
            for event in events
        ),
    )


def _fold_observations(events: Sequence[Event]) -> Iterator[tuple[Event, int]]:
    """Yield each event with 1, and the last observation of each status with their number."""
    last = {
        status: number
        for number, event in enumerate(events)
        if (status := _observed_status(event)) is not None
    }
    counts: dict[tuple[str | None, object], int] = {}
    for number, event in enumerate(events):
        status = _observed_status(event)
        if status is None:
            yield event, 1
            continue
        counts[status] = counts.get(status, 0) + 1
        if last[status] == number:
            yield event, counts[status]


def _observed_status(event: Event) -> tuple[str | None, object] | None:
    return (event.batch, event.detail.get("status")) if event.kind == "batch_changed" else None


def describe_event(event: Event, short: Mapping[str, str] | None = None) -> str:
    """Return the details of an event in words, without its kind.

    `short` has the short form of ids of batches, where it is wanted.
    """
    match event.kind:
        case "run_started" | "run_restored" | "run_moved" | "run_reopened" | "run_finished":
            return _describe_run_event(event)
        case "spec_gone":
            return "no spec defines the job any more"
        case "cancel_requested":
            return f"of {event.revision}"
        case "trouble":
            return str(event.detail.get("what"))
        case "recovered":
            return _describe_recovery(event)
        case "told" | "not_told":
            reason = f": {event.detail['problem']}" if event.detail.get("problem") else ""
            return f"{event.detail.get('hook')}: {event.detail.get('of')}{reason}"
        case _:
            return ": ".join(
                part
                for part in (_shard(event), _describe_submission_event(event, short or {}))
                if part
            )


def _describe_recovery(event: Event) -> str:
    detail, since = event.detail, event.detail.get("since")
    return over_text(
        str(detail.get("subject") or ""),
        str(detail.get("what")),
        event.at - since if isinstance(since, float | int) else 0.0,
        gone=bool(detail.get("gone")),
    )


def over_text(subject: str, what: str, lasted: float, *, gone: bool = False) -> str:
    """Return the good news that a problem is over; `gone` if its subject does not exist any more.

    `what` is the problem, and `lasted` how long it was there, in seconds.
    """
    kind, _, name = subject.partition(" ")
    well = "has no problem any more" if kind == "file" else "works again"
    news = "is not needed any more" if gone else well
    return f"{name or 'it'} {news}, after {span(lasted)}; the problem was: {what}"


def _describe_run_event(event: Event) -> str:
    revision, detail = event.revision, event.detail
    match event.kind:
        case "run_started":
            return f"{revision}: {_requests(detail)} from {detail.get('input')}"
        case "run_restored":
            return f"{revision}, {detail.get('state')}, from its record on the disk"
        case "run_moved":
            return f"{revision}, from job {detail.get('was_job')} in {detail.get('was_folder')}"
        case "run_reopened":
            return f"{revision}, " + (
                "to retry the failed requests" if detail.get("asked") else "its spec is back"
            )
        case _:
            reason = f"; {detail['reason']}" if detail.get("reason") else ""
            return (
                f"{revision} {detail.get('state')}: {_number(detail, 'succeeded')} succeeded, "
                f"{_number(detail, 'failed')} failed{reason}"
            )


def _describe_submission_event(event: Event, short: Mapping[str, str]) -> str:
    detail, batch = event.detail, short.get(event.batch or "", event.batch)
    match event.kind:
        case "prepared":
            text = _requests(detail)
        case "uploaded" | "file_adopted":
            text = str(detail.get("file"))
        case "creating":
            text = f"window {detail.get('completion_window')}"
        case "submitted" | "batch_adopted":
            text = f"{batch}, {detail.get('status')}"
        case "batch_changed":
            text = (
                f"{batch}, {detail.get('status')}, {_number(detail, 'completed')} of "
                f"{_number(detail, 'total')} requests, {_number(detail, 'failed')} failed"
            )
        case "batch_not_found":
            text = str(batch)
        case "downloaded":
            text = f"{detail.get('kind_of_file')} file {detail.get('file')}"
        case "collected":
            text = _collected_counts(detail)
        case "matched_by_order":
            text = f"{detail.get('problem')}; {_collected_counts(detail)}"
        case _:
            text = str(detail.get("problem") or "") or ", ".join(_pairs(detail))
    return text


def _collected_counts(detail: Mapping[str, object]) -> str:
    outcome = detail.get("outcome")
    text = f"{_number(outcome if isinstance(outcome, dict) else {}, 'succeeded')} succeeded"
    for name, kind in (("transient", "retryable"), ("permanent", "permanent")):
        if detail.get(name):
            text += f", {_number(detail, name)} failed ({kind})"
    return text


def _shard(event: Event) -> str:
    key = SubmissionKey.parse(event.submission) if event.submission is not None else None
    return "" if key is None else key.place


def _requests(detail: Mapping[str, object]) -> str:
    count = detail.get("requests")
    return plural(count, "request") if isinstance(count, int) else "requests"


def _number(detail: Mapping[str, object], name: str) -> str:
    value = detail.get(name)
    return f"{value:,}" if isinstance(value, int) else "?"


def _pairs(detail: Mapping[str, object]) -> Iterable[str]:
    return (f"{name} {value}" for name, value in detail.items() if value not in (None, "", {}))
