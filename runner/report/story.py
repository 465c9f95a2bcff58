"""The story of one job: how it stands, each attempt, what to do next, all that happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.ledger.records import RunState, SubmissionState
from runner.report.attempts import read_attempts
from runner.report.history import history_lines
from runner.report.paint import NO_PAINT
from runner.report.plain import plain, wrap
from runner.report.words import moment, plural, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.batch import Batch
    from runner.reconcile.overview import JobStory, JobView
    from runner.report.attempts import Attempt, Failure
    from runner.report.paint import Paint

_CLEAN_SHOWN: Final = 20
"""Of how many attempts at most each is shown, even if there is nothing to say of it."""

_INDENT: Final = 12


def render_story(
    story: JobStory,
    *,
    folder: str,
    now: float,
    spec_gone: bool = False,
    width: int | None = None,
    paint: Paint = NO_PAINT,
) -> str:
    """Render `runner show`.

    `folder` is the output folder as people write it, `now` the time in Unix seconds;
    `spec_gone` says that no spec asks for the job any more. `width` is the number of columns
    to keep to, None for no limit.
    """
    view = story.view
    attempts = read_attempts(story.events, view.batches, view.revision)
    lines = [f"{paint.bold(plain(view.name))}  {paint.state(view.state, str(view.state))}"]
    lines += [_fact(name, text, width) for name, text in _facts(view, folder)]
    lines += [_fact("next", text, width) for text in _next(view, folder, spec_gone=spec_gone)]
    if attempts:
        lines += ["", paint.bold("Attempts")]
        lines += [wrap(line, width, indent=6) for line in _attempts(attempts, now)]
    others = [run for run in story.runs if run.revision != view.revision]
    if others:
        lines += ["", paint.bold("Other revisions")]
        lines += [
            wrap(
                plain(
                    f"  {run.revision}  {run.state}, {run.succeeded:,} of {run.total:,} answered"
                    + (f": {run.note}" if run.note else "")
                ),
                width,
                indent=6,
            )
            for run in others
        ]
    if story.events:
        lines += ["", paint.bold("History (UTC)"), *history_lines(story.events, width=width)]
    return "\n".join(lines) + "\n"


def _fact(name: str, text: str, width: int | None) -> str:
    return wrap(plain(f"  {name:<{_INDENT - 2}}{text}"), width, indent=_INDENT)


def _facts(view: JobView, folder: str) -> Iterator[tuple[str, str]]:
    yield "revision", view.revision or "not known before the input has been read"
    yield "asks", f"{view.endpoint} on {view.provider}"
    yield (
        "requests",
        (
            f"{view.total:,}: {view.succeeded:,} answered, {view.failed:,} failed, "
            f"{view.pending:,} pending"
        ),
    )
    yield "outputs", folder
    if view.note:
        yield "note", view.note


def _next(view: JobView, folder: str, *, spec_gone: bool) -> Iterator[str]:
    """Say what a person can do now."""
    unanswered = plural(view.total - view.succeeded, "unanswered request")
    again = f"`runner retry {view.name}` asks the {unanswered} again"
    match view.state:
        case RunState.SUCCEEDED:
            yield f"nothing to do; the answers are in {folder}/output.jsonl"
        case RunState.RUNNING:
            yield (
                f"`runner reconcile` goes on with it, `runner reconcile --wait"
                f"{'' if spec_gone else f' {view.name}'}` to its end"
            )
        case _ if spec_gone:
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


def _attempts(attempts: Sequence[Attempt], now: float) -> Iterator[str]:
    """Yield the lines about the attempts; of very many only those that are worth a look."""
    few = len(attempts) <= _CLEAN_SHOWN
    shown = [attempt for attempt in attempts if few or not attempt.clean]
    for attempt in shown:
        yield plain(f"  {_headline(attempt)}")
        if attempt.batch is not None:
            yield plain(f"    {_of_batch(attempt.batch, now)}")
        if attempt.problem and attempt.state is not SubmissionState.COLLECTED:
            yield plain(f"    {attempt.problem}")
        for failure in attempt.failures:
            yield from _failure(failure)
        for what, count in attempt.oddities.items():
            if count:
                yield plain(f"    {_oddity(what, count)}")
    if len(shown) < len(attempts):
        more = plural(len(attempts) - len(shown), "attempt")
        yield f"  {more}{' more' if shown else ''}, every request answered"


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
    """Write a batch with its status, its counts, and how long what took."""
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
