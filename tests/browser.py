"""A real browser for the tests of pages: Debian's Chromium, or the one that CHROMIUM names."""

import contextlib
import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Plotly's parallel coordinates need WebGL, which runs on the processor here.
OPTIONS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader")
OPTIONS += ("--enable-unsafe-swiftshader",)


def path():
    """Return the path of Chromium, or None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def missing():
    """Return why there is no browser, or None."""
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "Playwright is not installed: pip install -e '.[test]'"
    return None if path() else "Chromium is not installed: apt-get install chromium"


@contextlib.contextmanager
def chromium():
    """Yield a browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path(), args=list(OPTIONS))
        yield browser
        browser.close()
