"""The page as a whole: its head with the content security policy, and its parts in order."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from runner.report.page.charts import queue_time_figure, throughput_figure, token_figure
from runner.report.page.errors import error_section
from runner.report.page.icons import sprite
from runner.report.page.job import job_section
from runner.report.page.jobs import jobs_table, short_jobs
from runner.report.page.markup import Html, element, join
from runner.report.page.summary import header, tiles
from runner.report.page.timeline import timeline_figures
from runner.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.report.page.markup import Content
    from runner.views.project import JobReport, ProjectReport

_MOST_OPENED: Final = 3
"""The most jobs whose sections are open when the page is loaded."""

_PARTS: Final = (
    ("jobs", "Jobs"),
    ("batches", "Batches"),
    ("errors", "Errors"),
    ("details", "Job by job"),
)
"""The ids and headings of the parts after the summary, in a project with a job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """The texts of `style.css` and `script.js`, which the page contains whole.

    Both are ASCII, so that the page can be written in any encoding. The page is complete without
    the script, which sorts, searches and unfolds. Every colour of text has a contrast of at least
    4.5 to 1 with its background, every colour of a drawing 3 to 1 (WCAG 2.2, 1.4.3 and 1.4.11);
    tests/browser measures it.
    """

    style: str
    script: str


def render_page(project_report: ProjectReport, *, assets: Assets, now: float) -> str:
    """Render the page of a project as HTML; `now` is the time in Unix seconds.

    The same values give the same page, byte for byte.
    """
    body = element(
        "body",
        element("a", "Skip to the jobs", href="#jobs", class_="skip"),
        sprite(),
        header(project_report, now),
        _navigation(_PARTS if project_report.jobs else ()),
        element("main", *_parts(project_report, now)),
        element(
            "footer",
            element(
                "p",
                "Times are UTC. Counts of requests and attempts are from the ledger; times of "
                "batches and tokens are from the provider. This page loads nothing from a network.",
            ),
        ),
        Html(f"<script>{assets.script}</script>"),
    )
    return f"<!doctype html>\n{element('html', _head(project_report, assets), body, lang='en')}\n"


def _head(project_report: ProjectReport, assets: Assets) -> Html:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(assets)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="generator", content=f"runner {project_report.version}"),
        element("title", f"{project_report.project}: batch jobs"),
        Html(f"<style>{assets.style}</style>"),
    )


def _policy(assets: Assets) -> str:
    """Return a policy that forbids everything but this style and this script.

    Source: Content Security Policy Level 3. A script in a prompt or a response does not run, even
    if it were not escaped.
    """
    style, script = _digest(assets.style), _digest(assets.script)
    return (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; "
        f"base-uri 'none'; form-action 'none'"
    )


def _digest(content: str) -> str:
    return f"sha256-{b64encode(sha256(content.encode()).digest()).decode()}"


def _navigation(parts: Sequence[tuple[str, str]]) -> Html:
    return element(
        "nav",
        element(
            "ul",
            *(
                element("li", element("a", name, href=f"#{target}"))
                for target, name in (("summary", "Summary"), *parts)
            ),
        ),
        aria_label="Parts of this page",
    )


def _parts(project_report: ProjectReport, now: float) -> Iterator[Html]:
    yield tiles(project_report)
    if not project_report.jobs:
        yield element(
            "p",
            "There is no job yet: the project has no spec, and the ledger has no run.",
            class_="empty",
            id="jobs",
        )
        return
    yield jobs_table(project_report.jobs)
    yield _batches(project_report, now)
    yield error_section(project_report.errors)
    yield element(
        "section",
        element("h2", "Job by job", id="details"),
        *_job_sections(project_report, now),
        aria_labelledby="details",
    )


def _batches(project_report: ProjectReport, now: float) -> Html:
    batches = project_report.batches
    figures: list[Content] = [
        *timeline_figures(batches, now),
        queue_time_figure(batches, now),
        throughput_figure(batches, now),
        token_figure(batches, now),
    ]
    none = "No batch has been created yet." if not batches else "No batch has usable times."
    return element(
        "section",
        element("h2", "Batches", id="batches"),
        element("div", *figures, class_="figures")
        if any(figures)
        else element("p", none, class_="hint"),
        aria_labelledby="batches",
    )


def _job_sections(project_report: ProjectReport, now: float) -> Iterator[Html]:
    full = [(job, job.details) for job in project_report.jobs if job.details is not None]
    short = [job for job in project_report.jobs if job.details is None]
    if short:
        yield element("p", _short_note(len(full), short), class_="hint")
    opened = len(full) == 1 or (project_report.chosen and len(full) <= _MOST_OPENED)
    yield join(job_section(job, details, now, opened=opened) for job, details in full)
    if short:
        yield short_jobs(short)


def _short_note(full: int, short: Sequence[JobReport]) -> Html:
    text = (
        f"{plural(full, 'job')} in full: those with failures, those running, and the latest. "
        f"{plural(len(short), 'other job')} in short, to keep the page small; "
    )
    command = element("code", f"runner report {short[0].view.name}")
    return join((text, command, " writes a page with all details of that job."))
