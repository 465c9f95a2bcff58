"""The output of `runner show`: a job's state, next steps, errors, attempts and history."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from runner.ledger.records import RunState, SubmissionState
from runner.report.colour import NO_COLOURS
from runner.report.history import history_lines
from runner.report.status import describe_blocked, state_words
from runner.report.text_width import wrap
from runner.text import moment, plural, printable, short_ids, span, truncated_answers
from runner.views.attempts import read_attempts
from runner.views.batch_phases import phases

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runner.batch import Batch, BatchStatus
    from runner.outputs.failures import FailureKind
    from runner.report.colour import Colours
    from runner.views.attempts import Attempt, Failure
    from runner.views.jobs import JobHistory, JobProgress, JobView
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
    """Render `runner show` in at most `width` columns; None for no limit.

    `folder` is the output folder as the user writes it, `now` is in Unix seconds. Long lists are
    summed up, unless `whole`.
    """
    view = job_history.view
    attempts = read_attempts(job_history.events, view.batches, view.revision)
    short: dict[str, str] = {}
    if width is not None and not whole:
        short = short_ids(event.batch for event in job_history.events if event.batch is not None)
    lines = [
        f"{colours.bold(printable(view.name))}  {colours.state(view.state, state_words(view))}"
    ]
    lines += [_fact(name, text, width) for name, text in _facts(view, folder, now)]
    lines += [_fact("next", text, width) for text in next_steps(view, folder)]
    failures = list(_failure_lines(job_history, attempts, folder, whole=whole))
    attempt_texts = _attempt_lines(attempts, now, job=view.name, whole=whole, short=short)
    others = [run for run in job_history.runs if run.revision != view.revision]
    for heading, section in (
        (_failure_heading(job_history), [(line, _indent_of(line) + 2) for line in failures]),
        ("Attempts", [(line, 6) for line in attempt_texts]),
        (
            "Other revisions",
            [(line, 6) for line in _other_revisions(job_history, others, now, whole=whole)],
        ),
    ):
        if section:
            lines += ["", colours.bold(heading)]
            lines += [wrap(line, width, indent=indent) for line, indent in section]
    if job_history.events:
        events = history_lines(
            job_history.events, job=view.name, whole=whole, width=width, short=short
        )
        lines += ["", colours.bold("History (UTC)"), *events]
    return "\n".join(lines) + "\n"


def _fact(name: str, text: str, width: int | None) -> str:
    return wrap(printable(f"  {name:<{_INDENT - 2}}{text}"), width, indent=_INDENT)


def _indent_of(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _facts(view: JobView, folder: str, now: float) -> Iterator[tuple[str, str]]:
    yield "revision", view.revision or "not known until the input is read"
    window = f", window {view.completion_window}" if view.completion_window else ""
    yield "endpoint", f"{view.endpoint} on {view.provider}{window}"
    yield (
        "requests",
        (
            f"{view.total:,}: {view.succeeded:,} succeeded, {view.failed:,} failed, "
            f"{view.pending:,} pending"
        ),
    )
    if view.progress is not None and view.progress.source == "provider":
        yield "in flight", describe_progress(view.progress)
    if blocked := describe_blocked(view, now):
        yield "blocked", blocked.removeprefix("blocked ")
    if view.created_at is not None:
        yield "started", _times(view, now)
    if truncated := truncated_answers(view.truncated):
        yield "truncated", truncated
    if tokens := token_counts(view.tokens):
        yield "tokens", tokens
    if view.spec is not None:
        yield "spec", view.spec
    yield "outputs", folder
    if view.note:
        yield "note", view.note


def describe_progress(progress: JobProgress) -> str:
    """Write what the provider reports, which is not known from results yet."""
    text = f"the provider reports {progress.succeeded:,} done so far"
    return text + (f" and {progress.failed:,} failed" if progress.failed else "")


def _times(view: JobView, now: float) -> str:
    started = view.created_at or 0.0
    if view.finished_at is None:
        return f"{moment(started)} UTC, {span(now - started)} ago"
    return f"{moment(started)} UTC, took {span(view.finished_at - started)}"


def token_counts(tokens: TokenUsage) -> str:
    """Write the tokens that batches report: `7 in, 5 out, 12 in all`."""
    counts = ((tokens.input, "in"), (tokens.output, "out"), (tokens.total, "in all"))
    return ", ".join(f"{count:,} {what}" for count, what in counts if count is not None)


def _failure_heading(job_history: JobHistory) -> str:
    if job_history.failures is None:
        return "Errors of all attempts"
    return f"Errors of {plural(job_history.view.failed, 'failed request')}"


def _failure_lines(
    job_history: JobHistory, attempts: Sequence[Attempt], folder: str, *, whole: bool
) -> Iterator[str]:
    """Yield the kinds of errors with examples.

    Of a finished run these are the errors of the requests that failed. Which requests fail is not
    known while the run goes on; then they are the sum over its attempts, if more than one had
    errors: the errors of each attempt are shown with it.
    """
    if job_history.failures is None:
        failed = [attempt for attempt in attempts if attempt.failures]
        if len(failed) > 1:
            yield from _sum_failures(failed)
        return
    shown = job_history.failures if whole else job_history.failures[:_KINDS_SHOWN]
    for kind in shown:
        yield from _kind(kind)
    left = job_history.failures[len(shown) :]
    if left:
        requests = plural(sum(kind.count for kind in left), "request")
        yield printable(
            f"  {plural(len(left), 'more kind')}, {requests}: see {folder}/errors.jsonl"
        )


def _kind(kind: FailureKind) -> Iterator[str]:
    yield printable(f"  {kind.count:,} x {kind.code}")
    for example in kind.examples:
        yield printable(f"    {example.custom_id}: {example.message}".rstrip(": "))


def _sum_failures(attempts: Iterable[Attempt]) -> Iterator[str]:
    counts: dict[str, int] = {}
    messages: dict[str, str] = {}
    for attempt in attempts:
        for failure in attempt.failures:
            counts[failure.code] = counts.get(failure.code, 0) + failure.count
            if failure.examples:
                messages.setdefault(failure.code, failure.examples[0])
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    for code, count in ranked[:_KINDS_SHOWN]:
        message = f": {messages[code]}" if code in messages else ""
        yield printable(f"  {count:,} x {code}{message}")
    if len(ranked) > _KINDS_SHOWN:
        yield f"  {plural(len(ranked) - _KINDS_SHOWN, 'more kind')}"


def _other_revisions(
    job_history: JobHistory, runs: Sequence[JobView], now: float, *, whole: bool
) -> Iterator[str]:
    """Yield the other revisions, newest last, with their attempts if `whole`."""
    left = 0 if whole else max(len(runs) - _OTHERS_SHOWN, 0)
    if left:
        yield f"  {plural(left, 'earlier one')}: `runner show {job_history.view.name} --all`"
    for run in runs[left:]:
        started = "" if run.created_at is None else f", started {_times(run, now)}"
        succeeded = f"{run.succeeded:,} of {plural(run.total, 'request')} succeeded"
        text = f"{run.state}, {succeeded}{started}"
        yield printable(f"  {run.revision}  {text}" + (f": {run.note}" if run.note else ""))
        if whole:
            attempts = read_attempts(job_history.events, run.batches, run.revision)
            for line in _attempt_lines(
                attempts, now, job=job_history.view.name, whole=True, short={}
            ):
                yield f"  {line}"


_MANY: Final = 20
"""The number of attempts above which they are summed up, and only some are shown."""

_WORST_SHOWN: Final = 3
_BROKEN: Final = (SubmissionState.FAILED, SubmissionState.LOST, SubmissionState.ABANDONED)


def _attempt_lines(
    attempts: Sequence[Attempt], now: float, *, job: str, whole: bool, short: Mapping[str, str]
) -> Iterator[str]:
    """Yield lines for each attempt; of many attempts a summary and the worst, unless `whole`."""
    if whole or len(attempts) <= _MANY:
        for attempt in attempts:
            yield from _attempt(attempt, now, short)
        return
    yield from _summary(attempts, now, short)
    worst = sorted((one for one in attempts if _has_failures(one)), key=_badness, reverse=True)
    for attempt in worst[:_WORST_SHOWN]:
        yield from _attempt(attempt, now, short)
    if len(worst) > _WORST_SHOWN:
        left = f"{len(worst) - _WORST_SHOWN:,} more attempts had failed requests"
        yield printable(f"  {left}: `runner show {job} --all`")


def _has_failures(attempt: Attempt) -> bool:
    closed = attempt.state is not None and attempt.state.closed
    return closed and not attempt.clean


def _badness(attempt: Attempt) -> tuple[bool, int]:
    return attempt.state in _BROKEN, attempt.unanswered


def _summary(attempts: Sequence[Attempt], now: float, short: Mapping[str, str]) -> Iterator[str]:
    """Yield the sum of many attempts: their states, the time they take, the first expiry."""
    states = _ranked(str(attempt.state) for attempt in attempts if attempt.state is not None)
    shards = len({attempt.key.shard for attempt in attempts})
    yield printable(f"  {plural(len(attempts), 'attempt')} of {plural(shards, 'shard')}: {states}")
    batches = [attempt.batch for attempt in attempts if attempt.batch is not None]
    if not batches:
        return
    yield printable(f"  batches: {_ranked(batch.status for batch in batches)}")
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
        yield printable(f"  the first to expire: {_describe_batch(expiring, now, short)}")


def _ranked(words: Iterable[str]) -> str:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{count:,} {word}" for word, count in ranked)


def _attempt(attempt: Attempt, now: float, short: Mapping[str, str]) -> Iterator[str]:
    yield printable(f"  {_headline(attempt)}")
    if attempt.batch is not None:
        yield printable(f"    {_describe_batch(attempt.batch, now, short)}")
        if durations := _phases(attempt.batch, now):
            yield f"    {durations}"
    if attempt.problem and attempt.state is not SubmissionState.COLLECTED:
        yield printable(f"    {attempt.problem}")
    if attempt.by_order:
        lines = plural(attempt.by_order, "line")
        yield f"    {lines} named no request: matched by order, on request"
    for failure in attempt.failures:
        yield from _failure(failure)
    for what, count in attempt.oddities.items():
        if count:
            yield printable(f"    {_oddity(what, count)}")


def _headline(attempt: Attempt) -> str:
    key = attempt.key
    requests = "" if attempt.requests is None else f": {plural(attempt.requests, 'request')}"
    headline = f"shard {key.shard}, attempt {key.attempt}{requests}"
    match attempt.state:
        case None:
            return headline
        case SubmissionState.COLLECTED:
            succeeded = "" if attempt.answered is None else f", {attempt.answered:,} succeeded"
            failed = f", {attempt.unanswered:,} failed" if attempt.unanswered else ""
            return f"{headline}{succeeded}{failed}"
        case _:
            return f"{headline}, {attempt.state}"


def _describe_batch(batch: Batch, now: float, short: Mapping[str, str]) -> str:
    """Return a batch with its status, its counts and its time."""
    counts = batch.request_counts
    text = f"{short.get(batch.id, batch.id)}  {batch.status}"
    if counts.total:
        text += f", {counts.completed:,} of {plural(counts.total, 'request')}"
        text += f", {counts.failed:,} failed"
    created = batch.created_at
    if created is None:
        return text
    ended = batch.ended_at
    if ended is not None:
        return f"{text}, took {span(ended - created)}"
    if batch.terminal:
        return text
    text += f", created {span(now - created)} ago"
    if batch.expires_at is not None:
        text += f", expires {moment(batch.expires_at)} UTC"
    return text


def _phases(batch: Batch, now: float) -> str:
    """Return the duration of each phase; the current phase has lasted so long up to now."""
    durations = [
        f"{phase.status} {span(phase.seconds)}"
        if phase.seconds is not None
        else f"{phase.status} for {span(now - phase.since)}"
        for phase in phases(batch, now)
        if phase.status is not None
    ]
    return ", ".join(durations)


def _failure(failure: Failure) -> Iterator[str]:
    if not failure.examples:
        yield printable(f"    {failure.count:,} x {failure.code}")
        return
    yield printable(f"    {failure.count:,} x {failure.code}: {failure.examples[0]}")
    for example in failure.examples[1:]:
        yield printable(f"      also: {example}")


def _oddity(what: str, count: int) -> str:
    if what == "in neither file":
        return f"{plural(count, 'request')} in neither file"
    return f"{plural(count, 'line')} of the files {what}"


def next_steps(view: JobView, folder: str) -> Iterator[str]:
    """Yield the steps that the user can take now, a sentence each, with the exact command.

    `folder` is the output folder as the user writes it. A job without a spec can be finished, but
    neither started nor retried.
    """
    if view.blocked is not None:
        yield "remove what blocks it; then `runner reconcile` goes on"
        return
    gone = view.spec is None
    failed = plural(view.total - view.succeeded, "failed request")
    retry = f"`runner retry {view.name}` submits the {failed} again"
    match view.state:
        case RunState.SUCCEEDED:
            yield f"nothing to do; the results are in {folder}/output.jsonl"
        case RunState.RUNNING:
            yield (
                f"`runner reconcile` makes one pass, `runner reconcile --wait"
                f"{'' if gone else f' {view.name}'}` goes on until it is finished"
            )
        case _ if gone:
            yield "no spec defines the job any more; restore the spec to continue"
        case RunState.PENDING:
            yield f"`runner reconcile {view.name}` starts it"
        case RunState.PARTIAL:
            yield f"{folder}/errors.jsonl has the last error of each failed request; {retry}"
        case RunState.FAILED:
            yield f"fix the cause in the spec or its input, then `runner reconcile`; {retry}"
        case RunState.CANCELLED:
            yield retry
