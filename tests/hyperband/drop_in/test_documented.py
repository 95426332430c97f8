"""The page on searches names each of KerasTuner's tests that is left out, and why."""

import re
from pathlib import Path

from tools import kerastuner_tests

PAGE = Path(__file__).parents[3] / "docs" / "search.md"


def test_the_page_has_the_tests_of_kerastuner_that_are_left_out():
    rows = re.findall(r"^\| `(test_\w+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert dict(rows) == kerastuner_tests.EXCLUDED
