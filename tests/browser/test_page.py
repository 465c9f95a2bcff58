"""The page in Chromium: no errors, readable, usable without a mouse and without scripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import Look
    from tests.browser.driving import Page

KINDS: Final = ("small", "empty", "hostile", "large")
PHONE: Final = {"width": 375, "height": 812}
CONTRAST: Final = (Path(__file__).parent / "contrast.js").read_text("utf-8")

each_kind = pytest.mark.parametrize("kind", KINDS)
each_scheme = pytest.mark.parametrize("scheme", ["light", "dark"])


def names(page: Page) -> list[str]:
    """Return the jobs of the table that are shown, in their order."""
    shown: list[str] = page.locator("#jobs-table tbody tr:not([hidden]) th a").all_inner_texts()
    return shown


def focused(page: Page) -> dict[str, Any]:
    """Say what has the focus."""
    about: dict[str, Any] = page.evaluate(
        "(() => { const at = document.activeElement; return {tag: at.tagName, id: at.id,"
        " text: at.textContent.trim().slice(0, 40), outlined:"
        " getComputedStyle(at).outlineStyle !== 'none'}; })()"
    )
    return about


def press_until(page: Page, wanted: str, *, most: int = 60) -> dict[str, Any]:
    """Press Tab until something with this id or text has the focus."""
    seen = []
    for _ in range(most):
        page.keyboard.press("Tab")
        about = focused(page)
        if wanted in (about["id"], about["text"]):
            return about
        seen.append(about["id"] or about["text"])
    raise AssertionError(f"Tab does not reach {wanted}: {seen}")


# The fixture holds each of these tests to it: no message on the console, no request but the page.


@each_kind
@each_scheme
def test_a_page_opens_and_is_quiet(look: Look, kind: str, scheme: str) -> None:
    page = look(kind, color_scheme=scheme).page

    assert page.locator("h1").is_visible()
    assert len(page.screenshot()) > 5_000


@each_scheme
def test_light_and_dark_are_what_the_system_is(look: Look, scheme: str) -> None:
    page = look("small", color_scheme=scheme).page

    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in ground.removeprefix("rgb(").rstrip(")").split(","))
    assert (brightness > 3 * 200) if scheme == "light" else (brightness < 3 * 60)


@each_scheme
@pytest.mark.parametrize("kind", ["small", "hostile"])
def test_contrasts_are_those_of_wcag(look: Look, kind: str, scheme: str) -> None:
    visit = look(kind, color_scheme=scheme)
    visit.unfold()
    found = visit.page.evaluate(CONTRAST)

    assert found["texts"] > 100
    assert found["shapes"] > 10
    assert found["faults"] == []


@each_kind
def test_nothing_is_wider_than_a_phone(look: Look, kind: str) -> None:
    visit = look(kind, viewport=PHONE)
    visit.unfold()

    assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_first_tab_leads_past_the_top(look: Look) -> None:
    page = look("small").page
    page.keyboard.press("Tab")

    assert focused(page)["text"] == "Skip to the jobs"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    page.wait_for_url("**#jobs")


def test_everything_is_reached_by_keyboard_and_seen_to_be(look: Look) -> None:
    page = look("small").page

    for wanted in ("search", "state", "Job", "Last change (UTC)", "sentiment", "As a table"):
        assert press_until(page, wanted)["outlined"], wanted


def test_a_job_is_opened_by_its_link_and_left_again(look: Look) -> None:
    page = look("large").page
    assert not page.locator("#job-survey-0007").is_visible()
    page.locator("#jobs-table a", has_text="survey-0007").focus()
    page.keyboard.press("Enter")

    page.locator("#job-survey-0007").wait_for(state="visible")
    page.wait_for_function("document.activeElement.id === 'job-survey-0007'")
    press_until(page, "Back to all jobs")
    page.keyboard.press("Enter")
    page.wait_for_url("**#jobs")


def test_a_job_told_in_short_is_led_to_as_well(look: Look) -> None:
    page = look("large", "#job-survey-0999").page

    page.wait_for_function("document.activeElement.id === 'job-survey-0999'")
    assert page.locator("#job-survey-0999").is_visible()


def test_a_thousand_jobs_are_searched_and_sorted_at_once(look: Look) -> None:
    page = look("large").page
    assert len(names(page)) == 1000

    page.locator("#search").fill("SURVEY-099")
    assert names(page) == [f"survey-099{number}" for number in range(10)]
    assert page.locator("#found").inner_text() == "10 of 1,000 jobs shown"
    page.locator("#search").fill("")
    page.locator("#state").select_option("failed")
    assert len(names(page)) == 25
    page.locator("#state").select_option("")

    spent = page.evaluate(
        "(() => { const began = performance.now();"
        " document.querySelector('#jobs-table thead button').click();"
        " document.body.offsetHeight; return performance.now() - began; })()"
    )
    assert spent < 1000


def test_the_table_is_sorted_by_its_heads_and_says_how(look: Look) -> None:
    page = look("small").page
    job, requests = (
        page.locator("#jobs-table thead th", has_text=words) for words in ("Job", "Requests")
    )
    assert job.get_attribute("aria-sort") is None

    job.get_by_role("button").press("Enter")
    assert job.get_attribute("aria-sort") == "ascending"
    assert names(page) == sorted(names(page))
    job.get_by_role("button").press("Space")
    assert job.get_attribute("aria-sort") == "descending"
    assert names(page) == sorted(names(page), reverse=True)
    requests.get_by_role("button").click()
    assert (job.get_attribute("aria-sort"), requests.get_attribute("aria-sort")) == (
        None,
        "descending",
    )
    assert names(page)[0] == "sentiment"


def test_a_screen_reader_is_told_what_there_is(look: Look) -> None:
    page = look("small").page

    for role, name in (
        ("navigation", "Parts of this page"),
        ("search", None),
        ("table", "5 jobs"),
        ("img", "Each batch"),
        ("img", "Queue time"),
        ("heading", "sentiment"),
    ):
        assert page.get_by_role(role, name=name).first.is_visible(), (role, name)


def test_without_scripts_all_can_be_read(look: Look) -> None:
    page = look("small", "#job-sentiment", java_script_enabled=False).page

    assert page.locator("#job-sentiment").is_visible(), "unfolded by the link itself"
    assert not page.locator("#tools").is_visible(), "what could not work is not shown"
    page.locator("summary", has_text="summaries").click()
    assert page.locator("#job-summaries").is_visible()


@pytest.mark.parametrize("scripts", [True, False])
def test_on_paper_everything_is_unfolded_and_dark_on_light(look: Look, scripts: bool) -> None:  # noqa: FBT001
    visit = look("small", color_scheme="dark", java_script_enabled=scripts)
    visit.page.emulate_media(media="print", color_scheme="dark")

    assert visit.page.locator("#job-sentiment .samples").first.is_visible()
    assert not visit.page.locator("nav").is_visible()
    assert visit.page.locator("#job-sentiment .samples").first.bounding_box()["height"] > 100
    if scripts:
        assert visit.page.evaluate(CONTRAST)["faults"] == []
    printed = visit.page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") >= 3
