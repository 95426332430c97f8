"""A real browser for the tests of pages: Debian's Chromium, or the one that CHROMIUM names."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Plotly's parallel coordinates need WebGL, which runs on the processor here.
OPTIONS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader")
OPTIONS += ("--enable-unsafe-swiftshader",)


def installed():
    """Return the path of Chromium, or None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def missing():
    """Return why there is no browser, or None."""
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "Playwright is not installed: pip install -e '.[test]'"
    return None if installed() else "Chromium is not installed: apt-get install chromium"


@contextlib.contextmanager
def chromium(*options):
    """Yield a browser without a window, or skip the test where there is none."""
    if why := missing():
        pytest.skip(why)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed(), args=[*OPTIONS, *options])
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser, path: Path, **settings):
    """Yield a page that was opened from the file system.

    Fails if it logs an error or asks for anything but itself.
    """
    own = path.resolve().as_uri()
    context = browser.new_context(offline=True, **settings)
    page = context.new_page()
    wrong = noted(page, ("error",), lambda url: url == own or url.startswith(("blob:", "data:")))
    try:
        page.goto(own)
        yield page
        assert not wrong
    finally:
        context.close()


def noted(page, kinds, may_ask):
    """Return a list to which a page adds its errors, console lines of kinds, and requests."""
    wrong = []
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("console", lambda said: said.type in kinds and wrong.append(said.text))
    page.on("request", lambda asked: may_ask(asked.url) or wrong.append(asked.url[:80]))
    return wrong
