"""The history of a job in words: a line an event."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from runner.ledger.records import SubmissionKey
from runner.report.colour import NO_COLOURS
from runner.report.csv_output import to_csv
from runner.report.safe_text import plain, wrap
from runner.report.table import Column, lay_out
from runner.text import moment, plural, timestamp

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
_ODD: Final = frozenset(
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
"""Kinds that deserve a look."""

_MOST: Final = 40
_FIRST: Final = 3
_LAST: Final = 10
"""How many events are shown of a history that is longer than `_MOST`, at its two ends."""

_INDENT: Final = 39
"""Two spaces, a moment, two spaces, the longest kind, two spaces."""


def history_lines(
    events: Sequence[Event], *, job: str, whole: bool, width: int | None
) -> Iterator[str]:
    """Yield the history, oldest first; looks at a batch that show the same status are one line.

    Of a long one only the beginning and the end, unless the `whole` is asked for.
    """
    folded = list(_folded(events))
    left_out = range(0) if whole or len(folded) <= _MOST else range(_FIRST, len(folded) - _LAST)
    for number, (event, looks) in enumerate(folded):
        if number in left_out:
            if number == _FIRST:
                yield plain(f"  ... {len(left_out):,} more: `runner events {job}`")
            continue
        said = describe_event(event)
        if looks > 1:
            said += f" (the last of {looks:,} looks)"
        line = f"  {moment(event.at)}  {event.kind:<16}{said}"
        yield wrap(plain(line).rstrip(), width, indent=_INDENT)


def render_events(
    events: Sequence[Event], *, width: int | None = None, colours: Colours = NO_COLOURS
) -> str:
    """Render events of any jobs as a table, a line each; empty if there are none.

    `width` is the number of columns to keep to, None for no limit: then nothing is shortened.
    """
    if not events:
        return ""
    rows = [
        (moment(event.at), plain(event.job or "-"), plain(event.kind), plain(describe_event(event)))
        for event in events
    ]

    def coloured(row: int, column: int, cell: str) -> str:
        event = events[row]
        if column != _KIND:
            return cell
        if event.kind == "run_finished":
            return colours.state(str(event.detail.get("state")), cell)
        if event.kind in ("failed", "lost"):
            return colours.bad(cell)
        return colours.warning(cell) if event.kind in _ODD else cell

    return "\n".join(lay_out(_HEADS, rows, width, colours=colours, coloured=coloured).lines) + "\n"


def events_csv(events: Sequence[Event]) -> str:
    """Write events as CSV; `detail` is JSON."""
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


def _folded(events: Sequence[Event]) -> Iterator[tuple[Event, int]]:
    """Yield the events with how often each was seen, the last one standing for its like."""
    last = {
        fold: number for number, event in enumerate(events) if (fold := _fold(event)) is not None
    }
    looks: dict[tuple[str | None, object], int] = {}
    for number, event in enumerate(events):
        fold = _fold(event)
        if fold is None:
            yield event, 1
            continue
        looks[fold] = looks.get(fold, 0) + 1
        if last[fold] == number:
            yield event, looks[fold]


def _fold(event: Event) -> tuple[str | None, object] | None:
    return (event.batch, event.detail.get("status")) if event.kind == "batch_changed" else None


def describe_event(event: Event) -> str:
    """Say what an event tells, besides its kind."""
    match event.kind:
        case "run_started" | "run_restored" | "run_moved" | "run_reopened" | "run_finished":
            return _of_run(event)
        case "spec_gone":
            return "no spec asks for the job any more"
        case "cancel_requested":
            return f"of {event.revision}"
        case "trouble" | "recovered":
            return str(event.detail.get("what"))
        case "told" | "not_told":
            reason = f": {event.detail['problem']}" if event.detail.get("problem") else ""
            return f"{event.detail.get('hook')}, of {event.detail.get('of')}{reason}"
        case _:
            return ": ".join(part for part in (_place(event), _of_submission(event)) if part)


def _of_run(event: Event) -> str:
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
                "to ask what is unanswered again" if detail.get("asked") else "its spec is back"
            )
        case _:
            reason = f": {detail['reason']}" if detail.get("reason") else ""
            return (
                f"{revision} {detail.get('state')}, {_number(detail, 'succeeded')} answered, "
                f"{_number(detail, 'failed')} failed{reason}"
            )


def _of_submission(event: Event) -> str:
    detail, batch = event.detail, event.batch
    match event.kind:
        case "prepared":
            said = _requests(detail)
        case "uploaded" | "file_adopted":
            said = str(detail.get("file"))
        case "creating":
            said = f"window {detail.get('completion_window')}"
        case "submitted" | "batch_adopted":
            said = f"{batch}, {detail.get('status')}"
        case "batch_changed":
            said = (
                f"{batch}, {detail.get('status')}, {_number(detail, 'completed')} of "
                f"{_number(detail, 'total')} done, {_number(detail, 'failed')} failed"
            )
        case "batch_not_found":
            said = str(batch)
        case "downloaded":
            said = f"{detail.get('kind_of_file')} file {detail.get('file')}"
        case "collected":
            outcome = detail.get("outcome")
            said = (
                f"{_number(outcome if isinstance(outcome, dict) else {}, 'succeeded')} answered, "
                f"{_number(detail, 'transient')} could be asked again, "
                f"{_number(detail, 'permanent')} failed for good"
            )
        case _:
            said = str(detail.get("problem") or "") or ", ".join(_pairs(detail))
    return said


def _place(event: Event) -> str:
    key = SubmissionKey.parse(event.submission) if event.submission is not None else None
    if key is None:
        return ""
    return f"shard {key.shard}" + (f", attempt {key.attempt}" if key.attempt > 1 else "")


def _requests(detail: Mapping[str, object]) -> str:
    count = detail.get("requests")
    return plural(count, "request") if isinstance(count, int) else "requests"


def _number(detail: Mapping[str, object], name: str) -> str:
    value = detail.get(name)
    return f"{value:,}" if isinstance(value, int) else "?"


def _pairs(detail: Mapping[str, object]) -> Iterable[str]:
    return (f"{name} {value}" for name, value in detail.items() if value not in (None, "", {}))
