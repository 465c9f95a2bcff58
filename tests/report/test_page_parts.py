"""The parts of the page: markup, phases of batches, axes and charts."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.batch import Batch
from runner.report.page.charts import queue_time_figure, throughput, throughput_figure, token_figure
from runner.report.page.markup import Html, element, passage, text
from runner.report.page.scale import STEPS, TimeScale, step_for
from runner.report.page.timeline import timeline_figures
from tests.report.dossiers import flown, large
from tests.report.reading import read_page
from tests.report.scenes import NOW

T = int(NOW) - 10_000


def batch(status: str = "completed", **times: Any) -> Batch:  # noqa: ANN401
    counts = {"total": 10, "completed": 8, "failed": 2}
    return Batch.from_api({"id": "b", "status": status, "request_counts": counts, **times})


# Markup --------------------------------------------------------------------------------------


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[str | None] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [value for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words += data


@given(st.text(), st.text())
def test_no_text_becomes_markup(content: str, value: str) -> None:
    reader = _Words()
    reader.feed(element("p", content, title=value))
    reader.close()

    assert reader.tags == ["p"]
    assert len(reader.attributes) == 1
    assert len(reader.words) == len(content)


@given(st.text())
def test_a_passage_keeps_its_lines_and_nothing_else_that_moves(content: str) -> None:
    shown = passage(content)

    assert shown.count("\n") == content.replace("\r\n", "\n").count("\n")
    assert "\x1b" not in shown
    assert "<" not in shown


def test_only_what_was_made_here_is_markup() -> None:
    assert element("p", Html("<b>x</b>"), "<b>") == "<p><b>x</b>&lt;b&gt;</p>"
    assert text("<&\"'\u202e") == "&lt;&amp;&quot;&#x27;\N{REPLACEMENT CHARACTER}"


def test_attributes_that_are_none_or_false_are_left_out() -> None:
    made = element("input", class_="a", hidden=True, open=False, id=None, data_v=0, x=1.5)

    assert made == '<input class="a" hidden data-v="0" x="1.5">'


# Phases --------------------------------------------------------------------------------------


def test_the_rate_is_that_of_the_requests_answered_in_progress() -> None:
    done = batch(created_at=T, in_progress_at=T + 60, finalizing_at=T + 300, completed_at=T + 310)

    assert throughput(done, NOW) == 2.0
    assert throughput(batch("in_progress", created_at=T, in_progress_at=T + 60), NOW) is None


def test_work_of_no_time_counts_as_a_second() -> None:
    done = batch(created_at=T, in_progress_at=T, finalizing_at=T, completed_at=T)

    assert throughput(done, NOW) == 480


def test_a_batch_of_which_no_phase_is_reported_has_a_bar_that_says_so() -> None:
    [bar] = timeline_figures(
        [flown("a", 1, created=T, in_progress_at=None, finalizing_at=None)], NOW
    )

    assert 'class="unreported"' in bar
    assert "phase not reported" in bar
    assert 'class="in_progress"' not in bar


def test_a_batch_whose_end_is_not_reported_has_no_length() -> None:
    [bar] = timeline_figures([flown("a", 1, created=T, completed_at=None)], NOW)

    assert "completed after" not in bar


# Axes ----------------------------------------------------------------------------------------


@given(st.floats(0, 4e9), st.floats(0, 4e9))
def test_an_axis_has_few_ticks_and_none_outside(begins: float, length: float) -> None:
    scale = TimeScale.over(begins, begins + length)
    ticks = list(scale.ticks())

    assert len(ticks) <= 6
    assert all(0 <= place <= 100 for place, _ in ticks)
    assert [place for place, _ in ticks] == sorted(place for place, _ in ticks)


@given(st.floats(0.001, 1e12), st.integers(1, 100))
def test_a_step_holds_what_it_has_to(seconds: float, most: int) -> None:
    step = step_for(seconds, most)

    assert seconds <= step * most * (1 + 1e-9)
    assert step in STEPS or step % STEPS[-1] == 0


# Drawings ------------------------------------------------------------------------------------


def test_of_few_batches_the_middle_is_told_and_nothing_drawn() -> None:
    [one] = [flown("a", 1, created=T, queued=90, worked=60)]
    made = queue_time_figure([one], NOW)

    assert made is not None
    assert "1 min 30 s" in made
    assert "<svg" not in made


def test_of_no_batches_there_is_nothing() -> None:
    waiting = flown("a", 1, created=T, status="in_progress", usage=None, request_counts=None)

    assert list(timeline_figures([], NOW)) == []
    assert throughput_figure([waiting], NOW) is None
    assert token_figure([waiting], NOW) is None
    assert token_figure([flown("a", 1, created=T)], NOW) is None, "the summary has it"


@pytest.mark.parametrize("queued", [(1, 2, 3), (0, 10**6, 5), (70, 70, 70), (5000, 20_000, 90_000)])
def test_the_columns_of_a_histogram_count_every_batch(queued: tuple[int, ...]) -> None:
    flights = [
        flown("a", number, created=int(NOW) - 2 * 10**6, queued=seconds)
        for number, seconds in enumerate(queued)
    ]
    made = queue_time_figure(flights, NOW)

    assert made is not None
    counts = [int(cell.text) for cell in read_page(made).all("td")]
    assert sum(counts) == len(queued)
    assert len(counts) >= 4


def test_the_sums_of_tokens_over_time_are_those_of_the_batches() -> None:
    flights = large(50).batches
    made = token_figure(flights, NOW)

    assert made is not None
    rows = read_page(made).all("tbody")[0].all("tr")
    sums = [int(row.children[-1].text.replace(",", "")) for row in rows]
    reported = [one.batch.raw["usage"] for one in flights if one.batch.terminal]
    assert sum(sums) == sum(use["input_tokens"] + use["output_tokens"] for use in reported)


def test_bars_lie_within_their_drawing_and_name_their_batch() -> None:
    [made] = timeline_figures(large(20).batches, NOW)
    bars = read_page(made).all("g")

    assert len(bars) == 40
    assert all(bar.children[0].name == "title" for bar in bars)
    for one in read_page(made).all("rect"):
        if (one.attributes.get("x") or "").endswith("%"):
            x = float((one.attributes["x"] or "").rstrip("%"))
            width = float((one.attributes["width"] or "").rstrip("%"))
            assert x >= 0
            assert x + width <= 100.01
