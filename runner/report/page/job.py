"""The section about one job: its spec, files, attempts, errors and a few samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.batch import BatchStatus
from runner.ledger.records import SubmissionState
from runner.report.job import describe_progress, token_counts
from runner.report.page.figure import data_table, scroll_area
from runner.report.page.icons import state_label
from runner.report.page.jobs import anchor, progress_bar
from runner.report.page.markup import BLANK, element
from runner.report.page.samples import sample_lists
from runner.report.status import describe_blocked
from runner.report.text_width import fit
from runner.text import listed, plural, printable, span, truncated_answers
from runner.views.attempts import read_attempts
from runner.views.batch_phases import phases, seconds_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runner.ledger.records import SubmissionKey
    from runner.report.page.markup import Content, Html
    from runner.views.attempts import Attempt
    from runner.views.jobs import JobView
    from runner.views.project import FileLink, JobDetails, JobReport


_MOST_ATTEMPTS: Final = 30
_MOST_FAILURES: Final = 8
_MOST_RUNS: Final = 10
_LONGEST_FACT: Final = 300


def job_section(job: JobReport, details: JobDetails, now: float, *, opened: bool) -> Html:
    """Return the section about a job; it is folded unless `opened`."""
    view = job.view
    blocked = describe_blocked(view, now)
    body = element(
        "div",
        element("p", view.note, class_="note") if view.note else None,
        element("p", blocked, class_="note") if blocked else None,
        _facts(job, details),
        _files(details.files, job.folder),
        *_attempts(details, now),
        *sample_lists(details.samples),
        *_other_revisions(details),
        element("p", element("a", "Back to all jobs", href="#jobs"), class_="back"),
        id=anchor(view.name),
        class_="details",
        tabindex=-1,
    )
    return element(
        "details",
        element(
            "summary",
            element("h3", view.name),
            state_label(view.state),
            element("span", progress_bar(view), class_="how-far"),
            element("span", _counts(view), class_="counts"),
        ),
        body,
        class_="job",
        open=opened,
    )


def _counts(view: JobView) -> str:
    done = view.done
    text = f"{done.succeeded:,} of {plural(view.total, 'request')} succeeded"
    return text + (f", {done.failed:,} failed" if done.failed else "")


def _facts(job: JobReport, details: JobDetails) -> Html:
    view = job.view
    facts: list[tuple[str, str]] = [
        ("revision", view.revision or "not known until the input is read"),
        *details.properties.items(),
        (
            "requests",
            f"{view.succeeded:,} succeeded, {view.failed:,} failed, {view.pending:,} pending",
        ),
    ]
    if view.progress is not None and view.progress.source == "provider":
        facts.append(("in flight", describe_progress(view.progress)))
    if truncated := truncated_answers(view.truncated):
        facts.append(("truncated", truncated))
    if tokens := token_counts(job.tokens):
        facts.append(("tokens", tokens))
    return element(
        "dl",
        *(
            element("div", element("dt", name), element("dd", fit(printable(text), _LONGEST_FACT)))
            for name, text in facts
        ),
        class_="facts",
    )


def _files(files: Iterable[FileLink], folder: str) -> Html | None:
    links = _links(files)
    if not links:
        return element("p", f"There are no files in {folder} yet.")
    return element("p", f"In {folder}: ", *_separate(links, ", "))


def _links(files: Iterable[FileLink]) -> list[Html]:
    return [element("a", link.name, href=link.href) for link in files]


def _separate(parts: Sequence[Content], separator: str) -> Iterator[Content]:
    for number, part in enumerate(parts):
        if number:
            yield separator
        yield part


# Attempts ------------------------------------------------------------------------------------


def _attempts(details: JobDetails, now: float) -> Iterator[Html]:
    view = details.job_history.view
    attempts = read_attempts(details.job_history.events, view.batches, view.revision)
    if not attempts:
        return
    yield element("h4", "Attempts")
    shown = attempts
    if len(attempts) > _MOST_ATTEMPTS:
        ranked = sorted(attempts, key=lambda attempt: attempt.clean)[:_MOST_ATTEMPTS]
        shown = tuple(sorted(ranked, key=lambda one: (one.key.shard, one.key.attempt)))
        yield element(
            "p",
            f"{len(shown):,} of {plural(len(attempts), 'attempt')}, chosen with those first that "
            f"have failed requests.",
            class_="hint",
        )
    heads = (
        "Attempt", "Batch", "Status", "Files",
        "Requests", "Succeeded", "Failed", "Validating", "In progress", "Finalizing",
    )  # fmt: skip
    yield scroll_area(
        f"Attempts of {view.name}",
        data_table(
            f"Attempts of {view.name}",
            heads,
            (_attempt_row(attempt, details.raw, now) for attempt in shown),
            numbers=6,
        ),
    )
    yield from _failures(attempts)


def _attempt_row(
    attempt: Attempt, raw: Mapping[SubmissionKey, Sequence[FileLink]], now: float
) -> tuple[Content, ...]:
    batch = attempt.batch
    batch_phases = () if batch is None else phases(batch, now)

    def took(status: BatchStatus) -> str:
        seconds = seconds_in(batch_phases, status)
        return BLANK if seconds is None else span(seconds)

    links = _links(raw.get(attempt.key, ()))
    return (
        f"shard {attempt.key.shard}, attempt {attempt.key.attempt}",
        element("code", batch.id) if batch is not None else "none",
        _status(attempt),
        element("span", *_separate(links, ", ")) if links else BLANK,
        BLANK if attempt.requests is None else f"{attempt.requests:,}",
        BLANK if attempt.answered is None else f"{attempt.answered:,}",
        f"{attempt.unanswered:,}",
        took(BatchStatus.VALIDATING),
        took(BatchStatus.IN_PROGRESS),
        took(BatchStatus.FINALIZING),
    )


def _status(attempt: Attempt) -> str:
    """Return the status of the batch, or the state of an attempt without a batch."""
    if attempt.batch is not None and attempt.state in (
        None,
        SubmissionState.SUBMITTED,
        SubmissionState.COLLECTED,
    ):
        return attempt.batch.status
    return str(attempt.state)


def _failures(attempts: Iterable[Attempt]) -> Iterator[Html]:
    """Yield the problems and the kinds of errors of the attempts, with examples."""
    counts: dict[str, int] = {}
    examples: dict[str, dict[str, None]] = {}
    problems: dict[str, None] = {}
    for attempt in attempts:
        if attempt.problem and attempt.state is not SubmissionState.COLLECTED:
            problems[attempt.problem] = None
        for failure in attempt.failures:
            counts[failure.code] = counts.get(failure.code, 0) + failure.count
            examples.setdefault(failure.code, {}).update(dict.fromkeys(failure.examples))
        for what, count in attempt.oddities.items():
            if count:
                counts[what] = counts.get(what, 0) + count
    if not counts and not problems:
        return
    yield element("h4", "Errors")
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    yield element(
        "ul",
        *(element("li", problem) for problem in list(problems)[:_MOST_FAILURES]),
        *(
            element(
                "li",
                element("b", f"{count:,} \N{MULTIPLICATION SIGN} {code}"),
                *_examples(examples.get(code, ())),
            )
            for code, count in ranked[:_MOST_FAILURES]
        ),
        element("li", f"and {len(ranked) - _MOST_FAILURES:,} more kinds")
        if len(ranked) > _MOST_FAILURES
        else None,
        class_="wrong",
    )


def _examples(examples: Iterable[str]) -> Iterator[Content]:
    for number, example in enumerate(list(examples)[:3]):
        yield ": " if number == 0 else "; also: "
        yield element("q", example)


def _other_revisions(details: JobDetails) -> Iterator[Html]:
    """Yield the other revisions of the job, the newest first."""
    view = details.job_history.view
    others = [run for run in details.job_history.runs if run.revision != view.revision]
    if not others:
        return
    yield element("h4", "Other revisions")
    rows = [
        (
            element("code", run.revision or BLANK),
            state_label(run.state),
            run.note or "",
            f"{run.succeeded:,}",
            f"{run.total:,}",
        )
        for run in reversed(others[-_MOST_RUNS:])
    ]
    yield scroll_area(
        f"Other revisions of {view.name}",
        data_table(
            f"Other revisions of {view.name}, the newest first",
            ("Revision", "State", "Note", "Succeeded", "Requests"),
            rows,
            numbers=2,
        ),
    )
    if len(others) > _MOST_RUNS:
        older = [run.revision or BLANK for run in others[:-_MOST_RUNS]]
        yield element("p", f"Older revisions: {listed(older)}.", class_="hint")
