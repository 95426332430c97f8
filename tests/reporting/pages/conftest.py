"""What the tests of pages share: one browser, and a tab that nothing may go wrong in."""

import contextlib
import re

import pytest

from tests import browser


@pytest.fixture(scope="session")
def chromium():
    """A browser, if there is one."""
    with browser.chromium() as chromium:
        yield chromium


@contextlib.contextmanager
def watched(chromium):
    """Yield a tab that notes errors and requests; in the end there must be none."""
    wrong = []
    tab = chromium.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
    tab.set_default_timeout(60_000)  # on a machine that others use, all may take long
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda told: told.type in ("error", "warning") and wrong.append(told.text))
    tab.on("request", lambda to: to.url.startswith(LOCAL) or wrong.append(to.url))
    yield tab
    tab.close()
    assert [each for each in wrong if not SLOW.search(each)] == []


@pytest.fixture
def tab(chromium):
    """A tab of this test."""
    with watched(chromium) as tab:
        yield tab


LOCAL = ("file:", "data:", "blob:")
SLOW = re.compile("GPU stall|SwiftShader", re.IGNORECASE)  # what WebGL without a card says


def look(tab, path):
    """Open a page, and wait until its charts in sight are drawn."""
    tab.goto(path.as_uri())
    tab.wait_for_selector("html[data-drawn]")
    return tab
