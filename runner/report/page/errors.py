"""The kinds of errors, over all jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.report.page.figure import data_table, scroll_area, stacked_bar
from runner.report.page.jobs import anchor
from runner.report.page.markup import BLANK, element
from runner.report.text_width import fit
from runner.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.report.page.markup import Content, Html
    from runner.views.totals import ErrorKind

_MOST_KINDS: Final = 20
_MOST_JOBS: Final = 3
_LONGEST_CODE: Final = 60


def error_section(errors: Sequence[ErrorKind]) -> Html:
    """Return the section about errors."""
    return element(
        "section",
        element("h2", "Errors", id="errors"),
        *(_kinds(errors) if errors else _none()),
        aria_labelledby="errors",
    )


def _none() -> Iterator[Html]:
    yield element("p", "No request has failed in any attempt.", class_="hint")


def _kinds(errors: Sequence[ErrorKind]) -> Iterator[Html]:
    most = errors[0].count
    yield element(
        "p",
        "Over all attempts: a request counts once for each attempt in which it failed.",
        class_="hint",
    )
    rows = [
        (
            element("code", fit(printable(kind.code), _LONGEST_CODE)),
            element(
                "span",
                stacked_bar((("failed", max(kind.count, most // 100)),), most),
                class_="how-far",
            ),
            element("span", *_jobs(kind.jobs)),
            element("span", *_examples(kind.examples)),
            f"{kind.count:,}",
        )
        for kind in errors[:_MOST_KINDS]
    ]
    yield scroll_area(
        "Kinds of errors",
        data_table(
            "Kinds of errors, the most frequent first",
            ("Error", "Relative", "Jobs", "Examples", "Requests"),
            rows,
            numbers=1,
        ),
    )
    if len(errors) > _MOST_KINDS:
        rest = sum(kind.count for kind in errors[_MOST_KINDS:])
        yield element(
            "p",
            f"{len(errors) - _MOST_KINDS:,} more kinds, {plural(rest, 'request')}.",
            class_="hint",
        )


def _jobs(names: Sequence[str]) -> Iterator[Content]:
    for number, name in enumerate(names[:_MOST_JOBS]):
        if number:
            yield ", "
        yield element("a", name, href=f"#{anchor(name)}")
    if len(names) > _MOST_JOBS:
        yield f" and {len(names) - _MOST_JOBS:,} more"


def _examples(examples: Sequence[str]) -> Iterator[Content]:
    for number, example in enumerate(examples):
        if number:
            yield element("br")
        yield element("q", example)
    if not examples:
        yield BLANK
