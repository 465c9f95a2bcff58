"""The story of a job: how it stands, what next, what went wrong, each attempt, its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.report.attempt_lines import attempt_lines
from runner.report.colour import NO_COLOURS
from runner.report.history import history_lines
from runner.report.next_steps import next_steps
from runner.report.safe_text import plain, wrap
from runner.text import moment, plural, span
from runner.views.attempts import read_attempts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runner.outputs.failures import FailureKind
    from runner.report.colour import Colours
    from runner.views.attempts import Attempt
    from runner.views.jobs import JobHistory, JobView


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
    if tokens := _tokens(view.usage):
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


def _tokens(usage: Mapping[str, object] | None) -> str:
    """Write what batches report of tokens, under either of the names that the API has for it."""
    counts = {
        what: count
        for what, names in (
            ("in", ("input_tokens", "prompt_tokens")),
            ("out", ("output_tokens", "completion_tokens")),
            ("in all", ("total_tokens",)),
        )
        for name in names
        if isinstance(count := (usage or {}).get(name), int)
    }
    return ", ".join(f"{count:,} {what}" for what, count in counts.items())


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
