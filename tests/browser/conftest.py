"""One browser for all tests, and the pages that it opens.

Without Playwright the tests are not collected, and `pytest tests/browser` then fails for having
nothing to do, as `make browser` does without Chromium: no test is skipped without a failure.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol

import pytest

from runner.cli.commands.report import page_assets
from runner.report.page.document import render_page
from tests.browser.driving import Visit, chromium
from tests.report.dossiers import empty, hostile, large, small
from tests.report.scenes import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.browser.driving import Browser

ASSETS: Final = page_assets()

collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]


class Look(Protocol):
    """Opens a page of a kind; see `Visit`."""

    def __call__(self, kind: str, fragment: str = "", /, **settings: object) -> Visit:
        """Open it."""


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Write a page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    dossiers = {"small": small(), "empty": empty(), "hostile": hostile(), "large": large(1000)}
    paths = {kind: folder / f"{kind}.html" for kind in dossiers}
    for kind, project_report in dossiers.items():
        paths[kind].write_text(render_page(project_report, assets=ASSETS, now=NOW), "utf-8")
    return paths


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def look(browser: Browser, pages: Mapping[str, Path]) -> Iterator[Look]:
    """Give a way to open pages; closes them, and insists that each behaved."""
    visits: list[Visit] = []

    def look(kind: str, fragment: str = "", /, **settings: object) -> Visit:
        visit = Visit(browser, pages[kind], **settings)
        visits.append(visit)
        visit.go(fragment)
        return visit

    yield look
    for visit in visits:
        visit.context.close()
    assert [visit.complaints for visit in visits if visit.complaints] == []
    for visit in visits:
        assert {url.partition("#")[0] for url in visit.requests} == {visit.address}
