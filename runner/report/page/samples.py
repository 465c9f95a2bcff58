"""A few requests of a job, each with its response or its error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.report.page.markup import element, passage
from runner.report.text_width import fit
from runner.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.report.page.markup import Html
    from runner.views.conversation import Turn
    from runner.views.samples import Sample, Samples

_LONGEST_ID: Final = 80


def sample_lists(samples: Samples) -> Iterator[Html]:
    """Yield the samples of a job with their headings."""
    for heading, some in (
        ("First responses", samples.succeeded),
        ("First failed requests", samples.failed),
        ("First pending requests", samples.pending),
    ):
        if some:
            yield element("h4", heading)
            yield element("ol", *(element("li", _sample(one)) for one in some), class_="samples")
    if samples.note:
        yield element("p", f"{samples.note}.", class_="hint")


def _sample(sample: Sample) -> Html:
    name = fit(printable(sample.custom_id), _LONGEST_ID)
    request = _side("Request", sample.request) if sample.request else None
    return element(
        "div",
        element("p", element("code", name), class_="custom-id"),
        request if request is not None else _missing(),
        _result(sample),
        class_="sample",
    )


def _missing() -> Html:
    return element(
        "div", element("h5", "Request"), element("p", "not shown", class_="hint"), class_="side"
    )


def _result(sample: Sample) -> Html | None:
    if sample.code is not None:
        return element(
            "div",
            element("h5", "Failed"),
            element(
                "p", element("b", sample.code), f": {sample.message}" if sample.message else ""
            ),
            class_="side wrong",
        )
    return _side("Response", sample.response) if sample.response else None


def _side(heading: str, turns: Sequence[Turn]) -> Html:
    return element(
        "div",
        element("h5", heading),
        *(
            element(
                "div",
                element("span", turn.speaker, class_="role"),
                element("div", passage(turn.text), class_="message", dir="auto"),
                _cut(turn),
                class_="turn",
            )
            for turn in turns
        ),
        class_="side",
    )


def _cut(turn: Turn) -> Html | None:
    if not turn.left_out:
        return None
    return element("p", f"and {plural(turn.left_out, 'character')} more", class_="hint")
