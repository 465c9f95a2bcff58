"""Chromium, driven through pages on this disk: the one of this system, with no network in use.

Playwright is large and for nothing else, so it is not among the requirements of every day:
`make browser` installs it. It is imported by name alone, since its types would need it to be there.
"""

from __future__ import annotations

import importlib
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Browser: TypeAlias = Any
Page: TypeAlias = Any
"""Playwright's classes of these names."""

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_FLAGS: Final = (
    "--no-sandbox",  # root, in CI; nothing but our own pages is opened
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
)


class NoBrowser(Exception):
    """There is no Chromium on this machine."""


def executable() -> str:
    """Return where Chromium is. Raises NoBrowser, so that nothing is skipped in silence."""
    for name in _NAMES:
        if (found := shutil.which(name)) is not None:
            return found
    raise NoBrowser(f"none of {', '.join(_NAMES)} is on the PATH: install one of them")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium without a window, and end it with the block."""
    with importlib.import_module("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A visit of a page on this disk, with the errors that it caused.

    `settings` are those of a context of Playwright's: `color_scheme`, `viewport` and so on.
    """

    def __init__(self, browser: Browser, path: Path, **settings: object) -> None:
        self.context = browser.new_context(**settings)
        self.page: Page = self.context.new_page()
        self.address = path.as_uri()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._dismiss)

    def _dismiss(self, dialog: Any) -> None:  # noqa: ANN401 -- Playwright's Dialog
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def go(self, fragment: str = "") -> Page:
        """Open the page, at a place in it."""
        self.page.goto(self.address + fragment)
        return self.page

    def unfold(self) -> None:
        """Unfold all that is folded."""
        self.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
