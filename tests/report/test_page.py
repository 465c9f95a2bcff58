"""The page about a project: its content, and what it must never contain."""

from __future__ import annotations

import itertools
import re
import time
from base64 import b64encode
from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import pytest

from runner.cli.commands.report import page_assets
from runner.report.page.document import render_page
from tests.report.dossiers import MARKUP, empty, hostile, large, small
from tests.report.golden_files import GOLDEN, check_golden
from tests.report.reading import read_page
from tests.report.scenes import NOW

if TYPE_CHECKING:
    from tests.report.reading import Element

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.views.project import ProjectReport

ASSETS: Final = page_assets()
DOSSIERS: Final[dict[str, Callable[[], ProjectReport]]] = {
    "small": small,
    "empty": empty,
    "hostile": hostile,
    "large": lambda: large(60),
}

each_dossier = pytest.mark.parametrize("kind", DOSSIERS)


@cache
def rendered(kind: str) -> str:
    return render_page(DOSSIERS[kind](), assets=ASSETS, now=NOW)


@cache
def read(kind: str) -> Element:
    return read_page(rendered(kind))


def identified(page: Element) -> dict[str, Element]:
    return {str(one.attributes["id"]): one for one in page.all() if "id" in one.attributes}


def test_a_small_page() -> None:
    page = rendered("small").replace(ASSETS.style, "\n").replace(ASSETS.script, "\n")

    # A line for each large element, so that a difference is readable.
    spread = re.sub(r"(?=<(?:section|figure|details|tr|li|h[1-5]|div|rect|text|p)\b)", "\n", page)
    check_golden(GOLDEN / "page-small.html", re.sub("sha256-[^&]+", "sha256-", spread))


@each_dossier
def test_the_same_values_make_the_same_page(kind: str) -> None:
    assert render_page(DOSSIERS[kind](), assets=ASSETS, now=NOW) == rendered(kind)


# Safety --------------------------------------------------------------------------------------


