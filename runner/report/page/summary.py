"""The top of the page: the project, four tiles with numbers, the jobs that need attention."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from runner.batch import TERMINAL, BatchStatus
from runner.ledger.records import RunState
from runner.report.page.figure import stacked_bar
from runner.report.page.icons import STATES, state_icon, state_label
from runner.report.page.jobs import anchor
from runner.report.page.markup import element
from runner.report.text_width import fit
from runner.text import moment, plural, printable
from runner.views.token_usage import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from runner.report.page.markup import Content, Html
    from runner.views.project import JobReport, ProjectReport

_MOST_NAMED: Final = 8
_LONGEST_NOTE: Final = 200
_COMMIT_SHOWN: Final = 12


def header(project_report: ProjectReport, now: float) -> Html:
    """Return the header: the project, the time, the version and the commit."""
    facts = [f"Created {moment(now)} UTC", f"runner {project_report.version}"]
    if project_report.git is not None:
        branch = f" on {project_report.git.branch}" if project_report.git.branch else ""
        dirty = ", with changes that are not committed" if project_report.git.dirty else ""
        facts.append(f"commit {project_report.git.commit[:_COMMIT_SHOWN]}{branch}{dirty}")
    return element(
        "header",
        element("p", "Batch jobs", class_="kicker"),
        element("h1", project_report.project),
        element("p", *(element("span", fact) for fact in facts), class_="made"),
    )


def tiles(project_report: ProjectReport) -> Html:
    """Return the summary: tiles with the jobs, requests, batches and tokens."""
    return element(
        "section",
        element("h2", "Summary", id="summary"),
        element(
            "div",
            _jobs(project_report),
            _requests(project_report),
            _batches(project_report),
            _tokens(project_report),
            class_="tiles",
        ),
        _attention(project_report.jobs),
        aria_labelledby="summary",
    )  # fmt: skip


def _tile(name: str, count: int, bar: Html | None, entries: Iterable[Content]) -> Html:
    return element(
        "div",
        element("h3", name),
        element("p", f"{count:,}", class_="big"),
        bar,
        element("ul", *(element("li", entry) for entry in entries)),
        class_="tile",
    )


def _jobs(project_report: ProjectReport) -> Html:
    counts = Counter(str(job.view.state) for job in project_report.jobs)
    met = [(state, counts[state]) for state in STATES if counts[state]]
    return _tile(
        "Jobs",
        len(project_report.jobs),
        stacked_bar(reversed(met), len(project_report.jobs)),
        (element("span", state_label(state), _count(count)) for state, count in met),
    )


def _requests(project_report: ProjectReport) -> Html:
    views = [job.view for job in project_report.jobs]
    total = sum(view.total for view in views)
    parts = (
        ("succeeded", "succeeded", sum(view.succeeded for view in views)),
        ("failed", "failed", sum(view.failed for view in views)),
        ("pending", "pending", sum(view.pending for view in views)),
    )
    return _tile(
        "Requests",
        total,
        stacked_bar([(state, count) for state, _, count in parts], total),
        (
            element(
                "span",
                element("span", state_icon(state), word, class_=f"state {state}"),
                _count(count),
            )
            for state, word, count in parts
        ),
    )


def _batches(project_report: ProjectReport) -> Html:
    statuses = [submitted.batch.known_status for submitted in project_report.batches]
    under_way = sum(status not in TERMINAL for status in statuses)
    ended = Counter(status for status in statuses if status in TERMINAL)
    entries = [("under way", "running", under_way)] if under_way else []
    for status, state in (
        (BatchStatus.COMPLETED, "succeeded"),
        (BatchStatus.EXPIRED, "partial"),
        (BatchStatus.FAILED, "failed"),
        (BatchStatus.CANCELLED, "cancelled"),
    ):
        if ended[status]:
            entries.append((str(status), state, ended[status]))
    return _tile(
        "Batches",
        len(statuses),
        stacked_bar([(state, count) for _, state, count in entries], len(statuses)),
        (
            element(
                "span",
                element("span", state_icon(state), word, class_=f"state {state}"),
                _count(count),
            )
            for word, state, count in entries
        )
        if entries
        else ("none yet",),
    )


def _tokens(project_report: ProjectReport) -> Html:
    used = [
        tokens
        for submitted in project_report.batches
        if (tokens := TokenUsage.of(submitted.batch.raw.get("usage"))).total is not None
    ]
    tokens = sum(used, TokenUsage())
    total = tokens.total or 0
    if not used:
        return _tile("Tokens", 0, stacked_bar((), 0), ["no batch has reported any"])
    return _tile(
        "Tokens",
        total,
        stacked_bar((("tokens-in", tokens.input or 0), ("tokens-out", tokens.output or 0)), total),
        (
            element("span", _square("tokens-in"), "prompts", _count(tokens.input or 0)),
            element("span", _square("tokens-out"), "responses", _count(tokens.output or 0)),
            f"reported by {len(used):,} of {plural(len(project_report.batches), 'batch')}",
        ),
    )


def _square(class_: str) -> Html:
    return element(
        "svg",
        element("rect", class_=class_, width=12, height=12, x=2, y=2),
        class_="sign",
        aria_hidden="true",
        viewBox="0 0 16 16",
    )


def _count(count: int) -> Html:
    return element("b", f" {count:,}")


def _attention(jobs: Sequence[JobReport]) -> Html | None:
    """Return the list of failed, partial and blocked jobs with their notes."""
    needy = [
        job
        for job in jobs
        if job.view.state in (RunState.FAILED, RunState.PARTIAL) or job.view.blocked is not None
    ]
    if not needy:
        return None
    return element(
        "div",
        element("h3", "Needs attention"),
        element("ul", *_attention_items(needy)),
        class_="attention",
    )


def _attention_items(needy: Sequence[JobReport]) -> Iterator[Html]:
    for job in needy[:_MOST_NAMED]:
        view = job.view
        blocked = None if view.blocked is None else f"blocked: {view.blocked.reason}"
        note = blocked or view.note or f"{view.failed:,} of {plural(view.total, 'request')} failed"
        yield element(
            "li",
            state_label(view.state),
            " ",
            element("a", view.name, href=f"#{anchor(view.name)}"),
            f": {fit(printable(note), _LONGEST_NOTE)}",
        )
    if len(needy) > _MOST_NAMED:
        yield element("li", element("a", f"and {len(needy) - _MOST_NAMED:,} more", href="#jobs"))
