"""A browser for tests of pages: Chromium, which must log no error and send no request."""

import contextlib
import shutil
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@contextlib.contextmanager
def chromium():
    """Yield a browser, or skip the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(browser, path: Path, **settings):
    """Yield a page that was opened from the file system.

    Fails if it logs an error or asks for anything but itself.
    """
    context = browser.new_context(offline=True, **settings)
    page = context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("request", lambda asked: _own(asked.url, path) or wrong.append(asked.url[:80]))
    try:
        page.goto(path.resolve().as_uri())
        yield page
        assert not wrong
    finally:
        context.close()


def _own(url, path):
    return url == path.resolve().as_uri() or url.startswith(("blob:", "data:"))
