"""The story of a job: how it stands, what next, what went wrong, each attempt, its history.

The attempts of a job in words: each of them if they are few, a summary if they are many.

What a person can do about a job now, with the exact command.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from runner.ledger.records import RunState, SubmissionState
from runner.report.colour import NO_COLOURS
from runner.report.history import history_lines
from runner.report.safe_text import plain, wrap
from runner.text import moment, plural, span
from runner.views.attempts import read_attempts
from runner.views.batch_phases import phases

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from runner.batch import Batch, BatchStatus
    from runner.outputs.failures import FailureKind
    from runner.report.colour import Colours
    from runner.views.attempts import Attempt, Failure
    from runner.views.jobs import JobHistory, JobView
    from runner.views.token_usage import TokenUsage


_KINDS_SHOWN: Final = 8
_OTHERS_SHOWN: Final = 5
_INDENT: Final = 12


def render_history(
    job_history: JobHistory,
    *,
    folder: str,
    now: float,
    whole: bool = False,
    width: int | None = None,
    colours: Colours = NO_COLOURS,
) -> str:
    """Render `runner show`.

    `folder` is the output folder as people write it, `now` the time in Unix seconds. What is long
    is summed up unless the `whole` of it is asked for. `width` is the number of columns to keep
    to, None for no limit.
    """
    view = job_history.view
    attempts = read_attempts(job_history.events, view.batches, view.revision)
    lines = [f"{colours.bold(plain(view.name))}  {colours.state(view.state, str(view.state))}"]
    lines += [_fact(name, text, width) for name, text in _facts(view, folder, now)]
    lines += [_fact("next", text, width) for text in next_steps(view, folder)]
    failures = list(_failure_lines(job_history, attempts, folder, whole=whole))
    told = attempt_lines(attempts, now, job=view.name, whole=whole)
    others = [run for run in job_history.runs if run.revision != view.revision]
    for heading, section in (
        (_failure_heading(job_history), [(line, _lead(line) + 2) for line in failures]),
        ("Attempts", [(line, 6) for line in told]),
        ("Other revisions", [(line, 6) for line in _others(job_history, others, now, whole=whole)]),
    ):
        if section:
            lines += ["", colours.bold(heading)]
            lines += [wrap(line, width, indent=indent) for line, indent in section]
    if job_history.events:
        told_of = history_lines(job_history.events, job=view.name, whole=whole, width=width)
        lines += ["", colours.bold("History (UTC)"), *told_of]
    return "\n".join(lines) + "\n"


def _fact(name: str, text: str, width: int | None) -> str:
    return wrap(plain(f"  {name:<{_INDENT - 2}}{text}"), width, indent=_INDENT)


def _lead(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _facts(view: JobView, folder: str, now: float) -> Iterator[tuple[str, str]]:
    yield "revision", view.revision or "not known before the input has been read"
    window = f", window {view.completion_window}" if view.completion_window else ""
    yield "asks", f"{view.endpoint} on {view.provider}{window}"
    yield (
        "requests",
        (
            f"{view.total:,}: {view.succeeded:,} answered, {view.failed:,} failed, "
            f"{view.pending:,} pending"
        ),
    )
    if view.created_at is not None:
        yield "began", _times(view, now)
    if tokens := token_counts(view.tokens):
        yield "tokens", tokens
    if view.spec is not None:
        yield "spec", view.spec
    yield "outputs", folder
    if view.note:
        yield "note", view.note


def _times(view: JobView, now: float) -> str:
    began = view.created_at or 0.0
    if view.finished_at is None:
        return f"{moment(began)} UTC, for {span(now - began)} now"
    return f"{moment(began)} UTC, took {span(view.finished_at - began)}"


def token_counts(tokens: TokenUsage) -> str:
    """Write the tokens that batches report: `7 in, 5 out, 12 in all`."""
    counts = ((tokens.input, "in"), (tokens.output, "out"), (tokens.total, "in all"))
    return ", ".join(f"{count:,} {what}" for count, what in counts if count is not None)


def _failure_heading(job_history: JobHistory) -> str:
    if job_history.failures is None:
        return "Errors met by all attempts"
    return f"Errors of the {plural(job_history.view.failed, 'request')} without an answer"


def _failure_lines(
    job_history: JobHistory, attempts: Sequence[Attempt], folder: str, *, whole: bool
) -> Iterator[str]:
    """Yield the kinds of errors with examples: of the requests left without an answer.

    While a run goes on nobody knows which these will be; then they are those that the attempts
    met, if more than one did, since each tells its own.
    """
    if job_history.failures is None:
        failed = [attempt for attempt in attempts if attempt.failures]
        if len(failed) > 1:
            yield from _summed(failed)
        return
    shown = job_history.failures if whole else job_history.failures[:_KINDS_SHOWN]
    for kind in shown:
        yield from _kind(kind)
    left = job_history.failures[len(shown) :]
    if left:
        requests = plural(sum(kind.count for kind in left), "request")
        yield plain(f"  {plural(len(left), 'more kind')}, {requests}: see {folder}/errors.jsonl")


def _kind(kind: FailureKind) -> Iterator[str]:
    yield plain(f"  {kind.count:,} x {kind.code}")
    for example in kind.examples:
        yield plain(f"    {example.custom_id}: {example.message}".rstrip(": "))


def _summed(attempts: Iterable[Attempt]) -> Iterator[str]:
    counts: dict[str, int] = {}
    messages: dict[str, str] = {}
    for attempt in attempts:
        for failure in attempt.failures:
            counts[failure.code] = counts.get(failure.code, 0) + failure.count
            if failure.examples:
                messages.setdefault(failure.code, failure.examples[0])
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    for code, count in ranked[:_KINDS_SHOWN]:
        said = f": {messages[code]}" if code in messages else ""
        yield plain(f"  {count:,} x {code}{said}")
    if len(ranked) > _KINDS_SHOWN:
        yield f"  {plural(len(ranked) - _KINDS_SHOWN, 'more kind')}"


def _others(
    job_history: JobHistory, runs: Sequence[JobView], now: float, *, whole: bool
) -> Iterator[str]:
    """Yield the other revisions, newest last; their attempts too where the `whole` is wanted."""
    left = 0 if whole else max(len(runs) - _OTHERS_SHOWN, 0)
    if left:
        yield f"  {plural(left, 'earlier one')}: `runner show {job_history.view.name} --all`"
    for run in runs[left:]:
        began = "" if run.created_at is None else f", began {_times(run, now)}"
        said = f"{run.state}, {run.succeeded:,} of {run.total:,} answered{began}"
        yield plain(f"  {run.revision}  {said}" + (f": {run.note}" if run.note else ""))
        if whole:
            attempts = read_attempts(job_history.events, run.batches, run.revision)
            for line in attempt_lines(attempts, now, job=job_history.view.name, whole=True):
                yield f"  {line}"


_MANY: Final = 20
"""Attempts from which on they are summed up, and only some of them shown."""

_WORST_SHOWN: Final = 3
_BROKEN: Final = (SubmissionState.FAILED, SubmissionState.LOST, SubmissionState.ABANDONED)


def attempt_lines(
    attempts: Sequence[Attempt], now: float, *, job: str, whole: bool
) -> Iterator[str]:
    """Yield the lines about attempts; of more than a few only the worst, unless `whole`."""
    if whole or len(attempts) <= _MANY:
        for attempt in attempts:
            yield from _told(attempt, now)
        return
    yield from _summary(attempts, now)
    worst = sorted((one for one in attempts if _is_bad(one)), key=_badness, reverse=True)
    for attempt in worst[:_WORST_SHOWN]:
        yield from _told(attempt, now)
    if len(worst) > _WORST_SHOWN:
        left = f"{len(worst) - _WORST_SHOWN:,} more had requests without success"
        yield plain(f"  {left}: `runner show {job} --all`")


def _is_bad(attempt: Attempt) -> bool:
    closed = attempt.state is not None and attempt.state.closed
    return closed and not attempt.clean


def _badness(attempt: Attempt) -> tuple[bool, int]:
    return attempt.state in _BROKEN, attempt.unanswered


def _summary(attempts: Sequence[Attempt], now: float) -> Iterator[str]:
    """Say of many attempts how far they are, how long it takes, and what expires first."""
    states = _ranked(str(attempt.state) for attempt in attempts if attempt.state is not None)
    shards = len({attempt.key.shard for attempt in attempts})
    yield plain(f"  {plural(len(attempts), 'attempt')} at {plural(shards, 'shard')}: {states}")
    batches = [attempt.batch for attempt in attempts if attempt.batch is not None]
    if not batches:
        return
    yield plain(f"  batches: {_ranked(batch.status for batch in batches)}")
    spans: dict[BatchStatus, list[int]] = {}
    for batch in batches:
        for phase in phases(batch, now):
            if phase.status is not None and phase.seconds is not None:
                spans.setdefault(phase.status, []).append(phase.seconds)
    for status, took in spans.items():
        yield f"  {status}: half within {span(median(took))}, all within {span(max(took))}"
    waiting = [
        attempt.batch
        for attempt in attempts
        if attempt.state is SubmissionState.SUBMITTED
        and attempt.batch is not None
        and not attempt.batch.terminal
    ]
    expiring = min(
        (batch for batch in waiting if batch.expires_at is not None),
        key=lambda batch: batch.expires_at or 0,
        default=None,
    )
    if expiring is not None:
        yield plain(f"  the first to expire: {_of_batch(expiring, now)}")


def _ranked(words: Iterable[str]) -> str:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{count:,} {word}" for word, count in ranked)


def _told(attempt: Attempt, now: float) -> Iterator[str]:
    yield plain(f"  {_headline(attempt)}")
    if attempt.batch is not None:
        yield plain(f"    {_of_batch(attempt.batch, now)}")
        if said := _phases(attempt.batch, now):
            yield f"    {said}"
    if attempt.problem and attempt.state is not SubmissionState.COLLECTED:
        yield plain(f"    {attempt.problem}")
    for failure in attempt.failures:
        yield from _failure(failure)
    for what, count in attempt.oddities.items():
        if count:
            yield plain(f"    {_oddity(what, count)}")


def _headline(attempt: Attempt) -> str:
    key = attempt.key
    asked = "" if attempt.requests is None else f": {plural(attempt.requests, 'request')}"
    headline = f"shard {key.shard}, attempt {key.attempt}{asked}"
    match attempt.state:
        case None:
            return headline
        case SubmissionState.COLLECTED:
            answered = "" if attempt.answered is None else f", {attempt.answered:,} answered"
            without = f", {attempt.unanswered:,} without success" if attempt.unanswered else ""
            return f"{headline}{answered}{without}"
        case _:
            return f"{headline}, {attempt.state}"


def _of_batch(batch: Batch, now: float) -> str:
    """Write a batch with its status, its counts, and how long it took or has taken."""
    counts = batch.request_counts
    told = f"{batch.id}  {batch.status}"
    if counts.total:
        told += f", {counts.completed:,} of {counts.total:,} done, {counts.failed:,} failed"
    began = batch.created_at
    if began is None:
        return told
    ended = batch.ended_at
    if ended is not None:
        return f"{told}, after {span(ended - began)}"
    if batch.terminal:
        return told
    told += f", for {span(now - began)} now"
    if batch.expires_at is not None:
        told += f", expires {moment(batch.expires_at)} UTC"
    return told


def _phases(batch: Batch, now: float) -> str:
    """Write how long each phase took; the one that it is in has only begun."""
    told = [
        f"{phase.status} {span(phase.seconds)}"
        if phase.seconds is not None
        else f"{phase.status} for {span(now - phase.since)} now"
        for phase in phases(batch, now)
        if phase.status is not None
    ]
    return ", ".join(told)


def _failure(failure: Failure) -> Iterator[str]:
    if not failure.examples:
        yield plain(f"    {failure.count:,} x {failure.code}")
        return
    yield plain(f"    {failure.count:,} x {failure.code}: {failure.examples[0]}")
    for example in failure.examples[1:]:
        yield plain(f"      also: {example}")


def _oddity(what: str, count: int) -> str:
    if what == "in neither file":
        return f"{plural(count, 'request')} in neither file"
    return f"{plural(count, 'line')} of the files {what}"


def next_steps(view: JobView, folder: str) -> Iterator[str]:
    """Yield what there is to do, a sentence each; `folder` is the output folder as people write it.

    A job without a spec can be seen to its end, but not begun or asked again.
    """
    gone = view.spec is None
    unanswered = plural(view.total - view.succeeded, "unanswered request")
    again = f"`runner retry {view.name}` asks the {unanswered} again"
    match view.state:
        case RunState.SUCCEEDED:
            yield f"nothing to do; the answers are in {folder}/output.jsonl"
        case RunState.RUNNING:
            yield (
                f"`runner reconcile` goes on with it, `runner reconcile --wait"
                f"{'' if gone else f' {view.name}'}` to its end"
            )
        case _ if gone:
            yield "no spec asks for the job any more; put it back to go on"
        case RunState.PENDING:
            yield f"`runner reconcile {view.name}` begins with it"
        case RunState.PARTIAL:
            yield f"{folder}/errors.jsonl has the last error of each; {again}"
        case RunState.FAILED:
            mend = "mend what the note says in the spec or its input, then `runner reconcile`"
            yield f"{mend}; {again}"
        case RunState.CANCELLED:
            yield again
