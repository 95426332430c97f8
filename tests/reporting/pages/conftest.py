"""What the tests of pages share: a tab that nothing may go wrong in."""

import contextlib
import re

import pytest

from tests import browser


@contextlib.contextmanager
def watched(chromium):
    """Yield a tab that notes errors and requests; in the end there must be none."""
    tab = chromium.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
    tab.set_default_timeout(60_000)  # on a machine that others use, all may take long
    wrong = browser.noted(tab, ("error", "warning"), lambda url: url.startswith(LOCAL))
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
