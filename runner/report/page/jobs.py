"""The table of all jobs, which can be sorted and searched, and the table of jobs in short."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from runner.report.page.figure import scroll_area, stacked_bar
from runner.report.page.icons import STATES, state_label
from runner.report.page.markup import BLANK, element
from runner.report.text_width import fit
from runner.text import moment, plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runner.report.page.markup import Content, Html
    from runner.views.jobs import JobView
    from runner.views.project import JobReport

_COLUMNS: Final = (
    ("Job", "text"),
    ("State", "number"),
    ("Progress", "number"),
    ("Succeeded", "number"),
    ("Failed", "number"),
    ("Requests", "number"),
    ("Batches", "number"),
    ("Tokens", "number"),
    ("Last change (UTC)", "number"),
)
_NUMBERS: Final = frozenset({"Succeeded", "Failed", "Requests", "Batches", "Tokens"})
_LONGEST_NOTE: Final = 160
_UNDER_WAY: Final = frozenset({"validating", "in_progress", "finalizing", "cancelling"})


def anchor(job: str) -> str:
    """Return the HTML id of the section about a job."""
    return f"job-{job}"


def jobs_table(jobs: Sequence[JobReport]) -> Html:
    """Return the section with the table of all jobs."""
    return element(
        "section",
        element("h2", "Jobs", id="jobs"),
        _tools(jobs),
        scroll_area(
            "Table of jobs",
            element(
                "table",
                element(
                    "caption",
                    f"{plural(len(jobs), 'job')}; those that need attention first, then the latest",
                ),
                element("thead", element("tr", *map(_head, _COLUMNS))),
                element("tbody", *map(_row, jobs)),
                class_="jobs",
                id="jobs-table",
            ),
            class_="scroll tall",
        ),
        aria_labelledby="jobs",
    )


def _head(column: tuple[str, str]) -> Html:
    name, kind = column
    return element(
        "th", name, scope="col", class_="n" if name in _NUMBERS else None, data_sort=kind
    )


def _tools(jobs: Sequence[JobReport]) -> Html:
    """Return the fields that search the table; the script shows them."""
    met = {str(job.view.state) for job in jobs}
    return element(
        "form",
        element("label", "Name contains", for_="search"),
        element("input", id="search", type="search", autocomplete="off", spellcheck="false"),
        element("label", "State", for_="state"),
        element(
            "select",
            element("option", "all", value=""),
            *(element("option", state, value=state) for state in STATES if state in met),
            id="state",
        ),
        element("p", id="found", role="status"),
        class_="tools",
        id="tools",
        role="search",
        hidden=True,
    )


def _row(job: JobReport) -> Html:
    view = job.view
    tokens = job.tokens.total
    done = view.done.succeeded + view.done.failed
    share = 100 * done // view.total if view.total else 0
    changed = job.changed_at
    return element(
        "tr",
        element(
            "th",
            element("a", view.name, href=f"#{anchor(view.name)}"),
            element("small", " no spec") if job.spec_gone else None,
            scope="row",
        ),
        element(
            "td",
            state_label(view.state),
            element("small", " blocked") if view.blocked is not None else None,
            data_v=STATES.index(view.state),
        ),
        element("td", progress_bar(view), element("small", f"{share} %"), data_v=share, class_="p"),
        _number(view.done.succeeded),
        _number(view.done.failed, class_="bad" if view.done.failed else None),
        _number(view.total),
        element("td", _batch_count(view), data_v=len(view.batches), class_="n"),
        _number(tokens),
        element("td", moment(changed)[:16] if changed else BLANK, data_v=int(changed or 0)),
        data_s=str(view.state),
    )


def _number(count: int | None, *, class_: str | None = None) -> Html:
    """Return a cell with a count; the script sorts it by its text."""
    return element(
        "td", BLANK if count is None else f"{count:,}", class_=f"n {class_}" if class_ else "n"
    )


def progress_bar(view: JobView) -> Html:
    """Return a bar of the succeeded and failed requests of a job."""
    return stacked_bar(
        (("succeeded", view.done.succeeded), ("failed", view.done.failed)), view.total
    )


def _batch_count(view: JobView) -> str:
    """Return the number of batches, and how many of them are under way."""
    under_way = sum(str(batch.get("status")) in _UNDER_WAY for batch in view.batches)
    return f"{len(view.batches):,}" + (f" ({under_way:,} under way)" if under_way else "")


def short_jobs(jobs: Sequence[JobReport]) -> Html:
    """Return a table with a line for each job that has no section of its own."""
    return scroll_area(
        "Jobs in short",
        element(
            "table",
            element("caption", f"{plural(len(jobs), 'job')} in short"),
            element(
                "thead",
                element(
                    "tr",
                    *(
                        element("th", head, scope="col")
                        for head in ("Job", "Endpoint", "Outputs", "Batches", "Note")
                    ),
                ),
            ),
            element("tbody", *map(_short, jobs)),
        ),
        class_="scroll tall",
    )


def _short(job: JobReport) -> Html:
    view = job.view
    remark = view.note if view.blocked is None else f"blocked: {view.blocked.reason}"
    cells: Iterable[Content] = (
        f"{view.endpoint} on {view.provider}",
        job.folder if job.href is None else element("a", job.folder, href=job.href),
        _statuses(view),
        fit(printable(remark), _LONGEST_NOTE) if remark else "",
    )
    return element(
        "tr",
        element("th", view.name, scope="row"),
        *(element("td", cell) for cell in cells),
        id=anchor(view.name),
        tabindex=-1,
    )


def _statuses(view: JobView) -> str:
    counts = Counter(str(batch.get("status")) for batch in view.batches)
    return ", ".join(f"{count:,} {status}" for status, count in counts.items()) or "none"