@each_dossier
def test_only_the_pages_own_style_and_script_may_run(kind: str) -> None:
    page = read(kind)
    [policy] = [
        one.attributes["content"] or ""
        for one in page.all("meta")
        if one.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    [script], [style] = page.all("script"), page.all("style")

    for one, directive in ((script, "script-src"), (style, "style-src")):
        digest = b64encode(sha256(one.text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


@each_dossier
def test_nothing_is_fetched_and_no_attribute_holds_code(kind: str) -> None:
    page = read(kind)

    allowed = {
        "a", "body", "b", "br", "caption", "circle", "code", "dd", "desc", "details", "div", "dl",
        "dt", "figcaption", "figure", "footer", "form", "g", "h1", "h2", "h3", "h4", "h5", "head",
        "header", "html", "input", "label", "li", "line", "main", "meta", "nav", "ol", "option",
        "p", "path", "q", "rect", "script", "section", "select", "small", "span", "style",
        "summary", "svg", "symbol", "table", "tbody", "td", "text", "th", "thead", "title", "tr",
        "ul", "use",
    }  # fmt: skip
    assert {one.name for one in page.all()} <= allowed
    for one in page.all():
        names = set(one.attributes)
        assert not names & {"src", "srcset", "style", "action", "formaction", "ping"}
        assert not [name for name in names if name.startswith("on")]
        if "href" in one.attributes:
            href = one.attributes["href"] or ""
            assert href.startswith("#") or one.name == "a"
            assert not re.match(r"[a-z]+:|//", href, re.IGNORECASE), href


def test_what_others_wrote_stays_text() -> None:
    page = read("hostile")
    body = page.all("body")[0]

    assert body.text.count(MARKUP) > 20
    assert page.all("title")[0].text.startswith(MARKUP)
    assert len(page.all("script")) == 1


@each_dossier
def test_no_character_moves_or_turns_anything(kind: str) -> None:
    page = rendered(kind)

    moving = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
    assert re.findall(moving, page) == []


def test_a_bidirectional_trick_in_a_prompt_is_seen_and_its_lines_are_kept() -> None:
    messages = [
        one.text for one in read("hostile").all("div") if one.attributes.get("class") == "message"
    ]

    assert messages
    assert all("\N{REPLACEMENT CHARACTER}right to left" in text for text in messages)
    assert all(" line\nbreak" in text for text in messages)


def test_the_script_and_the_style_can_be_written_in_any_encoding() -> None:
    assert ASSETS.script.isascii()
    assert ASSETS.style.isascii()
    assert "</" not in ASSETS.script + ASSETS.style


# For everybody -------------------------------------------------------------------------------


@each_dossier
def test_every_reference_leads_somewhere(kind: str) -> None:
    page = read(kind)
    names = [one.attributes["id"] for one in page.all() if "id" in one.attributes]
    assert len(names) == len(set(names)), "an id occurs twice"

    led: set[str | None] = set()
    for one in page.all():
        href = one.attributes.get("href") or ""
        if href.startswith("#"):
            led.add(href.removeprefix("#"))
        led.update((one.attributes.get("aria-labelledby") or "").split())
        if one.name == "label":
            led.add(one.attributes["for"])
    assert led - set(names) == set()


@pytest.mark.parametrize("kind", ["small", "large"])
def test_every_job_of_the_table_has_a_place_further_down(kind: str) -> None:
    page = read(kind)
    places = identified(page)
    links = [one.attributes["href"] or "" for one in places["jobs-table"].all("a")]

    assert len(links) == len(DOSSIERS[kind]().jobs)
    assert [link for link in links if link.removeprefix("#") not in places] == []


@each_dossier
def test_headings_go_down_one_step_at_a_time(kind: str) -> None:
    levels = [int(one.name[1]) for one in read(kind).all() if re.fullmatch("h[1-6]", one.name)]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert [pair for pair in itertools.pairwise(levels) if pair[1] > pair[0] + 1] == []


@each_dossier
def test_landmarks_language_and_a_way_past_the_top(kind: str) -> None:
    page = read(kind)

    assert page.all("html")[0].attributes["lang"] == "en"
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.all(landmark)) == 1
    first = page.all("a")[0]
    assert (first.attributes["class"], first.attributes["href"]) == ("skip", "#jobs")


@each_dossier
def test_tables_say_what_they_are_and_what_their_heads_are_for(kind: str) -> None:
    for table in read(kind).all("table"):
        assert table.children[0].name == "caption"
        assert table.children[0].text
        assert all(one.attributes.get("scope") in ("col", "row") for one in table.all("th"))
        columns = len(table.all("thead")[0].all("th"))
        for row in table.all("tbody")[0].all("tr"):
            assert len(row.children) == columns
            assert row.children[0].attributes.get("scope") == "row"


@each_dossier
def test_drawings_have_names_and_a_table_beside_them(kind: str) -> None:
    for one in read(kind).all("svg"):
        if one.attributes.get("role") == "img":
            assert [child.name for child in one.children[:2]] == ["title", "desc"]
            assert all(child.text for child in one.children[:2])
            assert one.parent is not None
            assert one.parent.name == "figure"
            assert one.parent.all("table")
        else:
            nested = one.parent is not None and one.parent.name in ("svg", "g")
            assert nested or one.attributes.get("aria-hidden") == "true"


@each_dossier
def test_whatever_scrolls_can_be_reached_and_has_a_name(kind: str) -> None:
    for one in read(kind).all("div"):
        if "scroll" in (one.attributes.get("class") or "").split():
            assert one.attributes["tabindex"] == "0"
            assert one.attributes["role"] == "region"
            assert one.attributes["aria-label"]


def test_a_state_is_a_word_as_well_as_a_colour_and_a_sign() -> None:
    states = [
        one
        for one in read("small").all("span")
        if "state" in (one.attributes.get("class") or "").split()
    ]

    assert len(states) > 10
    assert all(one.text and one.all("use") for one in states)


# Content -------------------------------------------------------------------------------------


def test_an_empty_project_says_so() -> None:
    page = read("empty")

    assert "There is no job yet" in page.all("main")[0].text
    assert page.all("table") == []


def test_of_a_project_of_one_job_its_section_is_open() -> None:
    project_report = small()
    page = read_page(
        render_page(replace(project_report, jobs=project_report.jobs[:1]), assets=ASSETS, now=NOW)
    )

    [job] = [one for one in page.all("details") if one.attributes["class"] == "job"]
    assert "open" in job.attributes


def test_samples_stand_side_by_side_and_say_what_was_cut() -> None:
    samples = [one for one in read("small").all("div") if one.attributes.get("class") == "sample"]
    first, second, third = (one.text for one in samples)

    assert re.search(r"(?s)review-1.*Request.*user.*it\.\nEvery page.*Response.*kind", first)
    assert "and 1,234 characters more" in second
    assert re.search(r"Failed.*rate_limit_exceeded: Rate limit reached", third)


def test_links_to_files_lead_where_the_dossier_says() -> None:
    section = identified(read("small"))["job-sentiment"]
    links = {one.text: one.attributes["href"] for one in section.all("a")}

    folder = "outputs/sentiment/9f86d081884c"
    assert links["output.jsonl"] == f"{folder}/output.jsonl"
    assert links["raw/"] == f"{folder}/raw/"
    assert links["output"] == f"{folder}/raw/0001-1.output.jsonl"


def test_of_very_many_jobs_most_are_told_in_short_and_the_page_says_so() -> None:
    page = read("large")
    folded = [one for one in page.all("details") if one.attributes.get("class") == "job"]

    assert len(folded) == 40
    assert "40 jobs in full" in page.text
    assert "20 other jobs in short" in page.text
    assert "runner report survey-0040" in page.text


def test_very_many_batches_are_drawn_together() -> None:
    page = identified(read("large"))
    crowd, bars = page["timeline-crowd"], page["timeline-bars"]

    assert "120 batches" in crowd.text
    assert len(crowd.all("rect")) <= 3 * 96
    assert len(bars.all("g")) == 24


def test_a_thousand_jobs_take_less_than_two_megabytes_and_no_more_time_each() -> None:
    def seconds(jobs: int) -> float:
        project_report = large(jobs)
        began = time.process_time()
        render_page(project_report, assets=ASSETS, now=NOW)
        return time.process_time() - began

    page = render_page(large(1000), assets=ASSETS, now=NOW)
    # Time that grows with the square would be sixteen times as long.
    assert min(seconds(1000) for _ in range(3)) < 10 * min(seconds(250) for _ in range(3))
    assert len(page.encode()) < 2_000_000
    assert page.count(' data-s="') == 1000
