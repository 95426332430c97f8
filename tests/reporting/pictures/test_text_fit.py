"""Texts of pictures are broken, not cut."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from shared_keras.reporting.pictures import text_fit
from tests.reporting import seen

LETTERS = st.text(st.sampled_from("aWil1-_/ .é\n"), min_size=1, max_size=80)


@settings(max_examples=30, deadline=None)
@given(LETTERS, st.floats(0.5, 6), st.integers(7, 14))
def test_lines_are_as_wide_as_they_may_be_and_nothing_is_lost(text, inches, size):
    fitted = text_fit.fit(text, inches, size)
    assert text_fit.width(fitted, size) <= inches
    assert re.sub(r"\s", "", fitted) == re.sub(r"\s", "", text)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["a", "few", "words"]), min_size=1).map(" ".join))
def test_lines_break_at_spaces_and_not_before_they_must(text):
    fitted = text_fit.fit(text, 1.5, 10)
    assert fitted.split() == text.split()
    lines = fitted.split("\n")
    for line, following in itertools.pairwise(lines):
        assert text_fit.width(f"{line} {following.split()[0]}", 10) > 1.5
    assert text_fit.fit(text, 1000, 10) == text


def test_a_long_word_breaks_where_its_parts_meet():
    assert text_fit.fit("searches/regularized-quick", 1.2, 10) == "searches/\nregularized-\nquick"


@pytest.mark.long(only=True)
@settings(max_examples=6, deadline=None)
@given(st.integers(1, 300), st.floats(3, 12), st.sampled_from(["W", "a b ", "path/"]))
def test_titles_are_never_cut(length, across, part):
    figure = Figure(figsize=(across, 3), layout="constrained")
    text_fit.title(figure, (part * length)[:length].strip())
    figure.subplots().plot([1, 2])
    assert not seen.cut(figure) and not seen.colliding(figure)
    assert figure.axes[0].bbox.height > 120  # the title takes no room from what is drawn


@pytest.mark.parametrize("size", [8, 12])
def test_widths_are_those_of_what_is_drawn(size):
    figure = Figure(figsize=(8, 2))
    text = figure.text(0, 0, "The hardest test images, by entropy (red: wrong)", size=size)
    measured = text.get_window_extent(seen.drawn(figure)).width / 120
    assert measured <= text_fit.width(text.get_text(), size) <= 1.08 * measured
